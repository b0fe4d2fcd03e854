//! The IAVL tree, as Go `iavl` v1 builds and hashes it: an AVL tree whose rows are its leaves and whose nodes carry the
//! version (here: the block height) that made them. Shape and versions depend on the order of writes, so a block's writes
//! come out as if each had gone from the root to its leaf and back, as Go's `recursiveSet` and `recursiveRemove` do.
//!
//! They do not go that way. A run of writes goes down together and comes back up at the first one that changes what the
//! nodes above must answer to: the height of a subtree, which may rotate them, or its smallest key, which is the separator
//! of one of them ([`Writer::write`]). Large runs are split between the sides of a node, and these written in parallel, as
//! if the other side were not there; what came out stands if that node would never have been out of balance on the way
//! ([`Writer::spread`]).
//!
//! Nodes are shared between versions. A node that only the tree at hand holds is changed in place.

use super::file::Section;
use super::hash::leaf_hash;
use super::node::{Base, Inner, Key, Link, Node};
use super::{Commitment, EMPTY_HASH, ExportedNode, Hash, TreeMemory, ValueOf};
use crate::StoreError;
use crate::overlay::StoreChanges;
use ics23::CommitmentProof;
use rayon::prelude::*;
use std::cmp::Ordering;
use std::sync::Arc;

/// Runs of fewer writes are not split.
const PARALLEL_FROM: usize = 128;

/// Below this many leaves a subtree is sealed on one thread.
const SEAL_APART: u32 = 1 << 12;

/// One store's tree at one version. All of its hashes are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    root: Option<Link>,
    /// The file that has the nodes which are not in memory.
    base: Option<Arc<Section>>,
}

/// A row to set or, without a value, to remove. One that is removed is there.
struct Op<'a> {
    key: &'a [u8],
    value: Option<&'a [u8]>,
}

/// What became of a subtree.
struct Step {
    /// How many writes were done.
    done: usize,
    /// Its only leaf was removed.
    gone: bool,
    /// Its new smallest key, if the old one was removed.
    smallest: Option<Key>,
}

/// The heights that a subtree passed through.
struct Heights {
    lowest: u8,
    highest: u8,
}

impl Heights {
    fn at(height: u8) -> Self {
        Self { lowest: height, highest: height }
    }

    fn pass(&mut self, height: u8) {
        self.lowest = self.lowest.min(height);
        self.highest = self.highest.max(height);
    }

    /// Whether a sibling of this height was in balance with it all the way.
    fn near(&self, sibling: u8) -> bool {
        self.lowest.abs_diff(sibling) <= 1 && self.highest.abs_diff(sibling) <= 1
    }
}

/// Writes rows of one version into a tree.
#[derive(Clone, Copy)]
struct Writer<'a> {
    version: u64,
    base: Base<'a>,
}

