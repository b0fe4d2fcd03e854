//! What every command may be told: by flag, by environment, by the `[client]` section of `config/client.toml`, in this
//! order; then defaults.

use std::{fs, io::ErrorKind, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use gantry_client::{Endpoints, GasPrice};
use gantry_keyring::Backend;
use serde::Deserialize;

/// Form of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Flags of every command.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Flags {
    /// CometBFT's RPC [default: http://127.0.0.1:26657]
    #[arg(long, global = true, env = "GANTRY_RPC", value_name = "URL")]
    rpc: Option<String>,
    /// The node's gRPC [default: http://127.0.0.1:9090]
    #[arg(long, global = true, env = "GANTRY_GRPC", value_name = "URL")]
    grpc: Option<String>,
    /// Folder of configuration and keys [default: ~/.gantry]
    #[arg(long, global = true, env = "GANTRY_HOME", value_name = "DIR")]
    home: Option<PathBuf>,
    /// Where keys are kept: file (sealed) or test (unencrypted) [default: file]
    #[arg(long, global = true, env = "GANTRY_KEYRING_BACKEND", value_name = "BACKEND")]
    keyring_backend: Option<String>,
    /// Folder of the keyring [default: the home]
    #[arg(long, global = true, env = "GANTRY_KEYRING_DIR", value_name = "DIR")]
    keyring_dir: Option<PathBuf>,
    /// Name or address of the key that signs [default: the only key there is]
    #[arg(long, global = true, env = "GANTRY_FROM", value_name = "KEY")]
    pub(crate) from: Option<String>,
    /// Fee for a unit of gas [default: 0.0025ugantry]
    #[arg(long, global = true, env = "GANTRY_GAS_PRICE", value_name = "PRICE")]
    gas_price: Option<String>,
    /// Form of results [default: text]
    #[arg(long, short = 'o', global = true, env = "GANTRY_OUTPUT", value_name = "FORMAT")]
    output: Option<Format>,
}

/// The part of `client.toml` that is ours.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    client: Section,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
struct Section {
    rpc: Option<String>,
    grpc: Option<String>,
    keyring_backend: Option<String>,
    keyring_dir: Option<PathBuf>,
    from: Option<String>,
    gas_price: Option<String>,
    output: Option<Format>,
}

/// What holds for one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) endpoints: Endpoints,
    pub(crate) backend: Backend,
    pub(crate) keyring_dir: PathBuf,
    pub(crate) from: Option<String>,
    pub(crate) gas_price: GasPrice,
    pub(crate) output: Format,
}

impl Flags {
    /// Settles flags, environment, file and defaults.
    pub(crate) fn settle(self) -> Result<Settings> {
        let home = match self.home {
            Some(home) => home,
            None => std::env::home_dir().context("this account has no home folder: give --home")?.join(".gantry"),
        };
        let path = home.join("config/client.toml");
        let file: File = match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).with_context(|| path.display().to_string())?,
            Err(error) if error.kind() == ErrorKind::NotFound => File::default(),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let section = file.client;
        let default = Endpoints::default();
        let backend = self.keyring_backend.or(section.keyring_backend).unwrap_or_else(|| "file".into());
        let gas_price = self.gas_price.or(section.gas_price);
        Ok(Settings {
            endpoints: Endpoints {
                rpc: url(self.rpc.or(section.rpc).unwrap_or(default.rpc)),
                grpc: url(self.grpc.or(section.grpc).unwrap_or(default.grpc)),
            },
            backend: backend.parse()?,
            keyring_dir: self.keyring_dir.or(section.keyring_dir).unwrap_or(home),
            from: self.from.or(section.from),
            gas_price: match gas_price {
                Some(text) => text.parse().map_err(anyhow::Error::msg)?,
                None => GasPrice::default(),
            },
            output: self.output.or(section.output).unwrap_or_default(),
        })
    }
}

/// Nodes are configured with `tcp://` and people type `host:port`: both mean plain HTTP.
pub(crate) fn url(text: String) -> String {
    match text.split_once("://") {
        Some(("tcp", rest)) => format!("http://{rest}"),
        Some(_) => text,
        None => format!("http://{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("config")).unwrap();
        let text = "chain-id = \"x\"\n[client]\nrpc = \"tcp://file:1\"\ngrpc = \"file:2\"\nkeyring-backend = \"test\"\noutput = \"json\"\n";
        fs::write(home.path().join("config/client.toml"), text).unwrap();
        let flags = Flags { home: Some(home.path().into()), rpc: Some("http://flag:1".into()), ..Flags::default() };
        let settings = flags.clone().settle().unwrap();
        assert_eq!(settings.endpoints, Endpoints { rpc: "http://flag:1".into(), grpc: "http://file:2".into() });
        assert_eq!((settings.backend, settings.output), (Backend::Test, Format::Json));
        assert_eq!((settings.keyring_dir.as_path(), settings.gas_price), (home.path(), GasPrice::default()));

        fs::write(home.path().join("config/client.toml"), "[client]\nrcp = \"typo\"\n").unwrap();
        assert!(format!("{:#}", flags.settle().unwrap_err()).contains("rcp"));
    }
}
