//! Typed collections: their keys, their rows, their pages.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use gantry_store::{
    All, DueQueue, IndexedMap, Item, KeyCodec, KvRead, KvWrite, Map, MultiIndex, Order, Overlay, Page, PageRequest,
    Proto, Sequence, Snapshot, Store, StoreError, StoreName, UniqueIndex, ValueCodec, index_list, prefixes,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::ops::Bound;

const STORE: StoreName = StoreName::new("example");

prefixes! {
    ITEM = b"\x01";
    MAP = b"\x02";
    /// Right after `MAP`'s rows, to see that none of them leaks.
    NEIGHBOUR = b"\x03";
    SEQUENCE = b"\x04";
    QUEUE = b"\x05";
    JOB = b"\xff";
    JOB_BY_OWNER = b"\x06";
    JOB_BY_NAME = b"\x07";
}

const BALANCES: Map<(&[u8], &str), u64> = Map::new(STORE, MAP);
const NEIGHBOURS: Map<(&[u8], &str), u64> = Map::new(STORE, NEIGHBOUR);
const DUE: DueQueue<u32> = DueQueue::new(STORE, QUEUE);

/// An address as another crate would define it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Address(Vec<u8>);

impl AsRef<[u8]> for Address {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Address {
    type Error = &'static str;
    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        if bytes.len() == 20 { Ok(Self(bytes.to_vec())) } else { Err("an address is 20 bytes") }
    }
}

gantry_store::bytes_key!(Address);

fn state() -> Overlay<Snapshot> {
    Overlay::new(Store::temporary(&[STORE]).unwrap().snapshot())
}

fn encode(key: &impl KeyCodec) -> Vec<u8> {
    let mut out = Vec::new();
    key.encode(&mut out).unwrap();
    out
}

fn encode_part(key: &impl KeyCodec) -> Vec<u8> {
    let mut out = Vec::new();
    key.encode_part(&mut out).unwrap();
    out
}

/// A key comes back from its bytes, alone and in front of others.
fn round_trip<K: KeyCodec<Owned = K> + PartialEq + Debug>(key: &K) {
    assert_eq!(&K::decode(&encode(key)).unwrap(), key);
    let followed = [&encode_part(key)[..], b"rest"].concat();
    let mut rest = &followed[..];
    assert_eq!(&K::decode_part(&mut rest).unwrap(), key);
    assert_eq!(rest, b"rest");
}

/// Keys sort as their bytes do, alone and in front of others.
fn same_order<K: KeyCodec + Ord>(a: &K, b: &K) {
    assert_eq!(encode(a).cmp(&encode(b)), a.cmp(b));
    assert_eq!(encode_part(a).cmp(&encode_part(b)), a.cmp(b));
}

fn string() -> impl Strategy<Value = String> {
    "[\u{1}-\u{2}a-c\u{fffe}]{0,4}"
}

