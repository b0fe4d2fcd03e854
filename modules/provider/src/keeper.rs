//! Rules: bonds, slots, strikes, and what the matcher sees.

use std::collections::BTreeSet;

use gantry_core::{Address, Coin, Ctx, Error, Result};
use gantry_matching::{Class, ClassId, Hardware, Kind, Registry, Status};
use gantry_proto::gantry::provider::v1::{HardwareClass, HardwareKind, Params, ProviderStatus, RegisteredClass};
use gantry_store::{KvRead, Order, Proto};

use crate::{
    Offer, Provider, ProviderError, Unbonding,
    params::{default_params, min_bond},
    state::{ADDRESSES, CLASSES, DUE, HELD, OFFERS, PARAMS, PROVIDERS, UNBONDINGS},
    types::attributes_to_proto,
};

/// Name of the module account that holds bonds and unbondings.
pub const ACCOUNT: &str = "provider_bond";
/// Name of the module account that slashed bond goes to.
pub const SLASH_ACCOUNT: &str = "slash_pool";

/// Blocks after which draws see what was admitted: a seed known at `h - 1` must find everything as it was at `h - 2`.
const ADMISSION_BLOCKS: u64 = 2;
/// Most withdrawals of one provider under way, so that a slash reads a bounded number of rows.
pub(crate) const MAX_UNBONDINGS: usize = 16;

/// The parameters.
pub fn params(state: &dyn KvRead) -> Result<Params> {
    Ok(PARAMS.get(state)?.map_or_else(default_params, |p| p.0))
}

/// A provider.
///
/// # Errors
/// [`ProviderError::NotFound`].
pub fn get(state: &dyn KvRead, id: u64) -> Result<Provider> {
    Ok(PROVIDERS.get(state, id)?.ok_or(ProviderError::NotFound(id))?)
}

/// The provider that an address owns or operates.
pub fn find_by_address(state: &dyn KvRead, address: &Address) -> Result<Option<Provider>> {
    ADDRESSES.get(state, address)?.map(|id| get(state, id)).transpose()
}

/// The provider for which an address may act: its owner's or one of its operators'.
///
/// # Errors
/// [`ProviderError::NotOperator`].
pub fn require_operator(state: &dyn KvRead, address: &Address) -> Result<Provider> {
    Ok(find_by_address(state, address)?.ok_or_else(|| ProviderError::NotOperator(address.to_string()))?)
}

/// The provider that an address owns.
pub(crate) fn require_owner(state: &dyn KvRead, address: &Address) -> Result<Provider> {
    Ok(find_by_address(state, address)?
        .filter(|p| p.owner == *address)
        .ok_or_else(|| ProviderError::NotOwner(address.to_string()))?)
}

/// Whether a provider's heartbeat is recent enough at a height: at most `heartbeat_grace_epochs` epochs old. Never before
/// its first one.
#[must_use]
pub fn is_alive(provider: &Provider, height: u64, params: &Params) -> bool {
    provider.last_heartbeat_height > 0 && epochs_since(provider, height, params) <= params.heartbeat_grace_epochs
}

/// Whether a heartbeat of a provider counts at a height: none did in this epoch.
#[must_use]
pub fn heartbeat_due(provider: &Provider, height: u64, params: &Params) -> bool {
    provider.last_heartbeat_height == 0 || epochs_since(provider, height, params) > 0
}

/// Epochs begun since that of the last heartbeat.
pub(crate) fn epochs_since(provider: &Provider, height: u64, params: &Params) -> u64 {
    let epoch = |height: u64| height / params.heartbeat_epoch_blocks.max(1);
    epoch(height).saturating_sub(epoch(provider.last_heartbeat_height))
}

// --- bonds ------------------------------------------------------------------------------------------------------------

/// Bond that no assignment holds, in the bond denom.
#[must_use]
pub fn free_bond(provider: &Provider) -> u128 {
    provider.bond.amount().saturating_sub(provider.reserved)
}

