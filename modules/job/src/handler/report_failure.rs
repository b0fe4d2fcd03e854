use gantry_core::{Address, Handler, Result, TxCtx};
use gantry_proto::gantry::job::v1::{AssignmentState, MsgReportFailure, MsgReportFailureResponse, Reason};

use super::signer;
use crate::{
    errors::JobError,
    keeper::{assigned, fail, illegal, replace},
    table::{self, REPORTABLE},
};

/// The worker gives up. It costs no bond; the worker is replaced, until as many as a verdict needs say that the job
/// itself is at fault.
pub struct ReportFailure;

/// Longest evidence: a hash.
const MAX_EVIDENCE: usize = 32;

impl Handler for ReportFailure {
    type Msg = MsgReportFailure;
    type Response = MsgReportFailureResponse;

    fn signers(msg: &MsgReportFailure) -> Result<Vec<Address>> {
        signer(&msg.operator)
    }

    fn check(msg: &MsgReportFailure) -> Result<()> {
        if !REPORTABLE.contains(&msg.reason()) {
            let name =
                Reason::try_from(msg.reason).map_or_else(|_| msg.reason.to_string(), |r| r.as_str_name().to_owned());
            return Err(JobError::BadReason(name).into());
        }
        if msg.evidence.len() > MAX_EVIDENCE {
            let have = msg.evidence.len() as u64;
            return Err(JobError::TooMany { what: "bytes of evidence", have, most: MAX_EVIDENCE as u64 }.into());
        }
        Ok(())
    }

    fn execute(ctx: &mut TxCtx<'_>, msg: &MsgReportFailure) -> Result<MsgReportFailureResponse> {
        let operator = Address::parse(&msg.operator)?;
        let (mut job, mut a) = assigned(ctx, &operator, (msg.job_id, msg.attempt, msg.replica))?;
        if table::step(table::ASSIGNMENT, a.state, AssignmentState::Failed, msg.reason()).is_none() {
            return Err(illegal(&a, "reporting that"));
        }
        fail(ctx, &mut a, msg.reason(), &msg.evidence, None)?;
        replace(ctx, &mut job)?;
        Ok(MsgReportFailureResponse {})
    }
}
