//! `MsgRemoveOffer`: an offer is withdrawn; its assignments in flight go on.

use gantry_core::{Address, Handler, Result, TxCtx};
use gantry_event::{MarketEvent, emit};
use gantry_proto::gantry::provider::v1::{MsgRemoveOffer, MsgRemoveOfferResponse};

use crate::{
    ProviderError,
    keeper::{offer, require_operator, save_offer},
};

/// Withdraws an offer.
pub(crate) struct RemoveOffer;

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