proptest! {
    #[test]
    fn keys_come_back_from_their_bytes(
        numbers: (u8, u16, u32, u64), flag: bool, fixed: [u8; 5], bytes in vec(any::<u8>(), 0..256), text in string(),
        address: [u8; 20],
    ) {
        round_trip(&numbers.0);
        round_trip(&numbers.1);
        round_trip(&numbers.2);
        round_trip(&numbers.3);
        round_trip(&flag);
        round_trip(&fixed);
        round_trip(&());
        round_trip(&bytes);
        round_trip(&text);
        round_trip(&Address(address.to_vec()));
        round_trip(&(bytes.clone(), text.clone()));
        round_trip(&(text.clone(), bytes.clone(), numbers.3));
        round_trip(&(Address(address.to_vec()), text, flag, bytes));
    }

    #[test]
    fn keys_sort_as_their_bytes(
        numbers: [(u8, u16, u32, u64); 2], flags: [bool; 2], fixed: [[u8; 3]; 2], texts in [string(), string()],
        addresses: [[u8; 20]; 2],
    ) {
        let [a, b] = numbers;
        same_order(&a.0, &b.0);
        same_order(&a.1, &b.1);
        same_order(&a.2, &b.2);
        same_order(&a.3, &b.3);
        same_order(&flags[0], &flags[1]);
        same_order(&fixed[0], &fixed[1]);
        same_order(&texts[0], &texts[1]);
        let [x, y] = addresses.map(|address| Address(address.to_vec()));
        same_order(&x, &y);
        same_order(&(texts[0].clone(), a.3), &(texts[1].clone(), b.3));
        same_order(&(x, texts[0].clone(), flags[0]), &(y, texts[1].clone(), flags[1]));
    }

    #[test]
    fn bytes_before_another_part_sort_by_length_first(a in vec(any::<u8>(), 0..4), b in vec(any::<u8>(), 0..4)) {
        prop_assert_eq!(encode(&a).cmp(&encode(&b)), a.cmp(&b));
        prop_assert_eq!(encode_part(&a).cmp(&encode_part(&b)), (a.len(), &a).cmp(&(b.len(), &b)));
    }

    #[test]
    fn undecodable_keys_are_corrupt(bytes in vec(any::<u8>(), 0..12)) {
        // Whatever the bytes, decoding gives an error or the key that encodes to them.
        if let Ok(key) = <(Vec<u8>, String, bool)>::decode(&bytes) {
            prop_assert_eq!(encode(&key), bytes.clone());
        }
        if let Ok(key) = <(String, u16)>::decode(&bytes) {
            prop_assert_eq!(encode(&key), bytes.clone());
        }
        prop_assert_eq!(u32::decode(&bytes).is_ok(), bytes.len() == 4);
        prop_assert_eq!(<() as KeyCodec>::decode(&bytes).is_ok(), bytes.is_empty());
    }
}

