//! One chunk: leaves `[first, first + rows)` of a store's tree and every inner node that the last of them completes, in
//! post-order, with all that is outside pruned to hashes.
//!
//! Written in post-order a tree is a program for a stack: a leaf pushes a subtree, an inner node joins the two on top. A
//! chunk is a piece of that program. What lies left of it, already on the stack when it begins, comes as pruned subtrees;
//! so does what lies right of it, with the inner nodes that join it to the rest. Running it must leave one subtree with the
//! root's hash. As every inner node on the way has a size in its hash and at most one pruned side, the sizes of pruned
//! subtrees are proven too, and with them the position of the chunk. Nothing recurses.

use super::{MAX_BODY_BYTES, MAX_CHUNK_BYTES, Metadata, SyncError};
use crate::commitment::{Hash, inner_hash, leaf_hash};
use prost::Message;
use prost::encoding::{decode_varint, encode_varint};
use sha2::{Digest, Sha256};

/// Trees of 2^63 leaves are not that high.
const MAX_HEIGHT: u8 = 96;

/// Three pruned subtrees or joins for each level of a tree come to less.
pub(super) const MAX_PROOF_BYTES: usize = 32 << 10;

/// A chunk as it travels.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Chunk {
    /// The nodes, as an LZ4 block.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) body: Vec<u8>,
    /// An encoded [`Proof`].
    #[prost(bytes = "vec", tag = "2")]
    pub(super) proof: Vec<u8>,
}

/// What surrounds the nodes of a chunk.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Proof {
    /// The whole subtrees on its left: what is on the stack when it begins.
    #[prost(message, repeated, tag = "1")]
    pub(super) left: Vec<Step>,
    /// The rest of the program: whole subtrees on its right, and the inner nodes that are completed there.
    #[prost(message, repeated, tag = "2")]
    pub(super) right: Vec<Step>,
}

/// A pruned subtree (size and hash), or an inner node (height and version).
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Step {
    #[prost(uint32, tag = "1")]
    height: u32,
    #[prost(uint64, tag = "2")]
    version: u64,
    /// Leaves below.
    #[prost(uint64, tag = "3")]
    size: u64,
    #[prost(bytes = "vec", tag = "4")]
    hash: Vec<u8>,
}

impl Step {
    pub(super) fn pruned(size: u64, hash: &Hash) -> Self {
        Self { height: 0, version: 0, size, hash: hash.to_vec() }
    }

    pub(super) fn inner(height: u8, version: u64) -> Self {
        Self { height: height.into(), version, size: 0, hash: Vec::new() }
    }
}

/// A node of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node<'a> {
    Leaf { key: &'a [u8], value: &'a [u8], version: u64 },
    Inner { height: u8, version: u64 },
}

impl Node<'_> {
    /// Height (0 for a leaf) and version; for a leaf also key and value, each after its length.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Leaf { key, value, version } => {
                out.push(0);
                encode_varint(version, out);
                for bytes in [key, value] {
                    encode_varint(bytes.len() as u64, out);
                    out.extend_from_slice(bytes);
                }
            }
            Self::Inner { height, version } => {
                out.push(height);
                encode_varint(version, out);
            }
        }
    }
}

/// Reads the nodes of a chunk.
pub(crate) struct Nodes<'a>(pub(crate) &'a [u8]);

impl<'a> Nodes<'a> {
    fn varint(&mut self) -> Option<u64> {
        decode_varint(&mut self.0).ok()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn node(&mut self) -> Option<Node<'a>> {
        let (height, rest) = self.0.split_first()?;
        self.0 = rest;
        let version = self.varint()?;
        Some(match *height {
            0 => Node::Leaf { version, key: self.bytes()?, value: self.bytes()? },
            height => Node::Inner { height, version },
        })
    }
}

impl<'a> Iterator for Nodes<'a> {
    /// `None` for bytes that are no node.
    type Item = Option<Node<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let node = self.node();
        if node.is_none() {
            self.0 = &[];
        }
        Some(node)
    }
}

/// What a chunk is called by: its nodes before compression, and its proof.
pub(super) fn digest(body: &Hash, proof: &[u8]) -> Hash {
    Sha256::new().chain_update(body).chain_update(proof).finalize().into()
}

impl Metadata {
    /// The nodes of a chunk with its proof.
    ///
    /// # Errors
    /// [`SyncError::NotTheChunk`] unless the bytes are those that the digest names.
    fn open(&self, index: u32, bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>), SyncError> {
        let not = |what| SyncError::NotTheChunk { index, what };
        let entry = self.chunk(index).ok_or(not("there are not so many"))?;
        if bytes.len() > MAX_CHUNK_BYTES {
            return Err(not("too long"));
        }
        let Chunk { body, proof } = Chunk::decode(bytes).map_err(|_| not("undecodable"))?;
        if proof.len() > MAX_PROOF_BYTES {
            return Err(not("its proof is too long"));
        }
        let length = entry.bytes as usize;
        debug_assert!(length <= MAX_BODY_BYTES, "checked with the metadata");
        let mut nodes = vec![0; length];
        if lz4_flex::block::decompress_into(&body, &mut nodes).ok() != Some(length) {
            return Err(not("it does not decompress to its length"));
        }
        if digest(&Sha256::digest(&nodes).into(), &proof)[..] != entry.digest {
            return Err(not("its digest is another"));
        }
        Ok((nodes, proof))
    }

