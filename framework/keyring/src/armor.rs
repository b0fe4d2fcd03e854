//! The Cosmos SDK's armored private key (`crypto/armor.go` of v0.50): what `simd keys export` writes and `keys import` reads.
//!
//! ```text
//! -----BEGIN TENDERMINT PRIVATE KEY-----      OpenPGP ASCII armor (RFC 4880, section 6.2): headers, blank line,
//! kdf: argon2                                 base64 in lines of 64, CRC-24
//! salt: 16 bytes in upper-case hex
//! type: secp256k1
//! ```
//! The body is the key in Amino's binary form under a key made from the passphrase:
//! - `argon2`: Argon2id(time 1, 64 MiB, 4 lanes), ChaCha20-Poly1305, nonce zero (the salt is fresh each time).
//! - `bcrypt` (before v0.47; read, never written): SHA-256 of the bcrypt text at cost 12, XSalsa20-Poly1305,
//!   the 24-byte nonce in front.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, aead::Aead};
use crypto_secretbox::XSalsa20Poly1305;
use rand::TryRngCore;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{KeyringError, PrivateKey};

const BLOCK: &str = "TENDERMINT PRIVATE KEY";
const ALGORITHM: &str = "secp256k1";
/// Amino's prefix of `tendermint/PrivKeySecp256k1`, then the length of the key.
const AMINO_PREFIX: [u8; 5] = [0xe1, 0xb0, 0xf7, 0x9b, 32];
const LINE: usize = 64;
/// An armored key is some 300 bytes; whatever is much longer is not one.
const MAX_TEXT: usize = 16 * 1024;

/// Writes a key as `simd keys export` does, under a fresh salt.
///
/// # Errors
/// When the operating system has no randomness to give.
pub fn encrypt(key: &PrivateKey, passphrase: &str) -> Result<String, KeyringError> {
    let mut salt = [0u8; 16];
    OsRng.try_fill_bytes(&mut salt).map_err(|e| KeyringError::InvalidArmor(format!("no randomness: {e}")))?;
    Ok(encrypt_with_salt(key, passphrase, &salt))
}

fn encrypt_with_salt(key: &PrivateKey, passphrase: &str, salt: &[u8; 16]) -> String {
    let mut plain = Zeroizing::new(Vec::with_capacity(AMINO_PREFIX.len() + 32));
    plain.extend_from_slice(&AMINO_PREFIX);
    plain.extend_from_slice(key.expose());
    let secret = argon2_key(passphrase, salt).expect("a 16-byte salt is long enough");
    let sealed = ChaCha20Poly1305::new((&*secret).into())
        .encrypt(&[0u8; 12].into(), plain.as_slice())
        .expect("37 bytes are within the cipher's limit");
    let headers = [("kdf", "argon2".to_owned()), ("salt", hex::encode_upper(salt)), ("type", ALGORITHM.to_owned())];
    write_armor(&headers, &sealed)
}

/// Reads an armored key.
///
/// # Errors
/// [`KeyringError::WrongPassphrase`], or [`KeyringError::InvalidArmor`] for text that is no armored secp256k1 key.
pub fn decrypt(text: &str, passphrase: &str) -> Result<PrivateKey, KeyringError> {
    let armor = read_armor(text)?;
    let header = |name| armor.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    // The SDK takes a missing type for secp256k1.
    if let Some(other) = header("type").filter(|kind| !kind.is_empty() && *kind != ALGORITHM) {
        return Err(invalid(format!("key type {other:?} is not secp256k1")));
    }
    let salt = hex::decode(header("salt").ok_or_else(|| invalid("missing salt bytes"))?)
        .map_err(|error| invalid(format!("error decoding salt: {error}")))?;
    let plain = match header("kdf") {
        Some("argon2") => {
            let secret = argon2_key(passphrase, &salt)?;
            ChaCha20Poly1305::new((&*secret).into()).decrypt(&[0u8; 12].into(), armor.body.as_slice())
        }
        Some("bcrypt") => {
            let secret = bcrypt_key(passphrase, &salt)?;
            let (nonce, sealed) =
                armor.body.split_at_checked(24).ok_or_else(|| invalid("the body is shorter than its nonce"))?;
            XSalsa20Poly1305::new((&*secret).into()).decrypt(nonce.into(), sealed)
        }
        other => {
            return Err(invalid(format!("unrecognized KDF type: {}", other.unwrap_or_default())));
        }
    };
    let plain = Zeroizing::new(plain.map_err(|_| KeyringError::WrongPassphrase)?);
    let scalar = plain.strip_prefix(&AMINO_PREFIX).ok_or_else(|| invalid("not a secp256k1 key in Amino's form"))?;
    PrivateKey::from_bytes(scalar)
}

fn argon2_key(passphrase: &str, salt: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
    let params = Params::new(64 * 1024, 1, 4, Some(32)).expect("the SDK's parameters are valid ones");
    let mut key = Zeroizing::new([0u8; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, key.as_mut_slice())
        .map_err(|error| invalid(format!("argon2: {error}")))?;
    Ok(key)
}

fn bcrypt_key(passphrase: &str, salt: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
    let salt: [u8; 16] = salt.try_into().map_err(|_| invalid("bcrypt wants 16 bytes of salt"))?;
    let parts = bcrypt::hash_with_salt(passphrase, 12, salt).map_err(|error| invalid(format!("bcrypt: {error}")))?;
    let text = Zeroizing::new(parts.format_for_version(bcrypt::Version::TwoA));
    Ok(Zeroizing::new(Sha256::digest(text.as_bytes()).into()))
}

struct Armor<'a> {
    headers: Vec<(&'a str, &'a str)>,
    body: Vec<u8>,
}

