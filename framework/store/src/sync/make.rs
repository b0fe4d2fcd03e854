//! Makes the chunks of a snapshot in one pass over trees and rows.
//!
//! The nodes of a chunk are written when it is full. What surrounds them is known once the tree is at its end: until then
//! only the nodes that span several chunks are kept, which are few.

use super::chunk::{Chunk, Node, Proof, Step, digest};
use super::{
    ChunkEntry, FORMAT, MAX_CHUNKS, MAX_METADATA_BYTES, MAX_ROW_BYTES, Metadata, Source, StoreEntry, SyncError,
};
use crate::commitment::{Commitment, ExportedNode, Hash, Tree, inner_hash, leaf_hash};
use crate::{KvIter, KvRead, Order, StoreError, StoreName};
use prost::Message;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The name of the file with the encoded metadata, beside the chunks, which are called by their numbers.
pub(super) const METADATA_FILE: &str = "metadata";

pub(super) fn chunk_file(dir: &Path, index: u32) -> PathBuf {
    dir.join(index.to_string())
}

/// Writes the chunks of `source` and its metadata into the folder `dir`, synced. Chunks end at `chunk_bytes` of nodes.
/// Asks `go_on` all the time.
pub(super) fn make(
    source: &Source,
    dir: &Path,
    chunk_bytes: usize,
    go_on: &dyn Fn() -> bool,
) -> Result<Metadata, SyncError> {
    let mut metadata = Metadata { format: FORMAT, height: source.height(), stores: Vec::new() };
    for (name, tree) in &source.forest.trees {
        let mut maker = Maker {
            dir,
            chunk_bytes,
            rows: source.state.scan(*name, None, None, Order::Ascending)?,
            first: metadata.chunks(),
            bodies: Vec::new(),
            nodes: Vec::new(),
            leaves: 0,
            stack: Vec::new(),
        };
        metadata.stores.push(maker.store(*name, tree, go_on)?);
    }
    if metadata.chunks() as usize > MAX_CHUNKS || metadata.encoded_len() > MAX_METADATA_BYTES {
        return Err(SyncError::TooLarge("too many chunks"));
    }
    write(&dir.join(METADATA_FILE), &metadata.encode_to_vec())?;
    Ok(metadata)
}

/// Writes a file and waits for the disk.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), SyncError> {
    let written = File::create(path).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| SyncError::file(path, &error))
}

/// The chunks of one store.
struct Maker<'a> {
    dir: &'a Path,
    chunk_bytes: usize,
    rows: KvIter<'a>,
    /// The number of the store's first chunk.
    first: u32,
    /// The chunks that are written, all but their proofs.
    bodies: Vec<Body>,
    /// The nodes of the chunk at hand, and how many of them are leaves.
    nodes: Vec<u8>,
    leaves: u64,
    /// Finished subtrees.
    stack: Vec<Part>,
}

struct Body {
    rows: u64,
    bytes: u32,
    hash: Hash,
}

/// A subtree.
struct Part {
    height: u8,
    size: u64,
    version: u64,
    hash: Hash,
    /// The chunks of its first and its last leaf, as numbers in the store.
    first: usize,
    last: usize,
    /// Present if they differ.
    children: Option<Box<[Part; 2]>>,
}

