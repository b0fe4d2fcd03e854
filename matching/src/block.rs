use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::draw::draw_seats;
use crate::feasible::{class_ruled_out, feasible};
use crate::hardware::ClassId;
use crate::market::{Match, Offer, Request, Seat, Selection};
use crate::random::{Seed, digest};
use crate::registry::Registry;

/// Blocks of waiting that count as one step of age.
const AGE_STEP: u64 = 10;
/// Waiting beyond this many blocks counts no further.
const AGE_CAP: u64 = 1_000;

/// What one block may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most requests looked at.
    pub max_requests: u32,
    /// Most pairs of a request and an offer looked at. A single request that needs more is looked at alone, so that it
    /// is not passed over for ever.
    pub max_candidates: u64,
}

/// What one block did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Workers found, in the order in which the requests were served.
    pub matches: Vec<Match>,
    /// Where the next block begins: the first job not looked at, or 0 for the first of all.
    pub cursor: u64,
    /// Pairs of a request and an offer looked at, at most.
    pub candidates: u64,
}

/// Matches one block.
///
/// Requests are taken from the queue by job number, from `cursor` on and around, as many as the limits allow. Those
/// taken are served by price tick (about an eighth of a power of two), then age in steps, then a hash of the seed; of
/// several denoms, one after the other in an order that the seed picks, because their prices do not compare.
/// Capacity and free bond go down as requests are served; a request is served whole or not at all.
///
/// - `Attested`: of all feasible offers the cheapest, then the fullest (fewest places left), then the better
///   reputation of four bands, then the lowest hash of seed, job and offer.
/// - `Quorum`: of the classes with enough distinct owners, the one with the most free bond behind its feasible offers.
///   (Neither the cheapest nor one at random: else whoever registers a class of his own and sits there alone would
///   take whole quorums. To take one this way costs more bond than the largest class has.) Within it, owners are drawn
///   by free bond (see `draw.rs`), each with its cheapest feasible offer, and all are paid the highest ask drawn.
///
/// The result depends on the sets given, not on their order. Of several requests for one job, or offers with one
/// number, only the least counts.
pub fn match_block(
    requests: &[Request],
    offers: &[Offer],
    registry: &Registry,
    seed: Seed,
    limits: Limits,
    cursor: u64,
) -> Outcome {
    let mut market = Market::new(offers, registry);
    let (mut window, cursor, candidates) = market.window(requests, limits, cursor);
    window.sort_by_cached_key(|request| {
        let denom = request.max_price.denom.as_bytes();
        let hash = digest("gantry/match/request/v1", &[&seed, &request.job.to_be_bytes()]);
        let age = request.age.min(AGE_CAP) / AGE_STEP;
        (digest("gantry/match/denom/v1", &[&seed, denom]), Reverse(tick(request.max_price.amount)), Reverse(age), hash)
    });
    let matches = window.into_iter().filter_map(|request| market.serve(request, &seed)).collect();
    Outcome { matches, cursor, candidates }
}

/// The power of two, and the next three bits: prices within an eighth of each other count as equal.
fn tick(price: u128) -> u128 {
    price.checked_ilog2().map_or(0, |power| {
        let leading_bits = (price << price.leading_zeros()) >> 124;
        // 1 for the smallest price, so that nothing stays below it.
        u128::from(power) * 8 + leading_bits % 8 + 1
    })
}

/// What is on offer at this moment of the block.
struct Market<'a> {
    offers: Vec<Offer>,
    /// Places in `offers` by denom and class; in each by owner, provider and offer number.
    books: BTreeMap<String, BTreeMap<ClassId, Vec<usize>>>,
    /// Places in `offers` by provider: they share its bond.
    providers: BTreeMap<u64, Vec<usize>>,
    registry: &'a Registry,
}

/// An owner with something feasible in a class.
struct Candidate {
    /// Its cheapest feasible offer.
    offer: usize,
    /// The free bond of its providers there.
    weight: u128,
}

impl<'a> Market<'a> {
    fn new(offers: &[Offer], registry: &'a Registry) -> Self {
        let mut offers = offers.to_vec();
        offers.sort();
        offers.dedup_by_key(|offer| (offer.provider, offer.offer));
        offers.sort_by(|a, b| (&a.owner, a.provider, a.offer).cmp(&(&b.owner, b.provider, b.offer)));
        let (mut books, mut providers) = (BTreeMap::<_, BTreeMap<_, Vec<_>>>::new(), BTreeMap::<_, Vec<_>>::new());
        for (at, offer) in offers.iter().enumerate() {
            books.entry(offer.ask.denom.clone()).or_default().entry(offer.class.clone()).or_default().push(at);
            providers.entry(offer.provider).or_default().push(at);
        }
        Self { offers, books, providers, registry }
    }

