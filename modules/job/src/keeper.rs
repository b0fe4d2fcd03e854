//! The rules: how assignments and jobs change. Every change of an assignment goes through `advance` or `finish`,
//! every change of a job through `save`, so that tables, indexes, bonds, places and events cannot fall apart.

use gantry_core::{Address, Ctx, Error, Result};
use gantry_escrow::keeper as escrow;
use gantry_event::{MarketEvent, emit};
use gantry_matching::Match;
use gantry_proto::gantry::{
    job::v1::{Actor, AssignmentState, Reason},
    verifier::v1::{Slash, SlashReason},
};
use gantry_provider::keeper as provider;
use gantry_reputation::{Outcome, keeper as reputation};
use gantry_store::{KvRead, Order};

use crate::{
    draws::ADMISSION_BLOCKS,
    errors::JobError,
    params, spec,
    state::{
        ASSIGNMENTS, CLOCK, DUE_HEIGHT, DUE_TIME, EDGES, FRESH, JOBS, REVEAL_WINDOWS, SLASH_IDS, SLASHES, WAITING,
        WORK_HEIGHT, WORK_TIME,
    },
    table::{self, FATAL_REPORTS, is_acked, is_committed},
    types::{Assignment, AssignmentKey, End, Job, Task},
};

/// Market time in milliseconds.
pub fn now_ms(state: &dyn KvRead) -> Result<u64> {
    Ok(CLOCK.get_or_default(state)?)
}

/// A job that has not shrunk to a receipt.
pub fn get(state: &dyn KvRead, id: u64) -> Result<Job> {
    Ok(JOBS.get(state, id)?.ok_or(JobError::UnknownJob(id))?)
}

/// An assignment of a job that has not shrunk to a receipt.
pub fn assignment(state: &dyn KvRead, key: AssignmentKey) -> Result<Assignment> {
    let (job, attempt, replica) = key;
    Ok(ASSIGNMENTS.get(state, key)?.ok_or(JobError::UnknownAssignment { job, attempt, replica })?)
}

/// Whether the commitments to a job have closed, so that they may be opened.
pub fn reveals_open(state: &dyn KvRead, id: u64) -> Result<bool> {
    Ok(REVEAL_WINDOWS.get(state, id)?.ok_or(JobError::UnknownJob(id))?.reveal_close_height > 0)
}

/// All assignments of one attempt by replica, ended ones included. Bounded by quorum and replacements.
pub fn assignments(state: &dyn KvRead, job: u64, attempt: u32) -> Result<Vec<Assignment>> {
    let rows = ASSIGNMENTS.prefix(state, (job, attempt), Order::Ascending)?;
    rows.map(|row| Ok(row?.1)).collect()
}

/// A job and an assignment that `operator` may act for.
pub fn assigned(state: &dyn KvRead, operator: &Address, key: AssignmentKey) -> Result<(Job, Assignment)> {
    let provider = provider::require_operator(state, operator)?;
    let job = get(state, key.0)?;
    let assignment = assignment(state, key)?;
    if assignment.provider_id != provider.id {
        return Err(JobError::NotAssigned { job: key.0, replica: key.2, provider: provider.id }.into());
    }
    Ok((job, assignment))
}

/// Puts a task in its queue.
pub(crate) fn schedule(ctx: &mut dyn Ctx, due: u64, task: Task) -> Result<()> {
    let queue = match (task.of_worker(), task.by_time()) {
        _ if matches!(task, Task::FirstDraw(_)) => FRESH,
        (true, false) => WORK_HEIGHT,
        (true, true) => WORK_TIME,
        (false, false) => DUE_HEIGHT,
        (false, true) => DUE_TIME,
    };
    Ok(queue.schedule(ctx, due, task.key())?)
}

// --- states ------------------------------------------------------------------------------------------------------

/// Writes a job in the state that follows from its assignments and facts, and tells of a change.
pub(crate) fn save(ctx: &mut dyn Ctx, job: &mut Job) -> Result<()> {
    let states: Vec<_> = assignments(&*ctx, job.id, job.attempt)?.iter().map(|a| a.state).collect();
    let to = table::derive(job.facts(), states);
    let from = job.state;
    if from != to {
        let reason = job.end.as_ref().map_or(Reason::Unspecified, |end| end.reason);
        let step = table::step(table::JOB, from, to, reason)
            .ok_or_else(|| Error::fatal(format!("job {} cannot go from {from:?} to {to:?} for {reason:?}", job.id)))?;
        job.state = to;
        emit(
            ctx,
            MarketEvent::JobTransition {
                job: job.id,
                graph: job.graph_id,
                renter: &job.renter,
                from,
                to,
                reason,
                actor: step.by,
            },
        );
    }
    Ok(JOBS.set(ctx, job.id, job)?)
}

