//! The rules of coins, over any context.

use std::sync::LazyLock;

use cosmos_sdk_proto::cosmos::bank::v1beta1::Metadata;
use gantry_auth::keeper as auth;
use gantry_core::{Address, Coin, Coins, Ctx, Error, Result, sdk};
use gantry_store::{KvRead, Order};

use crate::{
    FEE_COLLECTOR,
    errors::BankError,
    events,
    state::{Amount, DEFAULT_SEND_ENABLED, LengthPrefixed, METADATA, SEND_ENABLED, SUPPLY, balances, owners},
};

/// The account of the fees.
static COLLECTOR: LazyLock<Address> = LazyLock::new(|| Address::module(FEE_COLLECTOR));

/// The balance of an address in a denom; 0 where there is none.
pub fn balance(s: &dyn KvRead, address: &Address, denom: &str) -> Result<u128> {
    Ok(balances().get_or_default(s, (address, denom))?.0)
}

/// All balances of an address: as many reads as it holds denoms.
pub fn all_balances(s: &dyn KvRead, address: &Address) -> Result<Coins> {
    let mut coins = Coins::new();
    for row in balances().prefix(s, address, Order::Ascending)? {
        let ((_, denom), amount) = row?;
        coins.add(&Coin::new(denom, amount.0)?)?;
    }
    Ok(coins)
}

/// The supply of a denom.
pub fn supply(s: &dyn KvRead, denom: &str) -> Result<u128> {
    Ok(SUPPLY.get_or_default(s, denom.to_owned())?.0)
}

/// What wallets show of a denom, if it was described at genesis.
pub fn metadata(s: &dyn KvRead, denom: &str) -> Result<Option<Metadata>> {
    Ok(METADATA.get(s, denom.to_owned())?.map(|metadata| metadata.0))
}

/// Moves coins with the SDK's events (`coin_spent`, `coin_received`, `transfer`, `message`) and creates the
/// recipient's account where there is none.
///
/// For modules: it does not look at blocked recipients or at denoms for which sending is off.
///
/// # Errors
/// sdk/5 if the sender has too little.
pub fn send(ctx: &mut dyn Ctx, from: &Address, to: &Address, amount: &Coins) -> Result<()> {
    spend(ctx, from, amount)?;
    receive(ctx, to, amount)?;
    if !auth::has_account(ctx, to)? {
        auth::ensure_account(ctx, to)?;
    }
    ctx.emit_with(&|| events::transfer(from, to, amount));
    ctx.emit_with(&|| events::sender(from));
    Ok(())
}

/// Makes coins. For genesis and tests: no message leads here.
pub fn mint(ctx: &mut dyn Ctx, to: &Address, amount: &Coins) -> Result<()> {
    auth::ensure_account(ctx, to)?;
    receive(ctx, to, amount)?;
    for coin in amount.iter() {
        let total = supply(ctx, coin.denom())?
            .checked_add(coin.amount())
            .ok_or_else(|| sdk::invalid_coins(format!("supply of {} overflows", coin.denom())))?;
        set_supply(ctx, &Coin::new(coin.denom(), total)?)?;
    }
    Ok(())
}

/// Takes a transaction's fee from its payer, with the events of a transfer to the fee collector. The coins are in
/// flight until [`credit_fees`]: whoever calls this sums them.
///
/// # Errors
/// sdk/5 if the payer has too little.
pub fn take_fee(ctx: &mut dyn Ctx, payer: &Address, fee: &Coins) -> Result<()> {
    spend(ctx, payer, fee)?;
    ctx.emit_with(&|| events::coin_received(&COLLECTOR, fee));
    ctx.emit_with(&|| events::transfer(payer, &COLLECTOR, fee));
    ctx.emit_with(&|| events::sender(payer));
    Ok(())
}

/// Credits the fees of a block: the first step of its end, so that not every transaction touches one account. Silent,
/// because [`take_fee`] has told of each.
pub fn credit_fees(ctx: &mut dyn Ctx, fees: &Coins) -> Result<()> {
    add(ctx, &COLLECTOR, fees)
}

