//! The rules: when windows open and close, and what the verdict is.

use std::collections::{BTreeMap, BTreeSet};

use gantry_core::{BlockCtx, Ctx, Result};
use gantry_event::{MarketEvent, emit};
use gantry_job::{
    Assignment, Job,
    keeper::{self as jobs, Penalty},
    params as job_params,
    settle::{self, Accepted},
    state::JOBS,
};
use gantry_matching::ClassId;
use gantry_proto::gantry::{
    job::v1::{AssignmentState, Reason},
    verifier::v1::{ExitKind, Outcome, Reveal, SlashReason, Submission, Verdict},
};
use gantry_store::{KvRead, Order};

use crate::{
    params,
    state::{PRUNES, SUBMISSIONS, VERDICTS, WINDOWS},
};

/// Windows that end in one block, and jobs that are forgotten in one block.
const MAX_DUE: usize = 128;
/// Most locations that a verdict keeps.
const MAX_LOCATIONS: usize = 16;

/// The verdict on a job.
pub fn verdict(state: &dyn KvRead, job: u64) -> Result<Option<Verdict>> {
    Ok(VERDICTS.get(state, job)?.map(|row| row.0))
}

/// Commitments and reveals of one attempt, by replica.
pub fn submissions(state: &dyn KvRead, job: u64, attempt: u32) -> Result<Vec<Submission>> {
    SUBMISSIONS.prefix(state, (job, attempt), Order::Ascending)?.map(|row| Ok(row?.1.0)).collect()
}

/// Sees to it that what lies here about a job goes some day.
pub(crate) fn first_submission(ctx: &mut dyn Ctx, job: u64) -> Result<()> {
    if SUBMISSIONS.prefix(&*ctx, job, Order::Ascending)?.next().transpose()?.is_none() {
        let due = ctx.block().height.saturating_add(job_params::get(&*ctx)?.retention_blocks);
        PRUNES.schedule(ctx, due, job)?;
    }
    Ok(())
}

/// After a commitment: as many as a verdict needs open the window for the others, all who are at work close it.
///
/// Not the first commitment: else whoever commits to nonsense at once could shut the honest out.
pub(crate) fn committed(ctx: &mut dyn Ctx, job: &mut Job) -> Result<()> {
    let live = jobs::live(&*ctx, job)?;
    let bound = live.iter().filter(|a| a.state == AssignmentState::Committed).count();
    if (bound as u64) < u64::from(job.terms.policy.votes()) {
        return Ok(());
    }
    if bound == live.len() {
        return close(ctx, job);
    }
    if job.commit_close_height == 0 {
        let close_height = ctx.block().height.saturating_add(params::get(&*ctx)?.commit_window_blocks);
        settle::open_commit_window(ctx, job, close_height)?;
        WINDOWS.schedule(ctx, close_height, (job.id, job.attempt))?;
    }
    Ok(())
}

/// Closes commitments and opens reveals.
fn close(ctx: &mut dyn Ctx, job: &mut Job) -> Result<()> {
    let reveal_close = ctx.block().height.saturating_add(params::get(&*ctx)?.reveal_window_blocks);
    settle::close_commitments(ctx, job, reveal_close)?;
    Ok(WINDOWS.schedule(ctx, reveal_close, (job.id, job.attempt))?)
}

/// After a reveal: the last one brings the verdict, at the end of this block.
pub(crate) fn revealed(ctx: &mut dyn Ctx, job: &Job) -> Result<()> {
    if all_revealed(&*ctx, job)? {
        let height = ctx.block().height;
        WINDOWS.schedule(ctx, height, (job.id, job.attempt))?;
    }
    Ok(())
}

fn all_revealed(state: &dyn KvRead, job: &Job) -> Result<bool> {
    Ok(jobs::live(state, job)?.iter().all(|a| a.state == AssignmentState::Revealed))
}

/// End of a block: closes windows that are over, judges, forgets.
pub fn run_due(ctx: &mut BlockCtx<'_>) -> Result<()> {
    let height = ctx.block().height;
    for (_, (id, attempt)) in WINDOWS.pop_due(ctx, height, MAX_DUE)? {
        // A window of an attempt that was judged earlier is void.
        let Some(mut job) = JOBS.get(ctx, id)?.filter(|job| !job.is_ended() && job.attempt == attempt) else {
            continue;
        };
        if job.reveal_close_height > 0 {
            // The end of a commit window that closed early is none of the reveals'.
            if job.reveal_close_height <= height || all_revealed(ctx, &job)? {
                judge(ctx, &mut job)?;
            }
        } else if job.commit_close_height <= height {
            close(ctx, &mut job)?;
        }
    }
    for (_, id) in PRUNES.pop_due(ctx, height, MAX_DUE)? {
        prune(ctx, id)?;
    }
    Ok(())
}

/// Forgets a job that has shrunk to its receipt.
fn prune(ctx: &mut dyn Ctx, id: u64) -> Result<()> {
    if JOBS.has(&*ctx, id)? {
        let due = ctx.block().height.saturating_add(job_params::get(&*ctx)?.retention_blocks);
        return Ok(PRUNES.schedule(ctx, due, id)?);
    }
    let keys = SUBMISSIONS.prefix(&*ctx, id, Order::Ascending)?.map(|row| Ok(row?.0)).collect::<Result<Vec<_>>>()?;
    for key in keys {
        SUBMISSIONS.remove(ctx, key)?;
    }
    Ok(VERDICTS.remove(ctx, id)?)
}

