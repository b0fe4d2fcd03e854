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
#[derive(Clone, Copy, Debug)]
pub struct SetOffer;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        keeper,
        testing::{Chain, MIN_BOND, address, code, coins, offer as message},
    };
    use gantry_matching::Attribute as Known;
    use gantry_proto::gantry::provider::v1::{Attribute, HardwareKind, MsgRemoveOffer};

    fn ready() -> Chain {
        let mut chain = Chain::new();
        chain.register(1, MIN_BOND).unwrap();
        chain
    }

    #[test]
    fn an_offer_registers_its_class_once() {
        let mut chain = ready();
        let response = chain.run::<SetOffer>(&message(1, 0, 2)).unwrap();
        assert_eq!((response.offer_id, response.class_id.as_str()), (1, "wasm-48-x86_64"));
        assert_eq!(chain.set_offer(1, 0, 3).unwrap(), 2);
        let registry = keeper::class_registry(&chain.state).unwrap();
        assert_eq!(registry.iter().count(), 1);
        assert_eq!(registry.iter().next().unwrap().attributes.get(Known::RuntimeMajor), Some(48));
        let offer = keeper::offer(&chain.state, 1, 1).unwrap();
        assert_eq!(offer.attributes.get(Known::CpuCores), Some(4));
        assert_eq!(registry.show(Known::Region, offer.attributes.get(Known::Region).unwrap()), "eu-west");
        // The owner may act as operator.
        let by_owner = MsgSetOffer { operator: address(1).to_string(), ..message(1, 0, 1) };
        chain.run::<SetOffer>(&by_owner).unwrap();
        assert_eq!(code(chain.set_offer(1, 0, 1)), 14);
    }

    #[test]
    fn setting_anew_forgives_strikes_and_respects_what_is_in_use() {
        let mut chain = ready();
        chain.set_offer(1, 0, 3).unwrap();
        for _ in 0..2 {
            chain.keep(|ctx| keeper::take_slot(ctx, 1, 1)).unwrap();
        }
        chain.keep(|ctx| keeper::strike(ctx, 1, 1)).unwrap();
        assert_eq!(keeper::offer(&chain.state, 1, 1).unwrap().strikes, 1);
        assert_eq!(code(chain.set_offer(1, 1, 1)), 15);
        let mut other = message(1, 1, 5);
        other.hardware.as_mut().unwrap().runtime_major = 49;
        assert_eq!(code(chain.run::<SetOffer>(&other)), 15);
        chain.height = 8;
        chain.set_offer(1, 1, 2).unwrap();
        let offer = keeper::offer(&chain.state, 1, 1).unwrap();
        assert_eq!((offer.strikes, offer.in_use, offer.capacity, offer.set_height), (0, 2, 2, 8));
        assert_eq!(code(chain.keep(|ctx| keeper::take_slot(ctx, 1, 1))), 16);
        for _ in 0..2 {
            chain.keep(|ctx| keeper::free_slot(ctx, 1, 1)).unwrap();
        }
        chain.run::<SetOffer>(&other).unwrap();
        assert_eq!(keeper::offer(&chain.state, 1, 1).unwrap().class.as_str(), "wasm-49-x86_64");
    }

    #[test]
    fn ids_are_never_used_again() {
        let mut chain = ready();
        assert_eq!(chain.set_offer(1, 0, 1).unwrap(), 1);
        let remove = MsgRemoveOffer { operator: address(1).to_string(), offer_id: 1 };
        chain.run::<crate::RemoveOffer>(&remove).unwrap();
        assert_eq!(chain.set_offer(1, 0, 1).unwrap(), 2);
        assert_eq!(code(chain.set_offer(1, 1, 1)), 13);
        assert_eq!(code(chain.set_offer(1, 7, 1)), 13);
    }

    #[test]
    fn bad_offers_are_refused() {
        let mut chain = ready();
        let attribute = |name: &str| Attribute { name: name.to_owned(), value: 1 };
        let gpu = HardwareClass { kind: HardwareKind::Gpu.into(), arch: "ampere".to_owned(), ..Default::default() };
        let good = || message(1, 0, 1);
        for msg in [
            MsgSetOffer { capacity: 0, ..good() },
            MsgSetOffer { capacity: MAX_CAPACITY + 1, ..good() },
            MsgSetOffer { ask_per_second: coins(0), ..good() },
            MsgSetOffer { hardware: None, ..good() },
            MsgSetOffer { hardware: Some(HardwareClass::default()), ..good() },
            MsgSetOffer { hardware: Some(gpu), ..good() },
            MsgSetOffer { region: "r".repeat(33), ..good() },
            MsgSetOffer { region: "eu west".to_owned(), ..good() },
            MsgSetOffer { attributes: vec![attribute("vram")], ..good() },
            MsgSetOffer { attributes: vec![attribute("vram_mib")], ..good() },
            MsgSetOffer { attributes: vec![attribute("region")], ..good() },
            MsgSetOffer { attributes: vec![attribute("disk_mib"), attribute("disk_mib")], ..good() },
        ] {
            assert_eq!(code(chain.run::<SetOffer>(&msg)), 7, "{msg:?}");
        }
        chain.run::<SetOffer>(&MsgSetOffer { ask_per_second: None, ..good() }).unwrap_err();
        assert_eq!(code(chain.set_offer(2, 0, 1)), 4);
        assert!(keeper::class_registry(&chain.state).unwrap().iter().next().is_none());
    }
}
