use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::feasible::{Unfit, feasible};
use crate::hardware::ClassId;
use crate::market::{Offer, Owner, Request};
use crate::registry::Registry;

/// What becomes of one offer for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Provider's number.
    pub provider: u64,
    /// Number of the offer within the provider.
    pub offer: u32,
    /// Its class.
    pub class: ClassId,
    /// Feasible, or the first reason why not.
    pub fit: Result<(), Unfit>,
}

/// Why a request would be matched, or why it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulation {
    /// Each offer, by provider and number.
    pub verdicts: Vec<Verdict>,
    /// Distinct owners with a feasible offer: in the class that has most for a quorum, in all classes otherwise.
    pub feasible_owners: usize,
    /// Workers needed.
    pub needed: usize,
}

impl Simulation {
    /// Whether the request would be matched if it were the only one.
    pub fn would_match(&self) -> bool {
        self.feasible_owners >= self.needed
    }
}

/// One sentence: what it comes to, and if it waits, the commonest reason.
impl fmt::Display for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (have, needed) = (self.feasible_owners, self.needed);
        if self.would_match() {
            return write!(f, "{have} distinct owners can take it, {needed} needed");
        }
        if self.verdicts.is_empty() {
            return write!(f, "waits: there are no offers, {needed} needed");
        }
        write!(f, "waits: {have} distinct owners of one class can take it, {needed} needed")?;
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for unfit in self.verdicts.iter().filter_map(|verdict| verdict.fit.as_ref().err()) {
            *reasons.entry(unfit.code()).or_default() += 1;
        }
        match reasons.into_iter().max_by_key(|(_, count)| *count) {
            Some((reason, count)) => write!(f, "; {count} of {} offers fail at {reason}", self.verdicts.len()),
            None => Ok(()),
        }
    }
}

/// Looks at each offer for one request, and takes nothing.
pub fn simulate(request: &Request, offers: &[Offer], registry: &Registry) -> Simulation {
    let mut owners: BTreeMap<Option<&ClassId>, BTreeSet<&Owner>> = BTreeMap::new();
    let one_class = request.selection.seats() > 1;
    let mut verdicts: Vec<Verdict> = offers
        .iter()
        .map(|offer| {
            let fit = feasible(request, offer, registry);
            if fit.is_ok() {
                owners.entry(one_class.then_some(&offer.class)).or_default().insert(&offer.owner);
            }
            Verdict { provider: offer.provider, offer: offer.offer, class: offer.class.clone(), fit }
        })
        .collect();
    verdicts.sort_by_key(|verdict| (verdict.provider, verdict.offer));
    let feasible_owners = owners.values().map(BTreeSet::len).max().unwrap_or(0);
    Simulation { verdicts, feasible_owners, needed: usize::from(request.selection.seats()) }
}