/// What the reveals of an attempt come to.
#[derive(Debug, Default)]
struct Count {
    /// Replicas and their submissions by digest.
    by_digest: BTreeMap<Vec<u8>, Vec<(Assignment, Submission)>>,
    /// Those who committed and did not reveal.
    withheld: Vec<Assignment>,
}

fn count(state: &dyn KvRead, job: &Job) -> Result<Count> {
    let mut count = Count::default();
    for a in jobs::live(state, job)? {
        match SUBMISSIONS.get(state, a.key())? {
            Some(row) if a.state == AssignmentState::Revealed => {
                count.by_digest.entry(row.0.output_digest.clone()).or_default().push((a, row.0));
            }
            _ => count.withheld.push(a),
        }
    }
    Ok(count)
}

/// The verdict: pays who agrees, slashes who is wrong or withholds, ends the job or its attempt.
fn judge(ctx: &mut dyn Ctx, job: &mut Job) -> Result<()> {
    let Count { mut by_digest, withheld } = count(&*ctx, job)?;
    let votes = u64::from(job.terms.policy.votes());
    // More than half of all replicas: at most one digest can have them.
    let agreed = by_digest.iter().find(|(_, who)| who.len() as u64 >= votes).map(|(digest, _)| digest.clone());
    let ids = |who: &[Assignment]| who.iter().map(|a| a.provider_id).collect::<Vec<_>>();

    // Silence after another's reveal could be a way to get out of a wrong result, so it costs as much.
    let slash_wrong_ppm = params::get(&*ctx)?.slash_wrong_ppm;
    let penalty = if by_digest.is_empty() {
        Penalty { ppm: job_params::get(&*ctx)?.slash_timeout_ppm, reason: SlashReason::Timeout, evidence: &[] }
    } else {
        Penalty { ppm: slash_wrong_ppm, reason: SlashReason::RevealWithheld, evidence: &[] }
    };
    let silent = ids(&withheld);
    for mut a in withheld {
        jobs::fail(ctx, &mut a, Reason::RevealWithheld, &[], Some(penalty))?;
    }

    let mut verdict = Verdict {
        job_id: job.id,
        attempt: job.attempt,
        outcome: Outcome::NoQuorum.into(),
        withheld: silent,
        height: ctx.block().height,
        ..Verdict::default()
    };
    let Some(digest) = agreed else {
        tell(ctx, verdict)?;
        for (mut a, _) in by_digest.into_values().flatten() {
            jobs::fail(ctx, &mut a, Reason::NoQuorum, &[], None)?;
        }
        return jobs::fail_attempt(ctx, job, Reason::NoQuorum);
    };

    let winners = by_digest.remove(&digest).unwrap_or_default();
    let minority: Vec<_> = by_digest.into_values().flatten().collect();
    let exact = is_deterministic(&job.class_id);
    verdict.minority = minority.iter().map(|(a, _)| a.provider_id).collect();
    for (mut a, row) in minority {
        let evidence = &row.output_digest;
        let penalty = Penalty { ppm: slash_wrong_ppm, reason: SlashReason::WrongResult, evidence };
        jobs::fail(ctx, &mut a, Reason::WrongResult, evidence, exact.then_some(penalty))?;
    }

    let result = winners.first().and_then(|(_, row)| row.reveal.clone()).unwrap_or_default();
    verdict.outcome = Outcome::Accepted.into();
    verdict.output_digest = digest.clone();
    verdict.winners = winners.iter().map(|(a, _)| a.provider_id).collect();
    verdict.votes = u32::try_from(winners.len()).unwrap_or(u32::MAX);
    verdict.locations = locations(&winners);
    verdict.result = Some(result.clone());
    let locations = verdict.locations.clone();
    tell(ctx, verdict)?;
    let replicas: Vec<u32> = winners.iter().map(|(a, _)| a.replica).collect();
    settle::accept(
        ctx,
        job,
        &replicas,
        Accepted {
            succeeded: succeeded(&result),
            output_cid: &result.output_cid,
            digest: &digest,
            locations: &locations,
        },
    )
}

/// Whether a result is that of a program that did what it should.
fn succeeded(result: &Reveal) -> bool {
    result.exit_kind() == ExitKind::Exit && result.exit_code == 0
}

/// Whether honest machines of a class give the same bytes, so that another result can only be a fault.
fn is_deterministic(class: &str) -> bool {
    // Ids say so themselves, and parsing takes nothing but ids.
    class.parse::<ClassId>().is_ok_and(|id| id.as_str().starts_with("wasm-"))
}

/// What the winners say about where the output is: each one's in turn, none twice, not too many.
fn locations(winners: &[(Assignment, Submission)]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let all = winners.iter().flat_map(|(_, row)| row.reveal.iter().flat_map(|reveal| &reveal.locations));
    all.filter(|location| seen.insert(*location)).take(MAX_LOCATIONS).cloned().collect()
}

fn tell(ctx: &mut dyn Ctx, verdict: Verdict) -> Result<()> {
    emit(
        ctx,
        MarketEvent::Verdict {
            job: verdict.job_id,
            attempt: verdict.attempt,
            outcome: verdict.outcome(),
            digest: &verdict.output_digest,
            votes: verdict.votes,
        },
    );
    Ok(VERDICTS.set(ctx, verdict.job_id, &verdict.into())?)
}
