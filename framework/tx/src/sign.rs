//! SIGN_MODE_DIRECT: a signature over the bytes as they came (ADR-020).

use gantry_core::PubKey;
use prost::encoding::{bytes, string, uint64};
use secp256k1::{Message, PublicKey, SECP256K1, ecdsa::Signature};
use sha2::{Digest, Sha256};

/// The bytes to sign: a `SignDoc` over the received body and auth info, which are never encoded again.
#[must_use]
pub fn sign_bytes(body: &Vec<u8>, auth_info: &Vec<u8>, chain_id: &String, account_number: u64) -> Vec<u8> {
    let mut doc = Vec::with_capacity(body.len() + auth_info.len() + chain_id.len() + 24);
    if !body.is_empty() {
        bytes::encode(1, body, &mut doc);
    }
    if !auth_info.is_empty() {
        bytes::encode(2, auth_info, &mut doc);
    }
    if !chain_id.is_empty() {
        string::encode(3, chain_id, &mut doc);
    }
    if account_number != 0 {
        uint64::encode(4, &account_number, &mut doc);
    }
    doc
}

/// Verifies 64 bytes r‖s over SHA-256 of a message. Only the lower of the two possible s is valid, else anyone could
/// change a transaction's hash.
#[must_use]
pub fn verify(key: &PubKey, message: &[u8], signature: &[u8]) -> bool {
    let message = Message::from_digest(Sha256::digest(message).into());
    let (Ok(key), Ok(signature)) = (PublicKey::from_slice(key.as_bytes()), Signature::from_compact(signature)) else {
        return false;
    };
    // libsecp256k1 refuses the higher s by itself.
    SECP256K1.verify_ecdsa(message, &signature, &key).is_ok()
}
