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
    state::{CURSOR, WAITING},
    types::{Assignment, Job, Terms},
};

/// Jobs looked at in one block.
const MAX_REQUESTS: u32 = 64;
/// Pairs of a job and an offer looked at in one block.
const MAX_CANDIDATES: u64 = 16_384;
/// Blocks between admission and draw: who is admitted must not know the seed.
pub(crate) const ADMISSION_BLOCKS: u64 = 2;
/// What the seed is for.
const SEED_DOMAIN: &str = "gantry/match";

/// Draws workers for waiting jobs that were admitted two blocks ago or earlier.
pub(crate) fn draw(ctx: &mut BlockCtx<'_>) -> Result<()> {
    let height = ctx.block().height;
    let cursor = CURSOR.get_or_default(ctx)?;
    let (window, next) = window(ctx, cursor)?;
    let mut requests = Vec::new();
    for (id, since) in window {
        if since.saturating_add(ADMISSION_BLOCKS) <= height {
            requests.push(request(ctx, &keeper::get(ctx, id)?, height)?);
        }
    }
    let mut after = next;
    if !requests.is_empty() {
        let offers = provider::drawable_offers(ctx, height)?;
        let registry = provider::classes_of(ctx, &offers)?;
        let seed = seed(SEED_DOMAIN, &ctx.block().previous_app_hash, height);
        let limits = Limits { max_requests: MAX_REQUESTS, max_candidates: MAX_CANDIDATES };
        let outcome = match_block(&requests, &offers, &registry, seed, limits, cursor);
        if outcome.cursor > 0 {
            after = outcome.cursor;
        }
        for found in &outcome.matches {
            let mut job = keeper::get(ctx, found.job)?;
            place(ctx, &mut job, found)?;
        }
    }
    if after != cursor {
        CURSOR.set(ctx, &after)?;
    }
    Ok(())
}

/// Waiting jobs from the cursor on and around, and the first that is left for the next block (0 for none).
fn window(state: &dyn KvRead, cursor: u64) -> Result<(Vec<(u64, u64)>, u64)> {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let most = usize::try_from(MAX_REQUESTS).unwrap_or(usize::MAX);
    let from = WAITING.range(state, All, Included(&cursor), Unbounded, Order::Ascending)?;
    let around = WAITING.range(state, All, Unbounded, Excluded(&cursor), Order::Ascending)?;
    let mut rows = from.chain(around).take(most.saturating_add(1)).collect::<Result<Vec<_>, _>>()?;
    let next = if rows.len() > most { rows.pop().map_or(0, |(id, _)| id) } else { 0 };
    Ok((rows, next))
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