#[test]
fn keys_are_those_of_the_sdk() {
    // Balances of x/bank: prefix, length of address, address, denom.
    let address = Address(vec![0xaa; 20]);
    let balances: Map<(Address, &str), u64> = Map::new(STORE, MAP);
    let expected = [&[2, 20][..], &[0xaa; 20], b"ugantry"].concat();
    assert_eq!(balances.raw_key((address.clone(), "ugantry")).unwrap(), expected);
    // The index of owners by denom: denom, NUL, address.
    let by_denom: Map<(&str, Address), ()> = Map::new(STORE, MAP);
    let expected = [&[2][..], b"ugantry\0", &[0xaa; 20]].concat();
    assert_eq!(by_denom.raw_key(&("ugantry", address)).unwrap(), expected);
    assert_eq!(encode(&0x0102_0304_0506_0708u64), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn keys_without_an_encoding_are_refused() {
    let (long, mut s) = (vec![0; 256], state());
    assert!(matches!(BALANCES.set(&mut s, (&long[..], "x"), &1), Err(StoreError::Key(_))));
    let by_text: Map<(&str, u64), ()> = Map::new(STORE, MAP);
    assert!(matches!(by_text.get(&s, ("a\0b", 1)), Err(StoreError::Key(_))));
    // The last part is free.
    let bytes: Map<&[u8], ()> = Map::new(STORE, MAP);
    bytes.set(&mut s, &long[..], &()).unwrap();
    assert!(bytes.has(&s, &long[..]).unwrap());
}

#[test]
fn values_come_back_and_nonsense_is_corrupt() {
    fn check<V: ValueCodec + PartialEq + Debug>(value: &V, bytes: &[u8]) {
        assert_eq!(value.encode(), bytes);
        assert_eq!(&V::decode(bytes).unwrap(), value);
    }
    check(&258u64, &[0, 0, 0, 0, 0, 0, 1, 2]);
    check(&true, &[1]);
    check(&false, &[0]);
    check(&(), &[1]);
    check(&"text".to_owned(), b"text");
    check(&vec![1u8, 2], &[1, 2]);
    check(&Proto("text".to_owned()), &[0x0a, 4, b't', b'e', b'x', b't']);
    fn corrupt<V: ValueCodec>(bytes: &[u8]) {
        assert!(matches!(V::decode(bytes), Err(StoreError::Corrupt(_))));
    }
    corrupt::<u64>(&[1]);
    corrupt::<bool>(&[2]);
    corrupt::<()>(&[]);
    corrupt::<String>(&[0xff]);
    corrupt::<Proto<String>>(&[0x0a, 9]);
}

#[test]
fn items_and_sequences_start_where_they_were_told() {
    const COUNT: Item<u64> = Item::new(STORE, ITEM);
    const IDS: Sequence = Sequence::new(STORE, SEQUENCE, 7);
    let mut s = state();
    assert_eq!((COUNT.get(&s).unwrap(), COUNT.get_or_default(&s).unwrap()), (None, 0));
    COUNT.set(&mut s, &5).unwrap();
    assert_eq!((COUNT.get(&s).unwrap(), COUNT.has(&s).unwrap()), (Some(5), true));
    COUNT.remove(&mut s).unwrap();
    assert!(!COUNT.has(&s).unwrap());
    assert_eq!((IDS.next(&mut s).unwrap(), IDS.next(&mut s).unwrap(), IDS.peek(&s).unwrap()), (7, 8, 9));
    assert_eq!(s.get(STORE, SEQUENCE).unwrap().unwrap(), 9u64.to_be_bytes());
    IDS.set(&mut s, u64::MAX).unwrap();
    assert_eq!(IDS.next(&mut s), Err(StoreError::SequenceExhausted("example")));
}

type Keep<'a> = dyn Fn(&(Vec<u8>, String)) -> bool + 'a;

/// Balances by owner and denom, with the same rows beside them.
fn balances() -> impl Strategy<Value = BTreeMap<(Vec<u8>, String), u64>> {
    let owner = vec(prop::sample::select(&[0u8, 1, 255][..]), 0..3);
    btree_map((owner, "[a-b]{1,2}"), any::<u64>(), 0..30)
}

fn with_balances(rows: &BTreeMap<(Vec<u8>, String), u64>) -> Overlay<Snapshot> {
    let mut s = state();
    for ((owner, denom), amount) in rows {
        BALANCES.set(&mut s, (&owner[..], denom.as_str()), amount).unwrap();
        NEIGHBOURS.set(&mut s, (&owner[..], denom.as_str()), &0).unwrap();
    }
    s
}

/// Rows in the order of their keys' bytes.
fn in_order(rows: &BTreeMap<(Vec<u8>, String), u64>) -> Vec<((Vec<u8>, String), u64)> {
    let mut rows: Vec<_> = rows.clone().into_iter().collect();
    rows.sort_by_key(|(key, _)| encode(key));
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn maps_iterate_over_exactly_what_was_asked(
        rows in balances(), owner in vec(prop::sample::select(&[0u8, 1, 255][..]), 0..3), low in "[a-b]{0,2}", high in "[a-b]{0,2}",
        reverse: bool,
    ) {
        let s = with_balances(&rows);
        let order = if reverse { Order::Descending } else { Order::Ascending };
        let expect = |keep: &Keep<'_>| {
            let mut rows = in_order(&rows);
            rows.retain(|(key, _)| keep(key));
            if reverse {
                rows.reverse();
            }
            rows
        };
        let all: Result<Vec<_>, _> = BALANCES.iter(&s, order).unwrap().collect();
        prop_assert_eq!(all.unwrap(), expect(&|_| true));
        let of_owner: Result<Vec<_>, _> = BALANCES.prefix(&s, &owner[..], order).unwrap().collect();
        prop_assert_eq!(of_owner.unwrap(), expect(&|key| key.0 == owner));

        let (from, to) = ((&owner[..], low.as_str()), (&owner[..], high.as_str()));
        for (start, end) in [
            (Bound::Included(&from), Bound::Excluded(&to)),
            (Bound::Excluded(&from), Bound::Included(&to)),
            (Bound::Excluded(&from), Bound::Unbounded),
            (Bound::Unbounded, Bound::Included(&to)),
        ] {
            let owned = |bound: Bound<&(&[u8], &str)>| bound.map(|(owner, denom)| (owner.to_vec(), (*denom).to_owned()));
            let range = (owned(start), owned(end));
            let inside = |key: &(Vec<u8>, String)| {
                let key = encode(key);
                let after = match &range.0 {
                    Bound::Included(start) => key >= encode(start),
                    Bound::Excluded(start) => key > encode(start),
                    Bound::Unbounded => true,
                };
                after && match &range.1 {
                    Bound::Included(end) => key <= encode(end),
                    Bound::Excluded(end) => key < encode(end),
                    Bound::Unbounded => true,
                }
            };
            let found: Result<Vec<_>, _> = BALANCES.range(&s, All, start, end, order).unwrap().collect();
            prop_assert_eq!(found.unwrap(), expect(&inside));
            let found: Result<Vec<_>, _> = BALANCES.range(&s, &owner[..], start, end, order).unwrap().collect();
            prop_assert_eq!(found.unwrap(), expect(&|key| key.0 == owner && inside(key)));
        }
    }

    #[test]
    fn pages_put_together_are_the_listing(rows in balances(), owner: Option<bool>, limit in 1u64..6, reverse: bool) {
        let s = with_balances(&rows);
        let owner = owner.map(|long| if long { vec![255, 255] } else { vec![0] });
        let mut expected = in_order(&rows);
        expected.retain(|(key, _)| owner.as_ref().is_none_or(|owner| key.0 == *owner));
        if reverse {
            expected.reverse();
        }
        let page = |request: &PageRequest| match &owner {
            Some(owner) => BALANCES.paginate(&s, &owner[..], request).unwrap(),
            None => BALANCES.paginate(&s, All, request).unwrap(),
        };

        // By key.
        let mut request = PageRequest { limit, reverse, ..PageRequest::default() };
        let mut found = Vec::new();
        loop {
            let Page { items, next_key, total } = page(&request);
            prop_assert_eq!(total, 0);
            prop_assert_eq!(items.len() as u64 == limit || next_key.is_empty(), true);
            found.extend(items);
            if next_key.is_empty() {
                break;
            }
            request.key = next_key;
        }
        prop_assert_eq!(&found, &expected);

        // By offset.
        for offset in 0..=expected.len() {
            let request = PageRequest { offset: offset as u64, limit, count_total: true, reverse, ..PageRequest::default() };
            let Page { items, next_key, total } = page(&request);
            prop_assert_eq!(total, expected.len() as u64);
            let until = expected.len().min(offset + usize::try_from(limit).unwrap());
            prop_assert_eq!(&items, &expected[offset..until]);
            prop_assert_eq!(next_key.is_empty(), until == expected.len());
        }
        // No limit: a hundred, counted.
        prop_assert_eq!(page(&PageRequest::default()).total, expected.len() as u64);
    }
}

#[test]
fn page_requests_follow_the_sdk() {
    let rows: BTreeMap<_, _> = (b'a'..=b'e').map(|c| ((vec![1], char::from(c).to_string()), u64::from(c))).collect();
    let s = with_balances(&rows);
    let both = PageRequest { key: b"c".to_vec(), offset: 1, ..PageRequest::default() };
    assert_eq!(
        BALANCES.paginate(&s, &[1][..], &both),
        Err(StoreError::PageRequest("invalid request, either offset or key is expected, got both"))
    );
    // The next key is relative to the listing, and a page that starts there includes it, in both directions.
    let denoms =
        |page: Page<((Vec<u8>, String), u64)>| -> String { page.items.into_iter().map(|row| row.0.1).collect() };
    let request = PageRequest { limit: 2, ..PageRequest::default() };
    let first = BALANCES.paginate(&s, &[1][..], &request).unwrap();
    assert_eq!(first.next_key, b"c");
    let back = PageRequest { key: first.next_key.clone(), limit: 2, reverse: true, ..PageRequest::default() };
    assert_eq!(denoms(BALANCES.paginate(&s, &[1][..], &back).unwrap()), "cb");
    assert_eq!(denoms(first), "ab");
    // A filter hides rows from pages and totals.
    let counted = PageRequest { limit: 1, count_total: true, ..PageRequest::default() };
    let odd = BALANCES.paginate_filtered(&s, &[1][..], &counted, |_, amount| Ok(amount % 2 == 1)).unwrap();
    assert_eq!((odd.total, denoms(odd)), (3, "a".to_owned()));

    let (items, next) = BALANCES.page(&s, &[1][..], None, 4, false).unwrap();
    assert_eq!((items.len(), next.as_deref()), (4, Some(&b"e"[..])));
    let (items, next) = BALANCES.page(&s, &[1][..], next.as_deref(), 4, false).unwrap();
    assert_eq!((items.len(), next), (1, None));
}

// --- indexes ---

#[derive(Clone, Debug, PartialEq, Eq)]
struct Job {
    /// Not indexed when 0.
    owner: u8,
    /// Unique, unless empty.
    name: String,
}

impl ValueCodec for Job {
    fn encode(&self) -> Vec<u8> {
        [&[self.owner], self.name.as_bytes()].concat()
    }
    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let (owner, name) = bytes.split_first().ok_or_else(|| StoreError::Corrupt("empty job".into()))?;
        Ok(Self { owner: *owner, name: ValueCodec::decode(name)? })
    }
}

