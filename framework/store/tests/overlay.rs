//! Stacked write buffers against a plain map.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use gantry_store::{Changes, KvRead, KvWrite, Order, Overlay, Store, StoreError, StoreName};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

const A: StoreName = StoreName::new("a");
const B: StoreName = StoreName::new("b");

type Rows = BTreeMap<(StoreName, Vec<u8>), Vec<u8>>;

/// A write; no value is a removal.
type Write = (StoreName, Vec<u8>, Option<Vec<u8>>);

fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(prop::sample::select(&[0u8, 1, 7, 254, 255][..]), 1..4)
}

fn write() -> impl Strategy<Value = Write> {
    (prop::sample::select(&[A, B][..]), key(), prop::option::weighted(0.7, vec(any::<u8>(), 1..3)))
}

fn bound() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(vec(prop::sample::select(&[0u8, 1, 7, 254, 255][..]), 0..4))
}

fn write_to(state: &mut impl KvWrite, model: &mut Rows, (store, key, value): &Write) {
    match value {
        Some(value) => {
            state.set(*store, key.clone(), value.clone()).unwrap();
            model.insert((*store, key.clone()), value.clone());
        }
        None => {
            state.remove(*store, key).unwrap();
            model.remove(&(*store, key.clone()));
        }
    }
}

fn check(state: &dyn KvRead, model: &Rows, (start, end): &(Option<Vec<u8>>, Option<Vec<u8>>), probe: &[u8]) {
    for store in [A, B] {
        assert_eq!(state.get(store, probe).unwrap().as_ref(), model.get(&(store, probe.to_vec())));
        assert_eq!(state.has(store, probe).unwrap(), model.contains_key(&(store, probe.to_vec())));
        let mut expected: Vec<_> = model
            .iter()
            .filter(|((name, key), _)| {
                *name == store
                    && start.as_ref().is_none_or(|start| key >= start)
                    && end.as_ref().is_none_or(|end| key < end)
            })
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect();
        let scan = |order| -> Vec<_> {
            state.scan(store, start.as_deref(), end.as_deref(), order).unwrap().map(Result::unwrap).collect()
        };
        assert_eq!(scan(Order::Ascending), expected);
        expected.reverse();
        assert_eq!(scan(Order::Descending), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_stack_of_overlays_reads_as_a_map(
        committed in vec(vec(write(), 0..20), 0..3),
        fee in vec(write(), 0..20),
        messages in vec(write(), 0..20),
        keep: bool,
        bounds in (bound(), bound()),
        probe in key(),
    ) {
        let store = Store::temporary(&[A, B]).unwrap();
        let mut model = Rows::new();
        for (height, writes) in (1..).zip(&committed) {
            let mut block = Overlay::new(store.snapshot());
            for write in writes {
                write_to(&mut block, &mut model, write);
            }
            check(&block, &model, &bounds, &probe);
            store.commit(store.prepare(height, block.into_changes()).unwrap(), b"meta").unwrap();
            check(&store.snapshot(), &model, &bounds, &probe);
        }

        // As for a transaction: its messages lie over its fee, and may be dropped.
        let mut outer = Overlay::new(store.snapshot());
        for write in &fee {
            write_to(&mut outer, &mut model, write);
        }
        let mut with_messages = model.clone();
        let mut inner = Overlay::new(&mut outer);
        for write in &messages {
            write_to(&mut inner, &mut with_messages, write);
        }
        check(&inner, &with_messages, &bounds, &probe);
        let written = inner.into_changes();
        check(&outer, &model, &bounds, &probe);
        if keep {
            outer.apply(written);
            model = with_messages;
        }
        check(&outer, &model, &bounds, &probe);

        // Every key written is in the changes, with its last value, in order.
        let all = fee.iter().chain(messages.iter().filter(|_| keep));
        let last: BTreeMap<_, _> = all.map(|(store, key, value)| ((*store, &key[..]), value.as_deref())).collect();
        let changes = outer.changes();
        prop_assert!(changes.iter().eq(last.iter().map(|((store, key), value)| (*store, *key, *value))));
        prop_assert_eq!((changes.len(), changes.is_empty()), (last.len(), last.is_empty()));
    }
}

#[test]
fn writes_that_cannot_be_proven_are_refused() {
    let store = Store::temporary(&[A]).unwrap();
    let mut overlay = Overlay::new(store.snapshot());
    assert_eq!(
        overlay.set(A, b"key".to_vec(), vec![]),
        Err(StoreError::EmptyValue { store: "a", key: b"key".to_vec() })
    );
    assert_eq!(overlay.set(A, vec![], b"value".to_vec()), Err(StoreError::EmptyKey("a")));
    assert!(overlay.changes().is_empty());
}

#[test]
fn an_equal_value_is_a_change() {
    let store = Store::temporary(&[A]).unwrap();
    let block = || -> Changes {
        let mut overlay = Overlay::new(store.snapshot());
        overlay.set(A, b"key".to_vec(), b"value".to_vec()).unwrap();
        overlay.into_changes()
    };
    store.commit(store.prepare(1, block()).unwrap(), b"").unwrap();
    let app_hash = store.app_hash();
    let mut outer = Overlay::new(store.snapshot());
    outer.apply(block());
    assert_eq!(outer.changes().len(), 1);
    store.commit(store.prepare(2, outer.into_changes()).unwrap(), b"").unwrap();
    assert_ne!(store.app_hash(), app_hash);
}

#[test]
fn a_scan_hands_on_the_error_of_its_base() {
    struct Broken;
    impl KvRead for Broken {
        fn get(&self, _: StoreName, _: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
            Err(StoreError::Io("broken".into()))
        }
        fn scan<'a>(
            &'a self,
            _: StoreName,
            _: Option<&[u8]>,
            _: Option<&[u8]>,
            _: Order,
        ) -> Result<gantry_store::KvIter<'a>, StoreError> {
            Ok(Box::new(std::iter::once(Err(StoreError::Io("broken".into())))))
        }
    }
    let mut overlay = Overlay::new(Broken);
    overlay.set(A, b"key".to_vec(), b"value".to_vec()).unwrap();
    assert!(overlay.get(A, b"other").is_err());
    assert_eq!(overlay.get(A, b"key").unwrap().unwrap(), b"value");
    assert!(overlay.scan(A, None, None, Order::Ascending).unwrap().next().unwrap().is_err());
}
