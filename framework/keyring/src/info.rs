use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::{KeyringError, PrivateKey, address_of, encode_address};

/// The public half of a key, in the shape of the SDK's `keys show --output json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// Name within the keyring.
    pub name: String,
    /// Always `local`: the keyring holds the private half.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Address in bech32.
    pub address: String,
    /// The public key as a JSON *text*, as the SDK prints it: `{"@type":…,"key":base64}`.
    pub pubkey: String,
    /// The words of a key just made; nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mnemonic: Option<String>,
    /// The compressed public key.
    #[serde(skip)]
    pub public_key: [u8; 33],
}

impl KeyInfo {
    /// Describes the key `public_key` under a name and an address prefix.
    ///
    /// # Errors
    /// When the prefix is no bech32 prefix.
    pub fn new(name: &str, public_key: [u8; 33], prefix: &str) -> Result<Self, KeyringError> {
        Ok(Self {
            name: name.to_owned(),
            kind: "local",
            address: encode_address(prefix, &address_of(&public_key))?,
            pubkey: format!(r#"{{"@type":"/cosmos.crypto.secp256k1.PubKey","key":"{}"}}"#, STANDARD.encode(public_key)),
            mnemonic: None,
            public_key,
        })
    }

    pub(crate) fn of(name: &str, key: &PrivateKey, prefix: &str) -> Result<Self, KeyringError> {
        Self::new(name, *key.public_key(), prefix)
    }

    /// The address as bytes.
    pub fn address_bytes(&self) -> [u8; crate::ADDRESS_LEN] {
        address_of(&self.public_key)
    }
}

/// The SDK's text form: one entry of a YAML list.
impl fmt::Display for KeyInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "- address: {}", self.address)?;
        // Names are letters, digits and three marks, but may still read as a number or a truth value in YAML.
        writeln!(f, "  name: {}", yaml_word(&self.name))?;
        writeln!(f, "  pubkey: '{}'", self.pubkey)?;
        write!(f, "  type: {}", self.kind)
    }
}

fn yaml_word(word: &str) -> String {
    let plain = word.starts_with(|c: char| c.is_ascii_alphabetic())
        && !["true", "false", "yes", "no", "on", "off", "y", "n", "null"].contains(&word.to_ascii_lowercase().as_str());
    if plain { word.to_owned() } else { format!("\"{word}\"") }
}
