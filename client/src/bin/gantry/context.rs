//! What commands work with: the node, the keys, the form of results.

use anyhow::{Context as _, Result, bail};
use gantry_client::{Chain, Sender};
use gantry_keyring::{Keyring, KeyringError, Signer};
use serde_json::Value;

use crate::{
    out, prompt,
    settings::{Format, Settings},
};

/// One command's surroundings.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) settings: Settings,
}

impl Context {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// The node.
    pub(crate) async fn chain(&self) -> Result<Chain> {
        Ok(Chain::connect(self.settings.endpoints.clone()).await?)
    }

    /// The keyring; a passphrase is asked for when it is needed.
    pub(crate) fn keyring(&self) -> Keyring {
        Keyring::open(self.settings.backend, &self.settings.keyring_dir, Box::new(prompt::keyring_passphrase))
    }

    /// Name or address of the key to act with: `--from`, or the only one there is.
    fn from(&self) -> Result<String> {
        if let Some(from) = &self.settings.from {
            return Ok(from.clone());
        }
        let keys = self.keyring().list()?;
        match keys.as_slice() {
            [key] => Ok(key.name.clone()),
            [] => bail!(
                "there is no key in {}: make one with `gantry keys add NAME`, or give --keyring-dir and --keyring-backend",
                self.settings.keyring_dir.display()
            ),
            many => {
                let names: Vec<&str> = many.iter().map(|key| key.name.as_str()).collect();
                bail!("which key? Give --from with one of: {}", names.join(", "))
            }
        }
    }

    /// The key to act with, unlocked.
    pub(crate) fn signer(&self) -> Result<Signer> {
        let from = self.from()?;
        self.keyring().signer(&from).with_context(|| format!("key {from}"))
    }

    /// The node and the key to sign with.
    pub(crate) async fn sender(&self) -> Result<Sender> {
        // The key first: a missing one is found without a node.
        let signer = self.signer()?;
        Ok(Sender::new(self.chain().await?, signer, self.settings.gas_price.clone()))
    }

    /// An address, from an address, the name of a key, or nothing for one's own.
    pub(crate) fn address(&self, who: Option<&str>) -> Result<String> {
        let who = match who {
            Some(who) => who.to_owned(),
            None => self.from()?,
        };
        match self.keyring().show(&who) {
            Ok(key) => Ok(key.address),
            Err(KeyringError::NotFound(_) | KeyringError::InvalidName(_)) if who.starts_with("gantry1") => Ok(who),
            Err(error) => Err(error).with_context(|| format!("{who} is no address, and not the name of a key")),
        }
    }

    /// Whether results go to a program.
    pub(crate) fn json(&self) -> bool {
        self.settings.output == Format::Json
    }

    /// Prints a result: the value for programs, the text for people.
    pub(crate) fn print(&self, json: impl FnOnce() -> Result<Value>, text: impl FnOnce() -> String) -> Result<()> {
        if self.json() { out::line(&json()?.to_string()) } else { out::line(text().trim_end_matches('\n')) }
    }
}
