//! One key at rest: JSON with a version, the public half in clear, and the private half sealed (or, for tests, not).

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::{KeyringError, PrivateKey};

const VERSION: u32 = 1;

/// RFC 9106's second recommended choice: Argon2id, 3 passes over 64 MiB, 4 lanes.
const COST: Cost = Cost { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
/// What a file may ask for at most, so that a hostile one costs neither minutes nor all memory.
const MAX_COST: Cost = Cost { memory_kib: 1024 * 1024, passes: 16, lanes: 16 };

/// A key file. The public half is readable without the passphrase, so that listing asks for nothing; name, key and
/// parameters are authenticated by the seal.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyFile {
    version: u32,
    pub(crate) name: String,
    #[serde(with = "hex_bytes")]
    public_key: Vec<u8>,
    secret: Secret,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "protection", rename_all = "kebab-case", deny_unknown_fields)]
enum Secret {
    /// Test keyrings only.
    None {
        #[serde(with = "hex_bytes")]
        private_key: Vec<u8>,
    },
    #[serde(rename = "argon2id-chacha20poly1305")]
    Sealed {
        cost: Cost,
        #[serde(with = "hex_bytes")]
        salt: Vec<u8>,
        #[serde(with = "hex_bytes")]
        nonce: Vec<u8>,
        #[serde(with = "hex_bytes")]
        ciphertext: Vec<u8>,
    },
}

impl Drop for Secret {
    fn drop(&mut self) {
        if let Self::None { private_key } = self {
            private_key.zeroize();
        }
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl KeyFile {
    /// Packs a key; without a passphrase it lies open.
    pub(crate) fn new(name: &str, key: &PrivateKey, passphrase: Option<&str>) -> Result<Self, String> {
        let secret = match passphrase {
            None => Secret::None { private_key: key.expose().to_vec() },
            Some(passphrase) => {
                let (mut salt, mut nonce) = ([0u8; 16], [0u8; 12]);
                OsRng
                    .try_fill_bytes(&mut salt)
                    .and_then(|()| OsRng.try_fill_bytes(&mut nonce))
                    .map_err(|e| format!("no randomness: {e}"))?;
                let aad = associated(name, key.public_key(), COST);
                let ciphertext = cipher(passphrase, &salt, COST)?
                    .encrypt((&nonce).into(), Payload { msg: key.expose(), aad: &aad })
                    .expect("32 bytes are within the cipher's limit");
                Secret::Sealed { cost: COST, salt: salt.to_vec(), nonce: nonce.to_vec(), ciphertext }
            }
        };
        Ok(Self { version: VERSION, name: name.to_owned(), public_key: key.public_key().to_vec(), secret })
    }

    /// Reads a file's text.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let file: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if file.version != VERSION {
            return Err(format!("version {} is not one this program reads ({VERSION})", file.version));
        }
        file.public_key()?;
        Ok(file)
    }

    pub(crate) fn to_text(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(serde_json::to_vec_pretty(self).expect("strings and numbers are JSON"))
    }

    pub(crate) fn public_key(&self) -> Result<[u8; 33], String> {
        self.public_key.as_slice().try_into().map_err(|_| "the public key is not 33 bytes".to_owned())
    }

    /// Whether [`KeyFile::open`] needs a passphrase.
    pub(crate) fn is_sealed(&self) -> bool {
        matches!(self.secret, Secret::Sealed { .. })
    }

    /// Takes the private key out. `Ok(None)`: wrong passphrase, or an altered file.
    pub(crate) fn open(&self, passphrase: &str) -> Result<Option<PrivateKey>, String> {
        let bytes = match &self.secret {
            Secret::None { private_key } => Zeroizing::new(private_key.clone()),
            Secret::Sealed { cost, salt, nonce, ciphertext } => {
                let nonce: &[u8; 12] = nonce.as_slice().try_into().map_err(|_| "the nonce is not 12 bytes")?;
                let aad = associated(&self.name, &self.public_key, *cost);
                match cipher(passphrase, salt, *cost)?.decrypt(nonce.into(), Payload { msg: ciphertext, aad: &aad }) {
                    Ok(plain) => Zeroizing::new(plain),
                    Err(_) => return Ok(None),
                }
            }
        };
        let key = PrivateKey::from_bytes(&bytes).map_err(|error: KeyringError| error.to_string())?;
        if key.public_key().as_slice() != self.public_key {
            return Err("the private key does not belong to the public key".to_owned());
        }
        Ok(Some(key))
    }
}

fn cipher(passphrase: &str, salt: &[u8], cost: Cost) -> Result<ChaCha20Poly1305, String> {
    if cost.memory_kib > MAX_COST.memory_kib || cost.passes > MAX_COST.passes || cost.lanes > MAX_COST.lanes {
        return Err("its key derivation asks for more work than is allowed".to_owned());
    }
    let params =
        Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).map_err(|error| format!("argon2: {error}"))?;
    let mut key = Zeroizing::new([0u8; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, key.as_mut_slice())
        .map_err(|error| format!("argon2: {error}"))?;
    Ok(ChaCha20Poly1305::new((&*key).into()))
}

/// What the seal vouches for beside the private key. Fixed-length parts first, so that it reads one way only.
fn associated(name: &str, public_key: &[u8], cost: Cost) -> Vec<u8> {
    let mut bytes = b"gantry/keyring/".to_vec();
    for number in [VERSION, cost.memory_kib, cost.passes, cost.lanes] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes.extend_from_slice(public_key);
    bytes.extend_from_slice(name.as_bytes());
    bytes
}

mod hex_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&zeroize::Zeroizing::new(hex::encode(bytes)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = zeroize::Zeroizing::new(String::deserialize(from)?);
        hex::decode(text.as_str()).map_err(D::Error::custom)
    }
}
