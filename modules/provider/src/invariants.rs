//! What must hold of providers and their money.

use gantry_core::{Address, Error, Invariant, Result};
use gantry_store::{KvRead, Order};

use crate::{
    Offer, Provider, keeper,
    state::{ADDRESSES, OFFERS, PROVIDERS, UNBONDINGS},
};

/// The module account holds the running total of bonds and unbondings.
pub(crate) const HELD: Invariant = Invariant { name: "provider/held", every_block: true, check: account_holds };

/// The running total is the sum of all bonds and unbondings: a full scan.
pub(crate) const BONDS: Invariant = Invariant { name: "provider/bonds", every_block: false, check: bonds_sum_up };

/// Reservations are backed, slots are not overbooked, addresses point home: a full scan.
pub(crate) const ROWS: Invariant = Invariant { name: "provider/rows", every_block: false, check: rows_agree };

pub(crate) fn account_holds(state: &dyn KvRead) -> Result<()> {
    let Some(held) = keeper::held(state)? else { return Ok(()) };
    let balance = gantry_bank::keeper::balance(state, &Address::module(keeper::ACCOUNT), held.denom())?;
    if balance != held.amount() {
        return Err(Error::fatal(format!("provider_bond holds {balance}, bonds and unbondings are {held}")));
    }
    Ok(())
}

fn bonds_sum_up(state: &dyn KvRead) -> Result<()> {
    let mut sum = 0_u128;
    let overflow = || Error::fatal("sum of bonds overflows");
    for row in PROVIDERS.iter(state, Order::Ascending)? {
        sum = sum.checked_add(row?.1.bond.amount()).ok_or_else(overflow)?;
    }
    for row in UNBONDINGS.iter(state, Order::Ascending)? {
        sum = sum.checked_add(row?.1.amount.amount()).ok_or_else(overflow)?;
    }
    let held = keeper::held(state)?.map_or(0, |c| c.amount());
    if sum != held {
        return Err(Error::fatal(format!("bonds and unbondings sum up to {sum}, the running total is {held}")));
    }
    Ok(())
}

fn rows_agree(state: &dyn KvRead) -> Result<()> {
    for row in PROVIDERS.iter(state, Order::Ascending)? {
        check_provider(&row?.1)?;
    }
    for row in OFFERS.iter(state, Order::Ascending)? {
        check_offer(&row?.1)?;
    }
    for row in ADDRESSES.iter(state, Order::Ascending)? {
        let (address, id) = row?;
        let provider = keeper::get(state, id)?;
        if provider.owner != address && !provider.operators.contains(&address) {
            return Err(Error::fatal(format!("{address} points to provider {id}, which does not name it")));
        }
    }
    Ok(())
}

/// What holds of a provider alone.
pub(crate) fn check_provider(provider: &Provider) -> Result<()> {
    if provider.reserved > provider.bond.amount() {
        return Err(Error::fatal(format!(
            "provider {} has {} reserved of a bond of {}",
            provider.id, provider.reserved, provider.bond
        )));
    }
    Ok(())
}

/// What holds of an offer alone.
pub(crate) fn check_offer(offer: &Offer) -> Result<()> {
    let (withdrawn, full) = (offer.capacity == 0, offer.in_use > offer.capacity);
    if (withdrawn && offer.in_use == 0) || (!withdrawn && full) {
        return Err(Error::fatal(format!(
            "offer {} of provider {} has {} of {} slots in use",
            offer.offer_id, offer.provider_id, offer.in_use, offer.capacity
        )));
    }
    Ok(())
}