/// Sets bond aside for an assignment.
///
/// # Errors
/// [`ProviderError::InsufficientFreeBond`].
pub fn reserve_bond(ctx: &mut dyn Ctx, id: u64, amount: u128) -> Result<()> {
    let mut provider = get(ctx, id)?;
    let free = free_bond(&provider);
    if amount > free {
        return Err(ProviderError::InsufficientFreeBond { provider_id: id, free, asked: amount }.into());
    }
    provider.reserved += amount;
    save(ctx, provider)
}

/// Ends a reservation, or a part of one.
///
/// # Errors
/// [`ProviderError::InsufficientReserved`].
pub fn release_bond(ctx: &mut dyn Ctx, id: u64, amount: u128) -> Result<()> {
    let mut provider = get(ctx, id)?;
    provider.reserved = provider.reserved.checked_sub(amount).ok_or(ProviderError::InsufficientReserved {
        provider_id: id,
        reserved: provider.reserved,
        asked: amount,
    })?;
    save(ctx, provider)
}

/// Takes bond into the slash pool and says how much: less than asked for where less is there.
///
/// With `from_reserved` the caller gives up a reservation that it holds: `amount`, which must not exceed it, comes off
/// both the reservation and the bond. Otherwise free bond is taken, then what is unbonding, oldest first. What other
/// assignments have reserved is never touched, so that it still backs them.
pub fn slash(ctx: &mut dyn Ctx, id: u64, amount: u128, from_reserved: bool) -> Result<Coin> {
    let mut provider = get(ctx, id)?;
    let mut left = amount;
    if from_reserved {
        let taken = left.min(provider.reserved);
        provider.reserved -= taken;
        provider.bond = coin(&provider, provider.bond.amount().saturating_sub(taken));
        left -= taken;
    }
    let taken = left.min(free_bond(&provider));
    provider.bond = coin(&provider, provider.bond.amount().saturating_sub(taken));
    left -= taken;

    for mut unbonding in unbondings(ctx, id)? {
        if left == 0 {
            break;
        }
        let taken = left.min(unbonding.amount.amount());
        unbonding.amount = coin(&provider, unbonding.amount.amount().saturating_sub(taken));
        left -= taken;
        save_unbonding(ctx, unbonding)?;
    }

    let slashed = coin(&provider, amount - left);
    provider.slashed = provider
        .slashed
        .checked_add(slashed.amount())
        .ok_or_else(|| Error::fatal(format!("slashes of provider {id} overflow")))?;
    save(ctx, provider)?;
    pay_out(ctx, &Address::module(SLASH_ACCOUNT), &slashed)?;
    Ok(slashed)
}

/// What is on its way back to a provider's owner, oldest first.
pub fn unbondings(state: &dyn KvRead, id: u64) -> Result<Vec<Unbonding>> {
    UNBONDINGS.prefix(state, id, Order::Ascending)?.map(|row| Ok(row?.1)).collect()
}

/// Writes an unbonding, or removes one of which nothing is left; its place in the queue goes with it.
pub(crate) fn save_unbonding(ctx: &mut dyn Ctx, unbonding: Unbonding) -> Result<()> {
    let (id, height) = (unbonding.provider_id, unbonding.release_height);
    if unbonding.amount.is_zero() {
        UNBONDINGS.remove(ctx, (id, height))?;
        DUE.cancel(ctx, height, id)?;
    } else {
        UNBONDINGS.set(ctx, (id, height), &unbonding)?;
        DUE.schedule(ctx, height, id)?;
    }
    Ok(())
}

/// An amount in the denom of a provider's bond.
pub(crate) fn coin(provider: &Provider, amount: u128) -> Coin {
    Coin::new(provider.bond.denom(), amount).expect("the bond's denom is valid")
}

/// Checks that a client's coin is of the bond denom.
pub(crate) fn check_bond(params: &Params, amount: &Coin) -> Result<()> {
    let want = min_bond(params)?;
    if amount.denom() != want.denom() {
        return Err(ProviderError::BondDenom { want: want.denom().to_owned(), got: amount.denom().to_owned() }.into());
    }
    Ok(())
}

