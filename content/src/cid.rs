//! The one kind of content id that Gantry uses.

use std::fmt;
use std::str::FromStr;

use multihash::Multihash;
use multihash_codetable::{Code, MultihashDigest as _};

/// Code of sha2-256 in the multicodec table.
const SHA2_256: u64 = 0x12;
/// The first bytes of every [`Cid`] in binary but for the codec: version 1, then (after the codec) sha2-256, 32 bytes.
const VERSION: u8 = 0x01;
const HASH_PREFIX: [u8; 2] = [0x12, 0x20];

/// Bytes of a CID in binary.
pub const CID_BYTES: usize = 36;

/// What the bytes of a block are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// Bytes of a file.
    Raw,
    /// A dag-pb node: an inner node of a file, or a directory.
    DagPb,
}

impl Codec {
    const fn code(self) -> u8 {
        match self {
            Self::Raw => 0x55,
            Self::DagPb => 0x70,
        }
    }
}

/// A content id: CIDv1, codec raw or dag-pb, sha2-256. Anything else does not parse, so a `Cid` always names a block
/// that this crate can check. Its text is lower-case base32 (`b…`), its binary form 36 bytes; both are unique.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cid {
    codec: Codec,
    digest: [u8; 32],
}

/// Why bytes or text are not a [`Cid`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidError {
    /// Not a CID at all.
    #[error("malformed CID: {0}")]
    Malformed(String),
    /// A CID of another version, codec, hash function or text encoding.
    #[error("unsupported CID {0}: expected CIDv1 in base32, codec raw or dag-pb, sha2-256")]
    Unsupported(String),
}

impl Cid {
    /// The CID of `block`.
    pub fn of(codec: Codec, block: &[u8]) -> Self {
        let hash = Code::Sha2_256.digest(block);
        Self { codec, digest: hash.digest().try_into().expect("sha2-256 gives 32 bytes") }
    }

    /// What the block is.
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// The sha2-256 of the block.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Whether this is the CID of `block`.
    pub fn matches(&self, block: &[u8]) -> bool {
        Self::of(self.codec, block) == *self
    }

    /// The binary form.
    pub fn to_bytes(self) -> [u8; CID_BYTES] {
        let mut out = [0; CID_BYTES];
        out[..4].copy_from_slice(&[VERSION, self.codec.code(), HASH_PREFIX[0], HASH_PREFIX[1]]);
        out[4..].copy_from_slice(&self.digest);
        out
    }

    /// Parses the binary form; no other length, version, codec or hash is accepted.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CidError> {
        let unsupported = || CidError::Unsupported(format!("of {} bytes", bytes.len()));
        let (head, digest) = bytes.split_at_checked(4).ok_or_else(unsupported)?;
        let digest = digest.try_into().map_err(|_| unsupported())?;
        let codec = match head {
            [VERSION, 0x55, h0, h1] if [*h0, *h1] == HASH_PREFIX => Codec::Raw,
            [VERSION, 0x70, h0, h1] if [*h0, *h1] == HASH_PREFIX => Codec::DagPb,
            _ => return Err(unsupported()),
        };
        Ok(Self { codec, digest })
    }
}

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = Multihash::<64>::wrap(SHA2_256, &self.digest).expect("32 bytes fit in 64");
        cid::Cid::new_v1(u64::from(self.codec.code()), hash).fmt(f)
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Cid {
    type Err = CidError;

    fn from_str(text: &str) -> Result<Self, CidError> {
        // A valid text has 59 characters: nothing longer is worth decoding, or repeating in an error.
        if text.len() > 128 {
            return Err(CidError::Malformed(format!("{} characters", text.len())));
        }
        let parsed = cid::Cid::try_from(text).map_err(|e| CidError::Malformed(format!("{text:?}: {e}")))?;
        let own = Self::from_bytes(&parsed.to_bytes()).map_err(|_| CidError::Unsupported(text.to_owned()))?;
        // One text per CID: other bases and upper case are refused, so that texts compare as CIDs do.
        if own.to_string() != text {
            return Err(CidError::Unsupported(text.to_owned()));
        }
        Ok(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_binary_round_trip() {
        for codec in [Codec::Raw, Codec::DagPb] {
            let cid = Cid::of(codec, b"gantry");
            assert_eq!(cid.to_string().parse::<Cid>().unwrap(), cid);
            assert_eq!(Cid::from_bytes(&cid.to_bytes()).unwrap(), cid);
        }
    }

    #[test]
    fn other_kinds_are_refused() {
        let good = Cid::of(Codec::Raw, b"").to_string();
        assert!(matches!(good.to_uppercase().parse::<Cid>(), Err(CidError::Unsupported(_))), "one text per CID");
        for bad in [
            "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn",                // CIDv0
            "bafyaabakaieac",                                                // identity hash
            "bagaaierasords4njcts6vs7qvdjfcvgnume4hqohf65zsfguprqphs3icwea", // dag-json
            "zb2rhhFAEMepUBbGyP1k8tGfz7BSciKXP6GHuUeUsJBaK6cqG",             // base58
        ] {
            assert!(matches!(bad.parse::<Cid>(), Err(CidError::Unsupported(_))), "{bad}");
        }
        for bad in ["", "b", "hello", &good[..20], &"b".repeat(4096)] {
            assert!(bad.parse::<Cid>().is_err(), "{bad}");
        }
        let mut bytes = Cid::of(Codec::Raw, b"").to_bytes().to_vec();
        bytes.push(0);
        assert!(Cid::from_bytes(&bytes).is_err(), "trailing byte");
        assert!(Cid::from_bytes(&bytes[..35]).is_err(), "short digest");
    }
}
