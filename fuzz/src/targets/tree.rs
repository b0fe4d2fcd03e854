//! The state's trees against their definition ([`crate::iavl`]) and against a plain map: roots after every block, rows,
//! and proofs that anyone can verify.

use std::collections::BTreeMap;

use gantry_store::{KvRead, KvWrite, Order, Overlay, ProofOp, Store, StoreName};
use ics23::CommitmentProof;
use prost::Message;

use crate::{
    Target,
    iavl::{Iavl, app_hash},
    mutate::Form,
};

/// Operations, as `read` reads them.
pub const TARGET: Target = Target { name: "tree", form: Form::Bytes, run };

const STORES: [StoreName; 2] = [StoreName::new("alpha"), StoreName::new("beta")];
type Host = ics23::HostFunctionsManager;

/// An operation on one of two stores.
enum Op {
    Set(usize, Vec<u8>, Vec<u8>),
    Remove(usize, Vec<u8>),
    /// The end of a block.
    Commit,
}

/// Reads an operation: a byte for the kind, one for the store and the key's length, the key, and a value's byte.
fn read(bytes: &mut &[u8]) -> Option<Op> {
    let (&kind, rest) = bytes.split_first()?;
    *bytes = rest;
    if kind % 16 == 0 {
        return Some(Op::Commit);
    }
    let (&shape, rest) = bytes.split_first()?;
    let (store, length) = (usize::from(shape & 1), 1 + usize::from(shape >> 1) % 3);
    let (key, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    if kind % 16 < 6 {
        return Some(Op::Remove(store, key.to_vec()));
    }
    let (&value, rest) = bytes.split_first()?;
    *bytes = rest;
    // Few values, so that equal ones are written again; some of them long.
    Some(Op::Set(store, key.to_vec(), vec![value % 4; if value > 250 { 300 } else { 1 }]))
}

#[derive(Default)]
struct Model {
    rows: [BTreeMap<Vec<u8>, Vec<u8>>; 2],
    trees: [Iavl; 2],
}

impl Model {
    fn app_hash(&self) -> [u8; 32] {
        app_hash(&[(STORES[0].as_str(), self.trees[0].root()), (STORES[1].as_str(), self.trees[1].root())])
    }
}

fn run(mut bytes: &[u8]) {
    let store = Store::temporary(&STORES).expect("a store in memory opens");
    let mut model = Model::default();
    let mut height = 1;
    let mut block = Overlay::new(store.snapshot());
    let mut last: BTreeMap<(usize, Vec<u8>), Option<Vec<u8>>> = BTreeMap::new();
    loop {
        let op = read(&mut bytes);
        let end = op.is_none();
        match op {
            Some(Op::Set(at, key, value)) => {
                block.set(STORES[at], key.clone(), value.clone()).expect("a row is written");
                last.insert((at, key), Some(value));
            }
            Some(Op::Remove(at, key)) => {
                block.remove(STORES[at], &key).expect("a row is removed");
                last.insert((at, key), None);
            }
            Some(Op::Commit) | None => {
                // A block's last write of each key, in ascending order, one by one.
                for ((at, key), value) in std::mem::take(&mut last) {
                    match value {
                        Some(value) => {
                            model.trees[at].set(&key, &value, height);
                            model.rows[at].insert(key, value);
                        }
                        None => {
                            model.trees[at].remove(&key, height);
                            model.rows[at].remove(&key);
                        }
                    }
                }
                let version = u64::try_from(height).expect("heights are small");
                let candidate = store.prepare(version, block.into_changes()).expect("a block is prepared");
                assert_eq!(candidate.app_hash(), model.app_hash(), "app hash of height {height}");
                store.commit(candidate, b"meta").expect("a block is committed");
                block = Overlay::new(store.snapshot());
                height += 1;
            }
        }
        if end {
            break;
        }
    }
    check(&store, &model);
}

fn check(store: &Store, model: &Model) {
    let (snapshot, height) = (store.snapshot(), store.height());
    for (at, name) in STORES.into_iter().enumerate() {
        let rows: BTreeMap<_, _> = snapshot
            .scan(name, None, None, Order::Ascending)
            .expect("rows are read")
            .collect::<Result<_, _>>()
            .expect("each of them");
        assert_eq!(rows, model.rows[at], "rows of {name}");
        let some = rows.keys().step_by(1 + rows.len() / 8).cloned();
        for key in some.chain([vec![0], vec![7, 7], vec![255, 255, 255, 255]]) {
            let (value, ops) = store.prove(height, name.as_str(), &key).expect("a proof is made");
            assert_eq!(value.as_ref(), rows.get(&key));
            verify(&store.app_hash(), &key, value.as_deref(), &ops, rows.is_empty(), model.trees[at].root());
        }
    }
}

fn verify(app_hash: &[u8], key: &[u8], value: Option<&[u8]>, ops: &[ProofOp], empty: bool, root: [u8; 32]) {
    let [row, app] = ops else { panic!("{} steps", ops.len()) };
    let proof = |op: &ProofOp| CommitmentProof::decode(op.data.as_slice()).expect("a proof is decoded");
    let (root, app_hash) = (root.to_vec(), app_hash.to_vec());
    assert!(ics23::verify_membership::<Host>(&proof(app), &ics23::tendermint_spec(), &app_hash, &app.key, &root));
    match value {
        Some(value) => {
            assert!(ics23::verify_membership::<Host>(&proof(row), &ics23::iavl_spec(), &root, key, value));
            assert!(!ics23::verify_membership::<Host>(&proof(row), &ics23::iavl_spec(), &root, key, b"other"));
        }
        // ICS-23 cannot express that a tree is empty.
        None => {
            assert_eq!(ics23::verify_non_membership::<Host>(&proof(row), &ics23::iavl_spec(), &root, key), !empty);
        }
    }
}
