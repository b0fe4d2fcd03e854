use gantry_core::{Address, Ctx, Handler, Result, TxCtx};
use gantry_job::{keeper as jobs, settle};
use gantry_proto::gantry::{
    job::v1::{AssignmentState, Reason},
    verifier::v1::{MsgCommitResult, MsgCommitResultResponse, Submission},
};

use super::hash;
use crate::{
    errors::VerifierError,
    keeper::{committed, first_submission},
    state::SUBMISSIONS,
};

/// Binds a worker to its result before anyone's result is known; its billing stops.
pub struct CommitResult;

impl Handler for CommitResult {
    type Msg = MsgCommitResult;
    type Response = MsgCommitResultResponse;

    fn signers(msg: &MsgCommitResult) -> Result<Vec<Address>> {
        Ok(vec![Address::parse(&msg.operator)?])
    }

    fn check(msg: &MsgCommitResult) -> Result<()> {
        hash("commitment", &msg.commitment).map(|_| ())
    }

    fn execute(ctx: &mut TxCtx<'_>, msg: &MsgCommitResult) -> Result<MsgCommitResultResponse> {
        let operator = Address::parse(&msg.operator)?;
        let (mut job, mut a) = jobs::assigned(ctx, &operator, (msg.job_id, msg.attempt, msg.replica))?;
        if matches!(a.state, AssignmentState::Committed | AssignmentState::Revealed) {
            return Err(VerifierError::AlreadyCommitted { job: job.id, replica: a.replica }.into());
        }
        if a.reason() == Reason::CommitLate {
            return Err(VerifierError::CommitTooLate(job.id).into());
        }
        settle::commit(ctx, &job, &mut a)?;
        first_submission(ctx, job.id)?;
        let row = Submission {
            job_id: job.id,
            attempt: a.attempt,
            replica: a.replica,
            provider_id: a.provider_id,
            commitment: msg.commitment.clone(),
            committed_height: ctx.block().height,
            committed_time_ms: a.committed_time_ms,
            reveal: None,
            revealed_height: 0,
            output_digest: Vec::new(),
        };
        SUBMISSIONS.set(ctx, a.key(), &row.into())?;
        committed(ctx, &mut job)?;
        Ok(MsgCommitResultResponse {})
    }
}
