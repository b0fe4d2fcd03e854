use std::fmt;

use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::KeyringError;

/// A signature as the chain takes it: `r || s`, 64 bytes, `s` in the lower half of the group order.
pub type Signature = [u8; 64];

/// A secp256k1 private key. Wiped on drop; `Debug` shows the public half only.
#[derive(Clone)]
pub struct PrivateKey {
    secret: Zeroizing<[u8; 32]>,
    public: [u8; 33],
}

impl PrivateKey {
    /// Takes a scalar in big-endian order.
    ///
    /// # Errors
    /// When there are not 32 bytes, or they are zero or at least the group order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyringError> {
        let array: [u8; 32] = bytes.try_into().map_err(|_| KeyringError::InvalidKey("expected 32 bytes"))?;
        let secret = Zeroizing::new(array);
        let mut scalar = scalar(&secret)?;
        let public = PublicKey::from_secret_key(SECP256K1, &scalar).serialize();
        scalar.non_secure_erase();
        Ok(Self { secret, public })
    }

    /// The compressed public key.
    pub fn public_key(&self) -> &[u8; 33] {
        &self.public
    }

    /// The scalar itself, for export.
    pub fn expose(&self) -> &[u8; 32] {
        &self.secret
    }

    /// Signs SHA-256 of `bytes`. Deterministic (RFC 6979), so equal input gives equal signatures; always low-S.
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        let mut scalar = scalar(&self.secret).expect("checked when the key was made");
        let digest = Message::from_digest(Sha256::digest(bytes).into());
        // libsecp256k1 returns low-S signatures only.
        let signature = SECP256K1.sign_ecdsa(digest, &scalar).serialize_compact();
        scalar.non_secure_erase();
        signature
    }
}

fn scalar(bytes: &[u8; 32]) -> Result<SecretKey, KeyringError> {
    SecretKey::from_byte_array(*bytes).map_err(|_| KeyringError::InvalidKey("not a scalar of secp256k1"))
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("public", &hex::encode(self.public)).finish_non_exhaustive()
    }
}
