//! `gantryd genesis`: edits of `genesis.json` in the SDK's shape.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin as ProtoCoin;
use gantry_core::{Address, Coins};
use serde_json::{Value, json};

use super::{client::Client, output};
use crate::{modules, node::genesis::Genesis};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Give an account coins from the start
    AddGenesisAccount(AddAccount),
    /// Give the accounts of a JSON file coins from the start: [{"address": …, "coins": [{"denom": …, "amount": …}]}]
    BulkAddGenesisAccount {
        /// The file
        file: PathBuf,
        /// Add to what accounts have already
        #[arg(long)]
        append: bool,
    },
    /// Check a genesis file
    #[command(visible_alias = "validate-genesis")]
    Validate {
        /// The file [default: the home's]
        file: Option<PathBuf>,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct AddAccount {
    /// Address, or name of a key
    address_or_key_name: String,
    /// Such as 5atom,100ugantry
    coins: String,
    /// Add to what the account has already
    #[arg(long)]
    append: bool,
}

pub(super) fn run(client: &Client, command: Command) -> Result<()> {
    match command {
        Command::AddGenesisAccount(args) => add_account(client, &args),
        Command::BulkAddGenesisAccount { file, append } => {
            let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
            let entries: Vec<Entry> = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
            add_accounts(client, &entries.into_iter().map(Entry::checked).collect::<Result<Vec<_>>>()?, append)
        }
        Command::Validate { file } => {
            let path = file.unwrap_or_else(|| client.home.genesis());
            validate(&path).with_context(|| format!("error validating genesis file {}", path.display()))?;
            output::line(&format!("File at {} is a valid genesis file", path.display()))
        }
    }
}

/// Checks a file in CometBFT's shape or in the SDK's.
fn validate(path: &std::path::Path) -> Result<()> {
    let json: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
    let genesis = if json.get("consensus").is_some() { Genesis::from_app_genesis(json)? } else { Genesis(json) };
    if genesis.chain_id().is_empty() || genesis.chain_id().len() > 50 {
        bail!("chain_id must have 1 to 50 bytes");
    }
    modules::validate_genesis(genesis.app_state())
}

pub(super) fn add_account(client: &Client, args: &AddAccount) -> Result<()> {
    let coins: Coins = args.coins.parse().context("failed to parse coins")?;
    let (address, _) = client.account(&args.address_or_key_name)?;
    add_accounts(client, &[(address, coins)], args.append)
}

/// One account of a bulk file.
#[derive(Debug, serde::Deserialize)]
struct Entry {
    address: String,
    coins: Vec<Amount>,
}

#[derive(Debug, serde::Deserialize)]
struct Amount {
    denom: String,
    amount: String,
}

impl Entry {
    fn checked(self) -> Result<(Address, Coins)> {
        let coins: Vec<_> =
            self.coins.into_iter().map(|Amount { denom, amount }| ProtoCoin { denom, amount }).collect();
        let address = self.address.parse().with_context(|| format!("{:?} is no address", self.address))?;
        Ok((address, Coins::from_proto(&coins).with_context(|| self.address)?))
    }
}

fn add_accounts(client: &Client, added: &[(Address, Coins)], append: bool) -> Result<()> {
    let mut genesis = Genesis::load(&client.home)?;
    let state = genesis.0.get_mut("app_state").context("genesis has no app_state")?;
    credit(state, added, append)?;
    genesis.save(&client.home)
}

/// Adds accounts with their balances, or (`append`) to the balances of those that are there. The supply grows with them.
fn credit(state: &mut Value, added: &[(Address, Coins)], append: bool) -> Result<()> {
    let accounts = list(state, "/auth/accounts")?;
    let mut known: BTreeSet<String> = accounts.iter().filter_map(account_address).map(str::to_owned).collect();
    let taken: BTreeSet<u64> =
        accounts.iter().filter_map(|a| base_account(a)["account_number"].as_str()?.parse().ok()).collect();
    let mut free = (0u64..).filter(|number| !taken.contains(number));
    for (address, _) in added {
        let text = address.to_string();
        if known.insert(text.clone()) {
            accounts.push(json!({
                "@type": "/cosmos.auth.v1beta1.BaseAccount",
                "address": text,
                "pub_key": null,
                "account_number": free.next().context("no account number is free")?.to_string(),
                "sequence": "0",
            }));
        } else if !append {
            bail!("account {text} already exists\nUse `append` flag to append account at existing address");
        }
    }

    let list = list(state, "/bank/balances")?;
    // As the SDK does: by the bytes of the address.
    let mut balances = BTreeMap::new();
    for balance in list.drain(..) {
        let address: Address = balance["address"].as_str().context("a balance has no address")?.parse()?;
        balances.insert(address, balance);
    }
    for (address, coins) in added {
        let fresh = || json!({"address": address.to_string(), "coins": []});
        add(&mut balances.entry(address.clone()).or_insert_with(fresh)["coins"], coins)?;
    }
    list.extend(balances.into_values());
    for (_, coins) in added {
        add(state.pointer_mut("/bank/supply").context("app_state.bank.supply is missing")?, coins)?;
    }
    Ok(())
}

fn account_address(account: &Value) -> Option<&str> {
    base_account(account)["address"].as_str()
}

/// Module accounts hold theirs in a field.
fn base_account(account: &Value) -> &Value {
    account.get("base_account").unwrap_or(account)
}

fn list<'a>(state: &'a mut Value, pointer: &str) -> Result<&'a mut Vec<Value>> {
    let value = state.pointer_mut(pointer).and_then(Value::as_array_mut);
    value.with_context(|| format!("app_state{} is missing", pointer.replace('/', ".")))
}