/// Takes an owner's money into the module account.
pub(crate) fn take_in(ctx: &mut dyn Ctx, from: &Address, amount: &Coin) -> Result<()> {
    gantry_bank::keeper::send(ctx, from, &Address::module(ACCOUNT), &amount.clone().into())?;
    change_held(ctx, amount, u128::checked_add)
}

/// Pays out of the module account; the bank refuses to send nothing.
pub(crate) fn pay_out(ctx: &mut dyn Ctx, to: &Address, amount: &Coin) -> Result<()> {
    if amount.is_zero() {
        return Ok(());
    }
    change_held(ctx, amount, u128::checked_sub)?;
    gantry_bank::keeper::send(ctx, &Address::module(ACCOUNT), to, &amount.clone().into())
}

/// What the module account should hold: all bonds and unbondings.
pub(crate) fn held(state: &dyn KvRead) -> Result<Option<Coin>> {
    HELD.get(state)?.map(|c| Coin::from_proto(&c)).transpose()
}

fn change_held(ctx: &mut dyn Ctx, by: &Coin, apply: fn(u128, u128) -> Option<u128>) -> Result<()> {
    let before = held(ctx)?.map_or(0, |c| c.amount());
    let after = apply(before, by.amount()).ok_or_else(|| Error::fatal("the total of all bonds is out of range"))?;
    HELD.set(ctx, &Proto(Coin::new(by.denom(), after)?.to_proto()))?;
    Ok(())
}

/// Writes a provider; its status follows from its bond. The only place that writes one.
pub(crate) fn save(ctx: &mut dyn Ctx, mut provider: Provider) -> Result<()> {
    provider.status = status_of(&provider, &params(ctx)?)?;
    PROVIDERS.set(ctx, provider.id, &provider)?;
    Ok(())
}

/// Active exactly if the bond reaches the minimum.
pub(crate) fn status_of(provider: &Provider, params: &Params) -> Result<ProviderStatus> {
    let enough = provider.bond.amount() >= min_bond(params)?.amount();
    Ok(if enough { ProviderStatus::Active } else { ProviderStatus::Underbonded })
}

/// Gives addresses to a provider, and takes back those that it no longer names.
///
/// # Errors
/// [`ProviderError::AddressTaken`].
pub(crate) fn assign_addresses(ctx: &mut dyn Ctx, id: u64, before: &[Address], after: &[Address]) -> Result<()> {
    for address in before.iter().filter(|a| !after.contains(a)) {
        ADDRESSES.remove(ctx, address)?;
    }
    for address in after {
        match ADDRESSES.get(ctx, address)? {
            Some(holder) if holder != id => {
                return Err(ProviderError::AddressTaken { address: address.to_string(), provider_id: holder }.into());
            }
            Some(_) => {}
            None => ADDRESSES.set(ctx, address, &id)?,
        }
    }
    Ok(())
}

/// Takes an address back for whoever signs with it from a provider that names it as its operator. Naming one takes no
/// consent; without this anybody could keep others from registering.
pub(crate) fn reclaim_address(ctx: &mut dyn Ctx, address: &Address) -> Result<()> {
    match find_by_address(ctx, address)? {
        Some(mut holder) if holder.owner != *address => {
            holder.operators.retain(|operator| operator != address);
            ADDRESSES.remove(ctx, address)?;
            save(ctx, holder)
        }
        _ => Ok(()),
    }
}

// --- offers -----------------------------------------------------------------------------------------------------------

/// An offer, withdrawn ones with assignments in flight included.
///
/// # Errors
/// [`ProviderError::OfferNotFound`].
pub fn offer(state: &dyn KvRead, id: u64, offer_id: u32) -> Result<Offer> {
    let found = OFFERS.get(state, (id, offer_id))?;
    Ok(found.ok_or(ProviderError::OfferNotFound { provider_id: id, offer_id })?)
}

