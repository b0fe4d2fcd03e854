//! The IAVL tree, as Go `iavl` v1 builds and hashes it: an AVL tree whose rows are its leaves and whose nodes carry the
//! version (here: the block height) that made them. Shape and versions depend on the order of writes, so every step below
//! follows Go's: [`Tree::set`] its `recursiveSet`, [`Tree::remove`] its `recursiveRemove`, [`balance`] its rotations.
//!
//! Nodes are shared between versions. A node that only the tree at hand holds is changed in place.

use super::{Commitment, EMPTY_HASH, ExportedNode, Hash, ValueOf};
use crate::StoreError;
use crate::overlay::StoreChanges;
use ics23::CommitmentProof;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

/// Below this many leaves a subtree is hashed on one thread, and below this many rows a block's leaves are.
const PARALLEL_FROM: usize = 512;

#[derive(Clone, Debug)]
pub(super) struct Node {
    /// A leaf's key; an inner node's separator: the smallest key on its right.
    pub(super) key: Arc<[u8]>,
    pub(super) version: u64,
    /// Known from the start for a leaf, computed when asked for an inner node.
    hash: OnceLock<Hash>,
    pub(super) children: Option<Children>,
}

#[derive(Clone, Debug)]
pub(super) struct Children {
    pub(super) height: u8,
    /// The number of leaves below.
    pub(super) size: u64,
    pub(super) left: Arc<Node>,
    pub(super) right: Arc<Node>,
}

/// One store's tree at one version.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub(super) root: Option<Arc<Node>>,
}

impl Children {
    fn new(left: Arc<Node>, right: Arc<Node>) -> Self {
        let mut children = Self { height: 0, size: 0, left, right };
        children.update();
        children
    }

    /// Brings height and size in line with the children.
    fn update(&mut self) {
        self.height = self.left.height().max(self.right.height()) + 1;
        self.size = self.left.size() + self.right.size();
    }

    /// How much higher the left side is.
    fn balance(&self) -> i16 {
        i16::from(self.left.height()) - i16::from(self.right.height())
    }
}

impl Node {
    fn leaf(key: Arc<[u8]>, version: u64, hash: Hash) -> Arc<Self> {
        Arc::new(Self { key, version, hash: OnceLock::from(hash), children: None })
    }

    fn inner(key: Arc<[u8]>, version: u64, left: Arc<Self>, right: Arc<Self>) -> Arc<Self> {
        Arc::new(Self { key, version, hash: OnceLock::new(), children: Some(Children::new(left, right)) })
    }

    fn height(&self) -> u8 {
        self.children.as_ref().map_or(0, |children| children.height)
    }

    fn size(&self) -> u64 {
        self.children.as_ref().map_or(1, |children| children.size)
    }

    pub(super) fn hash(&self) -> Hash {
        if let Some(hash) = self.hash.get() {
            return *hash;
        }
        // No lock is held meanwhile: a thread that waits in `join` may take up any other work, this node included.
        let children = self.children.as_ref().expect("a leaf is made with its hash");
        let (left, right) = (&children.left, &children.right);
        let both_open = left.hash.get().is_none() && right.hash.get().is_none();
        let (left, right) = if both_open && children.size >= PARALLEL_FROM as u64 {
            rayon::join(|| left.hash(), || right.hash())
        } else {
            (left.hash(), right.hash())
        };
        let mut bytes = inner_prefix(children.height, children.size, self.version);
        for child in [left, right] {
            bytes.push(32);
            bytes.extend_from_slice(&child);
        }
        *self.hash.get_or_init(|| Sha256::digest(&bytes).into())
    }
}

/// The start of an inner node's preimage: height, size and version as zigzag varints.
pub(super) fn inner_prefix(height: u8, size: u64, version: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(96);
    put_zigzag(u64::from(height), &mut bytes);
    put_zigzag(size, &mut bytes);
    put_zigzag(version, &mut bytes);
    bytes
}

/// The start of a leaf's preimage: height 0, size 1 and version as zigzag varints.
pub(super) fn leaf_prefix(version: u64) -> Vec<u8> {
    inner_prefix(0, 1, version)
}

fn leaf_hash(key: &[u8], value: &[u8], version: u64) -> Hash {
    let mut bytes = leaf_prefix(version);
    prost::encoding::encode_varint(key.len() as u64, &mut bytes);
    bytes.extend_from_slice(key);
    bytes.push(32);
    bytes.extend_from_slice(&Sha256::digest(value));
    Sha256::digest(&bytes).into()
}

