//! The tree against Go `iavl` and against a plain map.

use super::*;
use proptest::prelude::*;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Vector {
    initial_version: u64,
    versions: Vec<Version>,
    proofs: Vec<GoldenProof>,
}

#[derive(Deserialize)]
struct Version {
    ops: Vec<String>,
    root: String,
}

#[derive(Deserialize)]
struct GoldenProof {
    version: u64,
    key: String,
    #[serde(default)]
    value: String,
    ops: Vec<GoldenOp>,
}

#[derive(Deserialize)]
struct GoldenOp {
    data: String,
}

/// A row's key, and its value unless it is removed.
fn parse(op: &str) -> (Vec<u8>, Option<Vec<u8>>) {
    let (key, value) = op.split_once('=').map_or((op, None), |(key, value)| (key, Some(value)));
    (hex::decode(key).unwrap(), value.map(|value| hex::decode(value).unwrap()))
}

fn check_vector(json: &str) {
    let vector: Vector = serde_json::from_str(json).unwrap();
    let mut tree = Tree::default();
    let mut rows = BTreeMap::new();
    let mut versions = BTreeMap::new();
    for (number, Version { ops, root }) in (vector.initial_version..).zip(vector.versions) {
        let before = (tree.clone(), tree.root());
        for (key, value) in ops.iter().map(|op| parse(op)) {
            match value {
                Some(value) => {
                    tree.set(&key, &value, number);
                    rows.insert(key, value);
                }
                None => {
                    tree.remove(&key, number);
                    rows.remove(&key);
                }
            }
        }
        assert_eq!(hex::encode(tree.root()), root, "version {number}");
        assert_eq!(before.0.root(), before.1, "the version before {number} stays as it was");
        versions.insert(number, (tree.clone(), rows.clone()));
    }
    assert!(versions.len() >= 200 && vector.proofs.len() >= 40);
    for proof in vector.proofs {
        let (tree, rows) = &versions[&proof.version];
        let key = hex::decode(&proof.key).unwrap();
        assert_eq!(rows.get(&key).map(hex::encode).unwrap_or_default(), proof.value);
        let ours = tree.prove(&key, &|key| Ok(rows.get(key).cloned())).unwrap();
        assert_eq!(hex::encode(prost::Message::encode_to_vec(&ours)), proof.ops[0].data, "key {}", proof.key);
    }
}

#[test]
fn roots_and_proofs_equal_those_of_go_iavl() {
    check_vector(include_str!("../../golden/vectors/tree-1.json"));
    check_vector(include_str!("../../golden/vectors/tree-2.json"));
}

#[test]
fn roots_and_proofs_equal_those_of_go_iavl_from_another_initial_version() {
    check_vector(include_str!("../../golden/vectors/tree-3.json"));
    check_vector(include_str!("../../golden/vectors/tree-4.json"));
}

#[test]
fn the_empty_hash_is_the_digest_of_nothing() {
    assert_eq!(EMPTY_HASH, <Hash>::from(Sha256::digest([])));
    assert_eq!(Tree::default().root(), EMPTY_HASH);
    assert_eq!(multistore_root(std::iter::empty()), EMPTY_HASH);
}

/// A block's writes: short keys, so that they meet.
fn changes() -> impl Strategy<Value = StoreChanges> {
    let key = proptest::collection::vec(any::<u8>(), 1..3);
    let value = proptest::option::weighted(0.6, proptest::collection::vec(any::<u8>(), 1..5));
    proptest::collection::btree_map(key, value, 0..40)
}

fn verify(tree: &Tree, rows: &BTreeMap<Vec<u8>, Vec<u8>>, key: &[u8]) {
    type Host = ics23::HostFunctionsManager;
    let proof = tree.prove(key, &|key| Ok(rows.get(key).cloned())).unwrap();
    let (spec, root) = (ics23::iavl_spec(), tree.root().to_vec());
    match rows.get(key) {
        Some(value) => {
            assert!(ics23::verify_membership::<Host>(&proof, &spec, &root, key, value));
            assert!(!ics23::verify_membership::<Host>(&proof, &spec, &root, key, b"another value"));
        }
        // ICS-23 cannot express that a tree is empty.
        None => assert_eq!(ics23::verify_non_membership::<Host>(&proof, &spec, &root, key), !rows.is_empty()),
    }
}

proptest! {
    #[test]
    fn a_tree_holds_the_rows_of_a_map_and_proves_them(blocks in proptest::collection::vec(changes(), 1..12), probe: [u8; 2]) {
        let (mut tree, mut rows) = (Tree::default(), BTreeMap::new());
        for (version, block) in (1..).zip(&blocks) {
            let (before, root) = (tree.clone(), tree.root());
            tree = tree.apply(version, block);
            prop_assert_eq!(before.root(), root);
            for (key, value) in block {
                match value {
                    Some(value) => drop(rows.insert(key.clone(), value.clone())),
                    None => drop(rows.remove(key)),
                }
            }
        }
        let mut leaves = Vec::new();
        tree.export(&mut |node| {
            if node.height == 0 {
                leaves.push(node.key);
            }
            Ok(())
        }).unwrap();
        prop_assert!(leaves.iter().eq(rows.keys()));
        verify(&tree, &rows, &probe);
        for key in rows.keys() {
            verify(&tree, &rows, key);
        }
    }

    #[test]
    fn an_imported_tree_goes_on_as_the_exported_one(blocks in proptest::collection::vec(changes(), 1..8), later in changes()) {
        let tree = (1..).zip(&blocks).fold(Tree::default(), |tree, (version, block)| tree.apply(version, block));
        let mut nodes = Vec::new();
        tree.export(&mut |node| {
            nodes.push(Ok(node));
            Ok(())
        }).unwrap();
        let copy = Tree::import(&mut nodes.into_iter()).unwrap();
        prop_assert_eq!(copy.root(), tree.root());
        // Separators route these, and they were not exported.
        prop_assert_eq!(copy.apply(100, &later).root(), tree.apply(100, &later).root());
    }

    #[test]
    fn a_damaged_export_is_refused(block in changes(), cut in any::<prop::sample::Index>()) {
        let tree = Tree::default().apply(1, &block);
        let mut nodes = Vec::new();
        tree.export(&mut |node| {
            nodes.push(node);
            Ok(())
        }).unwrap();
        prop_assume!(nodes.len() > 1);
        let cut = cut.index(nodes.len());
        nodes.remove(cut);
        let copy = Tree::import(&mut nodes.into_iter().map(Ok));
        prop_assert!(copy.is_err() || copy.unwrap().root() != tree.root());
    }
}

#[test]
fn large_blocks_hash_in_parallel_to_the_same_root() {
    let rows = |from: u32| (from..from + 5000).map(|i| (i.to_be_bytes().to_vec(), Some(vec![1])));
    let block: StoreChanges = rows(0).chain(rows(100_000)).collect();
    let together = Tree::default().apply(1, &block);
    let mut one_by_one = Tree::default();
    for key in block.keys() {
        one_by_one.set(key, &[1], 1);
        one_by_one.root();
    }
    assert_eq!(together.root(), one_by_one.root());
}
