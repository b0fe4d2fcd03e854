//! Genesis: default, checks, import, export.

use std::collections::{BTreeMap, BTreeSet};

use gantry_core::{Address, Coin, Ctx, Result};
use gantry_matching::ClassId;
use gantry_proto::gantry::provider::v1::GenesisState;
use gantry_store::{KvRead, Order, Proto};

use crate::{
    Offer, Provider, ProviderError, Unbonding, invariants,
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
