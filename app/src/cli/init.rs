//! `gantryd init`: a home with keys, configuration, and a genesis whose one validator is this node.

use anyhow::{Context, Result, bail};
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
    let mut app_state = with_denom(modules::default_genesis()?, &args.denom);
    set_windows(&mut app_state)?;
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

/// What a block takes with the `timeout_commit` of [`config`] and validators on one continent; what is counted in blocks
/// is derived from it.
const BLOCK_MILLIS: u64 = 300;

/// How long evidence of a validator's double signature is taken: the unbonding period that staking will bring must equal
/// it (until then nobody can take stake away), and a light client may not trust a header for as long.
const EVIDENCE_SECONDS: u64 = 21 * 24 * 3600;

/// Windows of the modules that are counted in blocks, so that a halt costs nobody anything: module, parameter, seconds.
const WINDOWS: [(&str, &str, u64); 6] = [
    ("job", "ack_window_blocks", 10),
    ("job", "retention_blocks", 24 * 3600),
    ("provider", "heartbeat_epoch_blocks", 20),
    ("provider", "unbonding_blocks", 7 * 24 * 3600),
    ("verifier", "commit_window_blocks", 20),
    ("verifier", "reveal_window_blocks", 10),
];

/// Blocks in as many seconds.
const fn blocks(seconds: u64) -> u64 {
    (seconds * 1000).div_ceil(BLOCK_MILLIS)
}

fn set_windows(app_state: &mut Value) -> Result<()> {
    for (module, window, seconds) in WINDOWS {
        let value = app_state.get_mut(module).and_then(|state| state["params"].get_mut(window));
        *value.with_context(|| format!("{module} has no {window}"))? = blocks(seconds).to_string().into();
    }
    Ok(())
}

/// CometBFT's parameters.
///
/// CometBFT's default of 21 MB and no bound of gas lets one block hold up consensus (ASA-2023-002). 4 MiB travel in a
/// fifth of a second over a link of config.toml's send_rate; 500 million units of gas are 5,000 transfers that ask for
/// 100,000 each, which execute in half a second.
fn consensus_params() -> Value {
    json!({
        "block": {"max_bytes": "4194304", "max_gas": "500000000"},
        "evidence": {
            "max_age_num_blocks": blocks(EVIDENCE_SECONDS).to_string(),
            "max_age_duration": (EVIDENCE_SECONDS * 1_000_000_000).to_string(),
            "max_bytes": "1048576",
        },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_what_a_network_gets_and_the_modules_take_them() {
        let mut state = modules::default_genesis().unwrap();
        set_windows(&mut state).unwrap();
        modules::validate_genesis(&state).unwrap();
        assert_eq!(state["job"]["params"]["ack_window_blocks"], "34");
        assert_eq!(state["provider"]["params"]["unbonding_blocks"], "2016000");
    }

    #[test]
    fn evidence_outlives_the_trust_of_light_clients_and_both_of_its_limits_are_one() {
        let params = consensus_params();
        let number = |field: &str| params["evidence"][field].as_str().unwrap().parse::<u64>().unwrap();
        let age = number("max_age_duration") / 1_000_000_000;
        assert_eq!(number("max_age_num_blocks") * BLOCK_MILLIS / 1000, age);
        assert!(config::TRUST_HOURS * 3600 < age);
    }
}
