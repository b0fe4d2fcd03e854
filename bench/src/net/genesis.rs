//! One genesis for all nodes of a network: its validators, and the senders with money.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use gantry_localnet::run;
use serde_json::{Value, json};

use super::{CHAIN_ID, Programs, System};
use crate::load::{Payload, Senders};

/// What each sender has.
const FUNDS: u64 = 1_000_000_000_000;
/// What a validator of simd has, and what it bonds.
const VALIDATOR_FUNDS: u64 = 100_000_000_000;
const BONDED: &str = "1000000000stake";

/// Writes the genesis into all homes, which their programs have made.
pub(super) fn make(system: System, programs: &Programs, homes: &[PathBuf], senders: &Senders) -> Result<()> {
    let mut genesis = match system {
        System::Simd | System::SimdSocket => collect_gentxs(programs.simd()?, homes)?,
        System::Kvstore | System::KvstoreSocket | System::Gantryd => merge_validators(homes)?,
    };
    genesis["chain_id"] = CHAIN_ID.into();
    let params = if genesis.get("consensus").is_some() {
        &mut genesis["consensus"]["params"]
    } else {
        &mut genesis["consensus_params"]
    };
    // CometBFT's defaults.
    params["block"] = json!({"max_bytes": "22020096", "max_gas": "-1"});
    if let Payload::Bank(bank) = system.payload() {
        fund(&mut genesis["app_state"], &bank.denom, senders)?;
    }
    let text = serde_json::to_vec(&genesis)?;
    homes.iter().try_for_each(|home| Ok(fs::write(file(home), &text)?))
}

fn file(home: &Path) -> PathBuf {
    home.join("config/genesis.json")
}

fn read(home: &Path) -> Result<Value> {
    Ok(serde_json::from_slice(&fs::read(file(home))?)?)
}

/// The first home's genesis with the validators of all.
fn merge_validators(homes: &[PathBuf]) -> Result<Value> {
    let mut genesis = read(&homes[0])?;
    let mut validators = Vec::new();
    for home in homes {
        validators.extend(read(home)?["validators"].as_array().context("no validators")?.clone());
    }
    genesis["validators"] = validators.into();
    Ok(genesis)
}

/// A Cosmos SDK chain takes its validators from transactions in the genesis.
fn collect_gentxs(simd: &Path, homes: &[PathBuf]) -> Result<Value> {
    let first = &homes[0];
    let text = |home: &Path| home.to_string_lossy().into_owned();
    for home in homes {
        let keyring = ["--keyring-backend", "test", "--home", &text(home)];
        run(simd, &[&["keys", "add", "validator"], &keyring[..]].concat())?;
        let address = run(simd, &[&["keys", "show", "validator", "-a"], &keyring[..]].concat())?;
        let coins = format!("{VALIDATOR_FUNDS}stake");
        run(simd, &["genesis", "add-genesis-account", address.trim(), &coins, "--home", &text(first)])?;
    }
    let collected = first.join("config/gentx");
    fs::create_dir_all(&collected)?;
    for (i, home) in homes.iter().enumerate() {
        if i > 0 {
            fs::copy(file(first), file(home))?;
        }
        let out = collected.join(format!("gentx-{i}.json"));
        let mut args = vec!["genesis", "gentx", "validator", BONDED, "--chain-id", CHAIN_ID];
        let (home, out) = (text(home), text(&out));
        args.extend(["--keyring-backend", "test", "--home", &home, "--output-document", &out]);
        run(simd, &args)?;
    }
    run(simd, &["genesis", "collect-gentxs", "--home", &text(first)])?;
    read(first)
}

/// Adds the senders' accounts and coins, in the SDK's shape, which is Gantry's too.
fn fund(state: &mut Value, denom: &str, senders: &Senders) -> Result<()> {
    let accounts = state["auth"]["accounts"].as_array_mut().context("no accounts")?;
    for address in senders.addresses() {
        let number = accounts.len().to_string();
        accounts.push(json!({
            "@type": "/cosmos.auth.v1beta1.BaseAccount", "address": address, "pub_key": null,
            "account_number": number, "sequence": "0",
        }));
    }
    let bank = &mut state["bank"];
    let balances = bank["balances"].as_array_mut().context("no balances")?;
    for address in senders.addresses() {
        balances.push(json!({"address": address, "coins": [{"denom": denom, "amount": FUNDS.to_string()}]}));
    }
    let coins = balances.iter().flat_map(|balance| balance["coins"].as_array().into_iter().flatten());
    let supply: u64 = coins.filter_map(|coin| coin["amount"].as_str()?.parse::<u64>().ok()).sum();
    bank["supply"] = json!([{"denom": denom, "amount": supply.to_string()}]);
    Ok(())
}
