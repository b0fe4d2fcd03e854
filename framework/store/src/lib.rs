//! The state of a Gantry node.
//!
//! - [`KvRead`] and [`KvWrite`]: rows of named stores; everything above works through these two traits.
//! - [`Overlay`]: write buffers over a state, stacked for block, fee and messages; [`Changes`] is what a block wrote.
//! - [`Map`], [`IndexedMap`], [`Item`], [`Sequence`], [`DueQueue`]: typed collections, the constants of a module's
//!   `state.rs`, in the key encodings of the SDK's `collections`.
//! - [`Store`]: the database. It commits to every store with an IAVL tree, to all of them with the app hash, and proves
//!   rows with ICS-23; roots, app hashes and proofs equal those of Go `iavl` v1 and the SDK's `rootmulti` byte for byte.
//! - [`sync`]: state-sync snapshots, chunks of the state that the app hash proves.
//!
//! ```
//! use gantry_store::{Map, Overlay, Store, StoreName};
//!
//! const STORE: StoreName = StoreName::new("bank");
//! const BALANCES: Map<(&[u8], &str), u64> = Map::new(STORE, b"\x02");
//!
//! let store = Store::temporary(&[STORE])?;
//! let mut block = Overlay::new(store.snapshot());
//! BALANCES.set(&mut block, (&b"alice"[..], "ugantry"), &5)?;
//! let candidate = store.prepare(1, block.into_changes())?;
//! let app_hash = candidate.app_hash();
//! store.commit(candidate, b"what the application remembers of the block")?;
//! assert_eq!(store.app_hash(), app_hash);
//!
//! let key = BALANCES.raw_key((&b"alice"[..], "ugantry"))?;
//! let (value, proof) = store.prove(1, "bank", &key)?;
//! assert_eq!(value, Some(5u64.to_be_bytes().to_vec()));
//! assert_eq!(proof.len(), 2);
//! # Ok::<(), gantry_store::StoreError>(())
//! ```
//!
//! Layout on disk, invariants and recovery: the crate's README.

mod collections;
mod commitment;
mod db;
mod error;
pub mod fail;
mod key;
mod kv;
mod overlay;
pub mod sync;
mod value;

pub use collections::{
    Batch, DEFAULT_LIMIT, DueQueue, EachIndex, Entry, Index, IndexList, IndexedMap, Item, Map, MultiIndex, Page,
    PageRequest, ReadMap, Sequence, UniqueIndex, assert_disjoint,
};
pub use commitment::TreeMemory;
pub use db::{Candidate, Memory, ProofOp, Snapshot, Store, StoreOptions};
pub use error::StoreError;
pub use key::{All, KeyCodec, KeyPrefix, prefix_end};
pub use kv::{KvIter, KvRead, KvWrite, Order, Rows, StoreName};
pub use overlay::{Changes, Overlay};
pub use value::{Proto, ValueCodec};