    /// The nodes of a chunk that was proven before.
    pub(crate) fn nodes(&self, index: u32, bytes: &[u8]) -> Result<Vec<u8>, SyncError> {
        Ok(self.open(index, bytes)?.0)
    }

    /// Checks one chunk by itself: that it is what the metadata names, that its nodes are part of the tree of its store,
    /// at their place, and that none is missing there.
    ///
    /// # Errors
    /// [`SyncError::NotTheChunk`], [`SyncError::Forged`].
    pub fn check_chunk(&self, index: u32, bytes: &[u8]) -> Result<(), SyncError> {
        let (nodes, proof) = self.open(index, bytes)?;
        self.prove(index, &nodes, &proof).map_err(|what| SyncError::Forged { index, what })
    }

    fn prove(&self, index: u32, nodes: &[u8], proof: &[u8]) -> Result<(), &'static str> {
        let Proof { left, right } = Proof::decode(proof).map_err(|_| "its proof is undecodable")?;
        let place = self.place(index).ok_or("it has no place")?;
        let mut stack = Stack { parts: Vec::new(), newest: self.height };

        for step in &left {
            stack.pruned(step)?;
        }
        if stack.size()? != place.first {
            return Err("it begins elsewhere");
        }
        let (mut rows, mut last_key): (u64, &[u8]) = (0, &[]);
        for node in Nodes(nodes) {
            match node.ok_or("its nodes are undecodable")? {
                Node::Leaf { key, value, version } => {
                    if key <= last_key || value.is_empty() {
                        return Err("a key is out of order or a value empty");
                    }
                    last_key = key;
                    rows += 1;
                    stack.leaf(key, value, version)?;
                }
                Node::Inner { .. } if rows == 0 => return Err("it begins with an inner node"),
                Node::Inner { height, version } => stack.join(height, version)?,
            }
        }
        if rows != place.rows {
            return Err("it has another number of rows");
        }
        // Inner nodes that the last leaf completes belong to the chunk, so the rest begins with another subtree.
        if right.first().is_some_and(|step| step.hash.is_empty()) {
            return Err("it ends before an inner node that it completes");
        }
        for step in &right {
            if step.hash.is_empty() {
                stack.join(u8::try_from(step.height).unwrap_or(u8::MAX), step.version)?;
            } else {
                stack.pruned(step)?;
            }
        }
        match stack.parts[..] {
            [Part { size, hash, seen: true }] if size == place.total && hash[..] == *place.root => Ok(()),
            _ => Err("it does not lead to the root of its store"),
        }
    }
}

/// A subtree on the stack.
struct Part {
    size: u64,
    hash: Hash,
    /// Whether a leaf of the chunk is in it.
    seen: bool,
}

struct Stack {
    parts: Vec<Part>,
    /// No node has a later version.
    newest: u64,
}

impl Stack {
    fn size(&self) -> Result<u64, &'static str> {
        let sum = self.parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.size));
        sum.ok_or("its sizes are too large")
    }

    /// A version is hashed doubled, so that one past 2^63 could pass for another.
    fn check_version(&self, version: u64) -> Result<(), &'static str> {
        if (1..=self.newest).contains(&version) { Ok(()) } else { Err("a version is none of the chain's") }
    }

    fn pruned(&mut self, step: &Step) -> Result<(), &'static str> {
        let hash = step.hash[..].try_into().map_err(|_| "a hash is not 32 bytes")?;
        if step.size == 0 || step.height != 0 || step.version != 0 {
            return Err("a pruned subtree has a size and a hash");
        }
        self.parts.push(Part { size: step.size, hash, seen: false });
        Ok(())
    }

    fn leaf(&mut self, key: &[u8], value: &[u8], version: u64) -> Result<(), &'static str> {
        self.check_version(version)?;
        self.parts.push(Part { size: 1, hash: leaf_hash(key, value, version), seen: true });
        Ok(())
    }

    fn join(&mut self, height: u8, version: u64) -> Result<(), &'static str> {
        self.check_version(version)?;
        let (Some(right), Some(left)) = (self.parts.pop(), self.parts.pop()) else {
            return Err("an inner node lacks children");
        };
        if height == 0 || height > MAX_HEIGHT {
            return Err("an inner node's height is impossible");
        }
        // Two pruned children could share their leaves between them as they like.
        if !left.seen && !right.seen {
            return Err("a pruned subtree is not whole");
        }
        let size = left.size.checked_add(right.size).filter(|size| size >> 63 == 0).ok_or("a size is too large")?;
        let hash = inner_hash(height, size, version, &left.hash, &right.hash);
        self.parts.push(Part { size, hash, seen: true });
        Ok(())
    }
}
