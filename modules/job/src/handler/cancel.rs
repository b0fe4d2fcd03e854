use gantry_core::{Address, Handler, Result, TxCtx};
use gantry_proto::gantry::job::v1::{MsgCancelJob, MsgCancelJobResponse, Reason};

use super::signer;
use crate::{
    errors::JobError,
    keeper::{self, end, has_commitment},
    settle::pay_cancelled,
};

/// Cancels a job; those that wait for it are cancelled after it.
///
/// Free before an acknowledgement. After it, each worker who acknowledged gets `price x time since its acknowledgement`
/// (staging and run alike), at most its share of what is locked. Refused from the first commitment on.
pub struct CancelJob;

impl Handler for CancelJob {
    type Msg = MsgCancelJob;
    type Response = MsgCancelJobResponse;

    fn signers(msg: &MsgCancelJob) -> Result<Vec<Address>> {
        signer(&msg.renter)
    }

    fn execute(ctx: &mut TxCtx<'_>, msg: &MsgCancelJob) -> Result<MsgCancelJobResponse> {
        let mut job = keeper::get(ctx, msg.job_id)?;
        if job.renter != Address::parse(&msg.renter)? {
            return Err(JobError::NotRenter(job.id).into());
        }
        if job.is_ended() {
            return Err(JobError::Ended(job.id).into());
        }
        if has_commitment(ctx, &job)? {
            return Err(JobError::Committed(job.id).into());
        }
        pay_cancelled(ctx, &job)?;
        end(ctx, &mut job, Reason::CancelledByRenter, &[])?;
        Ok(MsgCancelJobResponse {})
    }
}
