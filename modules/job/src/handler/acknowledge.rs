use gantry_core::{Address, Ctx, Handler, Result, TxCtx};
use gantry_proto::gantry::job::v1::{AssignmentState, MsgAcknowledge, MsgAcknowledgeResponse};
use gantry_reputation::{Outcome, keeper as reputation};

use super::signer;
use crate::{
    keeper::{advance, assigned, now_ms, save, schedule},
    types::{Task, ms},
};

/// A drawn worker takes the assignment: the time to stage begins.
pub struct Acknowledge;

impl Handler for Acknowledge {
    type Msg = MsgAcknowledge;
    type Response = MsgAcknowledgeResponse;

    fn signers(msg: &MsgAcknowledge) -> Result<Vec<Address>> {
        signer(&msg.operator)
    }

    fn execute(ctx: &mut TxCtx<'_>, msg: &MsgAcknowledge) -> Result<MsgAcknowledgeResponse> {
        let operator = Address::parse(&msg.operator)?;
        let (mut job, mut a) = assigned(ctx, &operator, (msg.job_id, msg.attempt, msg.replica))?;
        let now = now_ms(ctx)?;
        a.acked_height = ctx.block().height;
        a.acked_time_ms = now;
        advance(ctx, &mut a, AssignmentState::Acked, "acknowledging")?;
        reputation::record(ctx, a.provider_id, Outcome::Acknowledged)?;
        schedule(ctx, now.saturating_add(ms(job.timeouts().staging_seconds)), Task::Staging(a.key()))?;
        save(ctx, &mut job)?;
        Ok(MsgAcknowledgeResponse {})
    }
}
