//! What every command may be told: by flag, by environment (`GANTRYD_*`), by `client.toml`, in this order; then defaults.

use std::{fs, io::ErrorKind, path::PathBuf};

use anyhow::{Context, Result};
use gantry_core::Address;
use gantry_keyring::{KeyInfo, Keyring, KeyringError};
use serde::Deserialize;

use super::{output::Format, prompt};
use crate::node::home::Home;

/// Flags of every command.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Client flags")]
pub(super) struct Flags {
    /// Folder for configuration and data [default: ~/.gantry]
    #[arg(long, global = true, env = "GANTRYD_HOME", value_name = "DIR")]
    pub(super) home: Option<PathBuf>,
    /// The chain's name
    #[arg(long, global = true, env = "GANTRYD_CHAIN_ID")]
    pub(super) chain_id: Option<String>,
    /// Where keys are kept: file or test
    #[arg(long, global = true, env = "GANTRYD_KEYRING_BACKEND", value_name = "BACKEND")]
    pub(super) keyring_backend: Option<String>,
    /// Folder of the keyring [default: the home]
    #[arg(long, global = true, env = "GANTRYD_KEYRING_DIR", value_name = "DIR")]
    pub(super) keyring_dir: Option<PathBuf>,
    /// CometBFT's RPC, such as tcp://localhost:26657
    #[arg(long, global = true, env = "GANTRYD_NODE", value_name = "URL")]
    pub(super) node: Option<String>,
    /// Form of results: text or json
    #[arg(long, short = 'o', global = true, env = "GANTRYD_OUTPUT")]
    pub(super) output: Option<Format>,
}

/// `client.toml`; empty values count as missing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    chain_id: String,
    keyring_backend: String,
    output: String,
    node: String,
    broadcast_mode: String,
}

/// The settings that hold for one command.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) home: Home,
    pub(super) chain_id: String,
    keyring_backend: String,
    keyring_dir: PathBuf,
    pub(super) node: String,
    /// Form of results.
    pub(super) output: Format,
    /// The same, where flag or environment asked for it.
    pub(super) asked_output: Option<Format>,
    /// From `client.toml` alone: `--broadcast-mode` belongs to `tx`.
    pub(super) broadcast_mode: String,
}

impl Flags {
    /// Settles flags, environment, `client.toml` and defaults.
    pub(super) fn resolve(&self) -> Result<Client> {
        let home = match &self.home {
            Some(path) => Home::new(path),
            None => Home::standard()?,
        };
        let file = File::load(&home)?;
        let or = |flag: &Option<String>, file: String, default: &str| {
            flag.clone().unwrap_or(if file.is_empty() { default.to_owned() } else { file })
        };
        let output = match (self.output, file.output.as_str()) {
            (Some(format), _) => format,
            (None, "") => Format::Text,
            (None, text) => text.parse().context("client.toml: output")?,
        };
        Ok(Client {
            chain_id: or(&self.chain_id, file.chain_id, ""),
            keyring_backend: or(&self.keyring_backend, file.keyring_backend, "file"),
            keyring_dir: self.keyring_dir.clone().unwrap_or_else(|| home.path().to_owned()),
            node: or(&self.node, file.node, "tcp://localhost:26657"),
            output,
            asked_output: self.output,
            broadcast_mode: file.broadcast_mode,
            home,
        })
    }
}

impl File {
    fn load(home: &Home) -> Result<Self> {
        let path = home.client_toml();
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).with_context(|| path.display().to_string()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }
}

impl Client {
    /// The keyring; a passphrase is asked for when it is needed.
    pub(super) fn keyring(&self) -> Result<Keyring, KeyringError> {
        let backend = self.keyring_backend.parse()?;
        Ok(Keyring::open(backend, &self.keyring_dir, Box::new(prompt::keyring_passphrase)))
    }

    /// An account by address or by the name of its key. The key is missing where only the address is known.
    pub(super) fn account(&self, name_or_address: &str) -> Result<(Address, Option<KeyInfo>)> {
        match (name_or_address.parse::<Address>(), self.keyring()?.show(name_or_address)) {
            (_, Ok(key)) => Ok((key.address.parse()?, Some(key))),
            (Ok(address), Err(KeyringError::NotFound(_) | KeyringError::InvalidName(_))) => Ok((address, None)),
            (_, Err(error)) => Err(error).context("failed to convert address field to address"),
        }
    }

    /// Prints a result in the chosen form.
    pub(super) fn print(&self, json: &str) -> Result<()> {
        self.output.print(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home_with(text: &str) -> (tempfile::TempDir, Flags) {
        let root = tempfile::tempdir().unwrap();
        let home = Home::new(root.path());
        home.create().unwrap();
        fs::write(home.client_toml(), text).unwrap();
        let flags = Flags { home: Some(root.path().to_owned()), ..Flags::default() };
        (root, flags)
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let (_root, mut flags) = home_with("chain-id = \"a\"\noutput = \"json\"\nnode = \"\"\nunknown = 1\n");
        let client = flags.resolve().unwrap();
        assert_eq!((client.chain_id.as_str(), client.output), ("a", Format::Json));
        assert_eq!((client.node.as_str(), client.keyring_backend.as_str()), ("tcp://localhost:26657", "file"));
        flags.chain_id = Some("b".into());
        flags.output = Some(Format::Text);
        let client = flags.resolve().unwrap();
        assert_eq!((client.chain_id.as_str(), client.output), ("b", Format::Text));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        for bad in ["chain-id = 5", "output = \"xml\"", "["] {
            let (_root, flags) = home_with(bad);
            let error = format!("{:#}", flags.resolve().unwrap_err());
            assert!(error.contains("client.toml"), "{error}");
        }
    }
}