/// Takes a slot of an offer for an assignment.
///
/// # Errors
/// [`ProviderError::NoFreeSlot`], [`ProviderError::OfferNotFound`].
pub fn take_slot(ctx: &mut dyn Ctx, id: u64, offer_id: u32) -> Result<()> {
    let mut offer = offer(ctx, id, offer_id)?;
    if offer.free() == 0 {
        return Err(ProviderError::NoFreeSlot { provider_id: id, offer_id }.into());
    }
    offer.in_use += 1;
    save_offer(ctx, &offer)
}

/// Frees a slot that an assignment had taken. A withdrawn offer goes with its last one.
pub fn free_slot(ctx: &mut dyn Ctx, id: u64, offer_id: u32) -> Result<()> {
    let mut offer = offer(ctx, id, offer_id)?;
    offer.in_use = offer
        .in_use
        .checked_sub(1)
        .ok_or_else(|| Error::fatal(format!("offer {offer_id} of provider {id} has no slot to free")))?;
    save_offer(ctx, &offer)
}

/// Counts an assignment that lapsed. Nothing happens to an offer that is gone.
pub fn strike(ctx: &mut dyn Ctx, id: u64, offer_id: u32) -> Result<()> {
    set_strikes(ctx, id, offer_id, |strikes| strikes.saturating_add(1))
}

/// Forgets lapsed assignments, after a completed one. Nothing happens to an offer that is gone.
pub fn clear_strikes(ctx: &mut dyn Ctx, id: u64, offer_id: u32) -> Result<()> {
    set_strikes(ctx, id, offer_id, |_| 0)
}

fn set_strikes(ctx: &mut dyn Ctx, id: u64, offer_id: u32, change: fn(u32) -> u32) -> Result<()> {
    let Some(mut offer) = OFFERS.get(ctx, (id, offer_id))? else { return Ok(()) };
    offer.strikes = change(offer.strikes);
    save_offer(ctx, &offer)
}

/// Writes an offer, or removes one that is withdrawn and free.
pub(crate) fn save_offer(ctx: &mut dyn Ctx, offer: &Offer) -> Result<()> {
    let key = (offer.provider_id, offer.offer_id);
    if offer.capacity == 0 && offer.in_use == 0 {
        OFFERS.remove(ctx, key)?;
    } else {
        OFFERS.set(ctx, key, offer)?;
    }
    Ok(())
}

/// All offers of a provider.
pub fn offers_of(state: &dyn KvRead, id: u64) -> Result<Vec<Offer>> {
    OFFERS.prefix(state, id, Order::Ascending)?.map(|row| Ok(row?.1)).collect()
}

// --- what the matcher sees --------------------------------------------------------------------------------------------

/// The offers that a draw at `height` may see: not withdrawn, and admitted (offer and provider) two blocks before.
/// Providers that are silent or underbonded are in it, marked so, because `SimulateMatch` says so.
pub fn market_offers(state: &dyn KvRead, height: u64) -> Result<Vec<gantry_matching::Offer>> {
    offers_at(state, height, |_, _| true)
}

/// Those of [`market_offers`] that a draw could take. Of providers that are silent or underbonded nothing more is read, so
/// that offers cost a draw time for as long as bond and heartbeats stand behind them, and no longer.
pub fn drawable_offers(state: &dyn KvRead, height: u64) -> Result<Vec<gantry_matching::Offer>> {
    offers_at(state, height, |provider, params| {
        provider.status == ProviderStatus::Active && is_alive(provider, height, params)
    })
}

