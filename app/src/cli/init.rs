//! `gantryd init`: a home with keys, configuration, and a genesis whose one validator is this node.

use anyhow::{Result, bail};
use gantry_core::{BASE_DENOM, validate_denom};
use rand::Rng;
use serde_json::{Value, json};
use tendermint::Time;

use super::{
    client::Client,
    validator::{self, NodeKey, ValidatorKey},
};
use crate::{
    modules,
    node::{config, genesis::Genesis},
};

/// Voting power of the validator; any positive number is as good while there is one.
const POWER: &str = "10";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The node's name among its peers
    moniker: String,
    /// Replace genesis.json; keys stay
    #[arg(long, short = 'O')]
    overwrite: bool,
    /// Denom of fees, bonds and prices in the genesis
    #[arg(long, visible_alias = "default-denom", default_value = BASE_DENOM)]
    denom: String,
}

pub(super) fn run(client: &Client, args: &Args) -> Result<()> {
    validate_denom(&args.denom)?;
    let home = &client.home;
    if home.genesis().exists() && !args.overwrite {
        bail!("genesis.json file already exists: {}", home.genesis().display());
    }
    let chain_id = match client.chain_id.as_str() {
        "" => format!("test-chain-{:06x}", rand::rng().random_range(0..1 << 24)),
        given => given.to_owned(),
    };
    home.create()?;
    let node_key = NodeKey::load_or_make(home)?;
    let validator = ValidatorKey::load_or_make(home)?;
    if !home.priv_validator_state().exists() {
        validator::forget_signed(home)?;
    }
    let options = config::Options { moniker: args.moniker.clone(), chain_id, ..config::Options::default() };
    config::write_defaults(home, &options)?;
    let app_state = with_denom(modules::default_genesis()?, &args.denom);
    let genesis = json!({
        "genesis_time": Time::now().to_rfc3339(),
        "chain_id": options.chain_id,
        "initial_height": "1",
        "consensus_params": consensus_params(),
        "validators": [{
            "address": validator.address,
            "pub_key": validator.pub_key,
            "power": POWER,
            "name": args.moniker,
        }],
        "app_hash": "",
        "app_state": app_state,
    });
    Genesis(genesis).save(home)?;
    let report = json!({
        "moniker": args.moniker,
        "chain_id": options.chain_id,
        "node_id": node_key.id()?,
        "gentxs_dir": "",
        "app_message": app_state,
    });
    eprintln!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

/// CometBFT's parameters. Blocks hold 4 MiB and bounded work, so that a full one executes well within its interval.
fn consensus_params() -> Value {
    json!({
        "block": {"max_bytes": "4194304", "max_gas": "500000000"},
        "evidence": {"max_age_num_blocks": "100000", "max_age_duration": "172800000000000", "max_bytes": "1048576"},
        "validator": {"pub_key_types": ["ed25519"]},
        "version": {"app": "0"},
        "abci": {"vote_extensions_enable_height": "0"},
    })
}

/// The state with another denom in the place of [`BASE_DENOM`].
fn with_denom(state: Value, denom: &str) -> Value {
    match state {
        Value::String(text) if text == BASE_DENOM => denom.into(),
        Value::Array(items) => items.into_iter().map(|item| with_denom(item, denom)).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, with_denom(value, denom))).collect(),
        other => other,
    }
}
