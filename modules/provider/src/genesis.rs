//! Genesis: default, checks, import, export.

use std::collections::{BTreeMap, BTreeSet};

use gantry_core::{Address, Coin, Ctx, Result};
use gantry_matching::ClassId;
use gantry_proto::gantry::provider::v1::GenesisState;
use gantry_store::{KvRead, Order, Proto};

use crate::{
    Offer, Provider, ProviderError, Unbonding,
    handler::Profile,
    invariants,
    keeper::{self, MAX_UNBONDINGS, class_from_proto, save_unbonding},
    params::{default_params, min_bond, validate_params},
    state::{ADDRESSES, CLASSES, HELD, IDS, OFFERS, PARAMS, PROVIDERS, UNBONDINGS},
};

pub(crate) fn default() -> GenesisState {
    GenesisState { params: Some(default_params()), ..GenesisState::default() }
}

fn refuse<T>(why: impl std::fmt::Display) -> Result<T> {
    Err(ProviderError::Genesis(why.to_string()).into())
}

pub(crate) fn validate(state: &GenesisState) -> Result<()> {
    Rows::check(state).map(drop)
}

/// The rows of a genesis, if it is one.
#[derive(Default)]
struct Rows {
    providers: Vec<Provider>,
    offers: Vec<Offer>,
    unbondings: Vec<Unbonding>,
    /// All bonds and unbondings.
    held: u128,
}

impl Rows {
    fn check(state: &GenesisState) -> Result<Self> {
        let Some(params) = &state.params else { return refuse("params are missing") };
        validate_params(params)?;
        let bond_denom = min_bond(params)?;
        let mut rows = Self::default();

        let mut classes: BTreeSet<ClassId> = BTreeSet::new();
        for message in &state.classes {
            let class = class_from_proto(message).or_else(refuse)?;
            if classes.last().is_some_and(|last| *last >= class.id) {
                return refuse("classes must ascend by id");
            }
            classes.insert(class.id);
        }

        let mut next_offer_ids: BTreeMap<u64, u32> = BTreeMap::new();
        let mut addresses: BTreeSet<Address> = BTreeSet::new();
        for message in &state.providers {
            let provider = Provider::try_from(message.clone()).or_else(refuse)?;
            invariants::check_provider(&provider).or_else(refuse)?;
            Profile::parse(&message.owner, &message.moniker, &message.endpoints, &message.operators).or_else(refuse)?;
            let id = provider.id;
            if rows.providers.last().is_some_and(|last| last.id >= id) {
                return refuse("providers must ascend by id");
            }
            if provider.status != keeper::status_of(&provider, params)? {
                return refuse(format!("provider {id} has a status that does not follow from its bond"));
            }
            for address in std::iter::once(&provider.owner).chain(&provider.operators) {
                if !addresses.insert(address.clone()) {
                    return refuse(format!("{address} is named twice"));
                }
            }
            rows.hold(&provider.bond, &bond_denom)?;
            next_offer_ids.insert(id, provider.next_offer_id);
            rows.providers.push(provider);
        }

        for message in &state.offers {
            let offer = Offer::try_from(message.clone()).or_else(refuse)?;
            invariants::check_offer(&offer).or_else(refuse)?;
            if offer.ask_per_second.is_zero() {
                return refuse(format!("offer {} of provider {} asks for nothing", offer.offer_id, offer.provider_id));
            }
            let key = (offer.provider_id, offer.offer_id);
            if rows.offers.last().is_some_and(|last| (last.provider_id, last.offer_id) >= key) {
                return refuse("offers must ascend by provider_id and offer_id");
            }
            if next_offer_ids.get(&key.0).is_none_or(|next| key.1 >= *next) || !classes.contains(&offer.class) {
                return refuse(format!("offer {} of provider {} has no provider or no class", key.1, key.0));
            }
            rows.offers.push(offer);
        }

        let mut pending: BTreeMap<u64, usize> = BTreeMap::new();
        for message in &state.unbondings {
            let unbonding = Unbonding::try_from(message.clone()).or_else(refuse)?;
            let key = (unbonding.provider_id, unbonding.release_height);
            if rows.unbondings.last().is_some_and(|last| (last.provider_id, last.release_height) >= key) {
                return refuse("unbondings must ascend by provider_id and release_height");
            }
            let count = pending.entry(key.0).or_default();
            *count += 1;
            if unbonding.amount.is_zero() || *count > MAX_UNBONDINGS || !next_offer_ids.contains_key(&key.0) {
                return refuse(format!("unbonding of provider {} at {} cannot be", key.0, key.1));
            }
            rows.hold(&unbonding.amount, &bond_denom)?;
            rows.unbondings.push(unbonding);
        }
        Ok(rows)
    }

