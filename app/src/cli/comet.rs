//! `gantryd comet`: this node's keys as CometBFT sees them, and starting over.

use std::fs;

use anyhow::{Context, Result};
use gantry_core::{Address, CONSENSUS_PREFIX};
use serde_json::json;

use super::{
    client::Client,
    output,
    validator::{self, NodeKey, ValidatorKey},
    version,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// The node's id among its peers
    ShowNodeId,
    /// The validator's public key
    ShowValidator,
    /// The validator's consensus address
    ShowAddress,
    /// CometBFT's version and protocols
    Version,
    /// Forget all blocks and state; keys and genesis stay
    UnsafeResetAll(Reset),
}

#[derive(Debug, clap::Args)]
pub(super) struct Reset {
    /// Keep the address book of peers
    #[arg(long)]
    keep_addr_book: bool,
}

pub(super) fn run(client: &Client, command: Command) -> Result<()> {
    match command {
        Command::ShowNodeId => output::line(&NodeKey::load(&client.home)?.id()?),
        Command::ShowValidator => {
            let key = ValidatorKey::load(&client.home)?.pub_key.value;
            output::line(&json!({"@type": "/cosmos.crypto.ed25519.PubKey", "key": key}).to_string())
        }
        Command::ShowAddress => {
            let address = hex::decode(ValidatorKey::load(&client.home)?.address)?;
            output::line(&Address::new(address)?.to_bech32(CONSENSUS_PREFIX))
        }
        Command::Version => client.print(
            &json!({"cometbft": version::COMETBFT, "abci": "2.0.0", "block_protocol": 11, "p2p_protocol": 8})
                .to_string(),
        ),
        Command::UnsafeResetAll(args) => reset(client, &args),
    }
}

/// Empties `data/`. A node that runs in the home is an error: it would go on with files that are gone.
pub(super) fn reset(client: &Client, args: &Reset) -> Result<()> {
    let home = &client.home;
    home.create()?;
    let _lock = home.lock(std::time::Duration::ZERO)?;
    for entry in fs::read_dir(home.data_dir())? {
        let path = entry?.path();
        if path.ends_with("gantryd.lock") {
            continue;
        }
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("removing {}", path.display()))?;
    }
    let book = home.config_dir().join("addrbook.json");
    if !args.keep_addr_book && book.exists() {
        fs::remove_file(&book).with_context(|| format!("removing {}", book.display()))?;
    }
    validator::forget_signed(home)?;
    eprintln!("Removed all blocks and state of {}", home.path().display());
    Ok(())
}