fn offers_at(
    state: &dyn KvRead,
    height: u64,
    wanted: impl Fn(&Provider, &Params) -> bool,
) -> Result<Vec<gantry_matching::Offer>> {
    let params = params(state)?;
    let admitted = |at: u64| at.saturating_add(ADMISSION_BLOCKS) <= height;
    let mut seen = Vec::new();
    for row in PROVIDERS.iter(state, Order::Ascending)? {
        let (id, provider) = row?;
        if !admitted(provider.admitted_height) || !wanted(&provider, &params) {
            continue;
        }
        let reputation = u16::try_from(gantry_reputation::keeper::score(state, id)?)
            .map_err(|_| Error::fatal("a score is at most 1000"))?;
        for offer in offers_of(state, id)?.into_iter().filter(|o| o.capacity > 0 && admitted(o.set_height)) {
            let free = offer.free();
            seen.push(gantry_matching::Offer {
                provider: id,
                offer: offer.offer_id,
                owner: provider.owner.as_bytes().to_vec(),
                class: offer.class,
                free,
                ask: gantry_matching::Price {
                    denom: offer.ask_per_second.denom().to_owned(),
                    amount: offer.ask_per_second.amount(),
                },
                attributes: offer.attributes,
                free_bond: free_bond(&provider),
                reputation,
                fresh: is_alive(&provider, height, &params),
                status: match provider.status {
                    ProviderStatus::Active => Status::Active,
                    _ => Status::Underbonded,
                },
                strikes: offer.strikes,
            });
        }
    }
    Ok(seen)
}

/// The classes of some offers. Classes are never forgotten and cost no bond, so a draw must not read them all.
pub fn classes_of(state: &dyn KvRead, offers: &[gantry_matching::Offer]) -> Result<Registry> {
    let ids: BTreeSet<&ClassId> = offers.iter().map(|offer| &offer.class).collect();
    let rows = ids.into_iter().map(|id| CLASSES.get(state, id.to_string()));
    rows.filter_map(Result::transpose).map(|row| class_from_proto(&row?.0)).collect()
}

/// All classes that offers were ever made in, and the names of regions, so that reasons can show texts.
pub fn class_registry(state: &dyn KvRead) -> Result<Registry> {
    let mut registry = Registry::default();
    for row in CLASSES.iter(state, Order::Ascending)? {
        registry.insert(class_from_proto(&row?.1)?);
    }
    for row in OFFERS.iter(state, Order::Ascending)? {
        let offer = row?.1;
        if !offer.region.is_empty() {
            registry.learn(&offer.region);
        }
    }
    Ok(registry)
}

/// Whether a class is registered.
pub fn has_class(state: &dyn KvRead, class: &ClassId) -> Result<bool> {
    Ok(CLASSES.has(state, class.to_string())?)
}

/// Registers the class of some hardware, if it is new.
pub(crate) fn register_class(ctx: &mut dyn Ctx, hardware: &HardwareClass) -> Result<ClassId> {
    let class = class_of(hardware)?;
    let key = class.id.to_string();
    if !CLASSES.has(ctx, &key)? {
        CLASSES.set(ctx, key, &Proto(class_to_proto(&class)))?;
    }
    Ok(class.id)
}

/// The class that a client describes.
pub(crate) fn class_of(hardware: &HardwareClass) -> Result<Class> {
    let invalid = |why: String| ProviderError::Invalid { field: "hardware", why };
    let kind = match hardware.kind() {
        HardwareKind::Wasm => Kind::Wasm,
        HardwareKind::Cpu => Kind::Cpu,
        HardwareKind::Gpu => Kind::Gpu,
        HardwareKind::Unspecified => return Err(invalid("kind must be wasm, cpu or gpu".to_owned()).into()),
    };
    let hardware = Hardware {
        kind,
        vendor: hardware.vendor.clone(),
        model: hardware.model.clone(),
        arch: hardware.arch.clone(),
        sm_count: hardware.sm_count,
        vram_mib: hardware.vram_mib,
        driver_major: hardware.driver_major,
        runtime_major: hardware.runtime_major,
        mig_profile: hardware.mig_profile.clone(),
    };
    Class::of(&hardware).map_err(|e| invalid(e.to_string()).into())
}

/// A registered class as the matcher knows it; its id and attributes must be those of its hardware.
pub(crate) fn class_from_proto(message: &RegisteredClass) -> Result<Class> {
    let class = class_of(message.hardware.as_ref().unwrap_or(&HardwareClass::default()))?;
    if class_to_proto(&class) != *message {
        return Err(Error::fatal(format!("registered class {} is not that of its hardware", message.id)));
    }
    Ok(class)
}

