//! Rules: how money moves. Each movement changes one escrow and the totals of its denom by the same amounts.

use gantry_core::{Address, Coin, Ctx, Error, Result, sdk};
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
        .ok_or_else(|| broken("it is not in the totals"))?
        // Only a deposit makes their sum larger.
        .plus(&after)
        .ok_or_else(|| sdk::invalid_coins("all deposits of this denom together overflow"))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Chain, DENOMS, FUNDS, address, code};
    use proptest::prelude::*;

    fn ugantry(amount: u128) -> Coin {
        Coin::base(amount)
    }

    fn open_one(amount: u128) -> Chain {
        let mut chain = Chain::new();
        chain.keep(|ctx| open(ctx, 1, &address(1), ugantry(amount))).unwrap();
        chain
    }

    fn buckets(chain: &Chain, job: u64) -> Buckets {
        get(&chain.state, job).unwrap().unwrap().buckets
    }

    #[test]
    fn money_is_locked_accrued_released_and_the_rest_goes_back() {
        let mut chain = open_one(1000);
        assert_eq!(chain.balance(&address(1), "ugantry"), FUNDS - 1000);
        assert_eq!(chain.module_balance(ACCOUNT, "ugantry"), 1000);

        assert_eq!(chain.keep(|ctx| accrue(ctx, 1, 300)).unwrap(), 300);
        let released = chain.keep(|ctx| release(ctx, 1, &address(9), 450)).unwrap();
        assert_eq!(released, Released { net: ugantry(441), fee: ugantry(9) });
        let expected = Buckets { deposited: 1000, locked: 550, accrued: 0, released: 441, refunded: 0, fee: 9 };
        assert_eq!(buckets(&chain, 1), expected);

        assert_eq!(chain.keep(|ctx| refund_rest(ctx, 1)).unwrap(), ugantry(550));
        assert_eq!(chain.events.last().unwrap().attributes[0].1, "refunded");
        assert_eq!(chain.balance(&address(1), "ugantry"), FUNDS - 450);
        assert_eq!(chain.balance(&address(9), "ugantry"), 441);
        assert_eq!(chain.module_balance(FEE_ACCOUNT, "ugantry"), 9);
        assert_eq!(chain.module_balance(ACCOUNT, "ugantry"), 0);

        // Closed: nothing more comes out, and there is nothing more to refund.
        assert_eq!(code(chain.keep(|ctx| release(ctx, 1, &address(9), 1))), 8);
        assert_eq!(chain.keep(|ctx| accrue(ctx, 1, 1)).unwrap(), 0);
        assert_eq!(chain.keep(|ctx| refund_rest(ctx, 1)).unwrap(), ugantry(0));
    }

    #[test]
    fn accrued_money_goes_first_and_comes_back_with_the_rest() {
        let mut chain = open_one(100);
        chain.keep(|ctx| accrue(ctx, 1, 60)).unwrap();
        chain.keep(|ctx| release(ctx, 1, &address(9), 40)).unwrap();
        let b = buckets(&chain, 1);
        // The fee of 40 is floored to nothing: dust is never the market's.
        assert_eq!((b.accrued, b.locked, b.fee, b.released), (20, 40, 0, 40));
        assert_eq!(chain.keep(|ctx| refund_rest(ctx, 1)).unwrap(), ugantry(60));
    }

    #[test]
    fn accrual_stops_at_what_is_locked() {
        let mut chain = open_one(100);
        assert_eq!(chain.keep(|ctx| accrue(ctx, 1, u128::MAX)).unwrap(), 100);
        assert_eq!(chain.keep(|ctx| accrue(ctx, 1, 1)).unwrap(), 0);
        assert_eq!(buckets(&chain, 1).accrued, 100);
    }

    #[test]
    fn never_more_than_was_deposited() {
        let mut chain = open_one(100);
        for amount in [101, u128::MAX] {
            assert_eq!(code(chain.keep(|ctx| release(ctx, 1, &address(9), amount))), 7);
        }
        let nothing = chain.keep(|ctx| release(ctx, 1, &address(9), 0)).unwrap();
        assert!(nothing.net.is_zero() && nothing.fee.is_zero());
        assert_eq!(chain.keep(|ctx| release(ctx, 1, &address(9), 100)).unwrap().net, ugantry(98));
    }

    #[test]
    fn bad_openings_are_refused() {
        let mut chain = open_one(100);
        assert_eq!(code(chain.keep(|ctx| open(ctx, 1, &address(1), ugantry(1)))), 4);
        assert_eq!(code(chain.keep(|ctx| open(ctx, 2, &address(1), ugantry(0)))), 6);
        let foreign = Coin::new("uosmo", 1).unwrap();
        assert_eq!(code(chain.keep(|ctx| open(ctx, 2, &address(1), foreign))), 3);
        let poor = chain.keep(|ctx| open(ctx, 2, &address(1), ugantry(FUNDS)));
        assert!(matches!(poor, Err(Error::User(e)) if e.codespace == sdk::CODESPACE && e.code == 5));
        for result in [
            chain.keep(|ctx| accrue(ctx, 2, 1)).map(drop),
            chain.keep(|ctx| release(ctx, 2, &address(9), 1)).map(drop),
            chain.keep(|ctx| refund_rest(ctx, 2)).map(drop),
        ] {
            assert_eq!(code(result), 5);
        }
    }

    #[test]
    fn totals_that_would_overflow_refuse_a_deposit_and_stop_no_chain() {
        let mut chain = Chain::new();
        let most = u128::MAX - 3 * FUNDS;
        chain.keep(|ctx| gantry_bank::keeper::mint(ctx, &address(1), &ugantry(most).into())).unwrap();
        // The same money again and again: all that ever came in grows without end.
        chain.keep(|ctx| open(ctx, 1, &address(1), ugantry(most))).unwrap();
        chain.keep(|ctx| refund_rest(ctx, 1)).unwrap();
        let again = chain.keep(|ctx| open(ctx, 2, &address(1), ugantry(most)));
        assert!(matches!(again, Err(Error::User(e)) if e.codespace == sdk::CODESPACE && e.code == 10));
    }

    #[test]
    fn denoms_are_kept_apart() {
        let mut chain = open_one(100);
        chain.keep(|ctx| open(ctx, 2, &address(1), Coin::new("uatom", 70).unwrap())).unwrap();
        chain.keep(|ctx| release(ctx, 2, &address(9), 50)).unwrap();
        assert_eq!(totals(&chain.state, "ugantry").unwrap().locked, 100);
        assert_eq!(totals(&chain.state, "uatom").unwrap().locked, 20);
        assert_eq!((chain.balance(&address(9), "uatom"), chain.balance(&address(9), "ugantry")), (49, 0));
    }

    /// A movement of money on job 1 to 4.
    #[derive(Clone, Debug)]
    enum Step {
        Open { job: u64, renter: u8, denom: usize, amount: u128 },
        Accrue { job: u64, amount: u128 },
        Release { job: u64, to: u8, amount: u128 },
        Refund { job: u64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        let job = 1..=4_u64;
        let amount = prop_oneof![4 => 0..2000_u128, 1 => any::<u128>()];
        prop_oneof![
            (job.clone(), 1..=3_u8, 0..2_usize, amount.clone()).prop_map(|(job, renter, denom, amount)| Step::Open {
                job,
                renter,
                denom,
                amount
            }),
            (job.clone(), amount.clone()).prop_map(|(job, amount)| Step::Accrue { job, amount }),
            (job.clone(), 1..=6_u8, amount).prop_map(|(job, to, amount)| Step::Release { job, to, amount }),
            job.prop_map(|job| Step::Refund { job }),
        ]
    }

    proptest! {
        #[test]
        fn no_order_of_movements_makes_or_loses_a_unit(steps in prop::collection::vec(step(), 1..60)) {
            let mut chain = Chain::new();
            for step in steps {
                let before = chain.state.changes().clone();
                let result = match step {
                    Step::Open { job, renter, denom, amount } => {
                        let amount = Coin::new(DENOMS[denom], amount).unwrap();
                        chain.keep(|ctx| open(ctx, job, &address(renter), amount))
                    }
                    Step::Accrue { job, amount } => chain.keep(|ctx| accrue(ctx, job, amount)).map(drop),
                    Step::Release { job, to, amount } => {
                        chain.keep(|ctx| release(ctx, job, &address(to), amount)).map(drop)
                    }
                    Step::Refund { job } => chain.keep(|ctx| refund_rest(ctx, job)).map(drop),
                };
                match result {
                    // What is refused changes nothing; nothing is ever fatal.
                    Err(Error::User(_)) => prop_assert_eq!(chain.state.changes(), &before),
                    Err(fatal) => prop_assert!(false, "{}", fatal),
                    // Invariants were checked by `keep`.
                    Ok(()) => {}
                }
                for denom in DENOMS {
                    let held: u128 = (1..=6).map(|n| chain.balance(&address(n), denom)).sum();
                    let modules = [ACCOUNT, FEE_ACCOUNT].map(|name| chain.module_balance(name, denom));
                    prop_assert_eq!(held + modules[0] + modules[1], 3 * FUNDS);
                }
            }
        }
    }
}
