//! What must hold of the money of jobs.

use std::collections::BTreeMap;

use gantry_core::{Address, Error, Invariant, Result};
use gantry_store::{KvRead, Order};

use crate::{
    Buckets, keeper,
    state::{ESCROWS, TOTALS},
};

/// Totals add up and equal what the account holds: one row and one balance for each denom.
pub(crate) const CONSERVATION: Invariant =
    Invariant { name: "escrow/conservation", every_block: true, check: conservation };

/// The totals are the sums of the escrows: a full scan.
pub(crate) const SUMS: Invariant = Invariant { name: "escrow/sums", every_block: false, check: sums };

pub(crate) fn conservation(state: &dyn KvRead) -> Result<()> {
    let account = Address::module(keeper::ACCOUNT);
    for row in TOTALS.iter(state, Order::Ascending)? {
        let (denom, totals) = row?;
        if !totals.buckets.add_up() {
            return Err(Error::fatal(format!("escrow totals of {denom} do not add up: {:?}", totals.buckets)));
        }
        let held = gantry_bank::keeper::balance(state, &account, &denom)?;
        if totals.buckets.held() != Some(held) {
            let [locked, accrued] = [totals.buckets.locked, totals.buckets.accrued];
            return Err(Error::fatal(format!(
                "escrow account holds {held}{denom}, but {locked} is locked and {accrued} accrued"
            )));
        }
    }
    Ok(())
}

fn sums(state: &dyn KvRead) -> Result<()> {
    let mut sums: BTreeMap<String, Buckets> = BTreeMap::new();
    for row in ESCROWS.iter(state, Order::Ascending)? {
        let (job_id, escrow) = row?;
        if !escrow.buckets.add_up() {
            return Err(Error::fatal(format!("escrow of job {job_id} does not add up")));
        }
        let sum = sums.entry(escrow.denom).or_default();
        *sum = sum.plus(&escrow.buckets).ok_or_else(|| Error::fatal("sum of escrows overflows"))?;
    }
    for row in TOTALS.iter(state, Order::Ascending)? {
        let (denom, totals) = row?;
        if sums.remove(&denom).unwrap_or_default() != totals.buckets {
            return Err(Error::fatal(format!("escrow totals of {denom} are not the sum of the escrows")));
        }
    }
    match sums.keys().next() {
        Some(denom) => Err(Error::fatal(format!("escrows of {denom} are in no total"))),
        None => Ok(()),
    }
}
