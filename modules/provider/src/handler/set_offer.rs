//! `MsgSetOffer`: a new offer, or another price, capacity or description of one.

use gantry_core::{Address, Coin, Ctx, Handler, Result, TxCtx, sdk};
use gantry_event::{MarketEvent, emit};
use gantry_proto::gantry::provider::v1::{HardwareClass, MsgSetOffer, MsgSetOfferResponse};

use crate::{
    Offer, ProviderError,
    keeper::{class_of, offer, offers_of, params, register_class, require_operator, save, save_offer},
    types::attributes_of_offer,
};

/// Most slots of one offer.
const MAX_CAPACITY: u32 = 10_000;
const MAX_REGION: usize = 32;

/// Creates or replaces an offer.
pub(crate) struct SetOffer;

fn invalid(field: &'static str, why: impl Into<String>) -> gantry_core::Error {
    ProviderError::Invalid { field, why: why.into() }.into()
}

fn hardware(msg: &MsgSetOffer) -> Result<&HardwareClass> {
    msg.hardware.as_ref().ok_or_else(|| invalid("hardware", "it is missing"))
}

impl Handler for SetOffer {
    type Msg = MsgSetOffer;
    type Response = MsgSetOfferResponse;

    fn signers(msg: &Self::Msg) -> Result<Vec<Address>> {
        Ok(vec![Address::parse(&msg.operator)?])
    }

    fn check(msg: &Self::Msg) -> Result<()> {
        class_of(hardware(msg)?)?;
        if !(1..=MAX_CAPACITY).contains(&msg.capacity) {
            return Err(invalid("capacity", format!("it must be from 1 to {MAX_CAPACITY}")));
        }
        if Coin::from_field(msg.ask_per_second.as_ref(), "ask_per_second")?.is_zero() {
            return Err(invalid("ask_per_second", "it must be positive"));
        }
        let region = &msg.region;
        if region.len() > MAX_REGION || !region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(invalid("region", "it may have up to 32 letters, digits and '-'"));
        }
        attributes_of_offer(&msg.attributes, region).map(drop).map_err(|why| invalid("attributes", why))
    }

    fn execute(ctx: &mut TxCtx<'_>, msg: &Self::Msg) -> Result<Self::Response> {
        let mut provider = require_operator(ctx, &Address::parse(&msg.operator)?)?;
        let class = register_class(ctx, hardware(msg)?)?;
        let (offer_id, in_use) = if msg.offer_id == 0 {
            let most = params(ctx)?.max_offers;
            if u32::try_from(offers_of(ctx, provider.id)?.len()).map_or(true, |have| have >= most) {
                return Err(ProviderError::TooManyOffers(most).into());
            }
            let id = provider.next_offer_id;
            provider.next_offer_id = id.checked_add(1).ok_or_else(|| sdk::logic("offer ids are exhausted"))?;
            (id, 0)
        } else {
            let old = offer(ctx, provider.id, msg.offer_id)?;
            if old.capacity == 0 {
                // Withdrawn: it only waits for its assignments.
                return Err(ProviderError::OfferNotFound { provider_id: provider.id, offer_id: msg.offer_id }.into());
            }
            let in_use = |why| ProviderError::OfferInUse { offer_id: msg.offer_id, in_use: old.in_use, why };
            if msg.capacity < old.in_use {
                return Err(in_use("its capacity cannot be less").into());
            }
            // The assignments were drawn for the class.
            if old.in_use > 0 && old.class != class {
                return Err(in_use("its class cannot change").into());
            }
            (msg.offer_id, old.in_use)
        };
        let offer = Offer {
            provider_id: provider.id,
            offer_id,
            class,
            capacity: msg.capacity,
            in_use,
            ask_per_second: Coin::from_field(msg.ask_per_second.as_ref(), "ask_per_second")?,
            attributes: attributes_of_offer(&msg.attributes, &msg.region).map_err(|why| invalid("attributes", why))?,
            region: msg.region.clone(),
            // Setting an offer anew says that it is meant.
            strikes: 0,
            set_height: ctx.block().height,
        };
        save_offer(ctx, &offer)?;
        let class_id = offer.class.to_string();
        emit(ctx, MarketEvent::OfferSet { provider: provider.id, offer: offer_id, class: &class_id });
        save(ctx, provider)?;
        Ok(MsgSetOfferResponse { offer_id, class_id })
    }
}
