//! Public keys of accounts: compressed secp256k1, the one kind that signs transactions.

use cosmos_sdk_proto::{Any, cosmos::crypto::secp256k1};
use prost::Message;

use crate::{
    Address,
    error::{Result, sdk},
};

const TYPE_URL: &str = "/cosmos.crypto.secp256k1.PubKey";

/// A compressed secp256k1 key. Whether its bytes are a point of the curve is known at verification alone, as in the SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PubKey([u8; 33]);

impl PubKey {
    /// Reads a key from its `Any`: sdk/8 for other kinds and wrong lengths.
    pub fn from_any(any: &Any) -> Result<Self> {
        if any.type_url == "/cosmos.crypto.ed25519.PubKey" {
            return Err(sdk::invalid_pubkey("ED25519 public keys are unsupported"));
        }
        if any.type_url != TYPE_URL {
            return Err(sdk::invalid_pubkey(format!("unrecognized public key type: {}", any.type_url)));
        }
        let key = secp256k1::PubKey::decode(&*any.value).map_err(|e| sdk::invalid_pubkey(e.to_string()))?.key;
        let length = key.len();
        key.try_into()
            .map(Self)
            .map_err(|_| sdk::invalid_pubkey(format!("length of pubkey is incorrect: expected 33 bytes, got {length}")))
    }

    /// The wire form.
    #[must_use]
    pub fn to_any(&self) -> Any {
        Any { type_url: TYPE_URL.to_owned(), value: secp256k1::PubKey { key: self.0.to_vec() }.encode_to_vec() }
    }

    /// The address of its account.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::from_secp256k1(&self.0)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 33] {
        &self.0
    }
}

impl From<[u8; 33]> for PubKey {
    fn from(bytes: [u8; 33]) -> Self {
        Self(bytes)
    }
}