fn class_to_proto(class: &Class) -> RegisteredClass {
    let hardware = &class.hardware;
    let kind = match hardware.kind {
        Kind::Wasm => HardwareKind::Wasm,
        Kind::Cpu => HardwareKind::Cpu,
        Kind::Gpu => HardwareKind::Gpu,
    };
    RegisteredClass {
        id: class.id.to_string(),
        hardware: Some(HardwareClass {
            kind: kind.into(),
            vendor: hardware.vendor.clone(),
            model: hardware.model.clone(),
            arch: hardware.arch.clone(),
            sm_count: hardware.sm_count,
            vram_mib: hardware.vram_mib,
            driver_major: hardware.driver_major,
            runtime_major: hardware.runtime_major,
            mig_profile: hardware.mig_profile.clone(),
        }),
        attributes: attributes_to_proto(&class.attributes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Chain, FUNDS, MIN_BOND, address, code};

    #[test]
    fn reserved_bond_backs_its_assignment_alone() {
        let mut chain = Chain::new();
        let id = chain.register(1, MIN_BOND).unwrap();
        chain.keep(|ctx| reserve_bond(ctx, id, 300)).unwrap();
        chain.keep(|ctx| reserve_bond(ctx, id, 500)).unwrap();
        assert_eq!(free_bond(&chain.provider(id)), 200);
        assert_eq!(code(chain.keep(|ctx| reserve_bond(ctx, id, 201))), 10);
        assert_eq!(code(chain.keep(|ctx| release_bond(ctx, id, 801))), 11);

        // One assignment gives up a part of its reservation; the other's is untouched.
        assert_eq!(chain.keep(|ctx| slash(ctx, id, 100, true)).unwrap().amount(), 100);
        let provider = chain.provider(id);
        assert_eq!((provider.reserved, provider.bond.amount(), provider.slashed), (700, 900, 100));
        assert_eq!(provider.status, ProviderStatus::Underbonded);
        // Not even a slash of everything takes what others have reserved.
        assert_eq!(chain.keep(|ctx| slash(ctx, id, u128::MAX, false)).unwrap().amount(), 200);
        assert_eq!(chain.provider(id).bond.amount(), 700);
        chain.keep(|ctx| release_bond(ctx, id, 200)).unwrap();
        chain.keep(|ctx| release_bond(ctx, id, 500)).unwrap();
        assert_eq!(free_bond(&chain.provider(id)), 700);
        assert_eq!(chain.module_balance(SLASH_ACCOUNT), 300);
        assert_eq!(chain.balance(&address(1)), FUNDS - MIN_BOND);
        assert!(chain.keep(|ctx| slash(ctx, id, 0, false)).unwrap().is_zero());
        for result in [
            chain.keep(|ctx| reserve_bond(ctx, 9, 1)),
            chain.keep(|ctx| release_bond(ctx, 9, 1)),
            chain.keep(|ctx| slash(ctx, 9, 1, true)).map(drop),
        ] {
            assert_eq!(code(result), 3);
        }
    }

    #[test]
    fn slots_are_counted() {
        let mut chain = Chain::new();
        let id = chain.register(1, MIN_BOND).unwrap();
        let offer_id = chain.set_offer(1, 0, 2).unwrap();
        for _ in 0..2 {
            chain.keep(|ctx| take_slot(ctx, id, offer_id)).unwrap();
        }
        assert_eq!(code(chain.keep(|ctx| take_slot(ctx, id, offer_id))), 16);
        assert_eq!(code(chain.keep(|ctx| take_slot(ctx, id, 9))), 13);
        for _ in 0..2 {
            chain.keep(|ctx| free_slot(ctx, id, offer_id)).unwrap();
        }
        // To free what was never taken is a mistake in the chain, not of a user.
        assert!(matches!(chain.keep(|ctx| free_slot(ctx, id, offer_id)), Err(Error::Fatal(_))));
    }

    #[test]
    fn strikes_add_up_until_a_completion() {
        let mut chain = Chain::new();
        let id = chain.register(1, MIN_BOND).unwrap();
        let offer_id = chain.set_offer(1, 0, 1).unwrap();
        for _ in 0..2 {
            chain.keep(|ctx| strike(ctx, id, offer_id)).unwrap();
        }
        assert_eq!(offer(&chain.state, id, offer_id).unwrap().strikes, 2);
        chain.keep(|ctx| clear_strikes(ctx, id, offer_id)).unwrap();
        assert_eq!(offer(&chain.state, id, offer_id).unwrap().strikes, 0);
    }

    #[test]
    fn the_matcher_sees_what_was_there_two_blocks_ago() {
        let mut chain = Chain::new();
        let id = chain.register(1, 3 * MIN_BOND).unwrap();
        chain.set_offer(1, 0, 4).unwrap();
        chain.heartbeat(1).unwrap();
        chain.height = 3;
        chain.keep(|ctx| take_slot(ctx, id, 1)).unwrap();
        chain.keep(|ctx| reserve_bond(ctx, id, 500)).unwrap();

        let seen = |chain: &Chain| market_offers(&chain.state, chain.height).unwrap();
        let offers = seen(&chain);
        let [offer] = offers.as_slice() else { panic!("{offers:?}") };
        assert_eq!((offer.provider, offer.offer, offer.free, offer.free_bond), (1, 1, 3, 2500));
        assert_eq!(offer.owner, address(1).as_bytes());
        assert_eq!((offer.ask.amount, offer.ask.denom.as_str()), (7, "ugantry"));
        // A newcomer stands at 550; its first heartbeat counts for it.
        assert!(offer.fresh && offer.status == Status::Active && offer.reputation > 550);

        // A new price and more bond count only when no seed is known yet.
        chain.set_offer(1, 1, 4).unwrap();
        assert!(seen(&chain).is_empty());
        chain.height = 5;
        assert_eq!(seen(&chain).len(), 1);
        chain.bond(1, 1).unwrap();
        assert!(seen(&chain).is_empty());
        chain.height = 7;
        assert_eq!(seen(&chain)[0].free_bond, 2501);

        // Underbonded: seen, and said so, and not read for a draw.
        assert_eq!(drawable_offers(&chain.state, chain.height).unwrap(), seen(&chain));
        chain.keep(|ctx| slash(ctx, id, 2400, false)).unwrap();
        assert_eq!(seen(&chain)[0].status, Status::Underbonded);
        assert_eq!(drawable_offers(&chain.state, chain.height).unwrap(), []);

        // Withdrawn: not seen, though one slot is still in use.
        let remove =
            gantry_proto::gantry::provider::v1::MsgRemoveOffer { operator: address(10).to_string(), offer_id: 1 };
        chain.run::<crate::RemoveOffer>(&remove).unwrap();
        assert!(seen(&chain).is_empty());
    }

    #[test]
    fn what_a_draw_reads_grows_with_live_offers_alone() {
        let mut chain = Chain::new();
        chain.register(1, MIN_BOND).unwrap();
        chain.register(2, MIN_BOND).unwrap();
        chain.set_offer(1, 0, 1).unwrap();
        chain.set_offer(2, 0, 1).unwrap();
        chain.heartbeat(1).unwrap();
        // 2 is silent, and had one offer in a hundred classes, which stay registered.
        for runtime_major in 100..200 {
            let hardware = Some(HardwareClass { runtime_major, ..crate::testing::wasm() });
            let msg = gantry_proto::gantry::provider::v1::MsgSetOffer { hardware, ..crate::testing::offer(2, 1, 1) };
            chain.run::<crate::SetOffer>(&msg).unwrap();
        }
        chain.height = 3;
        let offers = drawable_offers(&chain.state, chain.height).unwrap();
        assert_eq!(offers.iter().map(|o| o.provider).collect::<Vec<_>>(), [1]);
        assert_eq!(classes_of(&chain.state, &offers).unwrap().iter().count(), 1);
        assert_eq!(class_registry(&chain.state).unwrap().iter().count(), 101);
    }
}
