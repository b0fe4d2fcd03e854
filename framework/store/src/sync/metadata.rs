//! What a snapshot is, before its chunks come.

use super::{FORMAT, MAX_BODY_BYTES, MAX_CHUNKS, MAX_METADATA_BYTES, SyncError};
use crate::commitment::{EMPTY_HASH, Hash, multistore_root};
use prost::Message;

/// The description of a snapshot: the roots of all stores, and which of their leaves are in which chunk. It travels as
/// `metadata` of ABCI's `Snapshot`, whose `hash` is its SHA-256.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Metadata {
    /// [`FORMAT`].
    #[prost(uint32, tag = "1")]
    pub format: u32,
    /// The height of the state.
    #[prost(uint64, tag = "2")]
    pub height: u64,
    /// All stores of the height, by ascending name.
    #[prost(message, repeated, tag = "3")]
    pub stores: Vec<StoreEntry>,
}

/// A store in a snapshot.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct StoreEntry {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The root of its tree.
    #[prost(bytes = "vec", tag = "2")]
    pub root: Vec<u8>,
    /// Its chunks in the order of its leaves: one after another they hold all of them. None for an empty store.
    #[prost(message, repeated, tag = "3")]
    pub chunks: Vec<ChunkEntry>,
}

/// A chunk in a snapshot.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ChunkEntry {
    /// The number of rows in it.
    #[prost(uint64, tag = "1")]
    pub rows: u64,
    /// The number of bytes of its nodes before compression.
    #[prost(uint32, tag = "2")]
    pub bytes: u32,
    /// SHA-256 over the SHA-256 of its nodes before compression and its proof.
    #[prost(bytes = "vec", tag = "3")]
    pub digest: Vec<u8>,
}

/// Where a chunk belongs.
pub(super) struct Place<'a> {
    pub(super) root: &'a [u8],
    /// Leaves of the store.
    pub(super) total: u64,
    /// Leaves before the chunk.
    pub(super) first: u64,
    pub(super) rows: u64,
}

impl StoreEntry {
    /// The number of rows of the store.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.rows).sum()
    }
}

impl Metadata {
    /// Reads and checks a description that may come from anybody.
    ///
    /// # Errors
    /// [`SyncError::Metadata`].
    pub fn read(bytes: &[u8]) -> Result<Self, SyncError> {
        if bytes.len() > MAX_METADATA_BYTES {
            return Err(SyncError::Metadata("too long"));
        }
        let metadata = Self::decode(bytes).map_err(|_| SyncError::Metadata("undecodable"))?;
        metadata.check().map_err(SyncError::Metadata)?;
        if metadata.encode_to_vec() != bytes {
            return Err(SyncError::Metadata("not in its one encoding"));
        }
        Ok(metadata)
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.format != FORMAT {
            return Err("another format");
        }
        if self.height == 0 || i64::try_from(self.height).is_err() {
            return Err("an impossible height");
        }
        if !self.stores.is_sorted_by(|a, b| a.name < b.name) {
            return Err("stores out of order");
        }
        let mut chunks = 0usize;
        for store in &self.stores {
            let name = &store.name;
            if name.is_empty() || name.len() > 255 || !name.is_ascii() {
                return Err("a store without a proper name");
            }
            if store.root.len() != 32 || (store.root == EMPTY_HASH) != store.chunks.is_empty() {
                return Err("a root that does not fit the chunks");
            }
            chunks += store.chunks.len();
            for ChunkEntry { rows, bytes, digest } in &store.chunks {
                // A row takes four bytes at least.
                let fits = *bytes as usize <= MAX_BODY_BYTES && (1..=u64::from(*bytes) / 4).contains(rows);
                if !fits || digest.len() != 32 {
                    return Err("an impossible chunk");
                }
            }
        }
        if chunks == 0 || chunks > MAX_CHUNKS {
            return Err("no chunks, or too many");
        }
        Ok(())
    }

    /// The app hash that the roots of the stores lead to. Trust the snapshot only if it is the one you trust.
    #[must_use]
    pub fn app_hash(&self) -> Hash {
        let root = |store: &StoreEntry| Hash::try_from(&store.root[..]).unwrap_or_default();
        multistore_root(self.stores.iter().map(|store| (store.name.as_str(), root(store))))
    }

    /// The number of chunks.
    #[must_use]
    pub fn chunks(&self) -> u32 {
        let count: usize = self.stores.iter().map(|store| store.chunks.len()).sum();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The bytes of all nodes before compression.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.stores.iter().flat_map(|store| &store.chunks).map(|chunk| u64::from(chunk.bytes)).sum()
    }

    pub(super) fn chunk(&self, index: u32) -> Option<&ChunkEntry> {
        let (store, at) = self.find(index)?;
        store.chunks.get(at)
    }

    pub(super) fn place(&self, index: u32) -> Option<Place<'_>> {
        let (store, at) = self.find(index)?;
        let (before, rest) = store.chunks.split_at_checked(at)?;
        let first = before.iter().map(|chunk| chunk.rows).sum();
        Some(Place { root: &store.root, total: store.rows(), first, rows: rest.first()?.rows })
    }

    /// The store of a chunk, and its number there.
    fn find(&self, index: u32) -> Option<(&StoreEntry, usize)> {
        let mut at = index as usize;
        for store in &self.stores {
            if at < store.chunks.len() {
                return Some((store, at));
            }
            at -= store.chunks.len();
        }
        None
    }
}
