//! Account addresses: bytes inside, bech32 outside.

use std::{fmt, str::FromStr};

use bech32::Bech32;
use ripemd::Ripemd160;
use sha2::{Digest, Sha256};

use crate::{
    bech32 as text,
    error::{Error, sdk},
};

/// Bech32 prefix of accounts.
pub const ADDRESS_PREFIX: &str = "gantry";
/// Bech32 prefix of validator operators.
pub const OPERATOR_PREFIX: &str = "gantryvaloper";
/// Bech32 prefix of consensus addresses.
pub const CONSENSUS_PREFIX: &str = "gantryvalcons";
/// SLIP-44 coin type of HD derivation.
pub const COIN_TYPE: u32 = 118;

/// An account address: 20 bytes for keys and 32 at most for modules and contracts (the SDK allows 255).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Vec<u8>);

impl Address {
    /// Wraps raw bytes; an empty address or one over 255 bytes is refused, as in the SDK.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, Error> {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Err(sdk::unknown_address("addresses cannot be empty"));
        }
        if bytes.len() > 255 {
            return Err(sdk::unknown_address(format!("address max length is 255, got {}", bytes.len())));
        }
        Ok(Self(bytes))
    }

    /// RIPEMD160(SHA256(key)) of a compressed secp256k1 key.
    #[must_use]
    pub fn from_secp256k1(compressed: &[u8; 33]) -> Self {
        Self(Ripemd160::digest(Sha256::digest(compressed)).to_vec())
    }

    /// Address of a module account: the first 20 bytes of SHA256(name), as `authtypes.NewModuleAddress`.
    #[must_use]
    pub fn module(name: &str) -> Self {
        Self(Sha256::digest(name.as_bytes())[..20].to_vec())
    }

    /// The raw bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Parses bech32 with the account prefix. One spelling is accepted (lower case), so that two strings never name
    /// one address.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_with(ADDRESS_PREFIX, text)
    }

    /// Parses bech32 with a given prefix.
    pub fn parse_with(prefix: &str, text: &str) -> Result<Self, Error> {
        if let Some(address) = text::decode_key_address(prefix, text) {
            return Ok(Self(address.to_vec()));
        }
        if text.trim().is_empty() {
            return Err(sdk::invalid_address("empty address string is not allowed"));
        }
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(sdk::invalid_address("decoding bech32 failed: upper case is not accepted"));
        }
        let checked = bech32::primitives::decode::CheckedHrpstring::new::<Bech32>(text)
            .map_err(|e| sdk::invalid_address(format!("decoding bech32 failed: {e}")))?;
        if checked.hrp().as_str() != prefix {
            return Err(sdk::invalid_address(format!(
                "invalid Bech32 prefix; expected {prefix}, got {}",
                checked.hrp().as_str()
            )));
        }
        Self::new(checked.byte_iter().collect::<Vec<u8>>())
    }

    /// Bech32 with one of the prefixes of this crate, or another of at most 16 lower-case letters.
    #[must_use]
    pub fn to_bech32(&self, prefix: &str) -> String {
        text::encode(&mut [0; text::MAX_TEXT], prefix, &self.0).to_owned()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(text::encode(&mut [0; text::MAX_TEXT], ADDRESS_PREFIX, &self.0))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl AsRef<[u8]> for Address {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Address {
    type Error = Error;

    fn try_from(bytes: &[u8]) -> Result<Self, Error> {
        Self::new(bytes)
    }
}

gantry_store::bytes_key!(Address);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_names_one_address() {
        let address = Address::module("escrow");
        let text = address.to_string();
        assert!(text.starts_with("gantry1"));
        assert_eq!(text.parse::<Address>(), Ok(address.clone()));
        for bad in [
            text.to_uppercase(),
            text.replacen("gantry", "cosmos", 1),
            address.to_bech32(OPERATOR_PREFIX),
            text[..text.len() - 1].to_owned(),
            String::new(),
            " ".to_owned(),
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad:?} was accepted");
        }
    }

    /// `authtypes.NewModuleAddress("fee_collector")` of the Go SDK.
    #[test]
    fn module_addresses_are_the_sdks() {
        assert_eq!(
            Address::module("fee_collector").to_bech32("cosmos"),
            "cosmos17xpfvakm2amg962yls6f84z3kell8c5lserqta"
        );
    }

    #[test]
    fn lengths_are_bounded() {
        assert!(Address::new(vec![]).is_err());
        assert!(Address::new(vec![7; 256]).is_err());
        let longest = Address::new(vec![7; 255]).expect("255 bytes are allowed");
        assert_eq!(longest.to_string().parse::<Address>(), Ok(longest));
    }
}
