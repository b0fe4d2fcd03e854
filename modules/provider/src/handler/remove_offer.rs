//! `MsgRemoveOffer`: an offer is withdrawn; its assignments in flight go on.

use gantry_core::{Address, Handler, Result, TxCtx};
use gantry_event::{MarketEvent, emit};
use gantry_proto::gantry::provider::v1::{MsgRemoveOffer, MsgRemoveOfferResponse};

use crate::{
    ProviderError,
    keeper::{offer, require_operator, save_offer},
};

/// Withdraws an offer.
#[derive(Clone, Copy, Debug)]
pub struct RemoveOffer;

impl Handler for RemoveOffer {
    type Msg = MsgRemoveOffer;
    type Response = MsgRemoveOfferResponse;

    fn signers(msg: &Self::Msg) -> Result<Vec<Address>> {
        Ok(vec![Address::parse(&msg.operator)?])
    }

    fn execute(ctx: &mut TxCtx<'_>, msg: &Self::Msg) -> Result<Self::Response> {
        let provider = require_operator(ctx, &Address::parse(&msg.operator)?)?;
        let mut offer = offer(ctx, provider.id, msg.offer_id)?;
        if offer.capacity == 0 {
            return Err(ProviderError::OfferNotFound { provider_id: provider.id, offer_id: msg.offer_id }.into());
        }
        // The row stays until the last slot is free.
        offer.capacity = 0;
        save_offer(ctx, &offer)?;
        emit(ctx, MarketEvent::OfferRemoved { provider: provider.id, offer: msg.offer_id });
        Ok(MsgRemoveOfferResponse {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        keeper,
        testing::{Chain, MIN_BOND, address, code},
    };

    #[test]
    fn assignments_in_flight_outlive_the_offer() {
        let mut chain = Chain::new();
        chain.register(1, MIN_BOND).unwrap();
        chain.set_offer(1, 0, 2).unwrap();
        chain.keep(|ctx| keeper::take_slot(ctx, 1, 1)).unwrap();
        let remove = |n: u8, offer_id| MsgRemoveOffer { operator: address(n).to_string(), offer_id };
        assert_eq!(code(chain.run::<RemoveOffer>(&remove(2, 1))), 4);
        assert_eq!(code(chain.run::<RemoveOffer>(&remove(10, 2))), 13);
        chain.run::<RemoveOffer>(&remove(10, 1)).unwrap();

        let offer = keeper::offer(&chain.state, 1, 1).unwrap();
        assert_eq!((offer.capacity, offer.in_use), (0, 1));
        assert_eq!(code(chain.keep(|ctx| keeper::take_slot(ctx, 1, 1))), 16);
        assert_eq!(code(chain.run::<RemoveOffer>(&remove(10, 1))), 13);
        assert_eq!(code(chain.set_offer(1, 1, 1)), 13);

        chain.keep(|ctx| keeper::free_slot(ctx, 1, 1)).unwrap();
        assert_eq!(code(keeper::offer(&chain.state, 1, 1)), 13);
        // What comes late finds nothing, and breaks nothing.
        chain.keep(|ctx| keeper::strike(ctx, 1, 1)).unwrap();
        chain.keep(|ctx| keeper::clear_strikes(ctx, 1, 1)).unwrap();
        assert!(keeper::offers_of(&chain.state, 1).unwrap().is_empty());
    }
}