fn write_armor(headers: &[(&str, String)], body: &[u8]) -> String {
    let mut text = format!("-----BEGIN {BLOCK}-----\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\n");
    }
    text.push('\n');
    let encoded = STANDARD.encode(body);
    for start in (0..encoded.len()).step_by(LINE) {
        text += &encoded[start..encoded.len().min(start + LINE)];
        text.push('\n');
    }
    let checksum = STANDARD.encode(&crc24(body).to_be_bytes()[1..]);
    text + &format!("={checksum}\n-----END {BLOCK}-----")
}

/// Reads what [`write_armor`] writes, with text before and after, any line ends, and headers in any order.
fn read_armor(text: &str) -> Result<Armor<'_>, KeyringError> {
    if text.len() > MAX_TEXT {
        return Err(invalid("too long"));
    }
    let mut lines = text.lines().map(str::trim);
    let kind = lines
        .find_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
        .ok_or_else(|| invalid("no -----BEGIN line"))?;
    if kind != BLOCK {
        return Err(invalid(format!("unrecognized armor type: {kind}")));
    }
    let mut headers = Vec::new();
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        headers.push(line.split_once(": ").ok_or_else(|| invalid("a header without a value"))?);
    }
    let (mut encoded, mut checksum, mut ended) = (String::new(), None, false);
    for line in lines {
        if line.strip_prefix("-----END ").and_then(|rest| rest.strip_suffix("-----")) == Some(BLOCK) {
            ended = true;
            break;
        }
        match line.strip_prefix('=') {
            Some(sum) => checksum = Some(sum),
            None => encoded += line,
        }
    }
    if !ended {
        return Err(invalid("no -----END line"));
    }
    let body = STANDARD.decode(&encoded).map_err(|error| invalid(format!("body: {error}")))?;
    if checksum.is_some_and(|sum| sum != STANDARD.encode(&crc24(&body).to_be_bytes()[1..])) {
        return Err(invalid("checksum mismatch"));
    }
    Ok(Armor { headers, body })
}

/// CRC-24 of OpenPGP (RFC 4880, section 6.1).
fn crc24(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x00b7_04ce, |crc, byte| {
        (0..8).fold(crc ^ (u32::from(*byte) << 16), |crc, _| {
            let shifted = crc << 1;
            if shifted & 0x0100_0000 == 0 { shifted } else { (shifted ^ 0x0186_4cfb) & 0x00ff_ffff }
        })
    })
}

fn invalid(reason: impl Into<String>) -> KeyringError {
    KeyringError::InvalidArmor(reason.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The SDK's own export, written again under its salt, is the same text but for the order of the headers, which
    /// Go picks at random: so the SDK reads what we write.
    #[test]
    fn what_is_written_is_what_the_sdk_writes() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../golden/vectors.json")).unwrap();
        let (text, passphrase) = (vectors["armor_argon2"].as_str().unwrap(), vectors["passphrase"].as_str().unwrap());
        let armor = read_armor(text).unwrap();
        let salt = armor.headers.iter().find(|(name, _)| *name == "salt").unwrap().1;
        let salt: [u8; 16] = hex::decode(salt).unwrap().try_into().unwrap();
        let key = decrypt(text, passphrase).unwrap();
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&encrypt_with_salt(&key, passphrase, &salt)), sorted(text));
    }

    #[test]
    fn damage_is_named() {
        let key = PrivateKey::from_bytes(&[7; 32]).unwrap();
        let good = encrypt_with_salt(&key, "passphrase", &[1; 16]);
        assert_eq!(decrypt(&good, "passphrase").unwrap().expose(), key.expose());
        let without_checksum: String = good.lines().filter(|l| !l.starts_with('=')).map(|l| format!("{l}\n")).collect();
        assert!(decrypt(&without_checksum, "passphrase").is_ok(), "the checksum is optional in OpenPGP");
        for (from, to, reason) in [
            ("TENDERMINT PRIVATE KEY", "TENDERMINT PUBLIC KEY", "unrecognized armor type"),
            ("kdf: argon2", "kdf: scrypt", "unrecognized KDF type: scrypt"),
            ("salt: 0101010101010101", "salt: ", "wrong passphrase"),
            ("salt: 0101", "salt: 0g01", "error decoding salt"),
            ("salt: ", "pepper: ", "missing salt bytes"),
            ("type: secp256k1", "type: ed25519", "not secp256k1"),
            ("\n=", "\n=A", "checksum mismatch"),
            ("-----END", "-----FIN", "no -----END line"),
        ] {
            let text = good.replace(from, to);
            assert_ne!(text, good);
            let error = decrypt(&text, "passphrase").unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(decrypt(&"x".repeat(MAX_TEXT + 1), "passphrase").is_err());
    }
}
