use bech32::{Bech32, Hrp};
use ripemd::Ripemd160;
use sha2::{Digest, Sha256};

use crate::KeyringError;

/// Human-readable prefix of Gantry's account addresses.
pub const ACCOUNT_PREFIX: &str = "gantry";

/// Length of an account address made from a secp256k1 key, in bytes.
pub const ADDRESS_LEN: usize = 20;

/// The address of a compressed secp256k1 key: RIPEMD160(SHA256(33 bytes)), as the Cosmos SDK and Bitcoin have it.
pub fn address_of(public_key: &[u8; 33]) -> [u8; ADDRESS_LEN] {
    Ripemd160::digest(Sha256::digest(public_key)).into()
}

/// Writes address bytes in bech32 (BIP-173) under a prefix.
///
/// # Errors
/// When the prefix is no bech32 prefix, or the whole would pass the 1,023 characters that bech32's checksum covers.
pub fn encode_address(prefix: &str, address: &[u8]) -> Result<String, KeyringError> {
    let invalid = || KeyringError::InvalidPrefix(prefix.to_owned());
    let hrp = Hrp::parse(prefix).map_err(|_| invalid())?;
    bech32::encode::<Bech32>(hrp, address).map_err(|_| invalid())
}
