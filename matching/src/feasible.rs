use std::fmt;

use crate::attribute::{Attribute, Scope};
use crate::hardware::ClassId;
use crate::market::{Offer, Price, Request, Status};
use crate::predicate::Predicate;
use crate::registry::{Class, Registry};

/// Lapsed assignments in a row after which an offer is passed over, until its provider sets it anew.
pub const MAX_STRIKES: u32 = 3;

/// The first reason why an offer may not serve a request. The variants stand in the order in which they are tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The provider does not take part.
    Status(Status),
    /// The provider's heartbeat is too old.
    Heartbeat,
    /// Too many assignments lapsed.
    Strikes(u32),
    /// The class is not on chain.
    UnknownClass(ClassId),
    /// Not one of the classes named, or not that of the replicas in place.
    Class {
        /// What the offer is.
        have: ClassId,
        /// What would do.
        wanted: Vec<ClassId>,
    },
    /// A predicate fails, or its attribute is absent.
    Predicate {
        /// Position in the job, from 0.
        index: usize,
        /// The predicate.
        predicate: Predicate,
        /// What the offer has.
        have: Option<u64>,
    },
    /// Nothing is free.
    Capacity,
    /// It asks for another denom.
    Denom {
        /// What the offer asks for.
        have: String,
        /// What the request pays in.
        wanted: String,
    },
    /// It asks for more than the request pays.
    Price {
        /// What the offer asks for.
        ask: Price,
        /// What the request pays at most.
        max: u128,
    },
    /// The provider has too little free bond.
    Bond {
        /// What is free.
        free: u128,
        /// What the assignment would reserve.
        needed: u128,
    },
    /// The provider's reputation is too low.
    Reputation {
        /// What it has.
        have: u16,
        /// What the request asks for.
        floor: u16,
    },
    /// The request excludes the owner.
    Owner,
}

impl Unfit {
    /// A stable name, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Heartbeat => "heartbeat",
            Self::Strikes(_) => "strikes",
            Self::UnknownClass(_) => "unknown_class",
            Self::Class { .. } => "class",
            Self::Predicate { .. } => "predicate",
            Self::Capacity => "capacity",
            Self::Denom { .. } => "denom",
            Self::Price { .. } => "price",
            Self::Bond { .. } => "bond",
            Self::Reputation { .. } => "reputation",
            Self::Owner => "owner",
        }
    }

    /// A sentence for people, with texts instead of numbers where the registry knows them.
    pub fn explain(&self, registry: &Registry) -> String {
        self.write(|attribute, value| registry.show(attribute, value))
    }

    fn write(&self, show: impl Fn(Attribute, u64) -> String) -> String {
        match self {
            Self::Status(Status::Active) => "the provider is active".to_owned(),
            Self::Status(Status::Underbonded) => "the provider's bond is below the minimum".to_owned(),
            Self::Heartbeat => "the provider's heartbeat is overdue".to_owned(),
            Self::Strikes(have) => {
                format!("{have} assignments lapsed without acknowledgement (limit {MAX_STRIKES})")
            }
            Self::UnknownClass(class) => format!("the class {class} is not registered"),
            Self::Class { have, wanted } => {
                let wanted: Vec<_> = wanted.iter().map(ClassId::as_str).collect();
                format!("the class is {have}, wanted is {}", wanted.join(" or "))
            }
            Self::Predicate { index, predicate, have } => {
                let have = have.map_or_else(
                    || "is not stated".to_owned(),
                    |value| format!("is {}", show(predicate.attribute, value)),
                );
                let number = index.saturating_add(1);
                format!("predicate {number}: wanted {}, but {} {have}", predicate.write(&show), predicate.attribute)
            }
            Self::Capacity => "nothing is free".to_owned(),
            Self::Denom { have, wanted } => {
                format!("the ask is in {have}, the job pays in {wanted}")
            }
            Self::Price { ask, max } => format!("the ask of {ask} is above the limit of {max}"),
            Self::Bond { free, needed } => {
                format!("{free} of the provider's bond is free, {needed} is needed")
            }
            Self::Reputation { have, floor } => {
                format!("the reputation of {have} is below {floor}")
            }
            Self::Owner => "the owner is excluded: involved in this job already, or failed at it".to_owned(),
        }
    }
}

/// A sentence; texts show as numbers ([`Unfit::explain`] does better).
impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.write(|_, value| value.to_string()))
    }
}

impl std::error::Error for Unfit {}

/// Whether an offer may serve a request, alone and now.
///
/// # Errors
/// The first reason why not, in the order of [`Unfit`]'s variants.
pub fn feasible(request: &Request, offer: &Offer, registry: &Registry) -> Result<(), Unfit> {
    if offer.status != Status::Active {
        return Err(Unfit::Status(offer.status));
    }
    if !offer.fresh {
        return Err(Unfit::Heartbeat);
    }
    if offer.strikes >= MAX_STRIKES {
        return Err(Unfit::Strikes(offer.strikes));
    }
    let class = registry.get(&offer.class).ok_or_else(|| Unfit::UnknownClass(offer.class.clone()))?;
    class_named(request, &offer.class)?;
    for (index, predicate) in request.requirements.predicates.iter().enumerate() {
        let have = match predicate.attribute.scope() {
            Scope::Class => class.attributes.get(predicate.attribute),
            Scope::Offer => offer.attributes.get(predicate.attribute),
        };
        if !have.is_some_and(|value| predicate.op.holds(value)) {
            return Err(Unfit::Predicate { index, predicate: predicate.clone(), have });
        }
    }
    if offer.free == 0 {
        return Err(Unfit::Capacity);
    }
    if offer.ask.denom != request.max_price.denom {
        return Err(Unfit::Denom { have: offer.ask.denom.clone(), wanted: request.max_price.denom.clone() });
    }
    if offer.ask.amount > request.max_price.amount {
        return Err(Unfit::Price { ask: offer.ask.clone(), max: request.max_price.amount });
    }
    if offer.free_bond < request.bond {
        return Err(Unfit::Bond { free: offer.free_bond, needed: request.bond });
    }
    let floor = request.requirements.min_reputation;
    if offer.reputation < floor {
        return Err(Unfit::Reputation { have: offer.reputation, floor });
    }
    if request.excluded.contains(&offer.owner) {
        return Err(Unfit::Owner);
    }
    Ok(())
}

/// Whether no offer of a class can be feasible, whatever the offer: what lets a whole class be skipped.
pub(crate) fn class_ruled_out(request: &Request, class: &Class) -> bool {
    let fails = |predicate: &Predicate| {
        predicate.attribute.scope() == Scope::Class
            && !class.attributes.get(predicate.attribute).is_some_and(|value| predicate.op.holds(value))
    };
    class_named(request, &class.id).is_err() || request.requirements.predicates.iter().any(fails)
}

fn class_named(request: &Request, have: &ClassId) -> Result<(), Unfit> {
    let wanted = match &request.pinned {
        Some(pinned) => std::slice::from_ref(pinned),
        None => &request.requirements.classes,
    };
    if wanted.is_empty() || wanted.contains(have) {
        return Ok(());
    }
    Err(Unfit::Class { have: have.clone(), wanted: wanted.to_vec() })
}
