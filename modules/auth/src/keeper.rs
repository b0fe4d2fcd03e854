//! The rules of accounts, over any context.

use cosmos_sdk_proto::cosmos::auth::v1beta1::Params;
use gantry_core::{Address, Ctx, Error, PubKey, Result, sdk};
use gantry_store::{KvRead, Order};

use crate::{
    state::{ACCOUNTS, NUMBERS, PARAMS},
    types::Account,
};

/// Parameters.
pub fn params(s: &dyn KvRead) -> Result<Params> {
    let params = PARAMS.get(s)?.ok_or_else(|| Error::fatal("auth: parameters were never written"))?;
    Ok(params.0)
}

/// The account at an address.
pub fn account(s: &dyn KvRead, address: &Address) -> Result<Option<Account>> {
    Ok(ACCOUNTS.get(s, address)?)
}

/// The account at an address that must exist: sdk/9.
pub fn require_account(s: &dyn KvRead, address: &Address) -> Result<Account> {
    account(s, address)?.ok_or_else(|| sdk::unknown_address(format!("account {address} does not exist")))
}

/// Whether an account exists; costs less gas than reading it.
pub fn has_account(s: &dyn KvRead, address: &Address) -> Result<bool> {
    Ok(ACCOUNTS.has(s, address)?)
}

/// The account at an address, created where there is none.
pub fn ensure_account(ctx: &mut dyn Ctx, address: &Address) -> Result<Account> {
    if let Some(account) = account(ctx, address)? {
        return Ok(account);
    }
    let account = Account::new(address.clone(), NUMBERS.next(ctx)?);
    set(ctx, &account)?;
    Ok(account)
}

/// The account of a module. All are made at genesis, so an absent one is a broken state.
pub fn module_account(s: &dyn KvRead, name: &str) -> Result<Account> {
    account(s, &Address::module(name))?
        .filter(|account| account.module.is_some())
        .ok_or_else(|| Error::fatal(format!("auth: module account {name} does not exist")))
}

/// Whether a module owns the address: nobody may send coins there.
pub fn is_module_account(s: &dyn KvRead, address: &Address) -> Result<bool> {
    Ok(account(s, address)?.is_some_and(|account| account.module.is_some()))
}

/// Sets the key of an account that has none.
pub fn set_pub_key(ctx: &mut dyn Ctx, address: &Address, key: &PubKey) -> Result<()> {
    let mut account = require_account(ctx, address)?;
    account.pub_key = Some(*key);
    set(ctx, &account)
}

/// Counts a signed transaction.
pub fn increment_sequence(ctx: &mut dyn Ctx, address: &Address) -> Result<()> {
    let mut account = require_account(ctx, address)?;
    account.sequence = account
        .sequence
        .checked_add(1)
        .ok_or_else(|| sdk::invalid_sequence(format!("account {address} has no sequence left")))?;
    set(ctx, &account)
}

/// All accounts by address, for export and invariants: unbounded.
pub fn all_accounts(s: &dyn KvRead) -> Result<Vec<Account>> {
    ACCOUNTS.iter(s, Order::Ascending)?.map(|row| Ok(row?.1)).collect()
}

/// Writes an account and its index row.
pub(crate) fn set(ctx: &mut dyn Ctx, account: &Account) -> Result<()> {
    Ok(ACCOUNTS.set(ctx, &account.address, account)?)
}
