//! What must hold of the rows.

use std::collections::BTreeMap;

use gantry_core::{Coins, Error, Result};
use gantry_store::{KvRead, Order};

use crate::state::{LengthPrefixed, SUPPLY, balances, owners};

/// Supply is the sum of the balances and of the fees in flight; no row holds zero; the index by denom is complete.
/// Scans all balances.
pub fn check_supply(s: &dyn KvRead, in_flight: &Coins) -> Result<()> {
    let mut sums: BTreeMap<String, u128> = in_flight.iter().map(|c| (c.denom().to_owned(), c.amount())).collect();
    let mut rows = 0u64;
    for row in balances().iter(s, Order::Ascending)? {
        let ((address, denom), amount) = row?;
        if amount.0 == 0 || !owners().has(s, (denom.as_str(), LengthPrefixed(&address)))? {
            return Err(Error::fatal(format!("bank: bad row of {address} in {denom}: {}", amount.0)));
        }
        let sum = sums.entry(denom).or_default();
        *sum = sum.checked_add(amount.0).ok_or_else(|| Error::fatal("bank: the balances overflow"))?;
        rows += 1;
    }
    let indexed = owners().iter(s, Order::Ascending)?.try_fold(0u64, |n, row| row.map(|_| n + 1))?;
    if indexed != rows {
        return Err(Error::fatal(format!("bank: {rows} balances, {indexed} rows in the index by denom")));
    }
    let supply: BTreeMap<String, u128> = SUPPLY
        .iter(s, Order::Ascending)?
        .map(|row| row.map(|(denom, amount)| (denom, amount.0)))
        .collect::<std::result::Result<_, _>>()?;
    if supply != sums {
        return Err(Error::fatal(format!("bank: supply {supply:?} is not the sum of balances {sums:?}")));
    }
    Ok(())
}

/// [`check_supply`] between blocks, when no fee is in flight.
pub(crate) fn supply_is_sum_of_balances(s: &dyn KvRead) -> Result<()> {
    check_supply(s, &Coins::new())
}
