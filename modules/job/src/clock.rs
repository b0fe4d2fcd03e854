//! The market clock and the work that falls due, bounded per block and carried over.
//!
//! Timers are not taken back: one whose moment has passed finds its job or assignment in another state and does nothing.

use gantry_core::{BlockCtx, Ctx, Result};
use gantry_proto::gantry::{
    job::v1::{AssignmentState, Reason, Receipt},
    verifier::v1::SlashReason,
};
use gantry_store::{KvRead, Order};

use crate::{
    inputs,
    keeper::{self, Penalty, assignments, end, enqueue, fail, has_commitment, lapse, replace, save, schedule},
    params,
    state::{ASSIGNMENTS, CLOCK, DUE_HEIGHT, DUE_TIME, EDGES, JOBS, LAST_BLOCK, RECEIPTS, WORK_HEIGHT, WORK_TIME},
    table::{FATAL_REPORTS, is_acked},
    types::{Assignment, AssignmentKey, Job, Task},
};

/// Most that the clock advances for one block: a halt of the chain bills and times out nobody.
pub const MAX_STEP_MS: u64 = 10_000;
/// Tasks taken from each queue in one block.
const MAX_TASKS: usize = 256;
/// Waiting jobs that hear of one job's end in one block.
const MAX_HEARERS: usize = 64;
/// Waiting jobs that hear of any end in one block: those of jobs submitted over many blocks can fall into one.
const MAX_HEARERS_IN_ALL: usize = 512;

/// Begin of a block: advances market time by the block's interval, at most [`MAX_STEP_MS`].
pub(crate) fn advance(ctx: &mut BlockCtx<'_>) -> Result<()> {
    let now = ctx.block().time.unix_ms();
    let last = LAST_BLOCK.get(ctx)?.unwrap_or(now);
    let step = now.saturating_sub(last).min(MAX_STEP_MS);
    CLOCK.set(ctx, &keeper::now_ms(ctx)?.saturating_add(step))?;
    Ok(LAST_BLOCK.set(ctx, &now.max(last))?)
}

/// End of a block: does what is due.
pub(crate) fn run_due(ctx: &mut BlockCtx<'_>) -> Result<()> {
    let (height, now) = (ctx.block().height, keeper::now_ms(ctx)?);
    let mut hearers = MAX_HEARERS_IN_ALL;
    for (queue, until) in [(WORK_HEIGHT, height), (WORK_TIME, now), (DUE_HEIGHT, height), (DUE_TIME, now)] {
        for (due, key) in queue.pop_due(ctx, until, MAX_TASKS)? {
            perform(ctx, Task::of(key)?, due, &mut hearers)?;
        }
    }
    Ok(())
}

/// Does one task; `hearers` is how many waiting jobs may still hear of an end.
fn perform(ctx: &mut dyn Ctx, task: Task, due: u64, hearers: &mut usize) -> Result<()> {
    use AssignmentState::{Acked, Offered, Running, Staging};
    match task {
        Task::Lapse(key) => match in_state(&*ctx, key, &[Offered])? {
            Some((mut job, mut a)) => lapse(ctx, &mut job, &mut a),
            None => Ok(()),
        },
        Task::Staging(key) => time_out(ctx, key, &[Acked, Staging], Reason::StagingTimeout),
        Task::Execution(key) => time_out(ctx, key, &[Running], Reason::ExecutionTimeout),
        Task::Queue(id) => match living(&*ctx, id)? {
            Some(mut job) => queue_timeout(ctx, &mut job, due),
            None => Ok(()),
        },
        Task::Deadline(id) => match living(&*ctx, id)? {
            // From the first commitment on only the verdict ends it; another attempt will not begin.
            Some(mut job) if !has_commitment(&*ctx, &job)? => end(ctx, &mut job, Reason::Deadline, &[]),
            _ => Ok(()),
        },
        Task::Cascade(id) => cascade(ctx, id, hearers),
        Task::Shrink(id) => shrink(ctx, id),
        // In the draws' own queue.
        Task::FirstDraw(_) => Ok(()),
    }
}

fn living(state: &dyn KvRead, id: u64) -> Result<Option<Job>> {
    Ok(JOBS.get(state, id)?.filter(|job| !job.is_ended()))
}

fn in_state(state: &dyn KvRead, key: AssignmentKey, states: &[AssignmentState]) -> Result<Option<(Job, Assignment)>> {
    let assignment = ASSIGNMENTS.get(state, key)?.filter(|a| states.contains(&a.state));
    Ok(living(state, key.0)?.zip(assignment))
}