/// A non-negative integer as a zigzag varint. Heights and sizes stay below 2^63, as CometBFT's int64 demands.
fn put_zigzag(value: u64, out: &mut Vec<u8>) {
    prost::encoding::encode_varint(value << 1, out);
}

/// Makes the inner node in `slot` ours to change: a node of `version` without a hash.
fn own(slot: &mut Arc<Node>, version: u64) -> (&mut Arc<[u8]>, &mut Children) {
    let node = Arc::make_mut(slot);
    node.version = version;
    node.hash = OnceLock::new();
    (&mut node.key, node.children.as_mut().expect("only inner nodes are changed"))
}

/// Sets a leaf below `slot`; true if it replaced one, which changes no shape.
fn set(slot: &mut Arc<Node>, key: &[u8], hash: Hash, version: u64) -> bool {
    let side = key.cmp(&slot.key);
    if slot.children.is_none() {
        let old = Arc::clone(slot);
        *slot = match side {
            Ordering::Less => {
                let new = Node::leaf(key.into(), version, hash);
                Node::inner(Arc::clone(&old.key), version, new, old)
            }
            Ordering::Equal => Node::leaf(Arc::clone(&old.key), version, hash),
            Ordering::Greater => {
                let new = Node::leaf(key.into(), version, hash);
                Node::inner(Arc::clone(&new.key), version, old, new)
            }
        };
        return side == Ordering::Equal;
    }
    let (_, children) = own(slot, version);
    let child = if side == Ordering::Less { &mut children.left } else { &mut children.right };
    let replaced = set(child, key, hash, version);
    if !replaced {
        children.update();
        balance(slot, version);
    }
    replaced
}

/// Removes `key`, which is a leaf below the inner node in `slot`. Returns the subtree's new smallest key if that changed:
/// it is the separator of an ancestor.
fn remove(slot: &mut Arc<Node>, key: &[u8], version: u64) -> Option<Arc<[u8]>> {
    let left = key < &slot.key[..];
    let children = slot.children.as_ref().expect("called on inner nodes");
    let (child, sibling) = if left { (&children.left, &children.right) } else { (&children.right, &children.left) };
    if child.children.is_none() {
        // The sibling moves up as it is, with its version and hash.
        let smallest = left.then(|| Arc::clone(&slot.key));
        *slot = Arc::clone(sibling);
        return smallest;
    }
    let (separator, children) = own(slot, version);
    let smallest = if left {
        remove(&mut children.left, key, version)
    } else {
        if let Some(smallest) = remove(&mut children.right, key, version) {
            *separator = smallest;
        }
        None
    };
    children.update();
    balance(slot, version);
    smallest
}

/// Restores the AVL balance of the node in `slot`, which is ours. Rotated nodes get the current version.
fn balance(slot: &mut Arc<Node>, version: u64) {
    let (_, children) = own(slot, version);
    match children.balance() {
        2.. => {
            if child_balance(&children.left) < 0 {
                rotate_left(&mut children.left, version);
            }
            rotate_right(slot, version);
        }
        ..=-2 => {
            if child_balance(&children.right) > 0 {
                rotate_right(&mut children.right, version);
            }
            rotate_left(slot, version);
        }
        _ => {}
    }
}

fn child_balance(node: &Node) -> i16 {
    node.children.as_ref().map_or(0, Children::balance)
}

/// n(l(a, b), c) becomes l(a, n(b, c)).
fn rotate_right(slot: &mut Arc<Node>, version: u64) {
    let (_, n) = own(slot, version);
    let mut top = Arc::clone(&n.left);
    n.left = Arc::clone(&top.children.as_ref().expect("the higher side is an inner node").right);
    n.update();
    std::mem::swap(slot, &mut top);
    let (_, l) = own(slot, version);
    l.right = top;
    l.update();
}

/// n(a, r(b, c)) becomes r(n(a, b), c).
fn rotate_left(slot: &mut Arc<Node>, version: u64) {
    let (_, n) = own(slot, version);
    let mut top = Arc::clone(&n.right);
    n.right = Arc::clone(&top.children.as_ref().expect("the higher side is an inner node").left);
    n.update();
    std::mem::swap(slot, &mut top);
    let (_, r) = own(slot, version);
    r.left = top;
    r.update();
}