/// Takes an assignment one step on.
///
/// # Errors
/// [`JobError::IllegalState`] where the table has no such step; `what` names the wish.
pub(crate) fn advance(ctx: &mut dyn Ctx, a: &mut Assignment, to: AssignmentState, what: &'static str) -> Result<()> {
    change(ctx, a, to, Reason::Unspecified, what)?;
    Ok(ASSIGNMENTS.set(ctx, a.key(), a)?)
}

/// Ends an assignment: bond and place are free again.
pub(crate) fn finish(
    ctx: &mut dyn Ctx,
    a: &mut Assignment,
    to: AssignmentState,
    reason: Reason,
    evidence: &[u8],
) -> Result<()> {
    let by = change(ctx, a, to, reason, "that")?;
    if reason != Reason::Unspecified {
        a.end = Some(End { reason, actor: by, evidence: evidence.to_vec() });
    }
    provider::release_bond(ctx, a.provider_id, a.reserved_bond)?;
    a.reserved_bond = 0;
    provider::free_slot(ctx, a.provider_id, a.offer_id)?;
    Ok(ASSIGNMENTS.set(ctx, a.key(), a)?)
}

fn change(
    ctx: &mut dyn Ctx,
    a: &mut Assignment,
    to: AssignmentState,
    reason: Reason,
    what: &'static str,
) -> Result<Actor> {
    let from = a.state;
    let step = table::step(table::ASSIGNMENT, from, to, reason).ok_or_else(|| illegal(a, what))?;
    a.state = to;
    emit(
        ctx,
        MarketEvent::AssignmentTransition {
            job: a.job_id,
            attempt: a.attempt,
            replica: a.replica,
            provider: a.provider_id,
            from,
            to,
            reason,
        },
    );
    Ok(step.by)
}

/// The error for a wish that the state of an assignment does not allow.
#[must_use]
pub fn illegal(a: &Assignment, what: &'static str) -> Error {
    let short = |name: &str, prefix| name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase();
    let mut state = short(a.state.as_str_name(), "ASSIGNMENT_STATE_");
    if a.reason() != Reason::Unspecified {
        state = format!("{state} ({})", short(a.reason().as_str_name(), "REASON_"));
    }
    JobError::IllegalState { what, state }.into()
}

// --- waiting and placing -----------------------------------------------------------------------------------------

/// The first height at which a draw may see a job that came to want workers at another.
pub(crate) fn admitted_at(since: u64) -> u64 {
    since.saturating_add(ADMISSION_BLOCKS)
}

/// Lets a job wait for workers from this height on.
fn want(ctx: &mut dyn Ctx, id: u64) -> Result<()> {
    want_no_more(ctx, id)?;
    let height = ctx.block().height;
    WAITING.set(ctx, id, &height)?;
    schedule(ctx, admitted_at(height), Task::FirstDraw(id))
}

/// Takes a job out of the draws.
pub(crate) fn want_no_more(ctx: &mut dyn Ctx, id: u64) -> Result<()> {
    if let Some(since) = WAITING.get(&*ctx, id)? {
        FRESH.cancel(ctx, admitted_at(since), Task::FirstDraw(id).key())?;
        WAITING.remove(ctx, id)?;
    }
    Ok(())
}

/// Puts a job without open dependencies in the queue for an attempt.
pub(crate) fn enqueue(ctx: &mut dyn Ctx, job: &mut Job) -> Result<()> {
    let height = ctx.block().height;
    job.queued_height = height;
    job.queued_time_ms = now_ms(&*ctx)?;
    want(ctx, job.id)?;
    schedule(ctx, job.queue_timeout_ms(), Task::Queue(job.id))
}

