use std::fmt;

use crate::attribute::Attributes;
use crate::hardware::ClassId;
use crate::predicate::Requirements;

/// The address of an account, as bytes.
pub type Owner = Vec<u8>;

/// An amount of one denom for one second of one replica.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Price {
    /// Denom.
    pub denom: String,
    /// Base units for a second.
    pub amount: u128,
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}/s", self.amount, self.denom)
    }
}

/// Whether a provider takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It does.
    Active,
    /// Its bond is below the minimum.
    Underbonded,
}

/// An offer as the matcher sees it, with what belongs to its provider (equal in all offers of one provider).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offer {
    /// Provider's number.
    pub provider: u64,
    /// Number of the offer within the provider.
    pub offer: u32,
    /// The account behind the provider. One owner may have several providers.
    pub owner: Owner,
    /// Hardware class.
    pub class: ClassId,
    /// Assignments that it can take now.
    pub free: u32,
    /// What it asks for.
    pub ask: Price,
    /// What the class does not fix; the region too.
    pub attributes: Attributes,
    /// Bond of the provider that no assignment holds, in the bond denom.
    pub free_bond: u128,
    /// 0 to 1000, of the provider.
    pub reputation: u16,
    /// Whether the provider's heartbeat is recent enough.
    pub fresh: bool,
    /// Whether the provider takes part.
    pub status: Status,
    /// Assignments lapsed since the last completed one.
    pub strikes: u32,
}

/// How the workers of a request are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Selection {
    /// The best offer: one worker whose word is taken.
    Attested,
    /// Distinct owners at random, of one class: all of them, or none.
    Quorum {
        /// How many are drawn now: n at first, the number of lost replicas in a replacement. 1 to [`crate::MAX_SEATS`].
        seats: u16,
    },
}

impl Selection {
    /// Workers to be found.
    pub fn seats(self) -> u16 {
        match self {
            Self::Attested => 1,
            Self::Quorum { seats } => seats,
        }
    }
}

/// A job that waits for workers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// Job number; one request for a job and block.
    pub job: u64,
    /// Attempt.
    pub attempt: u32,
    /// Draws made for this attempt before this one: so that a replacement has fresh randomness.
    pub draw: u32,
    /// How workers are found.
    pub selection: Selection,
    /// What the machine must be.
    pub requirements: Requirements,
    /// The class of the replicas that are in place already (see [`Request::replacement`]).
    pub pinned: Option<ClassId>,
    /// The most it pays.
    pub max_price: Price,
    /// What the replicas in place are paid, if there are any; else 0. At most `max_price`.
    pub price_floor: u128,
    /// Bond that each assignment reserves, in the bond denom (see [`required_bond`]).
    pub bond: u128,
    /// Owners who may not take part: in place already, failed before, or whoever else.
    pub excluded: Vec<Owner>,
    /// Blocks since it entered the queue; a replaced no-show does not make it young again.
    pub age: u64,
}

impl Request {
    /// The request for replicas in place of lost ones: same class, none of the owners already involved, at least the
    /// price that the others are paid.
    #[must_use]
    pub fn replacement(&self, placed: &Match, lost: u16) -> Self {
        let mut excluded = self.excluded.clone();
        excluded.extend(placed.seats.iter().map(|seat| seat.owner.clone()));
        Self {
            draw: self.draw.saturating_add(1),
            selection: match self.selection {
                Selection::Attested => Selection::Attested,
                Selection::Quorum { .. } => Selection::Quorum { seats: lost },
            },
            pinned: Some(placed.class.clone()),
            price_floor: placed.price,
            excluded,
            ..self.clone()
        }
    }
}

/// One worker found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Provider's number.
    pub provider: u64,
    /// Number of the offer within the provider.
    pub offer: u32,
    /// The account behind it.
    pub owner: Owner,
    /// What it asked for; it is paid [`Match::price`].
    pub ask: u128,
}

/// The workers found for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Job number.
    pub job: u64,
    /// Attempt.
    pub attempt: u32,
    /// The class of all of them.
    pub class: ClassId,
    /// What each is paid for a second, in the denom of the request: the highest ask among them and those in place.
    pub price: u128,
    /// In the order of their replica numbers.
    pub seats: Vec<Seat>,
}

/// The bond that an assignment reserves: `ratio_ppm` millionths of its price, rounded up. `None` when that passes u128.
pub fn required_bond(price: u128, ratio_ppm: u64) -> Option<u128> {
    const MILLION: u128 = 1_000_000;
    let ratio = u128::from(ratio_ppm);
    let whole = (price / MILLION).checked_mul(ratio)?;
    whole.checked_add((price % MILLION * ratio).div_ceil(MILLION))
}
