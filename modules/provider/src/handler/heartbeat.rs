//! `MsgHeartbeat`: all offers of a provider are alive. One counts for each epoch.

use gantry_core::{Address, Ctx, Handler, Result, TxCtx};
use gantry_event::{MarketEvent, emit};
use gantry_proto::gantry::provider::v1::{MsgHeartbeat, MsgHeartbeatResponse};
use gantry_reputation::{Outcome, keeper as reputation};

use crate::{
    ProviderError,
    keeper::{epochs_since, is_alive, params, require_operator, save},
};

/// Says that a provider is alive.
pub(crate) struct Heartbeat;

impl Handler for Heartbeat {
    type Msg = MsgHeartbeat;
    type Response = MsgHeartbeatResponse;

    fn signers(msg: &Self::Msg) -> Result<Vec<Address>> {
        Ok(vec![Address::parse(&msg.operator)?])
    }

    fn execute(ctx: &mut TxCtx<'_>, msg: &Self::Msg) -> Result<Self::Response> {
        let mut provider = require_operator(ctx, &Address::parse(&msg.operator)?)?;
        let params = params(ctx)?;
        let height = ctx.block().height;
        let length = params.heartbeat_epoch_blocks.max(1);
        let next_height = (height / length).saturating_add(1).saturating_mul(length);

        let is_first = provider.last_heartbeat_height == 0;
        let elapsed = epochs_since(&provider, height, &params);
        if !is_first && elapsed == 0 {
            return Err(ProviderError::HeartbeatTooEarly(next_height).into());
        }
        // Before the first one nothing was promised, so nothing was missed.
        let missed = if is_first { 0 } else { elapsed.saturating_sub(1) };
        let was_alive = is_alive(&provider, height, &params);
        reputation::record(ctx, provider.id, Outcome::Heartbeat { missed })?;
        if !was_alive && !is_first {
            reputation::record(ctx, provider.id, Outcome::Downtime)?;
        }
        if !was_alive {
            // It comes back into draws, of which the seed must not be known yet.
            provider.admitted_height = height;
        }
        provider.last_heartbeat_height = height;
        emit(ctx, MarketEvent::Heartbeat { provider: provider.id, missed });
        save(ctx, provider)?;
        Ok(MsgHeartbeatResponse { next_height })
    }
}
