//! SIGN_MODE_DIRECT: a signature over the bytes as they came (ADR-020).

use gantry_core::PubKey;
use prost::{
    bytes::BufMut,
    encoding::{WireType, encode_key, encode_varint},
};
use secp256k1::{Message, PublicKey, SECP256K1, ecdsa::Signature};
use sha2::{Digest, Sha256};

/// The longest that a field is before its value.
const FIELD_HEAD: usize = 16;

/// The bytes to sign: a `SignDoc` over the received body and auth info, which are never encoded again.
#[must_use]
pub fn sign_bytes(body: &[u8], auth_info: &[u8], chain_id: &str, account_number: u64) -> Vec<u8> {
    let mut doc = Vec::with_capacity(body.len() + auth_info.len() + chain_id.len() + 4 * FIELD_HEAD);
    write_parts(body, auth_info, |bytes| doc.extend_from_slice(bytes));
    write_signer(chain_id, account_number, |bytes| doc.extend_from_slice(bytes));
    doc
}

/// Hashes the part of the bytes to sign that is the same for all signers.
pub(crate) fn signed_by_all(body: &[u8], auth_info: &[u8]) -> Sha256 {
    let mut hash = Sha256::new();
    write_parts(body, auth_info, |bytes| hash.update(bytes));
    hash
}

/// SHA-256 of the bytes to sign.
pub(crate) fn digest(signed_by_all: &Sha256, chain_id: &str, account_number: u64) -> [u8; 32] {
    let mut hash = signed_by_all.clone();
    write_signer(chain_id, account_number, |bytes| hash.update(bytes));
    hash.finalize().into()
}

fn write_parts(body: &[u8], auth_info: &[u8], mut write: impl FnMut(&[u8])) {
    write_field(1, body, &mut write);
    write_field(2, auth_info, &mut write);
}

fn write_signer(chain_id: &str, account_number: u64, mut write: impl FnMut(&[u8])) {
    write_field(3, chain_id.as_bytes(), &mut write);
    if account_number != 0 {
        write_head(4, WireType::Varint, account_number, &mut write);
    }
}

fn write_field(number: u32, value: &[u8], write: &mut impl FnMut(&[u8])) {
    if !value.is_empty() {
        write_head(number, WireType::LengthDelimited, value.len() as u64, write);
        write(value);
    }
}

/// A field's key, and its value or the length of it.
fn write_head(number: u32, wire: WireType, value: u64, write: &mut impl FnMut(&[u8])) {
    let mut head = [0; FIELD_HEAD];
    let mut rest = &mut head[..];
    encode_key(number, wire, &mut rest);
    encode_varint(value, &mut rest);
    let left = rest.remaining_mut();
    write(&head[..FIELD_HEAD - left]);
}

/// Verifies 64 bytes r‖s over SHA-256 of a message. Only the lower of the two possible s is valid, else anyone could
/// change a transaction's hash.
#[must_use]
pub fn verify(key: &PubKey, message: &[u8], signature: &[u8]) -> bool {
    verify_digest(key, Sha256::digest(message).into(), signature)
}

/// [`verify`] with the message's SHA-256.
pub(crate) fn verify_digest(key: &PubKey, digest: [u8; 32], signature: &[u8]) -> bool {
    let message = Message::from_digest(digest);
    let (Ok(key), Ok(signature)) = (PublicKey::from_slice(key.as_bytes()), Signature::from_compact(signature)) else {
        return false;
    };
    // libsecp256k1 refuses the higher s by itself.
    SECP256K1.verify_ecdsa(message, &signature, &key).is_ok()
}
