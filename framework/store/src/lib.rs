//! The state of a Gantry node: write buffers, typed collections, the IAVL-compatible commitment and the database.

mod collections;
mod commitment;
mod db;
mod error;
mod key;
mod kv;
mod overlay;
mod value;

pub use collections::{
    DEFAULT_LIMIT, DueQueue, Index, IndexList, IndexedMap, Item, Map, MultiIndex, Page, PageRequest, ReadMap, Sequence,
    UniqueIndex, assert_disjoint,
};
pub use db::{Candidate, ProofOp, Snapshot, Store, StoreOptions};
pub use error::StoreError;
pub use key::{All, KeyCodec, KeyPrefix, prefix_end};
pub use kv::{KvIter, KvRead, KvWrite, Order, Rows, StoreName};
pub use overlay::{Changes, Overlay};
pub use value::{Proto, ValueCodec};
