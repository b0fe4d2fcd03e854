//! How a renter shows a worker that it is the renter of a job: a signature by its key over what it asks for, with a
//! date of expiry, in the metadata of a gRPC call.
//!
//! What is signed (SHA-256 of it, low-S, as everywhere): the fields `gantry/access/v1`, chain id, job id, provider id
//! and expiry (Unix seconds), each preceded by its length as a 64-bit big-endian number; integers are 64-bit
//! big-endian. A token is good for one job at one provider of one chain, so a provider cannot use it elsewhere.

use std::time::{SystemTime, UNIX_EPOCH};

use gantry_keyring::{ACCOUNT_PREFIX, KeyringError, Signer, address_of, encode_address};
use secp256k1::{Message, PublicKey, SECP256K1, ecdsa::Signature};
use sha2::{Digest, Sha256};
use tonic::metadata::MetadataMap;

/// Metadata key of the renter's compressed public key, in hex.
pub const PUBLIC_KEY: &str = "gantry-renter-pubkey";
/// Metadata key of the signature `r || s`, in hex.
pub const SIGNATURE: &str = "gantry-renter-signature";
/// Metadata key of the expiry in Unix seconds, in decimal.
pub const EXPIRY: &str = "gantry-renter-expiry";
/// Longest time from now to the expiry, in seconds: a token that leaks is not good for ever.
pub const MAX_LIFETIME: u64 = 24 * 60 * 60;

const DOMAIN: &[u8] = b"gantry/access/v1";

/// What a token gives access to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The chain's id.
    pub chain_id: &'a str,
    /// The job's id.
    pub job: u64,
    /// The provider's id.
    pub provider: u64,
}

impl Scope<'_> {
    fn message(&self, expires: u64) -> Vec<u8> {
        let numbers = [self.job, self.provider, expires].map(u64::to_be_bytes);
        let mut out = Vec::new();
        for field in [DOMAIN, self.chain_id.as_bytes()].into_iter().chain(numbers.iter().map(<[u8; 8]>::as_slice)) {
            out.extend((field.len() as u64).to_be_bytes());
            out.extend(field);
        }
        out
    }
}

/// Why a token does not give access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// A field is missing or cannot be read.
    #[error("{0} is missing or malformed")]
    Malformed(&'static str),
    /// Its time is over.
    #[error("the access token has expired")]
    Expired,
    /// Its expiry lies too far ahead.
    #[error("the access token is valid for more than a day")]
    TooLong,
    /// The signature is not by the key over this scope.
    #[error("the signature does not fit the key, the job, the provider or the chain")]
    BadSignature,
}

/// A signed request for access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessToken {
    public_key: [u8; 33],
    signature: [u8; 64],
    expires: u64,
}

impl AccessToken {
    /// Signs for a scope until `expires` (Unix seconds).
    #[must_use]
    pub fn sign(signer: &Signer, scope: &Scope<'_>, expires: u64) -> Self {
        Self { public_key: *signer.public_key(), signature: signer.sign(&scope.message(expires)), expires }
    }

    /// Signs for a scope and for the next hour: long enough for what one command does.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "tokens expire by the clock on the wall; nothing here is consensus")]
    pub fn sign_for_an_hour(signer: &Signer, scope: &Scope<'_>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Self::sign(signer, scope, now + 60 * 60)
    }

    /// Puts the token into the metadata of a call.
    pub fn attach(&self, metadata: &mut MetadataMap) {
        let fields = [
            (PUBLIC_KEY, hex::encode(self.public_key)),
            (SIGNATURE, hex::encode(self.signature)),
            (EXPIRY, self.expires.to_string()),
        ];
        for (name, value) in fields {
            metadata.insert(name, value.parse().expect("digits are ASCII"));
        }
    }

