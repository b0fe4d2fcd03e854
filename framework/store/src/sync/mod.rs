//! State-sync snapshots: the state of one height in chunks, each of which is proven by the app hash alone.
//!
//! The shape of a tree follows from its history, so its rows are not enough: a chunk is a run of neighbouring leaves of one
//! store with the inner nodes that they complete, in post-order, compressed, and with the hashes beside it
//! that lead to the root of the store. The [`Metadata`] holds the roots of all stores, which lead to the app hash, and
//! says which leaves are in which chunk, without hole or overlap.
//!
//! - [`Source`] is a state that stays readable while a snapshot is made of it.
//! - [`Archive`] is the folder of finished snapshots, [`Snapshotter`] the thread that fills it.
//! - [`Restore`] gathers the chunks of a snapshot and makes an empty [`Store`](crate::Store) of them.
//!
//! Equal states give equal metadata on every node, so that chunks of many peers make one snapshot. The compressed bytes
//! may differ between versions of this program; what a chunk is called by, its digest, is taken before compression.
//! The format is described in the crate's README.

mod archive;
mod chunk;
mod make;
mod metadata;
mod restore;
mod snapshotter;
#[cfg(test)]
mod tests;

pub use archive::{Archive, Info};
pub use metadata::{ChunkEntry, Metadata, StoreEntry};
pub use restore::Restore;
pub use snapshotter::Snapshotter;

pub(crate) use chunk::{Node, Nodes};

use crate::StoreError;
use crate::db::{Forest, Snapshot};
use std::path::Path;
use std::sync::Arc;

/// The one format there is.
pub const FORMAT: u32 = 1;

/// A chunk ends with the leaf, and what it completes, that brings its nodes to this many bytes.
const CHUNK_BYTES: usize = 2 << 20;

/// A row that takes more than this cannot be in a snapshot: CometBFT carries chunks of at most 16 MB.
const MAX_ROW_BYTES: usize = 8 << 20;

/// Upper bound of a chunk's nodes before compression: what was there, a row, and the inner nodes that it completes.
const MAX_BODY_BYTES: usize = CHUNK_BYTES + MAX_ROW_BYTES + (64 << 10);

/// Upper bound of a chunk as it travels: incompressible nodes, and the proof.
const MAX_CHUNK_BYTES: usize = MAX_BODY_BYTES + MAX_BODY_BYTES / 128 + chunk::MAX_PROOF_BYTES + 64;

/// Upper bound of chunks in a snapshot.
const MAX_CHUNKS: usize = 1 << 16;

/// Upper bound of encoded metadata: CometBFT carries descriptions of snapshots of at most 4 MB.
const MAX_METADATA_BYTES: usize = 3_900_000;

/// A committed state with its trees, held while a snapshot is made of it.
#[derive(Clone)]
pub struct Source {
    pub(crate) forest: Arc<Forest>,
    pub(crate) state: Snapshot,
}

impl Source {
    /// The height of the state.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.forest.height
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("height", &self.height()).finish_non_exhaustive()
    }
}

/// Why a snapshot cannot be made, read or restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// A description of a snapshot that no honest node gives.
    #[error("metadata of a snapshot: {0}")]
    Metadata(&'static str),
    /// Bytes that are not the chunk that the metadata names: the fault of who sent them.
    #[error("not chunk {index} of the snapshot: {what}")]
    NotTheChunk {
        /// The number of the chunk.
        index: u32,
        /// What is wrong.
        what: &'static str,
    },
    /// The chunk that the metadata names, which does not lead to the app hash: the fault of who made the snapshot.
    #[error("chunk {index} of the snapshot is no part of the state: {what}")]
    Forged {
        /// The number of the chunk.
        index: u32,
        /// What is wrong.
        what: &'static str,
    },
    /// A restore into a store that has a state.
    #[error("a snapshot is restored into an empty store only; this one is at height {0}")]
    NotEmpty(u64),
    /// What was asked for is not in the archive.
    #[error("there is no snapshot of height {height} and format {format}")]
    NotFound {
        /// The height asked for.
        height: u64,
        /// The format asked for.
        format: u32,
    },
    /// The state is larger than the format can carry.
    #[error("the state cannot be put into a snapshot: {0}")]
    TooLarge(&'static str),
    /// The making was ended before it was complete.
    #[error("stopped")]
    Stopped,
    /// A file cannot be read or written.
    #[error("{0}")]
    File(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SyncError {
    fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::File(format!("{}: {error}", path.display()))
    }
}
