use gantry_core::{Address, Ctx, Handler, Result, TxCtx};
use gantry_proto::gantry::job::v1::{AssignmentState, MsgBeginRun, MsgBeginRunResponse};

use super::signer;
use crate::{
    keeper::{advance, assigned, now_ms, schedule},
    types::Task,
};

/// The program runs: billing starts, and the time to commit begins.
pub struct BeginRun;

impl Handler for BeginRun {
    type Msg = MsgBeginRun;
    type Response = MsgBeginRunResponse;

    fn signers(msg: &MsgBeginRun) -> Result<Vec<Address>> {
        signer(&msg.operator)
    }

    fn execute(ctx: &mut TxCtx<'_>, msg: &MsgBeginRun) -> Result<MsgBeginRunResponse> {
        let operator = Address::parse(&msg.operator)?;
        let (job, mut a) = assigned(ctx, &operator, (msg.job_id, msg.attempt, msg.replica))?;
        let now = now_ms(ctx)?;
        a.running_height = ctx.block().height;
        a.running_time_ms = now;
        advance(ctx, &mut a, AssignmentState::Running, "running")?;
        schedule(ctx, now.saturating_add(job.terms.max_run_ms), Task::Execution(a.key()))?;
        Ok(MsgBeginRunResponse {})
    }
}
