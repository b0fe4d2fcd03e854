//! `MsgHeartbeat`: all offers of a provider are alive. One counts for each epoch.

use gantry_core::{Address, Ctx, Handler, Result, TxCtx};
use gantry_event::{MarketEvent, emit};
use gantry_proto::gantry::provider::v1::{MsgHeartbeat, MsgHeartbeatResponse};
use gantry_reputation::{Outcome, keeper as reputation};

use crate::{
    ProviderError,
    keeper::{epochs_since, heartbeat_due, is_alive, params, require_operator, save},
};

/// Says that a provider is alive.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat;

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
        if !heartbeat_due(&provider, height, &params) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        keeper::market_offers,
        testing::{Chain, MIN_BOND, code},
    };

    // Epochs of 10 blocks, grace of 3.
    fn fresh(chain: &Chain) -> Vec<bool> {
        market_offers(&chain.state, chain.height).unwrap().iter().map(|o| o.fresh).collect()
    }

    #[test]
    fn one_counts_for_each_epoch() {
        let mut chain = Chain::new();
        let id = chain.register(1, MIN_BOND).unwrap();
        chain.height = 13;
        assert_eq!(chain.heartbeat(1).unwrap(), 20);
        chain.height = 19;
        assert_eq!(code(chain.heartbeat(1)), 17);
        chain.height = 20;
        assert_eq!(chain.heartbeat(1).unwrap(), 30);
        assert_eq!(chain.provider(id).last_heartbeat_height, 20);
        assert_eq!(code(chain.heartbeat(2)), 4);
    }

    #[test]
    fn offers_live_from_the_first_heartbeat_until_the_grace_is_over() {
        let mut chain = Chain::new();
        let id = chain.register(1, MIN_BOND).unwrap();
        chain.set_offer(1, 0, 1).unwrap();
        chain.height = 5;
        assert_eq!(fresh(&chain), [false]);
        chain.heartbeat(1).unwrap();
        // Draws see it two blocks later.
        assert!(fresh(&chain).is_empty());
        chain.height = 6;
        assert!(fresh(&chain).is_empty());
        chain.height = 7;
        assert_eq!(fresh(&chain), [true]);
        chain.height = 39;
        assert_eq!(fresh(&chain), [true]);
        chain.height = 40;
        assert_eq!(fresh(&chain), [false]);
        let before = reputation::score(&chain.state, id).unwrap();
        chain.heartbeat(1).unwrap();
        assert_eq!(chain.provider(id).admitted_height, 40);
        // Three epochs missed, and the downtime on top.
        assert!(reputation::score(&chain.state, id).unwrap() + 50 < before);
    }

    #[test]
    fn uptime_is_recorded_and_misses_count() {
        let mut chain = Chain::new();
        let id = chain.register(1, MIN_BOND).unwrap();
        let record = |chain: &Chain| reputation::record_of(&chain.state, id).unwrap();
        chain.height = 100;
        chain.heartbeat(1).unwrap();
        // Nothing was missed before the first.
        let first = record(&chain);
        assert_eq!(first.uptime_all - first.uptime_good, 980_000);
        chain.height = 120;
        chain.heartbeat(1).unwrap();
        let second = record(&chain);
        // One epoch without, then one with: 0.98^2 of what was bad, and the new miss faded once.
        assert_eq!(second.uptime_all - second.uptime_good, 941_192 + 980_000);
        assert_eq!(second.penalty, 0);
        assert_eq!(chain.provider(id).admitted_height, 100);
    }
}
