//! The tree against Go `iavl` and against a plain map.

use super::node::Node;
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
            // As Go's vectors are in no order, each write is applied by itself.
            tree = tree.apply(number, &StoreChanges::from([(key.clone(), value.clone())]));
            match value {
                Some(value) => drop(rows.insert(key, value)),
                None => drop(rows.remove(&key)),
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

/// The tree after the writes of a block, each applied by itself, as Go does it.
fn one_by_one(tree: &Tree, version: u64, block: &StoreChanges) -> Tree {
    block.iter().fold(tree.clone(), |tree, (key, value)| {
        tree.apply(version, &StoreChanges::from([(key.clone(), value.clone())]))
    })
}

/// Everything about a tree that its root stands for, and its separators.
fn nodes(tree: &Tree) -> Vec<(u8, u64, Vec<u8>, Hash)> {
    fn visit(node: Node<'_>, out: &mut Vec<(u8, u64, Vec<u8>, Hash)>) {
        if let Some((left, right)) = node.children() {
            visit(left, out);
            visit(right, out);
        }
        out.push((node.height(), node.version(), node.key().to_vec(), *node.hash()));
    }
    let mut out = Vec::new();
    if let Some(root) = tree.node() {
        visit(root, &mut out);
    }
    out
}

/// Saves a tree and maps what was saved.
fn through_a_file(tree: &Tree) -> Tree {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("trees");
    save(&path, [("one", &Tree::default()), ("two", tree)].into_iter(), &mut || Ok(())).unwrap();
    let [(one, empty), (two, saved)]: [_; 2] = open(&path).unwrap().try_into().unwrap();
    assert_eq!((&one[..], &two[..], empty.root()), ("one", "two", EMPTY_HASH));
    assert_eq!((saved.memory().nodes, saved.len()), (0, tree.len()), "all of it lies in the file");
    saved
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// `count` writes to keys below `keys`, `removals` percent of them removals. Some keys are long.
    fn block(&mut self, count: u64, keys: u64, removals: u64) -> StoreChanges {
        let write = |_| {
            let key = self.below(keys);
            let mut bytes = key.to_be_bytes().to_vec();
            bytes.resize(if key.is_multiple_of(7) { 40 } else { 20 }, 0xee);
            (bytes, (self.below(100) >= removals).then(|| vec![1, 2, 3]))
        };
        (0..count).map(write).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_block_comes_to_what_its_writes_come_to_one_by_one(
        blocks in proptest::collection::vec((changes(), any::<bool>()), 1..12),
    ) {
        let (mut together, mut apart) = (Tree::default(), Tree::default());
        for (version, (block, through_file)) in (1..).zip(&blocks) {
            together = together.apply(version, block);
            apart = one_by_one(&apart, version, block);
            prop_assert_eq!(nodes(&together), nodes(&apart));
            if *through_file {
                together = through_a_file(&together);
                prop_assert_eq!(nodes(&together), nodes(&apart));
            }
        }
    }
}

#[test]
fn large_blocks_come_to_what_their_writes_come_to_one_by_one() {
    let mut random = Random(7);
    // Growth, updates, removals of much and of nearly all, and growth again; splits that stand and splits that do not.
    let rounds = [
        (4000, 20_000, 0),
        (4000, 20_000, 20),
        (900, 20_000, 0),
        (900, 20_000, 50),
        (300, 20_000, 100),
        (1500, 1500, 100),
        (20_000, 20_000, 95),
        (9000, 20_000, 99),
        (3000, 20_000, 10),
        (600, 40_000, 30),
        (150, 40_000, 60),
    ];
    let (mut together, mut apart) = (Tree::default(), Tree::default());
    for (version, (count, keys, removals)) in (1..).zip(rounds.into_iter().cycle().take(44)) {
        let block = random.block(count, keys, removals);
        let (before, root) = (together.clone(), together.root());
        together = together.apply(version, &block);
        assert_eq!(before.root(), root);
        apart = one_by_one(&apart, version, &block);
        assert!(nodes(&together) == nodes(&apart), "version {version}");
        if version % 3 == 0 {
            together = through_a_file(&together);
            assert!(nodes(&together) == nodes(&apart), "saved version {version}");
        }
    }
    let rest = apart.apply(99, &random.block(400_000, 40_000, 100));
    assert!(rest.len() < 100);
}

#[test]
fn memory_holds_what_changed_since_the_file_alone() {
    let mut random = Random(3);
    let tree = Tree::default().apply(1, &random.block(20_000, 1 << 40, 0));
    let whole = tree.memory();
    assert_eq!((whole.nodes, whole.mapped_bytes), (2 * tree.len() - 1, 0));
    let saved = through_a_file(&tree);
    let key = saved.node().unwrap().key().to_vec();
    let later = saved.apply(2, &StoreChanges::from([(key, Some(vec![9]))]));
    let memory = later.memory();
    assert!((2..=20).contains(&memory.nodes), "{memory:?}");
    assert!((64 * whole.nodes..100 * whole.nodes).contains(&memory.mapped_bytes), "{memory:?}");
}

#[test]
fn every_damaged_byte_of_a_file_is_found() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("trees");
    let tree = Tree::default().apply(1, &Random(5).block(40, 1000, 0));
    save(&path, [("bank", &tree)].into_iter(), &mut || Ok(())).unwrap();
    let intact = std::fs::read(&path).unwrap();
    for at in 0..intact.len() {
        let mut bytes = intact.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(open(&path), Err(StoreError::Corrupt(_))), "byte {at}");
    }
    for len in (0..intact.len()).step_by(13) {
        std::fs::write(&path, &intact[..len]).unwrap();
        assert!(matches!(open(&path), Err(StoreError::Corrupt(_))), "cut to {len}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(open(&path), Err(StoreError::Io(_))));
}