    /// The requests that this block looks at, the next cursor, and the work they may take.
    fn window<'r>(&self, requests: &'r [Request], limits: Limits, cursor: u64) -> (Vec<&'r Request>, u64, u64) {
        let mut queue: Vec<&Request> = requests.iter().collect();
        queue.sort();
        queue.dedup_by_key(|request| request.job);
        let start = queue.partition_point(|request| request.job < cursor);
        queue.rotate_left(start);

        let denoms: BTreeMap<&str, u64> = self
            .books
            .iter()
            .map(|(denom, classes)| (denom.as_str(), classes.values().map(|book| book.len() as u64).sum()))
            .collect();
        let (mut taken, mut work) = (0, 0u64);
        for request in queue.iter().take(usize::try_from(limits.max_requests).unwrap_or(usize::MAX)) {
            let cost = denoms.get(request.max_price.denom.as_str()).copied().unwrap_or(0).max(1);
            let after = work.saturating_add(cost);
            if taken > 0 && after > limits.max_candidates {
                break;
            }
            (taken, work) = (taken + 1, after);
        }
        let next = queue.get(taken).map_or(0, |request| request.job);
        queue.truncate(taken);
        (queue, next, work)
    }

    fn serve(&mut self, request: &Request, seed: &Seed) -> Option<Match> {
        let (class, offers) = match request.selection {
            Selection::Attested => self.best(request, seed)?,
            Selection::Quorum { seats } => self.drawn(request, seats, seed)?,
        };
        let seats: Vec<Seat> = offers.iter().map(|at| self.take(*at, request.bond)).collect();
        let price = seats.iter().map(|seat| seat.ask).chain([request.price_floor]).max()?;
        Some(Match { job: request.job, attempt: request.attempt, class, price, seats })
    }

    /// The books that the request may be served from.
    fn books(&self, request: &Request) -> impl Iterator<Item = (&ClassId, &Vec<usize>)> {
        let books = self.books.get(&request.max_price.denom).into_iter().flatten();
        books.filter(|(class, _)| self.registry.get(class).is_some_and(|class| !class_ruled_out(request, class)))
    }

    fn is_feasible(&self, request: &Request, at: usize) -> bool {
        feasible(request, &self.offers[at], self.registry).is_ok()
    }

    /// Cheapest, fullest, better reputed.
    fn rank(&self, at: usize) -> (u128, u32, Reverse<u16>) {
        let offer = &self.offers[at];
        (offer.ask.amount, offer.free, Reverse((offer.reputation / 250).min(3)))
    }

    fn best(&self, request: &Request, seed: &Seed) -> Option<(ClassId, Vec<usize>)> {
        let mut best: Vec<usize> = Vec::new();
        for at in self.books(request).flat_map(|(_, book)| book.iter().copied()) {
            let order = best.first().map_or(std::cmp::Ordering::Less, |held| self.rank(at).cmp(&self.rank(*held)));
            if order.is_gt() || !self.is_feasible(request, at) {
                continue;
            }
            if order.is_lt() {
                best.clear();
            }
            best.push(at);
        }
        let tie = |at: &usize| {
            let offer = &self.offers[*at];
            let parts: [&[u8]; 5] = [
                seed,
                &request.job.to_be_bytes(),
                &request.attempt.to_be_bytes(),
                &offer.provider.to_be_bytes(),
                &offer.offer.to_be_bytes(),
            ];
            digest("gantry/match/offer/v1", &parts)
        };
        let at = best.into_iter().min_by_key(tie)?;
        Some((self.offers[at].class.clone(), vec![at]))
    }

    fn drawn(&self, request: &Request, seats: u16, seed: &Seed) -> Option<(ClassId, Vec<usize>)> {
        let hash = |class: &ClassId| {
            digest("gantry/match/class/v1", &[seed, &request.job.to_be_bytes(), class.as_str().as_bytes()])
        };
        let bond = |owners: &[Candidate]| owners.iter().fold(0u128, |sum, owner| sum.saturating_add(owner.weight));
        let (class, owners) = self
            .books(request)
            .map(|(class, book)| (class, self.owners(request, book)))
            .filter(|(_, owners)| owners.len() >= usize::from(seats))
            .max_by_key(|(class, owners)| (bond(owners), hash(class)))?;
        let weights: Vec<u128> = owners.iter().map(|owner| owner.weight).collect();
        let parts: [&[u8]; 4] =
            [seed, &request.job.to_be_bytes(), &request.attempt.to_be_bytes(), &request.draw.to_be_bytes()];
        let drawn = draw_seats(&weights, seats, digest("gantry/match/draw/v1", &parts))?;
        Some((class.clone(), drawn.into_iter().map(|at| owners[at].offer).collect()))
    }

    /// The owners with something feasible in a book, ascending.
    fn owners(&self, request: &Request, book: &[usize]) -> Vec<Candidate> {
        let mut owners: Vec<Candidate> = Vec::new();
        // The last feasible offer; equal owners and equal providers lie side by side.
        let mut last: Option<&Offer> = None;
        for at in book.iter().copied().filter(|at| self.is_feasible(request, *at)) {
            let offer = &self.offers[at];
            match owners.last_mut().filter(|_| last.is_some_and(|last| last.owner == offer.owner)) {
                None => owners.push(Candidate { offer: at, weight: offer.free_bond }),
                Some(owner) => {
                    if last.is_some_and(|last| last.provider != offer.provider) {
                        owner.weight = owner.weight.saturating_add(offer.free_bond);
                    }
                    if self.rank(at) < self.rank(owner.offer) {
                        owner.offer = at;
                    }
                }
            }
            last = Some(offer);
        }
        owners
    }

    fn take(&mut self, at: usize, bond: u128) -> Seat {
        let offer = &mut self.offers[at];
        // Feasible, so there is one free, and the bond suffices.
        offer.free -= 1;
        let seat =
            Seat { provider: offer.provider, offer: offer.offer, owner: offer.owner.clone(), ask: offer.ask.amount };
        for sibling in self.providers.get(&seat.provider).into_iter().flatten() {
            let free = &mut self.offers[*sibling].free_bond;
            *free = free.saturating_sub(bond);
        }
        seat
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_an_eighth_of_a_power_of_two() {
        assert!((0..100_000u128).all(|price| tick(price) <= tick(price + 1)), "never falls");
        for (low, high, equal) in
            [(1000, 1023, true), (1000, 1100, false), (0, 1, false), (1 << 100, (1 << 100) + 1, true)]
        {
            assert_eq!(tick(low) == tick(high), equal, "{low} {high}");
        }
        assert!(tick(u128::MAX) > tick(u128::MAX / 2));
    }
}
