//! ICS-23 proofs out of an IAVL tree, byte-equal to those of Go `iavl` (proof_ics23.go).

use super::hash::Prefix;
use super::node::Node;
use super::{Hash, Tree, ValueOf};
use crate::StoreError;
use ics23::commitment_proof::Proof;
use ics23::{CommitmentProof, ExistenceProof, HashOp, InnerOp, LeafOp, LengthOp, NonExistenceProof};

pub(super) fn prove(tree: &Tree, key: &[u8], value_of: &ValueOf<'_>) -> Result<CommitmentProof, StoreError> {
    let at = |place: Option<Vec<Step<'_>>>| place.map(|path| existence(&path, value_of)).transpose();
    let place = locate(tree, key);
    let proof = match place.exact {
        Some(path) => Proof::Exist(existence(&path, value_of)?),
        None => {
            Proof::Nonexist(NonExistenceProof { key: key.to_vec(), left: at(place.before)?, right: at(place.after)? })
        }
    };
    Ok(CommitmentProof { proof: Some(proof) })
}

/// A node on the way from the root to a leaf, and the side on which the way goes on.
#[derive(Clone, Copy)]
struct Step<'a> {
    node: Node<'a>,
    left: bool,
}

/// The ways to a key's leaf, or to its neighbours when it is absent.
#[derive(Default)]
struct Place<'a> {
    exact: Option<Vec<Step<'a>>>,
    before: Option<Vec<Step<'a>>>,
    after: Option<Vec<Step<'a>>>,
}

fn locate<'a>(tree: &'a Tree, key: &[u8]) -> Place<'a> {
    let mut place = Place::default();
    let Some(root) = tree.node() else { return place };
    let path = descend(Vec::new(), root, |node| key < node.key());
    let leaf = path.last().map_or(root, |step| step.node);
    // Exactly one neighbour of an absent key is the leaf that a search for it ends at; the other lies across the last
    // turn to the respective side.
    match key.cmp(leaf.key()) {
        std::cmp::Ordering::Equal => place.exact = Some(path),
        std::cmp::Ordering::Less => {
            place.before = across(&path, false);
            place.after = Some(path);
        }
        std::cmp::Ordering::Greater => {
            place.after = across(&path, true);
            place.before = Some(path);
        }
    }
    place
}

/// Walks from `node` down to a leaf, which becomes the last step.
fn descend<'a>(mut path: Vec<Step<'a>>, mut node: Node<'a>, go_left: impl Fn(Node<'a>) -> bool) -> Vec<Step<'a>> {
    loop {
        let left = go_left(node);
        path.push(Step { node, left });
        let Some(children) = node.children() else { return path };
        node = if left { children.0 } else { children.1 };
    }
}

/// The way to the leaf right after (`right`) or right before the one that `path` leads to.
fn across<'a>(path: &[Step<'a>], right: bool) -> Option<Vec<Step<'a>>> {
    let inner = path.len() - 1;
    let turn = path[..inner].iter().rposition(|step| step.left == right)?;
    let node = path[turn].node;
    let children = node.children()?;
    let mut other = path[..turn].to_vec();
    other.push(Step { node, left: !right });
    let child = if right { children.1 } else { children.0 };
    Some(descend(other, child, |_| right))
}

/// The proof that the leaf at the end of `path` has its value.
fn existence(path: &[Step<'_>], value_of: &ValueOf<'_>) -> Result<ExistenceProof, StoreError> {
    let (leaf, inner) = path.split_last().ok_or_else(|| StoreError::Corrupt("a way without a leaf".into()))?;
    let key = leaf.node.key().to_vec();
    let value = value_of(&key)?
        .ok_or_else(|| StoreError::Corrupt(format!("key {key:02x?} is in the tree but not in the state")))?;
    let leaf = LeafOp {
        hash: HashOp::Sha256.into(),
        prehash_key: HashOp::NoHash.into(),
        prehash_value: HashOp::Sha256.into(),
        length: LengthOp::VarProto.into(),
        prefix: Prefix::leaf(leaf.node.version()).as_slice().to_vec(),
    };
    let path = inner.iter().rev().filter_map(inner_op).collect();
    Ok(ExistenceProof { key, value, leaf: Some(leaf), path })
}

fn inner_op(step: &Step<'_>) -> Option<InnerOp> {
    let node = step.node;
    let (left, right) = node.children()?;
    let with_length = |hash: &Hash| [&[32][..], hash].concat();
    let mut prefix = Prefix::inner(node.height(), node.size().into(), node.version()).as_slice().to_vec();
    let suffix = if step.left {
        with_length(right.hash())
    } else {
        prefix.extend(with_length(left.hash()));
        Vec::new()
    };
    prefix.push(32);
    Some(InnerOp { hash: HashOp::Sha256.into(), prefix, suffix })
}