index_list! {
    struct JobIndexes for u16 => Job {
        by_owner: MultiIndex<u8, u16, Job>,
        by_name: UniqueIndex<String, u16, Job>,
    }
}

const JOBS: IndexedMap<u16, Job, JobIndexes> = IndexedMap::new(
    STORE,
    JOB,
    JobIndexes {
        by_owner: MultiIndex::new(STORE, JOB_BY_OWNER, |_, job| (job.owner > 0).then_some(job.owner)),
        by_name: UniqueIndex::new(STORE, JOB_BY_NAME, |_, job| (!job.name.is_empty()).then(|| job.name.clone())),
    },
);

fn check_indexes(s: &Overlay<Snapshot>, model: &BTreeMap<u16, Job>) {
    let rows: Result<BTreeMap<_, _>, _> = JOBS.iter(s, Order::Ascending).unwrap().collect();
    assert_eq!(&rows.unwrap(), model);
    let owners: BTreeSet<(u8, u16)> =
        model.iter().filter(|(_, job)| job.owner > 0).map(|(id, job)| (job.owner, *id)).collect();
    let indexed = JOBS.indexes.by_owner.range(s, All, Bound::Unbounded, Bound::Unbounded, Order::Ascending);
    assert!(indexed.unwrap().map(Result::unwrap).eq(owners.iter().copied()));
    for owner in 0..4 {
        let ids: Vec<u16> = owners.iter().filter(|(other, _)| *other == owner).map(|(_, id)| *id).collect();
        let keys = JOBS.indexes.by_owner.keys(s, owner, Order::Descending).unwrap();
        assert!(keys.map(Result::unwrap).eq(ids.iter().rev().copied()));
        let page = JOBS.indexes.by_owner.paginate(s, owner, &PageRequest::default()).unwrap();
        assert_eq!(page.items, ids);
    }
    for name in ["a", "b", "c"] {
        let holder = model.iter().find(|(_, job)| job.name == name).map(|(id, _)| *id);
        assert_eq!(JOBS.indexes.by_name.get(s, name.to_owned()).unwrap(), holder);
    }
    // Nothing else is left behind.
    let rows = s.scan(STORE, None, None, Order::Ascending).unwrap().count();
    assert_eq!(rows, model.len() + owners.len() + model.values().filter(|job| !job.name.is_empty()).count());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn indexes_agree_with_their_rows(
        writes in vec((0u16..6, prop::option::weighted(0.7, (0u8..4, "[a-c]?"))), 0..40),
    ) {
        let (mut s, mut model) = (state(), BTreeMap::new());
        for (id, job) in writes {
            match job {
                Some((owner, name)) => {
                    let job = Job { owner, name };
                    let taken = model.iter().any(|(other, held): (&u16, &Job)| {
                        *other != id && !job.name.is_empty() && held.name == job.name
                    });
                    let before = s.changes().clone();
                    match JOBS.set(&mut s, id, &job) {
                        Ok(()) => {
                            prop_assert!(!taken);
                            model.insert(id, job);
                        }
                        Err(error) => {
                            prop_assert!(taken);
                            prop_assert_eq!(error, StoreError::NotUnique { store: "example", prefix: JOB_BY_NAME });
                            prop_assert_eq!(&before, s.changes(), "nothing is written");
                        }
                    }
                }
                None => {
                    JOBS.remove(&mut s, id).unwrap();
                    model.remove(&id);
                }
            }
            check_indexes(&s, &model);
        }
    }

    #[test]
    fn a_due_queue_serves_the_oldest_first_and_carries_over(
        entries in btree_set((0u64..6, any::<u32>()), 0..20), cancelled: prop::sample::Index, max in 0usize..5,
    ) {
        let (mut s, mut model) = (state(), entries);
        for (due, key) in &model {
            DUE.schedule(&mut s, *due, *key).unwrap();
        }
        if let Some((due, key)) = model.iter().nth(cancelled.index(model.len().max(1))).copied() {
            DUE.cancel(&mut s, due, key).unwrap();
            model.remove(&(due, key));
            prop_assert!(!DUE.has(&s, due, key).unwrap());
        }
        for now in 0..10 {
            let due: Vec<_> = model.iter().filter(|(due, _)| *due <= now).take(max).copied().collect();
            prop_assert_eq!(&DUE.pop_due(&mut s, now, max).unwrap(), &due);
            for entry in due {
                model.remove(&entry);
            }
            let left: Result<BTreeSet<_>, _> = DUE.iter(&s).unwrap().collect();
            prop_assert_eq!(&left.unwrap(), &model);
        }
    }
}