/// Offers a job to the workers that were found for it.
pub(crate) fn place(ctx: &mut dyn Ctx, job: &mut Job, found: &Match) -> Result<()> {
    let params = params::get(&*ctx)?;
    let bond = spec::bond(&job.terms, &params);
    let height = ctx.block().height;
    job.class_id = found.class.as_str().to_owned();
    job.price_per_second = found.price;
    for seat in &found.seats {
        provider::reserve_bond(ctx, seat.provider, bond)?;
        provider::take_slot(ctx, seat.provider, seat.offer)?;
        let mut a = Assignment {
            job_id: job.id,
            attempt: job.attempt,
            replica: job.next_replica,
            provider_id: seat.provider,
            offer_id: seat.offer,
            state: AssignmentState::Unspecified,
            end: None,
            reserved_bond: bond,
            offered_height: height,
            acked_time_ms: 0,
            staging_time_ms: 0,
            running_time_ms: 0,
            committed_time_ms: 0,
            paid: 0,
            slashed: 0,
            committed_height: 0,
            revealed_height: 0,
            acked_height: 0,
            running_height: 0,
        };
        job.next_replica += 1;
        advance(ctx, &mut a, AssignmentState::Offered, "offering")?;
        schedule(ctx, height.saturating_add(params.ack_window_blocks), Task::Lapse(a.key()))?;
    }
    if live(&*ctx, job)?.len() as u64 >= u64::from(job.terms.policy.replicas()) {
        want_no_more(ctx, job.id)?;
    }
    save(ctx, job)
}

/// Assignments of the current attempt that are at work.
pub fn live(state: &dyn KvRead, job: &Job) -> Result<Vec<Assignment>> {
    let mut all = assignments(state, job.id, job.attempt)?;
    all.retain(Assignment::is_live);
    Ok(all)
}

// --- losing workers ----------------------------------------------------------------------------------------------

/// What a fault costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Penalty<'a> {
    /// Part of the reserved bond, in parts per million.
    pub ppm: u64,
    /// Why.
    pub reason: SlashReason,
    /// What proves it; empty for silence.
    pub evidence: &'a [u8],
}

/// Ends an assignment badly, with what it costs its provider.
pub fn fail(
    ctx: &mut dyn Ctx,
    a: &mut Assignment,
    reason: Reason,
    evidence: &[u8],
    penalty: Option<Penalty<'_>>,
) -> Result<()> {
    if let Some(penalty) = penalty {
        slash(ctx, a, penalty)?;
    }
    let was_acked = is_acked(a.state);
    finish(ctx, a, AssignmentState::Failed, reason, evidence)?;
    let outcome = match reason {
        Reason::StagingTimeout | Reason::ExecutionTimeout => Outcome::TimedOut,
        // Silence when nobody had revealed yet is a missed deadline like another.
        Reason::RevealWithheld if penalty.is_some_and(|p| p.reason == SlashReason::Timeout) => Outcome::TimedOut,
        Reason::WrongResult | Reason::RevealWithheld => Outcome::DataFraud,
        Reason::NoResult | Reason::WorkerDeclined => Outcome::Failed,
        Reason::CommitLate if was_acked => Outcome::Failed,
        // Not the worker's doing.
        _ => return Ok(()),
    };
    reputation::record(ctx, a.provider_id, outcome)
}

/// Takes a part of the reserved bond into the slash pool, and records why.
fn slash(ctx: &mut dyn Ctx, a: &mut Assignment, penalty: Penalty<'_>) -> Result<()> {
    let amount = params::part(a.reserved_bond, penalty.ppm);
    if amount == 0 {
        return Ok(());
    }
    let taken = provider::slash(ctx, a.provider_id, amount, true)?;
    a.reserved_bond = a.reserved_bond.saturating_sub(taken.amount());
    a.slashed = a.slashed.saturating_add(taken.amount());
    let id = SLASH_IDS.next(ctx)?;
    let row = Slash {
        id,
        provider_id: a.provider_id,
        job_id: a.job_id,
        attempt: a.attempt,
        replica: a.replica,
        reason: penalty.reason.into(),
        amount: Some(taken.to_proto()),
        height: ctx.block().height,
        evidence: penalty.evidence.to_vec(),
    };
    SLASHES.set(ctx, id, &row.into())?;
    emit(
        ctx,
        MarketEvent::Slashed {
            provider: a.provider_id,
            job: a.job_id,
            attempt: a.attempt,
            replica: a.replica,
            amount: &taken,
            reason: penalty.reason,
            evidence: penalty.evidence,
        },
    );
    Ok(())
}

/// Ends an assignment whose worker did not acknowledge; it is replaced at the job's age.
pub(crate) fn lapse(ctx: &mut dyn Ctx, job: &mut Job, a: &mut Assignment) -> Result<()> {
    finish(ctx, a, AssignmentState::Lapsed, Reason::NoAcknowledgement, &[])?;
    provider::strike(ctx, a.provider_id, a.offer_id)?;
    reputation::record(ctx, a.provider_id, Outcome::Lapsed)?;
    replace(ctx, job)
}

