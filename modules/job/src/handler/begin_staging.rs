use gantry_core::{Address, Handler, Result, TxCtx};
use gantry_proto::gantry::job::v1::{AssignmentState, MsgBeginStaging, MsgBeginStagingResponse};

use super::signer;
use crate::keeper::{advance, assigned, now_ms};

/// The worker has begun to fetch the module and the inputs.
pub struct BeginStaging;

impl Handler for BeginStaging {
    type Msg = MsgBeginStaging;
    type Response = MsgBeginStagingResponse;

    fn signers(msg: &MsgBeginStaging) -> Result<Vec<Address>> {
        signer(&msg.operator)
    }

    fn execute(ctx: &mut TxCtx<'_>, msg: &MsgBeginStaging) -> Result<MsgBeginStagingResponse> {
        let operator = Address::parse(&msg.operator)?;
        let (_, mut a) = assigned(ctx, &operator, (msg.job_id, msg.attempt, msg.replica))?;
        a.staging_time_ms = now_ms(ctx)?;
        advance(ctx, &mut a, AssignmentState::Staging, "staging")?;
        Ok(MsgBeginStagingResponse {})
    }
}
