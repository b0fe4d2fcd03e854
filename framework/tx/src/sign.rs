//! SIGN_MODE_DIRECT: a signature over the bytes as they came (ADR-020).

use gantry_core::PubKey;
use prost::encoding::{WireType, encode_key, encode_varint};
use secp256k1::{Message, PublicKey, SECP256K1, ecdsa::Signature};
use sha2::{Digest, Sha256};

/// The bytes to sign: a `SignDoc` over the received body and auth info, which are never encoded again.
#[must_use]
pub fn sign_bytes(body: &[u8], auth_info: &[u8], chain_id: &str, account_number: u64) -> Vec<u8> {
    let mut doc = Vec::with_capacity(body.len() + auth_info.len() + chain_id.len() + 32);
    for (number, field) in [(1, body), (2, auth_info), (3, chain_id.as_bytes())] {
        if !field.is_empty() {
            encode_key(number, WireType::LengthDelimited, &mut doc);
            encode_varint(field.len() as u64, &mut doc);
            doc.extend_from_slice(field);
        }
    }
    if account_number != 0 {
        encode_key(4, WireType::Varint, &mut doc);
        encode_varint(account_number, &mut doc);
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
