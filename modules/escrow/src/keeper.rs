//! Rules: how money moves. Each movement changes one escrow and the totals of its denom by the same amounts.

use gantry_core::{Address, Coin, Ctx, Error, Result};
use gantry_event::{MarketEvent, emit};
use gantry_proto::gantry::escrow::v1::Params;
use gantry_store::KvRead;

use crate::{
    Buckets, Escrow, EscrowError, Totals,
    params::{default_params, fee_of},
    state::{ESCROWS, PARAMS, TOTALS},
};

/// Name of the module account that holds what is locked or accrued.
pub const ACCOUNT: &str = "escrow";
/// Name of the module account that fees go to.
pub const FEE_ACCOUNT: &str = "market_fee";

/// What a release came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// What the receiver got.
    pub net: Coin,
    /// What the fee account got.
    pub fee: Coin,
}

/// The parameters.
pub fn params(state: &dyn KvRead) -> Result<Params> {
    Ok(PARAMS.get(state)?.map_or_else(default_params, |p| p.0))
}

/// The escrow of a job.
pub fn get(state: &dyn KvRead, job_id: u64) -> Result<Option<Escrow>> {
    Ok(ESCROWS.get(state, job_id)?)
}

/// The running totals of a denom.
pub fn totals(state: &dyn KvRead, denom: &str) -> Result<Buckets> {
    Ok(TOTALS.get(state, denom.to_owned())?.map(|t| t.buckets).unwrap_or_default())
}

/// Locks a renter's money for a job.
///
/// # Errors
/// [`EscrowError::DenomNotAllowed`], [`EscrowError::Empty`], [`EscrowError::Exists`], or what the bank says of the
/// renter's balance.
pub fn open(ctx: &mut dyn Ctx, job_id: u64, renter: &Address, amount: Coin) -> Result<()> {
    if !params(ctx)?.denoms.iter().any(|d| d == amount.denom()) {
        return Err(EscrowError::DenomNotAllowed(amount.denom().to_owned()).into());
    }
    if amount.is_zero() {
        return Err(EscrowError::Empty.into());
    }
    if ESCROWS.has(ctx, job_id)? {
        return Err(EscrowError::Exists(job_id).into());
    }
    gantry_bank::keeper::send(ctx, renter, &Address::module(ACCOUNT), &amount.clone().into())?;
    let escrow =
        Escrow { job_id, renter: renter.clone(), denom: amount.denom().to_owned(), buckets: Buckets::default() };
    let opened = Buckets { deposited: amount.amount(), locked: amount.amount(), ..Buckets::default() };
    store(ctx, &escrow, opened)?;
    emit(ctx, MarketEvent::EscrowOpened { job: job_id, renter, amount: &amount });
    Ok(())
}

/// Moves what the clock has earned from locked to accrued, as far as there is something locked: accrual is a cap and
/// never fails for want of money. Says how much moved.
pub fn accrue(ctx: &mut dyn Ctx, job_id: u64, amount: u128) -> Result<u128> {
    let escrow = require(ctx, job_id)?;
    let b = escrow.buckets;
    let moved = amount.min(b.locked);
    if moved > 0 {
        store(ctx, &escrow, Buckets { locked: b.locked - moved, accrued: b.accrued + moved, ..b })?;
    }
    Ok(moved)
}

/// Pays `amount` out, first from what is accrued, then from what is locked; the fee goes off it.
///
/// # Errors
/// [`EscrowError::Exceeds`] when less is left, [`EscrowError::Closed`] when nothing is. An amount of 0 pays nothing.
pub fn release(ctx: &mut dyn Ctx, job_id: u64, to: &Address, amount: u128) -> Result<Released> {
    let escrow = require(ctx, job_id)?;
    let left = escrow.left();
    if amount > left {
        return Err(match left {
            0 => EscrowError::Closed(job_id),
            _ => EscrowError::Exceeds { job: job_id, asked: amount, left },
        }
        .into());
    }
    let fee = fee_of(amount, params(ctx)?.fee_ppm);
    let net = amount - fee;
    let b = escrow.buckets;
    let accrued = amount.min(b.accrued);
    // `amount` is at most accrued + locked, and every sum stays at most `deposited`.
    let after = Buckets {
        accrued: b.accrued - accrued,
        locked: b.locked - (amount - accrued),
        released: b.released + net,
        fee: b.fee + fee,
        ..b
    };
    store(ctx, &escrow, after)?;
    let released = Released { net: escrow.coin(net), fee: escrow.coin(fee) };
    pay(ctx, to, &released.net)?;
    pay(ctx, &Address::module(FEE_ACCOUNT), &released.fee)?;
    Ok(released)
}

/// Gives all that is left back to the renter, which closes the escrow. Nothing left is no error: 0 is given back.
pub fn refund_rest(ctx: &mut dyn Ctx, job_id: u64) -> Result<Coin> {
    let escrow = require(ctx, job_id)?;
    let rest = escrow.coin(escrow.left());
    if rest.is_zero() {
        return Ok(rest);
    }
    let b = escrow.buckets;
    store(ctx, &escrow, Buckets { locked: 0, accrued: 0, refunded: b.refunded + rest.amount(), ..b })?;
    pay(ctx, &escrow.renter, &rest)?;
    emit(ctx, MarketEvent::Refunded { job: job_id, renter: &escrow.renter, amount: &rest });
    Ok(rest)
}

fn require(state: &dyn KvRead, job_id: u64) -> Result<Escrow> {
    Ok(get(state, job_id)?.ok_or(EscrowError::NotFound(job_id))?)
}

/// Writes an escrow with new amounts, and brings the totals in line. The only place that writes either.
fn store(ctx: &mut dyn Ctx, before: &Escrow, after: Buckets) -> Result<()> {
    let broken = |what: &str| Error::fatal(format!("escrow of job {}: {what}", before.job_id));
    if !after.add_up() {
        return Err(broken("amounts do not add up"));
    }
    let totals = totals(ctx, &before.denom)?
        .minus(&before.buckets)
        .and_then(|rest| rest.plus(&after))
        .ok_or_else(|| broken("totals overflow"))?;
    ESCROWS.set(ctx, before.job_id, &Escrow { buckets: after, ..before.clone() })?;
    let row = Totals { denom: before.denom.clone(), buckets: totals };
    TOTALS.set(ctx, before.denom.clone(), &row)?;
    Ok(())
}

/// Sends out of the escrow account; the bank refuses to send nothing.
fn pay(ctx: &mut dyn Ctx, to: &Address, amount: &Coin) -> Result<()> {
    if amount.is_zero() {
        return Ok(());
    }
    gantry_bank::keeper::send(ctx, &Address::module(ACCOUNT), to, &amount.clone().into())
}