/// Adds coins to a JSON list of coins.
fn add(list: &mut Value, coins: &Coins) -> Result<()> {
    let mut held = Vec::new();
    for coin in list.as_array().context("a list of coins is missing")? {
        let field = |name: &str| coin[name].as_str().map(str::to_owned).with_context(|| format!("{coin} is no coin"));
        held.push(ProtoCoin { denom: field("denom")?, amount: field("amount")? });
    }
    let mut sum = Coins::from_proto(&held)?;
    for coin in coins.iter() {
        sum.add(&coin)?;
    }
    *list = sum.iter().map(|coin| json!({"denom": coin.denom(), "amount": coin.amount().to_string()})).collect();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Value {
        json!({"auth": {"accounts": []}, "bank": {"balances": [], "supply": []}})
    }

    #[test]
    fn accounts_balances_and_supply_grow_together() {
        let (alice, bob) = (Address::module("alice"), Address::module("bob"));
        let mut state = empty();
        credit(&mut state, &[(alice.clone(), "7ugantry,1atom".parse().unwrap())], false).unwrap();
        credit(&mut state, &[(bob.clone(), "5ugantry".parse().unwrap())], false).unwrap();
        credit(&mut state, &[(bob.clone(), "1ugantry".parse().unwrap())], true).unwrap();
        let numbers: Vec<_> = (0..2).map(|i| state["auth"]["accounts"][i]["account_number"].clone()).collect();
        assert_eq!(numbers, ["0", "1"]);
        assert_eq!(
            state["bank"]["supply"],
            json!([{"denom": "atom", "amount": "1"}, {"denom": "ugantry", "amount": "13"}])
        );
        let balance = |address: &Address| {
            let text = address.to_string();
            state["bank"]["balances"].as_array().unwrap().iter().find(|b| b["address"] == text).unwrap()["coins"]
                .clone()
        };
        assert_eq!(balance(&bob), json!([{"denom": "ugantry", "amount": "6"}]));
        let held: Vec<Address> = state["bank"]["balances"]
            .as_array()
            .unwrap()
            .iter()
            .map(|b| b["address"].as_str().unwrap().parse().unwrap())
            .collect();
        assert!(held.is_sorted());
    }

    #[test]
    fn a_second_account_of_an_address_and_a_sum_too_large_are_refused() {
        let alice = Address::module("alice");
        let mut state = empty();
        let most: Coins = format!("{}ugantry", u128::MAX).parse().unwrap();
        credit(&mut state, &[(alice.clone(), most.clone())], false).unwrap();
        let error = credit(&mut state, &[(alice.clone(), most.clone())], false).unwrap_err();
        assert!(error.to_string().contains("already exists"), "{error}");
        assert!(credit(&mut state, &[(alice.clone(), most.clone())], true).is_err());
        assert!(credit(&mut json!({}), &[(alice, most)], true).is_err());
    }
}
