//! From the commitment to the money.

use gantry_core::{Ctx, Result};
use gantry_escrow::keeper as escrow;
use gantry_event::{MarketEvent, emit};
use gantry_proto::gantry::job::v1::{AssignmentState, Reason};
use gantry_provider::keeper as provider;
use gantry_reputation::{Outcome, keeper as reputation};
use gantry_store::Order;

use crate::{
    keeper::{self, advance, assignments, end, fail, finish, save, want_no_more},
    state::ASSIGNMENTS,
    table::is_committed,
    types::{Assignment, Job, cost},
};

/// A result that was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// Whether the program itself succeeded. If not, its workers are paid and the job fails.
    pub succeeded: bool,
    /// CID of the output folder; may be empty where the program failed.
    pub output_cid: &'a str,
    /// What was agreed on.
    pub digest: &'a [u8],
    /// Where the output can be fetched from.
    pub locations: &'a [String],
}

/// Binds a result: billing stops, and what was earned so far is set aside as a cap.
///
/// # Errors
/// Unless the assignment runs.
pub fn commit(ctx: &mut dyn Ctx, job: &Job, a: &mut Assignment) -> Result<()> {
    a.committed_time_ms = keeper::now_ms(&*ctx)?;
    a.committed_height = ctx.block().height;
    advance(ctx, a, AssignmentState::Committed, "committing")?;
    // The job stays as it is, at work; the verifier says what follows from this.
    escrow::accrue(ctx, job.id, earned(job, a.run_ms())).map(drop)
}

/// Sets the height at which commitments close; nobody is replaced any more.
pub fn open_commit_window(ctx: &mut dyn Ctx, job: &mut Job, close_height: u64) -> Result<()> {
    job.commit_close_height = close_height;
    want_no_more(ctx, job.id)?;
    save(ctx, job)
}

/// Closes commitments: whoever has not committed is too late, and reveals are open until `reveal_close_height`.
pub fn close_commitments(ctx: &mut dyn Ctx, job: &mut Job, reveal_close_height: u64) -> Result<()> {
    for mut a in keeper::live(&*ctx, job)?.into_iter().filter(|a| !is_committed(a.state)) {
        fail(ctx, &mut a, Reason::CommitLate, &[], None)?;
    }
    want_no_more(ctx, job.id)?;
    job.commit_close_height = ctx.block().height;
    job.reveal_close_height = reveal_close_height;
    save(ctx, job)
}

/// Opens a commitment.
///
/// # Errors
/// Unless the assignment has committed.
pub fn reveal(ctx: &mut dyn Ctx, a: &mut Assignment) -> Result<()> {
    a.revealed_height = ctx.block().height;
    advance(ctx, a, AssignmentState::Revealed, "revealing")
}

/// Pays the winners and ends the job. Everyone else of the attempt has been failed before.
///
/// Each winner gets `price x min(own time, median of the winners' times)`, floored, at most its share.
pub fn accept(ctx: &mut dyn Ctx, job: &mut Job, winners: &[u32], result: Accepted<'_>) -> Result<()> {
    let mut won = assignments(&*ctx, job.id, job.attempt)?;
    won.retain(|a| winners.contains(&a.replica));
    let median = median(won.iter().map(Assignment::run_ms).collect());
    for a in &mut won {
        pay(ctx, job, a, earned(job, a.run_ms().min(median)))?;
        finish(ctx, a, AssignmentState::Settled, Reason::Unspecified, &[])?;
        provider::clear_strikes(ctx, a.provider_id, a.offer_id)?;
        reputation::record(ctx, a.provider_id, Outcome::Completed)?;
    }
    refute_reports(ctx, job.id)?;
    job.output_cid = result.output_cid.to_owned();
    job.output_digest = result.digest.to_vec();
    job.output_locations = result.locations.to_vec();
    let (reason, evidence) =
        if result.succeeded { (Reason::Unspecified, &[][..]) } else { (Reason::ProgramFailed, result.digest) };
    end(ctx, job, reason, evidence)
}

/// Whether a module is valid is the same everywhere, so a verdict shows who said falsely that it is not. Content may well
/// have been out of reach for one worker alone.
fn refute_reports(ctx: &mut dyn Ctx, job: u64) -> Result<()> {
    let rows = ASSIGNMENTS.prefix(&*ctx, job, Order::Ascending)?;
    let all = rows.map(|row| Ok(row?.1)).collect::<Result<Vec<Assignment>>>()?;
    for a in all.iter().filter(|a| a.reason() == Reason::InvalidModule) {
        reputation::record(ctx, a.provider_id, Outcome::Failed)?;
    }
    Ok(())
}

/// Pays everyone who acknowledged for the time since, staging and run alike, and lets go of them; for a job that its
/// renter cancels.
pub(crate) fn pay_cancelled(ctx: &mut dyn Ctx, job: &Job) -> Result<()> {
    let now = keeper::now_ms(&*ctx)?;
    for mut a in keeper::live(&*ctx, job)?.into_iter().filter(|a| a.acked_height > 0) {
        let ms = now.saturating_sub(a.acked_time_ms);
        pay(ctx, job, &mut a, cancelled(job, ms))?;
        ASSIGNMENTS.set(ctx, a.key(), &a)?;
    }
    Ok(())
}

/// What a run of this length earns.
fn earned(job: &Job, ms: u64) -> u128 {
    cost(job.price_per_second, ms.min(job.terms.max_run_ms)).min(job.terms.replica_cap())
}

/// What a worker is paid for this time between acknowledgement and cancelling.
fn cancelled(job: &Job, ms: u64) -> u128 {
    cost(job.price_per_second, ms).min(job.terms.replica_cap())
}

/// The middle one; the lower of two.
fn median(mut times: Vec<u64>) -> u64 {
    times.sort_unstable();
    times.get(times.len().saturating_sub(1) / 2).copied().unwrap_or(0)
}

fn pay(ctx: &mut dyn Ctx, job: &Job, a: &mut Assignment, amount: u128) -> Result<()> {
    if amount == 0 {
        return Ok(());
    }
    let owner = provider::get(&*ctx, a.provider_id)?.owner;
    let released = escrow::release(ctx, job.id, &owner, amount)?;
    a.paid = a.paid.saturating_add(released.net.amount());
    emit(ctx, MarketEvent::Settled { job: job.id, provider: a.provider_id, net: &released.net, fee: &released.fee });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle_or_the_lower_of_two() {
        assert_eq!(median(vec![]), 0);
        assert_eq!(median(vec![5]), 5);
        assert_eq!(median(vec![9, 2]), 2);
        assert_eq!(median(vec![9, 2, 5]), 5);
        assert_eq!(median(vec![9, 2, 5, 7]), 5);
    }
}
