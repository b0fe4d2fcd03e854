//! What a store's rows are committed to, and how they are proven.

mod file;
mod hash;
mod iavl;
mod keys;
mod multistore;
mod node;
mod proof;
#[cfg(test)]
mod tests;

pub(crate) use file::{open, save};
pub(crate) use hash::{inner_hash, leaf_hash};
pub(crate) use iavl::Tree;
pub(crate) use keys::Keys;
pub(crate) use multistore::{multistore_root, prove_store};

use crate::StoreError;
use crate::overlay::StoreChanges;
use ics23::CommitmentProof;

/// A SHA-256 digest.
pub(crate) type Hash = [u8; 32];

/// The digest of the empty tree and of a chain without stores: SHA-256 of nothing.
pub(crate) const EMPTY_HASH: Hash = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// Gives the value of a key at the height of a commitment, which holds none itself.
pub(crate) type ValueOf<'a> = dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, StoreError> + 'a;

/// The commitment to one store's rows at one height: a persistent value, cheap to clone, never changed in place.
pub(crate) trait Commitment: Clone + Default + Send + Sync + 'static {
    /// The commitment after a block's changes, applied one after another by ascending key. `self` stays as it is and
    /// shares what did not change.
    fn apply(&self, version: u64, changes: &StoreChanges) -> Self;

    /// The root hash, known since the commitment was made.
    fn root(&self) -> Hash;

    /// The number of rows.
    fn len(&self) -> u64;

    /// An ICS-23 proof that `key` has its value or is absent.
    fn prove(&self, key: &[u8], value_of: &ValueOf<'_>) -> Result<CommitmentProof, StoreError>;

    /// Hands out the nodes in post-order, enough to build an equal commitment.
    fn export(&self, sink: &mut dyn FnMut(ExportedNode) -> Result<(), StoreError>) -> Result<(), StoreError>;

    /// Builds what [`export`](Self::export) handed out.
    fn import(nodes: &mut dyn Iterator<Item = Result<ExportedNode, StoreError>>) -> Result<Self, StoreError>;
}

/// What trees take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeMemory {
    /// Nodes in memory: those made since the trees were last saved.
    pub nodes: u64,
    /// Their size in bytes, keys included, without what the allocator adds.
    pub bytes: u64,
    /// The size of the mapped files, which the system keeps in memory as far as there is room.
    pub mapped_bytes: u64,
}

impl std::iter::Sum for TreeMemory {
    fn sum<I: Iterator<Item = Self>>(each: I) -> Self {
        each.fold(Self::default(), |all, one| Self {
            nodes: all.nodes + one.nodes,
            bytes: all.bytes + one.bytes,
            mapped_bytes: all.mapped_bytes + one.mapped_bytes,
        })
    }
}

/// A node of a tree on its way to or from disk.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ExportedNode {
    /// 0 for a leaf.
    #[prost(uint32, tag = "1")]
    pub(crate) height: u32,
    /// The height of the block that made the node.
    #[prost(uint64, tag = "2")]
    pub(crate) version: u64,
    /// The key of a leaf; empty for an inner node, whose separator follows from the leaves.
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) key: Vec<u8>,
    /// The hash of a leaf; empty for an inner node.
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) hash: Vec<u8>,
}
