//! Every row of the store.

use gantry_proto::gantry::escrow::v1::Params;
use gantry_store::{Item, Map, Proto, StoreName, prefixes};

use crate::{Escrow, Totals};

/// The module's store.
pub const STORE: StoreName = StoreName::new("escrow");

prefixes! {
    /// Parameters.
    PARAMS_KEY = b"\x00";
    /// Escrow by job id.
    ESCROW_PREFIX = b"\x01";
    /// Running totals by denom.
    TOTALS_PREFIX = b"\x02";
}

pub(crate) const PARAMS: Item<Proto<Params>> = Item::new(STORE, PARAMS_KEY);
pub(crate) const ESCROWS: Map<u64, Escrow> = Map::new(STORE, ESCROW_PREFIX);
pub(crate) const TOTALS: Map<String, Totals> = Map::new(STORE, TOTALS_PREFIX);
