//! The whole store against the SDK's rootmulti store, and its proofs against Go ics23.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use gantry_store::{KvRead, KvWrite, Order, Overlay, Snapshot, Store, StoreName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::process::Command;

const ADDED: StoreName = StoreName::new("added");
/// Out of order: the store sorts.
const NAMES: &[StoreName] = &[
    StoreName::new("upgrade"),
    StoreName::new("bank"),
    StoreName::new("acc"),
    StoreName::new("empty"),
    StoreName::new("ibc"),
];

#[derive(Deserialize)]
struct Vector {
    initial_version: u64,
    stores: Vec<String>,
    added_at: u64,
    versions: Vec<Version>,
    proofs: Vec<Proof>,
}

#[derive(Deserialize)]
struct Version {
    ops: BTreeMap<String, Vec<String>>,
    app_hash: String,
}

#[derive(Deserialize)]
struct Proof {
    version: u64,
    store: String,
    key: String,
    #[serde(default)]
    value: String,
    ops: Vec<Op>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Op {
    r#type: String,
    key: String,
    data: String,
}

/// A proof for the Go verifier.
#[derive(Serialize)]
struct Claim {
    app_hash: String,
    store: String,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    ops: Vec<Op>,
}

fn ops(store: &Store, height: u64, name: &str, key: &[u8]) -> (Option<Vec<u8>>, Vec<Op>) {
    let (value, ops) = store.prove(height, name, key).unwrap();
    let op = |op: gantry_store::ProofOp| Op { r#type: op.type_, key: hex::encode(op.key), data: hex::encode(op.data) };
    (value, ops.into_iter().map(op).collect())
}

fn find(name: &str) -> StoreName {
    *NAMES.iter().chain([&ADDED]).find(|known| known.as_str() == name).unwrap()
}

/// Runs a vector, restarting where the vector's chain adds a store and once more near the end.
fn run(json: &str) -> Vec<Claim> {
    let vector: Vector = serde_json::from_str(json).unwrap();
    assert!(vector.versions.len() >= 200);
    assert!(vector.stores.iter().all(|name| NAMES.contains(&find(name))));
    let dir = tempfile::TempDir::new().unwrap();
    let open = |names: &[StoreName]| {
        let options = gantry_store::StoreOptions { tree_interval: 30, ..Default::default() };
        Store::open(dir.path(), names, options).unwrap()
    };
    let mut store = open(NAMES);
    let mut app_hashes = BTreeMap::new();
    let last = vector.initial_version + vector.versions.len() as u64 - 1;
    for (height, version) in (vector.initial_version..).zip(&vector.versions) {
        if height == vector.added_at || height == last {
            drop(store);
            store = open(&[NAMES, &[ADDED]].concat());
        }
        let mut overlay: Overlay<Snapshot> = Overlay::new(store.snapshot());
        for (name, ops) in &version.ops {
            for op in ops {
                match op.split_once('=') {
                    Some((key, value)) => {
                        overlay.set(find(name), hex::decode(key).unwrap(), hex::decode(value).unwrap()).unwrap();
                    }
                    None => overlay.remove(find(name), &hex::decode(op).unwrap()).unwrap(),
                }
            }
        }
        let candidate = store.prepare(height, overlay.into_changes()).unwrap();
        assert_eq!(hex::encode(candidate.app_hash()), version.app_hash, "height {height}");
        store.commit(candidate, b"").unwrap();
        app_hashes.insert(height, version.app_hash.clone());
    }

    let mut claims = Vec::new();
    assert!(vector.proofs.len() >= 50);
    for proof in vector.proofs {
        let key = hex::decode(&proof.key).unwrap();
        let (value, ops) = ops(&store, proof.version, &proof.store, &key);
        assert_eq!(value.as_ref().map(hex::encode).unwrap_or_default(), proof.value);
        assert_eq!(ops, proof.ops, "height {}, store {}, key {}", proof.version, proof.store, proof.key);
        let state = store.snapshot_at(proof.version).unwrap();
        assert_eq!(state.get(find(&proof.store), &key).unwrap(), value);
        // ICS-23 cannot express that a store is empty.
        if state.scan(find(&proof.store), None, None, Order::Ascending).unwrap().next().is_some() {
            let app_hash = app_hashes[&proof.version].clone();
            claims.push(Claim { app_hash, store: proof.store, key: proof.key, value: value.map(hex::encode), ops });
        }
    }
    claims
}

#[test]
fn app_hashes_and_proofs_equal_those_of_the_sdk() {
    let claims = [
        run(include_str!("../golden/vectors/multistore-1.json")),
        run(include_str!("../golden/vectors/multistore-2.json")),
        run(include_str!("../golden/vectors/multistore-3.json")),
    ];
    verify_with_go(&claims.into_iter().flatten().collect::<Vec<_>>());
}

/// Has Go ics23 check the proofs, and refuse a wrong one. Skipped, and said so, where Go or its modules are not at hand.
fn verify_with_go(claims: &[Claim]) {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/golden");
    let dir = tempfile::TempDir::new().unwrap();
    let verifier = dir.path().join("verify");
    let build = Command::new("go").args(["build", "-o"]).arg(&verifier).arg("./verify").current_dir(golden).output();
    match build {
        Ok(build) if build.status.success() => {}
        Ok(build) => return eprintln!("skipped: {}", String::from_utf8_lossy(&build.stderr)),
        Err(error) => return eprintln!("skipped: go: {error}"),
    }
    let holds = |claims: &[Claim]| {
        let file = dir.path().join("claims.json");
        std::fs::write(&file, serde_json::to_vec(claims).unwrap()).unwrap();
        Command::new(&verifier).arg(file).output().unwrap().status.success()
    };
    assert!(holds(claims));
    let present = claims.iter().find(|claim| claim.value.is_some()).unwrap();
    let wrong = Claim {
        app_hash: present.app_hash.clone(),
        store: present.store.clone(),
        key: present.key.clone(),
        value: Some("00".into()),
        ops: present
            .ops
            .iter()
            .map(|op| Op { r#type: op.r#type.clone(), key: op.key.clone(), data: op.data.clone() })
            .collect(),
    };
    assert!(!holds(&[wrong]));
}
