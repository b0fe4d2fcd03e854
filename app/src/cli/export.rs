//! `gantryd export`: the state of a height as a genesis.json, with which a new chain goes on where this one was.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, anyhow};
use gantry_abci::{Engine, Exported, Options};
use gantry_core::BlockInfo;
use gantry_store::Store;
use serde_json::{Value, json};
use tendermint::Time;
use tendermint_proto::v0_38::types::{BlockParams, ConsensusParams, EvidenceParams, ValidatorParams};

use super::{client::Client, output, rollback};
use crate::{
    modules,
    node::{config::AppConfig, genesis::Genesis, pruning},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Height of the state, within what is kept (-1 or 0: the last)
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    height: i64,
    /// Write to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    output_document: Option<PathBuf>,
}

pub(super) fn run(client: &Client, args: &Args) -> Result<()> {
    let home = &client.home;
    let _lock = rollback::at_rest(home)?;
    let genesis = Genesis::load(home)?;
    let options = pruning::store_options(&pruning::Flags::default(), &AppConfig::load(home)?)?;
    let definition = modules::definition();
    let store = Store::open(&home.database(), &definition.stores(), options)?;
    let engine = Engine::new(definition, store, Options::default())?;
    let exported = engine.export(u64::try_from(args.height).unwrap_or_default()).map_err(|error| anyhow!("{error}"))?;
    let text = serde_json::to_string_pretty(&document(genesis, exported)?.0)?;
    match &args.output_document {
        Some(path) => fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display())),
        None => output::line(&text),
    }
}

/// The genesis of a chain that goes on with this state: the next height, not before the time of the last block.
fn document(mut genesis: Genesis, exported: Exported) -> Result<Genesis> {
    let Exported { app_state, consensus_params, block } = exported;
    let BlockInfo { chain_id, height, time, .. } = block;
    let time = Time::from_unix_timestamp(time.seconds, u32::try_from(time.nanos)?)?;
    for (field, value) in [
        ("chain_id", json!(chain_id)),
        ("genesis_time", json!(time.to_rfc3339())),
        ("initial_height", json!((height + 1).to_string())),
        ("consensus_params", params_json(consensus_params)),
        ("app_hash", json!("")),
        ("app_state", app_state),
    ] {
        genesis.0[field] = value;
    }
    Ok(genesis)
}

/// As CometBFT writes them.
fn params_json(params: ConsensusParams) -> Value {
    let ConsensusParams { block, evidence, validator, version, abci } = params;
    let BlockParams { max_bytes, max_gas } = block.unwrap_or_default();
    let EvidenceParams { max_age_num_blocks, max_age_duration, max_bytes: evidence_bytes } =
        evidence.unwrap_or_default();
    let age = max_age_duration.unwrap_or_default();
    let nanos = i128::from(age.seconds) * 1_000_000_000 + i128::from(age.nanos);
    let ValidatorParams { pub_key_types } = validator.unwrap_or_default();
    json!({
        "block": {"max_bytes": max_bytes.to_string(), "max_gas": max_gas.to_string()},
        "evidence": {
            "max_age_num_blocks": max_age_num_blocks.to_string(),
            "max_age_duration": nanos.to_string(),
            "max_bytes": evidence_bytes.to_string(),
        },
        "validator": {"pub_key_types": pub_key_types},
        "version": {"app": version.unwrap_or_default().app.to_string()},
        "abci": {"vote_extensions_enable_height": abci.unwrap_or_default().vote_extensions_enable_height.to_string()},
    })
}