/// The worker missed a deadline of its own.
fn time_out(ctx: &mut dyn Ctx, key: AssignmentKey, states: &[AssignmentState], reason: Reason) -> Result<()> {
    let Some((mut job, mut a)) = in_state(&*ctx, key, states)? else { return Ok(()) };
    let ppm = params::get(&*ctx)?.slash_timeout_ppm;
    let penalty = Penalty { ppm, reason: SlashReason::Timeout, evidence: &[] };
    fail(ctx, &mut a, reason, &[], Some(penalty))?;
    replace(ctx, &mut job)
}

/// Too few workers came. If those who did said that the job itself is at fault, that is why it ends.
fn queue_timeout(ctx: &mut dyn Ctx, job: &mut Job, due: u64) -> Result<()> {
    if job.open_dependencies > 0 || job.commit_close_height > 0 || job.queue_timeout_ms() != due {
        return Ok(());
    }
    let all = assignments(&*ctx, job.id, job.attempt)?;
    let acked = all.iter().filter(|a| is_acked(a.state)).count() as u64;
    if acked >= u64::from(job.terms.policy.votes()) {
        return Ok(());
    }
    let reported = all.iter().rev().map(Assignment::reason).find(|reason| FATAL_REPORTS.contains(reason));
    end(ctx, job, reported.unwrap_or(Reason::QueueTimeout), &[])
}

/// Tells the jobs that wait for an ended one, some in each block.
fn cascade(ctx: &mut dyn Ctx, id: u64, hearers: &mut usize) -> Result<()> {
    let Some(ended) = JOBS.get(&*ctx, id)? else { return Ok(()) };
    let most = MAX_HEARERS.min(*hearers);
    let rows = EDGES.prefix(&*ctx, id, Order::Ascending)?.take(most + 1);
    let mut waiting = rows.map(|row| Ok(row?.0.1)).collect::<Result<Vec<u64>>>()?;
    if waiting.len() > most {
        waiting.truncate(most);
        let height = ctx.block().height;
        schedule(ctx, height, Task::Cascade(id))?;
    }
    *hearers -= waiting.len();
    for dependent in waiting {
        EDGES.remove(ctx, (id, dependent))?;
        let Some(mut job) = living(&*ctx, dependent)? else { continue };
        if ended.end.is_some() {
            end(ctx, &mut job, Reason::DependencyFailed, &id.to_be_bytes())?;
            continue;
        }
        inputs::resolve(ctx, &job, &ended)?;
        job.open_dependencies = job.open_dependencies.saturating_sub(1);
        if job.open_dependencies == 0 {
            enqueue(ctx, &mut job)?;
        }
        save(ctx, &mut job)?;
    }
    Ok(())
}

/// Leaves a receipt of an ended job.
fn shrink(ctx: &mut dyn Ctx, id: u64) -> Result<()> {
    let Some(job) = JOBS.get(&*ctx, id)?.filter(Job::is_ended) else { return Ok(()) };
    if EDGES.prefix(&*ctx, id, Order::Ascending)?.next().transpose()?.is_some() {
        // Some have not heard of its end yet.
        let next = ctx.block().height.saturating_add(1);
        return schedule(ctx, next, Task::Shrink(id));
    }
    let mut paid = 0u128;
    let rows = ASSIGNMENTS.prefix(&*ctx, id, Order::Ascending)?;
    let keys = rows
        .map(|row| {
            let (key, a) = row?;
            paid = paid.saturating_add(a.paid);
            Ok(key)
        })
        .collect::<Result<Vec<_>>>()?;
    for key in keys {
        ASSIGNMENTS.remove(ctx, key)?;
    }
    inputs::forget(ctx, &job)?;
    JOBS.remove(ctx, id)?;
    let receipt = Receipt {
        job_id: id,
        graph_id: job.graph_id,
        renter: job.renter.to_string(),
        state: job.state.into(),
        end: job.end.as_ref().map(Into::into),
        output_cid: job.output_cid.clone(),
        output_digest: job.output_digest.clone(),
        paid: Some(job.coin(paid).to_proto()),
        attempts: job.attempt,
        submitted_height: job.submitted_height,
        ended_height: job.ended_height,
        ended_time_ms: job.ended_time_ms,
    };
    Ok(RECEIPTS.set(ctx, id, &receipt.into())?)
}
