//! The app hash: Tendermint's simple Merkle tree (RFC 6962) over (store name, digest of the store's root), as the SDK's
//! `rootmulti` commits its stores.

use super::{EMPTY_HASH, Hash};
use ics23::commitment_proof::Proof;
use ics23::{CommitmentProof, ExistenceProof, HashOp, InnerOp, LeafOp, LengthOp};
use sha2::{Digest, Sha256};

/// The app hash of stores given by ascending name.
pub(crate) fn multistore_root<'a>(stores: impl Iterator<Item = (&'a str, Hash)>) -> Hash {
    let leaves: Vec<Hash> = stores.map(|(name, root)| leaf(name, &root)).collect();
    merkle_root(&leaves, &mut |_, _| {}, 0)
}

/// The proof that the store `name` has `root`; `None` if there is no such store.
pub(crate) fn prove_store<'a>(stores: impl Iterator<Item = (&'a str, Hash)>, name: &str) -> Option<CommitmentProof> {
    let stores: Vec<(&str, Hash)> = stores.collect();
    let index = stores.iter().position(|(other, _)| *other == name)?;
    let leaves: Vec<Hash> = stores.iter().map(|(name, root)| leaf(name, root)).collect();

    // Inner nodes are visited bottom up, so those that span the leaf come in the order of its path.
    let mut path = Vec::new();
    merkle_root(
        &leaves,
        &mut |span, (split, left, right)| {
            if !span.contains(&index) {
                return;
            }
            let hash = HashOp::Sha256.into();
            path.push(if index < split {
                InnerOp { hash, prefix: vec![1], suffix: right.to_vec() }
            } else {
                InnerOp { hash, prefix: [&[1], &left[..]].concat(), suffix: Vec::new() }
            });
        },
        0,
    );
    let leaf = LeafOp {
        hash: HashOp::Sha256.into(),
        prehash_key: HashOp::NoHash.into(),
        prehash_value: HashOp::Sha256.into(),
        length: LengthOp::VarProto.into(),
        prefix: vec![0],
    };
    let exist =
        ExistenceProof { key: name.as_bytes().to_vec(), value: stores[index].1.to_vec(), leaf: Some(leaf), path };
    Some(CommitmentProof { proof: Some(Proof::Exist(exist)) })
}

fn leaf(name: &str, root: &Hash) -> Hash {
    let mut bytes = vec![0];
    prost::encoding::encode_varint(name.len() as u64, &mut bytes);
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(32);
    bytes.extend_from_slice(&Sha256::digest(root));
    Sha256::digest(&bytes).into()
}

/// Called with the leaves that an inner node spans, where they split, and the hashes of both sides.
type Visit<'a> = dyn FnMut(std::ops::Range<usize>, (usize, Hash, Hash)) + 'a;

/// The root over `leaves`, the first of which has the number `first`.
fn merkle_root(leaves: &[Hash], visit: &mut Visit<'_>, first: usize) -> Hash {
    match leaves {
        [] => EMPTY_HASH,
        [leaf] => *leaf,
        _ => {
            // The left side holds the largest power of two that leaves something for the right.
            let split = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(split);
            let (left, right) = (merkle_root(left, visit, first), merkle_root(right, visit, first + split));
            visit(first..first + leaves.len(), (first + split, left, right));
            Sha256::digest([&[1], &left[..], &right[..]].concat()).into()
        }
    }
}