impl Maker<'_> {
    fn store(&mut self, name: StoreName, tree: &Tree, go_on: &dyn Fn() -> bool) -> Result<StoreEntry, SyncError> {
        let corrupt = |what| SyncError::Store(StoreError::Corrupt(format!("store {name}: {what}")));
        let mut failed = None;
        let exported = tree.export(&mut |node| {
            let done = if go_on() { self.node(node) } else { Err(SyncError::Stopped) };
            done.map_err(|error| {
                let words = StoreError::Io(error.to_string());
                failed = Some(error);
                words
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        exported?;
        if self.leaves > 0 {
            self.cut()?;
        }
        let root = self.stack.pop();
        if self.rows.next().is_some() || root.as_ref().is_some_and(|root| root.hash != tree.root()) {
            return Err(corrupt("tree and rows differ"));
        }
        let mut chunks = Vec::with_capacity(self.bodies.len());
        if let Some(root) = root {
            for at in 0..self.bodies.len() {
                if !go_on() {
                    return Err(SyncError::Stopped);
                }
                chunks.push(self.prove(&root, at)?);
            }
        }
        Ok(StoreEntry { name: name.to_string(), root: tree.root().to_vec(), chunks })
    }

    fn node(&mut self, ExportedNode { height, version, key, .. }: ExportedNode) -> Result<(), SyncError> {
        let corrupt = |what: &str| SyncError::Store(StoreError::Corrupt(what.into()));
        if height == 0 {
            // Inner nodes belong to the chunk of the leaf that completes them: a chunk ends before a leaf.
            if self.nodes.len() >= self.chunk_bytes {
                self.cut()?;
            }
            let (row, value) = self.rows.next().ok_or_else(|| corrupt("the tree has a leaf without a row"))??;
            if row != key {
                return Err(corrupt("the tree and the rows have other keys"));
            }
            if key.len() + value.len() > MAX_ROW_BYTES {
                return Err(SyncError::TooLarge("a row over 8 MiB"));
            }
            Node::Leaf { key: &key, value: &value, version }.put(&mut self.nodes);
            self.leaves += 1;
            let (hash, at) = (leaf_hash(&key, &value, version), self.bodies.len());
            self.stack.push(Part { height: 0, size: 1, version, hash, first: at, last: at, children: None });
            return Ok(());
        }
        let (Some(right), Some(left)) = (self.stack.pop(), self.stack.pop()) else {
            return Err(corrupt("an inner node lacks children"));
        };
        let height = u8::try_from(height).map_err(|_| corrupt("an inner node is too high"))?;
        Node::Inner { height, version }.put(&mut self.nodes);
        let (first, last, size) = (left.first, right.last, left.size + right.size);
        let hash = inner_hash(height, size, version, &left.hash, &right.hash);
        let children = (first != last).then(|| Box::new([left, right]));
        self.stack.push(Part { height, size, version, hash, first, last, children });
        Ok(())
    }

    /// Writes the chunk at hand, all but its proof.
    fn cut(&mut self) -> Result<(), SyncError> {
        let bytes = u32::try_from(self.nodes.len()).map_err(|_| SyncError::TooLarge("a chunk over 4 GiB"))?;
        let body = lz4_flex::block::compress(&self.nodes);
        let path = self.path(self.bodies.len())?;
        let encoded = Chunk { body, proof: Vec::new() }.encode_to_vec();
        std::fs::write(&path, encoded).map_err(|error| SyncError::file(&path, &error))?;
        let hash = Sha256::digest(&self.nodes).into();
        self.bodies.push(Body { rows: std::mem::take(&mut self.leaves), bytes, hash });
        self.nodes.clear();
        crate::fail::point("snapshot: chunk");
        Ok(())
    }

    /// Adds the proof to a chunk: fields of a message may stand one after another.
    fn prove(&self, root: &Part, at: usize) -> Result<ChunkEntry, SyncError> {
        let mut proof = Proof::default();
        root.surround(at, &mut proof);
        let proof = proof.encode_to_vec();
        let Body { rows, bytes, hash } = &self.bodies[at];
        let digest = digest(hash, &proof).to_vec();
        let path = self.path(at)?;
        let field = Chunk { body: Vec::new(), proof }.encode_to_vec();
        OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(&field).and_then(|()| file.sync_all()))
            .map_err(|error| SyncError::file(&path, &error))?;
        Ok(ChunkEntry { rows: *rows, bytes: *bytes, digest })
    }

    fn path(&self, at: usize) -> Result<PathBuf, SyncError> {
        let at = u32::try_from(at).ok().and_then(|at| self.first.checked_add(at));
        Ok(chunk_file(self.dir, at.ok_or(SyncError::TooLarge("too many chunks"))?))
    }
}

impl Part {
    /// What surrounds the chunk `at` in this subtree, in post-order.
    fn surround(&self, at: usize, proof: &mut Proof) {
        if self.last < at {
            proof.left.push(Step::pruned(self.size, &self.hash));
        } else if self.first > at {
            proof.right.push(Step::pruned(self.size, &self.hash));
        } else if let Some(children) = &self.children {
            for child in children.iter() {
                child.surround(at, proof);
            }
            // Otherwise it is among the chunk's own nodes.
            if self.last > at {
                proof.right.push(Step::inner(self.height, self.version));
            }
        }
    }
}