    fn hold(&mut self, amount: &Coin, bond_denom: &Coin) -> Result<()> {
        match self.held.checked_add(amount.amount()) {
            Some(held) if amount.denom() == bond_denom.denom() => {
                self.held = held;
                Ok(())
            }
            _ => refuse(format!("{amount} is not in the bond denom, or too much")),
        }
    }
}

/// Writes the state. The bank's genesis comes first: the module account must hold all bonds and unbondings.
pub(crate) fn init(ctx: &mut dyn Ctx, state: GenesisState) -> Result<()> {
    let rows = Rows::check(&state)?;
    let params = state.params.unwrap_or_else(default_params);
    let held = Coin::new(min_bond(&params)?.denom(), rows.held)?;
    PARAMS.set(ctx, &Proto(params))?;
    // Without providers a state has neither a total nor a next id.
    if let Some(last) = rows.providers.last() {
        let Some(next) = last.id.checked_add(1) else { return refuse("provider ids are exhausted") };
        IDS.set(ctx, next)?;
        HELD.set(ctx, &Proto(held.to_proto()))?;
    }
    for provider in rows.providers {
        for address in std::iter::once(&provider.owner).chain(&provider.operators) {
            ADDRESSES.set(ctx, address, &provider.id)?;
        }
        PROVIDERS.set(ctx, provider.id, &provider)?;
    }
    for offer in rows.offers {
        OFFERS.set(ctx, (offer.provider_id, offer.offer_id), &offer)?;
    }
    for unbonding in rows.unbondings {
        save_unbonding(ctx, unbonding)?;
    }
    for class in state.classes {
        CLASSES.set(ctx, class.id.clone(), &Proto(class))?;
    }
    invariants::account_holds(ctx).or_else(refuse)
}