impl Tree {
    /// Sets a row.
    #[cfg(test)]
    pub(crate) fn set(&mut self, key: &[u8], value: &[u8], version: u64) {
        self.set_leaf(key, leaf_hash(key, value, version), version);
    }

    fn set_leaf(&mut self, key: &[u8], hash: Hash, version: u64) {
        match &mut self.root {
            Some(root) => {
                set(root, key, hash, version);
            }
            None => self.root = Some(Node::leaf(key.into(), version, hash)),
        }
    }

    /// Removes a row; an absent one changes nothing, the versions of the nodes on its way included.
    pub(crate) fn remove(&mut self, key: &[u8], version: u64) {
        if !self.contains(key) {
            return;
        }
        match &mut self.root {
            Some(root) if root.children.is_some() => {
                remove(root, key, version);
            }
            root => *root = None,
        }
    }

    fn contains(&self, key: &[u8]) -> bool {
        let mut next = self.root.as_ref();
        while let Some(node) = next {
            let Some(children) = &node.children else { return *node.key == *key };
            next = Some(if *key < *node.key { &children.left } else { &children.right });
        }
        false
    }
}

impl Commitment for Tree {
    fn apply(&self, version: u64, changes: &StoreChanges) -> Self {
        let leaf =
            |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| value.as_ref().map(|value| leaf_hash(key, value, version));
        let leaves: Vec<Option<Hash>> = if changes.len() < PARALLEL_FROM {
            changes.iter().map(leaf).collect()
        } else {
            changes.iter().collect::<Vec<_>>().into_par_iter().map(leaf).collect()
        };
        let mut tree = self.clone();
        for (key, hash) in changes.keys().zip(leaves) {
            match hash {
                Some(hash) => tree.set_leaf(key, hash, version),
                None => tree.remove(key, version),
            }
        }
        tree
    }

    fn root(&self) -> Hash {
        self.root.as_ref().map_or(EMPTY_HASH, |root| root.hash())
    }

    fn len(&self) -> u64 {
        self.root.as_ref().map_or(0, |root| root.size())
    }

    fn prove(&self, key: &[u8], value_of: &ValueOf<'_>) -> Result<CommitmentProof, StoreError> {
        super::proof::prove(self, key, value_of)
    }

    fn export(&self, sink: &mut dyn FnMut(ExportedNode) -> Result<(), StoreError>) -> Result<(), StoreError> {
        fn visit(node: &Node, sink: &mut dyn FnMut(ExportedNode) -> Result<(), StoreError>) -> Result<(), StoreError> {
            let height = u32::from(node.height());
            let (key, hash) = match &node.children {
                Some(children) => {
                    visit(&children.left, sink)?;
                    visit(&children.right, sink)?;
                    (Vec::new(), Vec::new())
                }
                None => (node.key.to_vec(), node.hash().to_vec()),
            };
            sink(ExportedNode { height, version: node.version, key, hash })
        }
        self.root.as_ref().map_or(Ok(()), |root| visit(root, sink))
    }

    fn import(nodes: &mut dyn Iterator<Item = Result<ExportedNode, StoreError>>) -> Result<Self, StoreError> {
        let corrupt = |what: &str| StoreError::Corrupt(format!("tree snapshot: {what}"));
        // Finished subtrees, each with its smallest key.
        let mut stack: Vec<(Arc<Node>, Arc<[u8]>)> = Vec::new();
        for exported in nodes {
            let ExportedNode { height, version, key, hash } = exported?;
            if height == 0 {
                let hash = hash.try_into().map_err(|_| corrupt("a leaf's hash is not 32 bytes"))?;
                let key: Arc<[u8]> = key.into();
                stack.push((Node::leaf(Arc::clone(&key), version, hash), key));
                continue;
            }
            let (Some((right, separator)), Some((left, smallest))) = (stack.pop(), stack.pop()) else {
                return Err(corrupt("an inner node lacks children"));
            };
            let node = Node::inner(separator, version, left, right);
            if u32::from(node.height()) != height || !(-1..=1).contains(&child_balance(&node)) {
                return Err(corrupt("an inner node is out of balance"));
            }
            stack.push((node, smallest));
        }
        let root = stack.pop().map(|(root, _)| root);
        if stack.is_empty() { Ok(Self { root }) } else { Err(corrupt("more than one root")) }
    }
}
