//! The module itself: `app_state.auth` in the SDK's shape, and what it serves.

use std::collections::{BTreeMap, BTreeSet};

use cosmos_sdk_proto::{
    Any,
    cosmos::auth::v1beta1::{GenesisState, Params},
};
use gantry_core::{
    Address, InitCtx, Invariant, Module, QueryCtx, QueryRoute, Result, genesis_from_json, genesis_to_json, sdk,
};
use gantry_store::{KvRead, Proto, StoreName};
use serde_json::Value;

use crate::{
    keeper,
    params::{default_params, validate_params},
    query,
    state::{ACCOUNTS, NUMBERS, PARAMS, STORE},
    types::{Account, ModuleAccountSpec},
};

const NAME: &str = "auth";

/// The module, with the accounts of all modules of the application; genesis creates them.
#[derive(Clone, Copy, Debug)]
pub struct Auth {
    /// Accounts that modules own.
    pub module_accounts: &'static [ModuleAccountSpec],
}

/// Checked genesis accounts, ascending by number; shared numbers are replaced by the lowest free ones, as in the SDK.
fn accounts(accounts: Vec<Any>) -> Result<Vec<Account>> {
    let mut accounts = accounts.into_iter().map(Account::try_from).collect::<Result<Vec<_>>>()?;
    let mut addresses = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    let mut shared: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (i, account) in accounts.iter().enumerate() {
        account.validate()?;
        if !addresses.insert(account.address.clone()) {
            return Err(sdk::invalid_request(format!(
                "duplicate account found in genesis state; address: {}",
                account.address
            )));
        }
        if !numbers.insert(account.number) {
            shared.entry(account.number).or_default().push(i);
        }
    }
    let mut free = 0;
    for i in shared.into_values().flatten() {
        while !numbers.insert(free) {
            free += 1;
        }
        accounts[i].number = free;
    }
    accounts.sort_by_key(|account| account.number);
    Ok(accounts)
}

impl Auth {
    fn parse(&self, state: &Value) -> Result<(Params, Vec<Account>)> {
        let genesis: GenesisState = genesis_from_json(NAME, state)?;
        let params = genesis.params.ok_or_else(|| sdk::invalid_request("app_state.auth.params is missing"))?;
        validate_params(&params)?;
        let accounts = accounts(genesis.accounts)?;
        for spec in self.module_accounts {
            let address = Address::module(spec.name);
            if accounts.iter().any(|account| account.address == address && account.module.is_none()) {
                return Err(sdk::invalid_request(format!(
                    "app_state.auth: {address} belongs to module account {}",
                    spec.name
                )));
            }
        }
        Ok((params, accounts))
    }
}

impl Module for Auth {
    fn name(&self) -> &'static str {
        NAME
    }

    fn store(&self) -> Option<StoreName> {
        Some(STORE)
    }

    fn default_genesis(&self) -> Value {
        let genesis = GenesisState { params: Some(default_params()), accounts: Vec::new() };
        genesis_to_json(&genesis).expect("the default has no Any that could be unknown")
    }

    fn validate_genesis(&self, state: &Value) -> Result<()> {
        self.parse(state).map(drop)
    }

    fn init_genesis(&self, ctx: &mut InitCtx<'_>, state: &Value) -> Result<()> {
        let (params, accounts) = self.parse(state)?;
        PARAMS.set(ctx, &Proto(params))?;
        for account in &accounts {
            let next = account
                .number
                .checked_add(1)
                .ok_or_else(|| sdk::invalid_request("app_state.auth: account number too large"))?;
            NUMBERS.set(ctx, next)?;
            keeper::set(ctx, account)?;
        }
        for spec in self.module_accounts {
            let address = Address::module(spec.name);
            if keeper::has_account(ctx, &address)? {
                continue;
            }
            let mut account = Account::new(address, NUMBERS.next(ctx)?);
            let permissions = spec.permissions.iter().map(|&p| p.to_owned()).collect();
            account.module = Some((spec.name.to_owned(), permissions));
            keeper::set(ctx, &account)?;
        }
        Ok(())
    }

    fn export_genesis(&self, ctx: &QueryCtx<'_>) -> Result<Value> {
        let accounts = keeper::all_accounts(ctx)?.iter().map(Any::from).collect();
        genesis_to_json(&GenesisState { params: Some(keeper::params(ctx)?), accounts })
    }

    fn queries(&self) -> Vec<QueryRoute> {
        query::routes(self.module_accounts)
    }

    fn invariants(&self) -> Vec<Invariant> {
        vec![Invariant { name: "auth/account-numbers", every_block: false, check: numbers_are_below_next }]
    }
}

/// Every account is found by its number, and the next number is above them all.
fn numbers_are_below_next(s: &dyn KvRead) -> Result<()> {
    let next = NUMBERS.peek(s)?;
    for account in keeper::all_accounts(s)? {
        let found = ACCOUNTS.indexes.number.get(s, account.number)?;
        if account.number >= next || found.as_ref() != Some(&account.address) {
            return Err(gantry_core::Error::fatal(format!(
                "account {} has number {}, index {found:?}, next {next}",
                account.address, account.number
            )));
        }
    }
    Ok(())
}
