//! Typed collections, declared as constants in a module's `state.rs`:
//!
//! ```
//! use gantry_store::{Map, Item, Sequence, StoreName, prefixes};
//!
//! const STORE: StoreName = StoreName::new("example");
//! prefixes! {
//!     /// Running total.
//!     TOTAL = b"\x01";
//!     /// Balance by (owner, denom).
//!     BALANCE = b"\x02";
//!     /// Next id.
//!     NEXT_ID = b"\x03";
//! }
//! const TOTALS: Item<u64> = Item::new(STORE, TOTAL);
//! const BALANCES: Map<(&[u8], &str), u64> = Map::new(STORE, BALANCE);
//! const IDS: Sequence = Sequence::new(STORE, NEXT_ID, 1);
//! ```

mod indexed;
mod item;
mod map;
mod page;
mod prefix;
mod queue;

pub use indexed::{EachIndex, Index, IndexList, IndexedMap, MultiIndex, UniqueIndex};
pub use item::{Item, Sequence};
pub use map::{Batch, Entry, Map, ReadMap};
pub use page::{DEFAULT_LIMIT, Page, PageRequest};
pub use prefix::assert_disjoint;
pub use queue::DueQueue;
