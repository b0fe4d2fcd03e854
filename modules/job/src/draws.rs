//! Matching on chain: at the begin of each block, workers for the jobs that wait.

use std::collections::BTreeSet;

use gantry_core::{BlockCtx, Ctx, Result};
use gantry_matching::{Limits, Price, Request, match_block, seed};
use gantry_proto::gantry::job::v1::{AssignmentState, JobSpec, Params, Resources};
use gantry_provider::keeper as provider;
use gantry_store::{All, KvRead, Order};

use crate::{
    keeper::{self, assignments, place},
    params,
    spec::{bond, requirements},
    state::{CURSOR, FRESH, WAITING},
    types::{Assignment, Job, Task, Terms},
};

/// Jobs looked at in one block.
const MAX_REQUESTS: u64 = 256;
/// Pairs of a job and an offer looked at in one block.
const MAX_CANDIDATES: u64 = 16_384;
/// Blocks between admission and draw: who is admitted must not know the seed.
pub(crate) const ADMISSION_BLOCKS: u64 = 2;
/// What the seed is for.
const SEED_DOMAIN: &str = "gantry/match";

/// Rows of the waiting list read in one block to find jobs for the draw.
const MAX_ROWS: usize = 512;

/// Draws workers for waiting jobs that were admitted two blocks ago or earlier.
pub(crate) fn draw(ctx: &mut BlockCtx<'_>) -> Result<()> {
    if WAITING.iter(ctx, Order::Ascending)?.next().transpose()?.is_none() {
        return Ok(());
    }
    let height = ctx.block().height;
    let offers = provider::drawable_offers(ctx, height)?;
    let seen = seen(ctx, height, MAX_CANDIDATES / (offers.len() as u64).max(1))?;
    for (due, id) in &seen.fresh {
        FRESH.cancel(ctx, *due, Task::FirstDraw(*id).key())?;
    }
    if seen.next != CURSOR.get_or_default(ctx)? {
        CURSOR.set(ctx, &seen.next)?;
    }
    let jobs = seen.fresh.iter().map(|(_, id)| id).chain(&seen.old);
    let requests = jobs.map(|id| request(ctx, &keeper::get(ctx, *id)?, height)).collect::<Result<Vec<_>>>()?;
    let registry = provider::classes_of(ctx, &offers)?;
    let seed = seed(SEED_DOMAIN, &ctx.block().previous_app_hash, height);
    // Bounded above, so that the matcher looks at all of them.
    let limits = Limits { max_requests: u32::MAX, max_candidates: u64::MAX };
    for found in &match_block(&requests, &offers, &registry, seed, limits, 0).matches {
        let mut job = keeper::get(ctx, found.job)?;
        place(ctx, &mut job, found)?;
    }
    Ok(())
}

/// The jobs that a draw looks at.
struct Seen {
    /// For the first time since they came to want workers, the longest admitted first, with their places in the queue.
    fresh: Vec<(u64, u64)>,
    /// Others, by id from the cursor on and around.
    old: Vec<u64>,
    /// The cursor of the next draw.
    next: u64,
}

/// Picks as many jobs as a draw may look at, half of them fresh ones, at least one of each kind.
fn seen(state: &dyn KvRead, height: u64, most: u64) -> Result<Seen> {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let half = usize::try_from(most.min(MAX_REQUESTS) / 2).unwrap_or(usize::MAX).max(1);
    let mut fresh = Vec::new();
    for row in FRESH.iter(state)?.take(half) {
        let (due, (_, id, ..)) = row?;
        if due > height {
            break;
        }
        fresh.push((due, id));
    }
    let cursor = CURSOR.get_or_default(state)?;
    let from = WAITING.range(state, All, Included(&cursor), Unbounded, Order::Ascending)?;
    let around = WAITING.range(state, All, Unbounded, Excluded(&cursor), Order::Ascending)?;
    let (mut old, mut next) = (Vec::new(), 0);
    for (read, row) in from.chain(around).enumerate() {
        let (id, since) = row?;
        if read >= MAX_ROWS || old.len() >= half {
            next = id;
            break;
        }
        let due = keeper::admitted_at(since);
        if due <= height && !FRESH.has(state, due, Task::FirstDraw(id).key())? {
            old.push(id);
        }
    }
    Ok(Seen { fresh, old, next })
}

/// What a job asks the matcher for at a height.
///
/// Of an attempt that has workers, one is replaced at a time, in their class, and by none of their owners. An owner who
/// did not acknowledge is passed over for one more window, one who failed for the rest of the attempt.
pub(crate) fn request(state: &dyn KvRead, job: &Job, height: u64) -> Result<Request> {
    let params = params::get(state)?;
    let all = assignments(state, job.id, job.attempt)?;
    let mut excluded = BTreeSet::new();
    for a in &all {
        let forgiven = a.offered_height.saturating_add(2 * params.ack_window_blocks) <= height;
        if a.state != AssignmentState::Lapsed || !forgiven {
            excluded.insert(provider::get(state, a.provider_id)?.owner.as_bytes().to_vec());
        }
    }
    let placed = all.iter().any(Assignment::is_live);
    let seats = if placed { 1 } else { job.terms.policy.replicas() };
    Ok(Request {
        attempt: job.attempt,
        draw: job.next_replica,
        selection: job.terms.policy.selection(seats),
        pinned: placed.then(|| job.class_id.parse().ok()).flatten(),
        price_floor: if placed { job.price_per_second } else { 0 },
        excluded: excluded.into_iter().collect(),
        age: height.saturating_sub(job.queued_height),
        ..base(job.id, &job.spec, &job.terms, &params)?
    })
}

/// What a spec that was not submitted would ask for.
pub(crate) fn hypothetical(state: &dyn KvRead, spec: &JobSpec) -> Result<Request> {
    base(0, spec, &Terms::try_from(spec)?, &params::get(state)?)
}

fn base(job: u64, spec: &JobSpec, terms: &Terms, params: &Params) -> Result<Request> {
    Ok(Request {
        job,
        attempt: 1,
        draw: 0,
        selection: terms.policy.selection(terms.policy.replicas()),
        requirements: requirements(spec.resources.as_ref().unwrap_or(&Resources::default()))?,
        pinned: None,
        max_price: Price { denom: terms.max_price.denom().to_owned(), amount: terms.max_price.amount() },
        price_floor: 0,
        bond: bond(terms, params),
        excluded: Vec::new(),
        age: 0,
    })
}
