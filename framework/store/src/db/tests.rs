use super::*;
use crate::{KvRead, KvWrite, Order, Overlay};
use tempfile::TempDir;

const BANK: StoreName = StoreName::new("bank");
const AUTH: StoreName = StoreName::new("auth");
const NAMES: &[StoreName] = &[BANK, AUTH];

/// The writes of block `height` of a chain whose every block is different.
fn block(height: u64) -> Changes {
    let mut overlay = Overlay::new(Nothing);
    for i in 0..20u64 {
        let key = (height * 7 + i * i * 31) % 97;
        let store = if i % 3 == 0 { AUTH } else { BANK };
        let key = format!("key-{key}").into_bytes();
        if (height + i) % 4 == 0 {
            overlay.remove(store, &key).unwrap();
        } else {
            overlay.set(store, key, format!("value {height} {i}").into_bytes()).unwrap();
        }
    }
    overlay.into_changes()
}

/// A state without rows.
struct Nothing;

impl KvRead for Nothing {
    fn get(&self, _: StoreName, _: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }
    fn scan<'a>(
        &'a self,
        _: StoreName,
        _: Option<&[u8]>,
        _: Option<&[u8]>,
        _: Order,
    ) -> Result<crate::KvIter<'a>, StoreError> {
        Ok(Box::new(std::iter::empty()))
    }
}

fn advance(store: &Store) {
    let height = store.height() + 1;
    let candidate = store.prepare(height, block(height)).unwrap();
    assert_eq!(candidate.height(), height);
    let app_hash = candidate.app_hash();
    store.commit(candidate, &height.to_be_bytes()).unwrap();
    assert_eq!((store.height(), store.app_hash()), (height, app_hash));
}

/// All rows of a state.
fn dump(state: &impl KvRead) -> Vec<(StoreName, Vec<u8>, Vec<u8>)> {
    let rows = |name: &StoreName| {
        let name = *name;
        state.scan(name, None, None, Order::Ascending).unwrap().map(move |row| {
            let (key, value) = row.unwrap();
            (name, key, value)
        })
    };
    NAMES.iter().flat_map(rows).collect()
}

#[test]
fn smoke() {
    let dir = TempDir::new().unwrap();
    let options = StoreOptions { tree_interval: 3, ..StoreOptions::default() };
    let memory = Store::temporary(NAMES).unwrap();
    let store = Store::open(dir.path(), NAMES, options.clone()).unwrap();
    for _ in 0..10 {
        advance(&store);
        advance(&memory);
        store.keeper.settle();
        assert_eq!(store.app_hash(), memory.app_hash());
        assert_eq!(dump(&store.snapshot()), dump(&memory.snapshot()));
    }
    drop(store);
    let store = Store::open(dir.path(), NAMES, options).unwrap();
    assert_eq!((store.height(), store.app_hash()), (10, memory.app_hash()));
    for height in 1..=10 {
        let old = store.snapshot_at(height).unwrap();
        assert_eq!(dump(&old), dump(&memory.snapshot_at(height).unwrap()));
        for (name, key, value) in dump(&old) {
            let (found, ops) = store.prove(height, name.as_str(), &key).unwrap();
            assert_eq!(found, Some(value));
            assert_eq!(ops, memory.prove(height, name.as_str(), &key).unwrap().1);
        }
    }
}
