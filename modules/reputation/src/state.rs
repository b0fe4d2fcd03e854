//! Every row of the store.

use gantry_proto::gantry::reputation::v1::{Params, Record};
use gantry_store::{Item, Map, Proto, StoreName, prefixes};

/// The module's store.
pub const STORE: StoreName = StoreName::new("reputation");

prefixes! {
    /// Parameters.
    PARAMS_KEY = b"\x00";
    /// Record by provider id.
    RECORD_PREFIX = b"\x01";
}

pub(crate) const PARAMS: Item<Proto<Params>> = Item::new(STORE, PARAMS_KEY);
pub(crate) const RECORDS: Map<u64, Proto<Record>> = Map::new(STORE, RECORD_PREFIX);