/// After the loss of a worker before the verdict: wants another, goes on with those that are left, or gives the
/// attempt up.
pub(crate) fn replace(ctx: &mut dyn Ctx, job: &mut Job) -> Result<()> {
    if job.commit_close_height > 0 {
        // A verdict is possible with those who committed, and another would come too late.
        return save(ctx, job);
    }
    let all = assignments(&*ctx, job.id, job.attempt)?;
    let votes = u64::from(job.terms.policy.votes());
    let count = |test: &dyn Fn(&Assignment) -> bool| all.iter().filter(|a| test(a)).count() as u64;
    for reason in FATAL_REPORTS {
        if count(&|a| a.reason() == *reason) >= votes {
            return fail_attempt(ctx, job, *reason);
        }
    }
    let params = params::get(&*ctx)?;
    if job.next_replica < job.terms.policy.replicas().saturating_add(params.max_replacements) {
        want(ctx, job.id)?;
    } else if count(&|a| a.is_live()) < votes {
        return fail_attempt(ctx, job, Reason::RetriesExhausted);
    } else {
        want_no_more(ctx, job.id)?;
    }
    // The queue timer ran out without effect while enough workers were at it: it starts anew.
    let now = now_ms(&*ctx)?;
    if count(&|a| is_acked(a.state)) < votes && job.queue_timeout_ms() <= now {
        job.queued_time_ms = now;
        schedule(ctx, job.queue_timeout_ms(), Task::Queue(job.id))?;
    }
    save(ctx, job)
}

/// Ends an attempt without a verdict that pays: another begins, or the job fails for `reason`.
pub fn fail_attempt(ctx: &mut dyn Ctx, job: &mut Job, reason: Reason) -> Result<()> {
    if job.attempt > job.spec.retries {
        return end(ctx, job, reason, &[]);
    }
    let now = now_ms(&*ctx)?;
    if job.deadline_ms().is_some_and(|deadline| deadline <= now) {
        return end(ctx, job, Reason::Deadline, &[]);
    }
    release_live(ctx, job)?;
    job.attempt += 1;
    job.next_replica = 0;
    job.class_id.clear();
    job.price_per_second = 0;
    job.commit_close_height = 0;
    job.reveal_close_height = 0;
    enqueue(ctx, job)?;
    save(ctx, job)
}

/// Lets go of everyone still at work; nobody's fault.
fn release_live(ctx: &mut dyn Ctx, job: &Job) -> Result<()> {
    for mut a in live(&*ctx, job)? {
        let reason = if a.state == AssignmentState::Revealed { Reason::NoQuorum } else { Reason::JobEnded };
        fail(ctx, &mut a, reason, &[], None)?;
    }
    Ok(())
}

// --- the end -----------------------------------------------------------------------------------------------------

/// Ends a job: what it still holds goes back to its renter, and those that wait for it will hear of it.
pub(crate) fn end(ctx: &mut dyn Ctx, job: &mut Job, reason: Reason, evidence: &[u8]) -> Result<()> {
    release_live(ctx, job)?;
    want_no_more(ctx, job.id)?;
    escrow::refund_rest(ctx, job.id)?;
    let height = ctx.block().height;
    job.ended_height = height;
    job.ended_time_ms = now_ms(&*ctx)?;
    if reason != Reason::Unspecified {
        let actor =
            table::step(table::JOB, job.state, table::end_state(reason), reason).map_or(Actor::Chain, |step| step.by);
        job.end = Some(End { reason, actor, evidence: evidence.to_vec() });
    }
    save(ctx, job)?;
    if EDGES.prefix(&*ctx, job.id, Order::Ascending)?.next().transpose()?.is_some() {
        schedule(ctx, height, Task::Cascade(job.id))?;
    }
    let retention = params::get(&*ctx)?.retention_blocks;
    schedule(ctx, height.saturating_add(retention), Task::Shrink(job.id))
}

/// Whether anyone has committed in this attempt: from then on it cannot be cancelled and no deadline ends it.
pub(crate) fn has_commitment(state: &dyn KvRead, job: &Job) -> Result<bool> {
    Ok(assignments(state, job.id, job.attempt)?.iter().any(|a| is_committed(a.state)))
}