impl Writer<'_> {
    fn height(self, link: &Link) -> u8 {
        link.node(self.base).height()
    }

    /// Makes the inner node in `slot` ours to change.
    fn own<'s>(&self, slot: &'s mut Link) -> &'s mut Inner {
        if let (Link::Saved(index), Some(section)) = (&*slot, self.base) {
            *slot = section.load(*index);
        }
        let Link::Inner(inner) = slot else { unreachable!("only inner nodes are changed") };
        let inner = Arc::make_mut(inner);
        inner.version = self.version;
        inner.sealed = false;
        inner
    }

    /// Does `ops`, which are not empty and belong below `slot`, one after another, until one changes the height or the
    /// smallest key of the subtree.
    fn write(self, slot: &mut Link, ops: &[Op<'_>]) -> Step {
        let before = self.height(slot);
        if before == 0 {
            return self.write_leaf(slot, &ops[0]);
        }
        let mut done = 0;
        loop {
            let rest = &ops[done..];
            let inner = self.own(slot);
            let split = match rest {
                [op] => usize::from(*op.key < *inner.key),
                _ => rest.partition_point(|op| *op.key < *inner.key),
            };
            let left = split > 0;
            let step =
                if left { self.write(&mut inner.left, &rest[..split]) } else { self.write(&mut inner.right, rest) };
            done += step.done;
            if step.gone {
                // The sibling moves up as it is, with its version and hash.
                let (sibling, smallest) =
                    if left { (inner.right.clone(), Some(inner.key.clone())) } else { (inner.left.clone(), None) };
                *slot = sibling;
                return Step { done, gone: false, smallest };
            }
            let mut smallest = step.smallest;
            if !left && let Some(separator) = smallest.take() {
                inner.key = separator;
            }
            inner.update(self.base);
            self.balance(slot);
            if done == ops.len() || smallest.is_some() || self.height(slot) != before {
                return Step { done, gone: false, smallest };
            }
        }
    }

    fn write_leaf(self, slot: &mut Link, op: &Op<'_>) -> Step {
        let old = slot.node(self.base).key();
        let Some(value) = op.value else {
            debug_assert_eq!(old, op.key, "absent rows are not removed");
            return Step { done: 1, gone: true, smallest: None };
        };
        let side = op.key.cmp(old);
        let old = slot.key(self.base);
        // Long keys are shared.
        let key = if side == Ordering::Equal { old.clone() } else { Key::from(op.key) };
        let new = Link::leaf(key.clone(), self.version, leaf_hash(op.key, value, self.version));
        if side == Ordering::Equal {
            *slot = new;
        } else {
            let (separator, left, right) =
                if side == Ordering::Less { (old, new, slot.clone()) } else { (key, slot.clone(), new) };
            *slot = Link::inner(separator, self.version, left, right);
            self.own(slot).update(self.base);
        }
        Step { done: 1, gone: false, smallest: None }
    }

    /// Restores the AVL balance of the node in `slot`, which is ours. Rotated nodes get the current version.
    fn balance(self, slot: &mut Link) {
        let node = self.own(slot);
        match node.balance(self.base) {
            2.. => {
                if self.balance_of(&node.left) < 0 {
                    self.rotate_left(&mut node.left);
                }
                self.rotate_right(slot);
            }
            ..=-2 => {
                if self.balance_of(&node.right) > 0 {
                    self.rotate_right(&mut node.right);
                }
                self.rotate_left(slot);
            }
            _ => {}
        }
    }

    fn balance_of(self, link: &Link) -> i16 {
        balance_of(link.node(self.base))
    }

    /// n(l(a, b), c) becomes l(a, n(b, c)).
    fn rotate_right(self, slot: &mut Link) {
        let n = self.own(slot);
        let mut top = n.left.clone();
        n.left = self.own(&mut top).right.clone();
        n.update(self.base);
        std::mem::swap(slot, &mut top);
        let l = self.own(slot);
        l.right = top;
        l.update(self.base);
    }

    /// n(a, r(b, c)) becomes r(n(a, b), c).
    fn rotate_left(self, slot: &mut Link) {
        let n = self.own(slot);
        let mut top = n.right.clone();
        n.right = self.own(&mut top).left.clone();
        n.update(self.base);
        std::mem::swap(slot, &mut top);
        let r = self.own(slot);
        r.left = top;
        r.update(self.base);
    }

    /// Does all of `ops` as if the subtree were a tree of its own, and seals it. `None` if nothing of it was left at some
    /// point: `slot` is then worthless.
    fn spread(self, slot: &mut Link, ops: &[Op<'_>]) -> Option<Heights> {
        // A tree that its writes may outgrow would hardly stay in balance.
        let size = slot.node(self.base).size() as usize;
        if ops.len() >= PARALLEL_FROM && ops.len() <= size / 4 {
            let before = slot.clone();
            if let Some(heights) = self.split(slot, ops) {
                return Some(heights);
            }
            *slot = before;
        }
        let mut heights = Heights::at(self.height(slot));
        let mut done = 0;
        while done < ops.len() {
            let step = self.write(slot, &ops[done..]);
            if step.gone {
                return None;
            }
            done += step.done;
            heights.pass(self.height(slot));
        }
        self.seal(slot);
        Some(heights)
    }

    /// Spreads `ops` over both sides of the inner node in `slot`. `None` if one after another they might have come to
    /// something else: `slot` is then worthless.
    fn split(self, slot: &mut Link, ops: &[Op<'_>]) -> Option<Heights> {
        let inner = self.own(slot);
        let split = ops.partition_point(|op| *op.key < *inner.key);
        // With its separator, a node would send some of the later writes to the other side.
        if ops.get(split).is_some_and(|op| op.value.is_none() && *op.key == *inner.key) {
            return None;
        }
        let right_before = self.height(&inner.right);
        let (left, right) = (&mut inner.left, &mut inner.right);
        let (ops_left, ops_right) = ops.split_at(split);
        let (left, right) = rayon::join(|| self.spread(left, ops_left), || self.spread(right, ops_right));
        let (left, right) = (left?, right?);
        // First the left side changed beside the old right one, then the right side beside the new left one.
        let left_after = self.height(&inner.left);
        if !left.near(right_before) || !right.near(left_after) {
            return None;
        }
        inner.update(self.base);
        inner.seal(self.base);
        let mut heights = Heights::at(inner.height);
        for (left, right) in [
            (left.lowest, right_before),
            (left.highest, right_before),
            (left_after, right.lowest),
            (left_after, right.highest),
        ] {
            heights.pass(left.max(right) + 1);
        }
        Some(heights)
    }

    /// Computes the hashes of all nodes that lack them.
    fn seal(self, slot: &mut Link) {
        let Link::Inner(inner) = slot else { return };
        if inner.sealed {
            return;
        }
        let inner = Arc::make_mut(inner);
        if inner.size >= SEAL_APART {
            let (left, right) = (&mut inner.left, &mut inner.right);
            rayon::join(|| self.seal(left), || self.seal(right));
        } else {
            self.seal(&mut inner.left);
            self.seal(&mut inner.right);
        }
        inner.seal(self.base);
    }
}

fn balance_of(node: Node<'_>) -> i16 {
    node.children().map_or(0, |(left, right)| i16::from(left.height()) - i16::from(right.height()))
}

impl Tree {
    /// The tree whose root is the last node of a file's section.
    pub(super) fn saved(section: Section) -> Self {
        Self { root: section.root(), base: Some(Arc::new(section)) }
    }

    pub(super) fn node(&self) -> Option<Node<'_>> {
        self.root.as_ref().map(|root| root.node(self.base.as_deref()))
    }

    fn contains(&self, key: &[u8]) -> bool {
        let mut next = self.node();
        while let Some(node) = next {
            let Some((left, right)) = node.children() else { return node.key() == key };
            next = Some(if key < node.key() { left } else { right });
        }
        false
    }

    /// What the tree takes, counted node by node.
    pub(crate) fn memory(&self) -> TreeMemory {
        fn count(node: Node<'_>, memory: &mut TreeMemory) {
            let (key, bytes) = match node {
                Node::Saved(..) => return,
                Node::Leaf(leaf) => (&leaf.key, size_of_val(leaf)),
                Node::Inner(inner, _) => (&inner.key, size_of_val(inner)),
            };
            let shared = if let Key::Shared(key) = key { key.len() } else { 0 };
            memory.nodes += 1;
            // Two counts stand before what an `Arc` holds.
            memory.bytes += (2 * size_of::<usize>() + bytes + shared) as u64;
            if let Some((left, right)) = node.children() {
                count(left, memory);
                count(right, memory);
            }
        }
        let mut memory = TreeMemory::default();
        if let Some(root) = self.node() {
            count(root, &mut memory);
        }
        memory.mapped_bytes = self.base.as_ref().map_or(0, |section| section.len());
        memory
    }
}

impl Commitment for Tree {
    fn apply(&self, version: u64, changes: &StoreChanges) -> Self {
        let ops = changes.iter().map(|(key, value)| Op { key, value: value.as_deref() });
        let mut ops: Vec<Op<'_>> = ops.collect();
        // A removal of an absent row changes nothing, the versions of the nodes on its way included.
        let there = |op: &Op<'_>| op.value.is_some() || self.contains(op.key);
        if ops.len() < PARALLEL_FROM {
            ops.retain(there);
        } else {
            ops = ops.into_par_iter().filter(there).collect();
        }

        let mut tree = self.clone();
        let Self { root, base } = &mut tree;
        let writer = Writer { version, base: base.as_deref() };
        // Where the whole tree vanishes on the way, the writes go in one by one.
        if let Some(link) = root {
            if writer.spread(link, &ops).is_some() {
                return tree;
            }
            root.clone_from(&self.root);
        }
        let mut rest = &ops[..];
        while let [op, later @ ..] = rest {
            match (&mut *root, op.value) {
                (Some(link), _) => {
                    let step = writer.write(link, rest);
                    rest = &rest[step.done..];
                    if step.gone {
                        *root = None;
                    }
                }
                (None, Some(value)) => {
                    *root = Some(Link::leaf(op.key.into(), version, leaf_hash(op.key, value, version)));
                    rest = later;
                }
                (None, None) => unreachable!("absent rows are not removed"),
            }
        }
        if let Some(link) = root {
            writer.seal(link);
        }
        tree
    }

    fn root(&self) -> Hash {
        self.node().map_or(EMPTY_HASH, |root| *root.hash())
    }

    fn len(&self) -> u64 {
        self.node().map_or(0, |root| root.size().into())
    }

    fn prove(&self, key: &[u8], value_of: &ValueOf<'_>) -> Result<CommitmentProof, StoreError> {
        super::proof::prove(self, key, value_of)
    }

    fn export(&self, sink: &mut dyn FnMut(ExportedNode) -> Result<(), StoreError>) -> Result<(), StoreError> {
        fn visit(
            node: Node<'_>,
            sink: &mut dyn FnMut(ExportedNode) -> Result<(), StoreError>,
        ) -> Result<(), StoreError> {
            let (key, hash) = match node.children() {
                Some((left, right)) => {
                    visit(left, sink)?;
                    visit(right, sink)?;
                    (Vec::new(), Vec::new())
                }
                None => (node.key().to_vec(), node.hash().to_vec()),
            };
            sink(ExportedNode { height: node.height().into(), version: node.version(), key, hash })
        }
        self.node().map_or(Ok(()), |root| visit(root, sink))
    }

    fn import(nodes: &mut dyn Iterator<Item = Result<ExportedNode, StoreError>>) -> Result<Self, StoreError> {
        let corrupt = |what: &str| StoreError::Corrupt(format!("tree snapshot: {what}"));
        // Finished subtrees, each with its smallest key.
        let mut stack: Vec<(Link, Key)> = Vec::new();
        for exported in nodes {
            let ExportedNode { height, version, key, hash } = exported?;
            if height == 0 {
                let hash = hash.try_into().map_err(|_| corrupt("a leaf's hash is not 32 bytes"))?;
                let key = Key::from(&key[..]);
                stack.push((Link::leaf(key.clone(), version, hash), key));
                continue;
            }
            let (Some((right, separator)), Some((left, smallest))) = (stack.pop(), stack.pop()) else {
                return Err(corrupt("an inner node lacks children"));
            };
            let mut link = Link::inner(separator, version, left, right);
            let inner = Writer { version, base: None }.own(&mut link);
            inner.update(None);
            if u32::from(inner.height) != height || !(-1..=1).contains(&inner.balance(None)) {
                return Err(corrupt("an inner node is out of balance"));
            }
            inner.seal(None);
            stack.push((link, smallest));
        }
        let root = stack.pop().map(|(root, _)| root);
        if stack.is_empty() { Ok(Self { root, base: None }) } else { Err(corrupt("more than one root")) }
    }
}
