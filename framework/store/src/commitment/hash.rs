//! The preimages of an IAVL tree's hashes, built without an allocation.

use super::Hash;
use sha2::{Digest, Sha256};

/// Three varints, of a height, a size and a version.
#[derive(Clone, Copy)]
pub(super) struct Prefix {
    bytes: [u8; 30],
    len: usize,
}

impl Prefix {
    /// The start of an inner node's preimage: height, size and version as zigzag varints.
    pub(super) fn inner(height: u8, size: u64, version: u64) -> Self {
        let mut prefix = Self { bytes: [0; 30], len: 0 };
        for value in [u64::from(height), size, version] {
            // Zigzag of a non-negative number. Sizes and versions stay below 2^63, as CometBFT's int64 demands.
            prefix.varint(value << 1);
        }
        prefix
    }

    /// The start of a leaf's preimage: height 0, size 1 and version as zigzag varints.
    pub(super) fn leaf(version: u64) -> Self {
        Self::inner(0, 1, version)
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            #[expect(clippy::cast_possible_truncation, reason = "the low seven bits are meant")]
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        #[expect(clippy::cast_possible_truncation, reason = "less than 0x80")]
        self.push(value as u8);
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }
}

/// The hash of an inner node.
pub(crate) fn inner_hash(height: u8, size: u64, version: u64, left: &Hash, right: &Hash) -> Hash {
    let prefix = Prefix::inner(height, size, version);
    let mut bytes = [0; 30 + 66];
    let (start, hashes) = bytes.split_at_mut(prefix.len);
    start.copy_from_slice(prefix.as_slice());
    hashes[0] = 32;
    hashes[1..33].copy_from_slice(left);
    hashes[33] = 32;
    hashes[34..66].copy_from_slice(right);
    Sha256::digest(&bytes[..prefix.len + 66]).into()
}

/// The hash of a leaf.
pub(crate) fn leaf_hash(key: &[u8], value: &[u8], version: u64) -> Hash {
    let mut length = Prefix { bytes: [0; 30], len: 0 };
    length.varint(key.len() as u64);
    let hash = Sha256::new().chain_update(Prefix::leaf(version).as_slice()).chain_update(length.as_slice());
    hash.chain_update(key).chain_update([32]).chain_update(Sha256::digest(value)).finalize().into()
}
