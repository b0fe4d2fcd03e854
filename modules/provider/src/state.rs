//! Every row of the store.

use cosmos_sdk_proto::cosmos::base::v1beta1::Coin as ProtoCoin;
use gantry_core::Address;
use gantry_proto::gantry::provider::v1::{Params, RegisteredClass};
use gantry_store::{DueQueue, Item, Map, Proto, Sequence, StoreName, prefixes};

use crate::{Offer, Provider, Unbonding};

/// The module's store.
pub const STORE: StoreName = StoreName::new("provider");

prefixes! {
    /// Parameters.
    PARAMS_KEY = b"\x00";
    /// Provider by id.
    PROVIDER_PREFIX = b"\x01";
    /// Next provider id.
    NEXT_ID_KEY = b"\x02";
    /// Provider id by owner or operator address.
    ADDRESS_PREFIX = b"\x03";
    /// Offer by (provider id, offer id).
    OFFER_PREFIX = b"\x04";
    /// Unbonding by (provider id, release height).
    UNBONDING_PREFIX = b"\x05";
    /// Provider ids by release height.
    DUE_PREFIX = b"\x06";
    /// Registered class by id.
    CLASS_PREFIX = b"\x07";
    /// All bonds and unbondings together: what the module account holds.
    HELD_KEY = b"\x08";
}

pub(crate) const PARAMS: Item<Proto<Params>> = Item::new(STORE, PARAMS_KEY);
pub(crate) const PROVIDERS: Map<u64, Provider> = Map::new(STORE, PROVIDER_PREFIX);
pub(crate) const IDS: Sequence = Sequence::new(STORE, NEXT_ID_KEY, 1);
pub(crate) const ADDRESSES: Map<Address, u64> = Map::new(STORE, ADDRESS_PREFIX);
pub(crate) const OFFERS: Map<(u64, u32), Offer> = Map::new(STORE, OFFER_PREFIX);
pub(crate) const UNBONDINGS: Map<(u64, u64), Unbonding> = Map::new(STORE, UNBONDING_PREFIX);
pub(crate) const DUE: DueQueue<u64> = DueQueue::new(STORE, DUE_PREFIX);
pub(crate) const CLASSES: Map<String, Proto<RegisteredClass>> = Map::new(STORE, CLASS_PREFIX);
pub(crate) const HELD: Item<Proto<ProtoCoin>> = Item::new(STORE, HELD_KEY);