/// Refuses denoms for which sending is off: bank/5.
pub fn require_send_enabled(s: &dyn KvRead, amount: &Coins) -> Result<()> {
    let default = default_send_enabled(s)?;
    for coin in amount.iter() {
        if !send_enabled(s, coin.denom())?.unwrap_or(default) {
            return Err(BankError::SendDisabled(coin.denom().to_owned()).into());
        }
    }
    Ok(())
}

/// Refuses recipients that modules own: sdk/4.
pub fn require_open_recipient(s: &dyn KvRead, to: &Address) -> Result<()> {
    if auth::is_module_account(s, to)? {
        return Err(sdk::unauthorized(format!("{to} is not allowed to receive funds")));
    }
    Ok(())
}

/// Whether denoms without an entry of their own can be sent.
pub fn default_send_enabled(s: &dyn KvRead) -> Result<bool> {
    let flag = DEFAULT_SEND_ENABLED.get(s)?;
    Ok(flag.ok_or_else(|| Error::fatal("bank: parameters were never written"))?.0)
}

/// The entry of a denom, if it has one.
pub fn send_enabled(s: &dyn KvRead, denom: &str) -> Result<Option<bool>> {
    Ok(SEND_ENABLED.get(s, denom.to_owned())?.map(|flag| flag.0))
}

/// Takes coins from an address and says so.
pub(crate) fn spend(ctx: &mut dyn Ctx, from: &Address, amount: &Coins) -> Result<()> {
    for coin in amount.iter() {
        let held = balance(ctx, from, coin.denom())?;
        let rest = held.checked_sub(coin.amount()).ok_or_else(|| {
            sdk::insufficient_funds(format!("spendable balance {held}{} is smaller than {coin}", coin.denom()))
        })?;
        set_balance(ctx, from, coin.denom(), held, rest)?;
    }
    ctx.emit_with(&|| events::coin_spent(from, amount));
    Ok(())
}

/// Gives coins to an address and says so.
pub(crate) fn receive(ctx: &mut dyn Ctx, to: &Address, amount: &Coins) -> Result<()> {
    add(ctx, to, amount)?;
    ctx.emit_with(&|| events::coin_received(to, amount));
    Ok(())
}

pub(crate) fn add(ctx: &mut dyn Ctx, to: &Address, amount: &Coins) -> Result<()> {
    for coin in amount.iter() {
        let held = balance(ctx, to, coin.denom())?;
        let total = held
            .checked_add(coin.amount())
            .ok_or_else(|| Error::fatal(format!("bank: balance of {to} exceeds every supply of {}", coin.denom())))?;
        set_balance(ctx, to, coin.denom(), held, total)?;
    }
    Ok(())
}

/// The one writer of balances and of their index by denom. A balance of nothing has no row.
fn set_balance(ctx: &mut dyn Ctx, address: &Address, denom: &str, old: u128, new: u128) -> Result<()> {
    match (old, new) {
        (0, 0) => {}
        (_, 0) => {
            balances().remove(ctx, (address, denom))?;
            owners().remove(ctx, (denom, LengthPrefixed(address)))?;
        }
        (0, _) => {
            balances().set(ctx, (address, denom), &Amount(new))?;
            owners().set(ctx, (denom, LengthPrefixed(address)), &())?;
        }
        _ => balances().set(ctx, (address, denom), &Amount(new))?,
    }
    Ok(())
}

/// Writes a supply; nothing has no row.
pub(crate) fn set_supply(ctx: &mut dyn Ctx, supply: &Coin) -> Result<()> {
    let denom = supply.denom().to_owned();
    if supply.is_zero() {
        return Ok(SUPPLY.remove(ctx, denom)?);
    }
    Ok(SUPPLY.set(ctx, denom, &Amount(supply.amount()))?)
}