    /// The token in the metadata of a call, if there is one. Nothing is verified yet.
    ///
    /// # Errors
    /// [`AccessError::Malformed`] when some of it is missing or unreadable.
    pub fn read(metadata: &MetadataMap) -> Result<Option<Self>, AccessError> {
        if [PUBLIC_KEY, SIGNATURE, EXPIRY].iter().all(|name| !metadata.contains_key(*name)) {
            return Ok(None);
        }
        let text = |name: &'static str| {
            metadata.get(name).and_then(|value| value.to_str().ok()).ok_or(AccessError::Malformed(name))
        };
        let mut token = Self { public_key: [0; 33], signature: [0; 64], expires: 0 };
        hex::decode_to_slice(text(PUBLIC_KEY)?, &mut token.public_key)
            .map_err(|_| AccessError::Malformed(PUBLIC_KEY))?;
        hex::decode_to_slice(text(SIGNATURE)?, &mut token.signature).map_err(|_| AccessError::Malformed(SIGNATURE))?;
        token.expires = text(EXPIRY)?.parse().map_err(|_| AccessError::Malformed(EXPIRY))?;
        Ok(Some(token))
    }

    /// The address of whoever signed, if the token is good for this scope at `now` (Unix seconds). Whether that is the
    /// renter is for the caller to compare.
    ///
    /// # Errors
    /// [`AccessError`] saying what is wrong.
    pub fn verify(&self, scope: &Scope<'_>, now: u64) -> Result<String, AccessError> {
        if self.expires <= now {
            return Err(AccessError::Expired);
        }
        if self.expires - now > MAX_LIFETIME {
            return Err(AccessError::TooLong);
        }
        let key = PublicKey::from_byte_array_compressed(self.public_key).map_err(|_| AccessError::BadSignature)?;
        let signature = Signature::from_compact(&self.signature).map_err(|_| AccessError::BadSignature)?;
        let digest = Message::from_digest(Sha256::digest(scope.message(self.expires)).into());
        SECP256K1.verify_ecdsa(digest, &signature, &key).map_err(|_| AccessError::BadSignature)?;
        encode_address(ACCOUNT_PREFIX, &address_of(&self.public_key))
            .map_err(|_: KeyringError| AccessError::BadSignature)
    }
}

#[cfg(test)]
mod tests {
    use gantry_keyring::PrivateKey;

    use super::*;

    const MINE: Scope<'static> = Scope { chain_id: "gantry-1", job: 7, provider: 3 };
    const NOW: u64 = 1_000_000;

    fn signer(byte: u8) -> Signer {
        Signer::new("renter", PrivateKey::from_bytes(&[byte; 32]).unwrap(), ACCOUNT_PREFIX).unwrap()
    }

    #[test]
    fn a_token_travels_in_metadata_and_names_its_signer() {
        let token = AccessToken::sign(&signer(1), &MINE, NOW + 60);
        let mut metadata = MetadataMap::new();
        token.attach(&mut metadata);
        let read = AccessToken::read(&metadata).unwrap().unwrap();
        assert_eq!(read, token);
        assert_eq!(read.verify(&MINE, NOW).unwrap(), signer(1).info.address);
        assert_eq!(AccessToken::read(&MetadataMap::new()), Ok(None));
    }

    #[test]
    fn a_token_is_good_for_its_scope_and_time_alone() {
        let token = AccessToken::sign(&signer(1), &MINE, NOW + 60);
        let others = [Scope { chain_id: "gantry-2", ..MINE }, Scope { job: 8, ..MINE }, Scope { provider: 4, ..MINE }];
        for other in others {
            assert_eq!(token.verify(&other, NOW), Err(AccessError::BadSignature), "{other:?}");
        }
        assert_eq!(token.verify(&MINE, NOW + 60), Err(AccessError::Expired));
        assert_eq!(token.verify(&MINE, NOW + 60 - MAX_LIFETIME - 1), Err(AccessError::TooLong));
        let longer = AccessToken { expires: NOW + 61, ..token };
        assert_eq!(longer.verify(&MINE, NOW), Err(AccessError::BadSignature));
        let anothers = AccessToken { public_key: *signer(2).public_key(), ..token };
        assert_eq!(anothers.verify(&MINE, NOW), Err(AccessError::BadSignature));
    }

    #[test]
    fn half_a_token_is_an_error_and_not_an_anonymous_call() {
        let mut metadata = MetadataMap::new();
        AccessToken::sign(&signer(1), &MINE, NOW).attach(&mut metadata);
        metadata.remove(SIGNATURE);
        assert_eq!(AccessToken::read(&metadata), Err(AccessError::Malformed(SIGNATURE)));
    }
}