pub(crate) fn export(state: &dyn KvRead) -> Result<GenesisState> {
    Ok(GenesisState {
        params: Some(keeper::params(state)?),
        providers: PROVIDERS.iter(state, Order::Ascending)?.map(|row| Ok((&row?.1).into())).collect::<Result<_>>()?,
        offers: OFFERS.iter(state, Order::Ascending)?.map(|row| Ok((&row?.1).into())).collect::<Result<_>>()?,
        unbondings: UNBONDINGS.iter(state, Order::Ascending)?.map(|row| Ok((&row?.1).into())).collect::<Result<_>>()?,
        classes: CLASSES.iter(state, Order::Ascending)?.map(|row| Ok(row?.1.0)).collect::<Result<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ProviderModule, STORE,
        testing::{Chain, MIN_BOND, code, coins},
    };
    use gantry_core::{BlockInfo, Empty, InitCtx, Module, QueryCtx};
    use gantry_store::{Overlay, StoreName};

    /// Two providers, one of them slashed, reserved, unbonding, with a withdrawn offer in use.
    fn used() -> Chain {
        let mut chain = Chain::new();
        chain.register(1, 3 * MIN_BOND).unwrap();
        chain.register(2, MIN_BOND).unwrap();
        chain.set_offer(1, 0, 2).unwrap();
        chain.set_offer(1, 0, 2).unwrap();
        chain.heartbeat(1).unwrap();
        chain.keep(|ctx| keeper::take_slot(ctx, 1, 1)).unwrap();
        chain.keep(|ctx| keeper::reserve_bond(ctx, 1, 700)).unwrap();
        chain.keep(|ctx| keeper::slash(ctx, 1, 200, true)).unwrap();
        let remove = gantry_proto::gantry::provider::v1::MsgRemoveOffer {
            operator: crate::testing::address(1).to_string(),
            offer_id: 1,
        };
        chain.run::<crate::RemoveOffer>(&remove).unwrap();
        chain.unbond(1, 10).unwrap();
        chain.advance_to(2);
        chain.unbond(1, 20).unwrap();
        chain.unbond(2, 1).unwrap();
        chain
    }

    fn rows(state: &Overlay<Empty>) -> BTreeMap<(StoreName, Vec<u8>), Vec<u8>> {
        let ours = state.changes().iter().filter(|(store, ..)| *store == STORE);
        ours.filter_map(|(store, key, value)| Some(((store, key.to_vec()), value?.to_vec()))).collect()
    }

    #[test]
    fn an_exported_state_imports_as_itself() {
        let (chain, block) = (used(), BlockInfo::default());
        let json = ProviderModule.export_genesis(&QueryCtx::new(&chain.state, &block)).unwrap();
        ProviderModule.validate_genesis(&json).unwrap();

        // Without its money the state is refused.
        let mut state = Overlay::new(Empty);
        ProviderModule.init_genesis(&mut InitCtx::new(&mut state, &block), &json).unwrap_err();
        let mut state = Overlay::new(Empty);
        let mut ctx = InitCtx::new(&mut state, &block);
        let held = Coin::base(4 * MIN_BOND - 200);
        gantry_bank::keeper::mint(&mut ctx, &Address::module(keeper::ACCOUNT), &held.into()).unwrap();
        ProviderModule.init_genesis(&mut ctx, &json).unwrap();
        for invariant in ProviderModule.invariants() {
            (invariant.check)(&state).unwrap();
        }
        assert_eq!(rows(&state), rows(&chain.state));
        assert!(rows(&state).len() > 15);
    }

    #[test]
    fn default_genesis_is_valid_and_exports_as_itself() {
        let block = BlockInfo::default();
        let mut state = Overlay::new(Empty);
        let json = ProviderModule.default_genesis();
        ProviderModule.validate_genesis(&json).unwrap();
        ProviderModule.init_genesis(&mut InitCtx::new(&mut state, &block), &json).unwrap();
        assert_eq!(ProviderModule.export_genesis(&QueryCtx::new(&state, &block)).unwrap(), json);
    }

    #[test]
    fn states_that_cannot_be_are_refused() {
        let good = export(&used().state).unwrap();
        validate(&good).unwrap();
        let broken: [fn(&mut GenesisState); 19] = [
            |s| s.providers[0].endpoints = vec!["nowhere".to_owned()],
            |s| s.offers[1].ask_per_second = coins(0),
            |s| s.params = None,
            |s| s.providers.swap(0, 1),
            |s| s.providers[0].reserved = "99999".to_owned(),
            |s| s.providers[0].reserved = "x".to_owned(),
            |s| s.providers[0].status = 2,
            |s| s.providers[0].status = 0,
            |s| s.providers[0].next_offer_id = 2,
            |s| s.providers[0].owner = s.providers[1].owner.clone(),
            |s| s.providers[1].operators = s.providers[0].operators.clone(),
            |s| s.providers[0].bond.as_mut().unwrap().denom = "uatom".to_owned(),
            |s| s.offers[1].in_use = 3,
            |s| s.offers[0].in_use = 0,
            |s| s.offers.swap(0, 1),
            |s| s.classes.clear(),
            |s| s.classes[0].attributes.clear(),
            |s| s.unbondings[0].provider_id = 9,
            |s| s.unbondings[0].amount = coins(0),
        ];
        for (i, breaks) in broken.into_iter().enumerate() {
            let mut state = good.clone();
            breaks(&mut state);
            assert_eq!(code(validate(&state)), 2, "case {i}");
        }
    }
}
