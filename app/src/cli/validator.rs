//! CometBFT's key files: the node's key among its peers and the validator's signing key, both Ed25519.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_consensus::{SigningKey, VerificationKey};
use rand::{TryRngCore, rngs::OsRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::node::home::Home;

const PUBLIC_TYPE: &str = "tendermint/PubKeyEd25519";
const PRIVATE_TYPE: &str = "tendermint/PrivKeyEd25519";

/// A key in CometBFT's JSON: `{"type":…,"value":base64}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TypedKey {
    #[serde(rename = "type")]
    kind: String,
    pub(super) value: String,
}

/// `node_key.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct NodeKey {
    priv_key: TypedKey,
}

/// `priv_validator_key.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ValidatorKey {
    /// 20 bytes in upper-case hexadecimal.
    pub(super) address: String,
    pub(super) pub_key: TypedKey,
    priv_key: TypedKey,
}

/// `priv_validator_state.json` of a validator that has signed nothing.
const NOTHING_SIGNED: &str = "{\n  \"height\": \"0\",\n  \"round\": 0,\n  \"step\": 0\n}\n";

impl TypedKey {
    fn public(key: &VerificationKey) -> Self {
        Self { kind: PUBLIC_TYPE.into(), value: STANDARD.encode(key.to_bytes()) }
    }

    /// Go's form of a private key: seed and public key.
    fn private(key: &SigningKey) -> Self {
        let bytes = [key.to_bytes(), key.verification_key().to_bytes()].concat();
        Self { kind: PRIVATE_TYPE.into(), value: STANDARD.encode(bytes) }
    }

    fn public_half(&self) -> Result<VerificationKey> {
        ensure!(self.kind == PRIVATE_TYPE, "unknown key type {:?}", self.kind);
        let bytes = STANDARD.decode(&self.value)?;
        let seed: [u8; 32] = bytes.get(..32).context("the key is too short")?.try_into()?;
        let key = SigningKey::from(seed).verification_key();
        ensure!(bytes.get(32..) == Some(&key.to_bytes()[..]), "the two halves of the key do not belong together");
        Ok(key)
    }
}

impl NodeKey {
    /// Reads `node_key.json`, or makes one.
    pub(super) fn load_or_make(home: &Home) -> Result<Self> {
        load_or_make(&home.node_key(), || Ok(Self { priv_key: TypedKey::private(&fresh()?) }))
    }

    /// Reads `node_key.json`.
    pub(super) fn load(home: &Home) -> Result<Self> {
        load(&home.node_key())
    }

    /// The node's id among its peers.
    pub(super) fn id(&self) -> Result<String> {
        Ok(hex::encode(address(&self.priv_key.public_half()?)))
    }
}

impl ValidatorKey {
    /// Reads `priv_validator_key.json`, or makes one.
    pub(super) fn load_or_make(home: &Home) -> Result<Self> {
        load_or_make(&home.priv_validator_key(), || Ok(Self::of(&fresh()?)))
    }

    fn of(key: &SigningKey) -> Self {
        let public = key.verification_key();
        Self {
            address: hex::encode_upper(address(&public)),
            pub_key: TypedKey::public(&public),
            priv_key: TypedKey::private(key),
        }
    }

    /// Reads `priv_validator_key.json`.
    pub(super) fn load(home: &Home) -> Result<Self> {
        let key: Self = load(&home.priv_validator_key())?;
        let public = key.priv_key.public_half()?;
        ensure!(
            key.pub_key == TypedKey::public(&public) && key.address == hex::encode_upper(address(&public)),
            "{}: address, public and private key do not belong together",
            home.priv_validator_key().display()
        );
        Ok(key)
    }
}

/// Says that the validator has signed nothing yet. Where it has, this makes signing two blocks of a height possible.
pub(super) fn forget_signed(home: &Home) -> Result<()> {
    write_private(&home.priv_validator_state(), NOTHING_SIGNED)
}

/// The first 20 bytes of SHA-256 of the public key.
fn address(key: &VerificationKey) -> [u8; 20] {
    let mut short = [0; 20];
    short.copy_from_slice(&Sha256::digest(key.to_bytes())[..20]);
    short
}

fn fresh() -> Result<SigningKey> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    OsRng.try_fill_bytes(seed.as_mut_slice()).context("no randomness")?;
    Ok(SigningKey::from(*seed))
}

fn load<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

fn load_or_make<T: Serialize + for<'de> Deserialize<'de>>(path: &Path, make: impl FnOnce() -> Result<T>) -> Result<T> {
    if path.exists() {
        return load(path);
    }
    let made = make()?;
    write_private(path, &serde_json::to_string_pretty(&made)?)?;
    Ok(made)
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    let open = || OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let file = match open() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            open()
        }
        opened => opened,
    };
    file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_and_altered_ones_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::new(root.path());
        home.create().unwrap();
        let made = ValidatorKey::load_or_make(&home).unwrap();
        assert_eq!(ValidatorKey::load(&home).unwrap().address, made.address);
        assert_eq!(ValidatorKey::load_or_make(&home).unwrap().address, made.address, "a key is never replaced");
        let other = TypedKey::public(&fresh().unwrap().verification_key());
        let altered = ValidatorKey { pub_key: other, ..made };
        fs::write(home.priv_validator_key(), serde_json::to_string(&altered).unwrap()).unwrap();
        assert!(ValidatorKey::load(&home).is_err());
    }

    #[test]
    fn files_are_those_of_cometbft() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("../../golden/shapes.json")).unwrap();
        let seed: [u8; 32] = hex::decode(golden["seed"].as_str().unwrap()).unwrap().try_into().unwrap();
        let key = SigningKey::from(seed);
        let node = NodeKey { priv_key: TypedKey::private(&key) };
        assert_eq!(serde_json::to_value(&node).unwrap(), golden["node_key"]);
        assert_eq!(node.id().unwrap(), golden["node_id"]);
        assert_eq!(serde_json::to_value(ValidatorKey::of(&key)).unwrap(), golden["priv_validator_key"]);
        assert_eq!(serde_json::from_str::<serde_json::Value>(NOTHING_SIGNED).unwrap(), golden["priv_validator_state"]);
    }
}
