//! Domain types. The proto messages are how they are stored and sent; conversion is where they are checked.

use std::num::ParseIntError;

use gantry_core::{Address, Coin, Error, Result, validate_denom};
use gantry_proto::gantry::escrow::v1 as pb;
use gantry_store::value_via_proto;

/// Where the money of one denom is. Amounts are integers of the denom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// All that ever came in.
    pub deposited: u128,
    /// Held, not yet earned.
    pub locked: u128,
    /// Held, earned by the clock: a cap, not a claim.
    pub accrued: u128,
    /// Paid out, after the fee.
    pub released: u128,
    /// Given back to the renter.
    pub refunded: u128,
    /// Paid to the fee account.
    pub fee: u128,
}

impl Buckets {
    /// What the module account holds of it; nothing where that does not fit (which [`Buckets::add_up`] refuses).
    #[must_use]
    pub fn held(&self) -> Option<u128> {
        self.locked.checked_add(self.accrued)
    }

    /// Whether `deposited = locked + accrued + released + refunded + fee`.
    #[must_use]
    pub fn add_up(&self) -> bool {
        [self.accrued, self.released, self.refunded, self.fee]
            .into_iter()
            .try_fold(self.locked, u128::checked_add)
            .is_some_and(|sum| sum == self.deposited)
    }

    /// Each amount with that of `other` added.
    pub(crate) fn plus(&self, other: &Self) -> Option<Self> {
        Some(Self {
            deposited: self.deposited.checked_add(other.deposited)?,
            locked: self.locked.checked_add(other.locked)?,
            accrued: self.accrued.checked_add(other.accrued)?,
            released: self.released.checked_add(other.released)?,
            refunded: self.refunded.checked_add(other.refunded)?,
            fee: self.fee.checked_add(other.fee)?,
        })
    }

    /// Each amount with that of `other` taken off.
    pub(crate) fn minus(&self, other: &Self) -> Option<Self> {
        Some(Self {
            deposited: self.deposited.checked_sub(other.deposited)?,
            locked: self.locked.checked_sub(other.locked)?,
            accrued: self.accrued.checked_sub(other.accrued)?,
            released: self.released.checked_sub(other.released)?,
            refunded: self.refunded.checked_sub(other.refunded)?,
            fee: self.fee.checked_sub(other.fee)?,
        })
    }
}

/// The money of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escrow {
    /// The job.
    pub job_id: u64,
    /// Who paid it in, and gets the rest.
    pub renter: Address,
    /// The denom of all amounts.
    pub denom: String,
    /// Where the money is.
    pub buckets: Buckets,
}

impl Escrow {
    /// What can still be released or refunded.
    #[must_use]
    pub fn left(&self) -> u128 {
        // Both are parts of `deposited`, so their sum fits.
        self.buckets.locked.saturating_add(self.buckets.accrued)
    }

    /// An amount of its denom.
    #[must_use]
    pub fn coin(&self, amount: u128) -> Coin {
        Coin::new(self.denom.clone(), amount).expect("the denom was checked when the escrow was made")
    }
}

/// Running totals of one denom over all escrows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// The denom.
    pub denom: String,
    /// Where its money is.
    pub buckets: Buckets,
}

/// Why a message is none of ours.
fn corrupt(what: &str) -> Error {
    Error::fatal(format!("corrupt escrow: {what}"))
}

/// An integer as proto JSON and the store write it: decimal.
fn amount(text: &str) -> Result<u128> {
    text.parse().map_err(|e: ParseIntError| corrupt(&format!("{text:?}: {e}")))
}

impl From<&Escrow> for pb::Escrow {
    fn from(e: &Escrow) -> Self {
        let b = &e.buckets;
        Self {
            job_id: e.job_id,
            renter: e.renter.to_string(),
            denom: e.denom.clone(),
            deposited: b.deposited.to_string(),
            locked: b.locked.to_string(),
            accrued: b.accrued.to_string(),
            released: b.released.to_string(),
            refunded: b.refunded.to_string(),
            fee: b.fee.to_string(),
        }
    }
}

impl TryFrom<pb::Escrow> for Escrow {
    type Error = Error;

    fn try_from(m: pb::Escrow) -> Result<Self> {
        if m.job_id == 0 {
            return Err(corrupt("job id 0"));
        }
        validate_denom(&m.denom)?;
        let buckets = Buckets {
            deposited: amount(&m.deposited)?,
            locked: amount(&m.locked)?,
            accrued: amount(&m.accrued)?,
            released: amount(&m.released)?,
            refunded: amount(&m.refunded)?,
            fee: amount(&m.fee)?,
        };
        if !buckets.add_up() {
            return Err(corrupt(&format!("the amounts of job {} do not add up", m.job_id)));
        }
        Ok(Self { job_id: m.job_id, renter: Address::parse(&m.renter)?, denom: m.denom, buckets })
    }
}

impl From<&Totals> for pb::Totals {
    fn from(t: &Totals) -> Self {
        let b = &t.buckets;
        Self {
            denom: t.denom.clone(),
            deposited: b.deposited.to_string(),
            locked: b.locked.to_string(),
            accrued: b.accrued.to_string(),
            released: b.released.to_string(),
            refunded: b.refunded.to_string(),
            fee: b.fee.to_string(),
        }
    }
}

impl TryFrom<pb::Totals> for Totals {
    type Error = Error;

    /// Does not ask whether the amounts add up: that is the invariant's question, which must be able to say no.
    fn try_from(m: pb::Totals) -> Result<Self> {
        validate_denom(&m.denom)?;
        let buckets = Buckets {
            deposited: amount(&m.deposited)?,
            locked: amount(&m.locked)?,
            accrued: amount(&m.accrued)?,
            released: amount(&m.released)?,
            refunded: amount(&m.refunded)?,
            fee: amount(&m.fee)?,
        };
        Ok(Self { denom: m.denom, buckets })
    }
}

value_via_proto!(Escrow => pb::Escrow);
value_via_proto!(Totals => pb::Totals);