#[test]
fn reads_and_writes_go_through_trait_objects() {
    let mut overlay = state();
    let s: &mut dyn KvWrite = &mut overlay;
    BALANCES.set(s, (&b"owner"[..], "x"), &3).unwrap();
    JOBS.set(s, 1u16, &Job { owner: 1, name: "a".into() }).unwrap();
    DUE.schedule(s, 1, 1).unwrap();
    assert_eq!(DUE.pop_due(s, 1, 1).unwrap(), [(1, 1)]);
    let s: &dyn KvRead = &overlay;
    // A key may be borrowed for shorter than the constant lives, by value or by reference.
    let (owner, denom) = (b"owner".to_vec(), "x".to_owned());
    assert_eq!(BALANCES.get(s, (&owner[..], denom.as_str())).unwrap(), Some(3));
    let by_reference = |key: &(&[u8], &str)| BALANCES.get(s, key).unwrap();
    assert_eq!(by_reference(&(&owner, &denom)), Some(3));
    assert_eq!(BALANCES.get(s, (&owner[..], denom.as_str())).unwrap(), Some(3));
    assert_eq!(BALANCES.get_or_default(s, (&owner[..], "y")).unwrap(), 0);
    assert!(BALANCES.has(s, (&owner[..], denom.as_str())).unwrap());
}
