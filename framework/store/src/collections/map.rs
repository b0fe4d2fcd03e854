use super::page::{Page, PageRequest, paginate};
use crate::{All, KeyCodec, KeyPrefix, KvRead, KvWrite, Order, Rows, StoreError, StoreName, ValueCodec, prefix_end};
use std::borrow::Borrow;
use std::marker::PhantomData;
use std::ops::{Bound, Deref};

/// A row as it is read: the decoded key and the value.
pub type Entry<K, V> = (<K as KeyCodec>::Owned, V);

/// Rows, and the key to go on from if more follow.
pub type Batch<T> = (Vec<T>, Option<Vec<u8>>);

/// A row's whole raw key with the decoded one.
type RawEntry<K> = (Vec<u8>, <K as KeyCodec>::Owned);

/// Values by typed key under one prefix. A set is a `Map<K, ()>`. Everything that reads is a method of [`ReadMap`].
///
/// Methods take a key by value or by reference.
#[derive(Debug)]
pub struct Map<K, V>(ReadMap<K, V>);

impl<K, V> Map<K, V> {
    /// The map under `prefix` of `store`; see [`prefixes!`](crate::prefixes).
    pub const fn new(store: StoreName, prefix: &'static [u8]) -> Self {
        Self(ReadMap::new(store, prefix))
    }
}

impl<K: KeyCodec, V: ValueCodec> Map<K, V> {
    /// Writes the value at `key`.
    pub fn set(&self, s: &mut (impl KvWrite + ?Sized), key: impl Borrow<K>, value: &V) -> Result<(), StoreError> {
        s.set(self.store, self.raw_key(key)?, value.encode())
    }

    /// Removes `key`.
    pub fn remove(&self, s: &mut (impl KvWrite + ?Sized), key: impl Borrow<K>) -> Result<(), StoreError> {
        s.remove(self.store, &self.raw_key(key)?)
    }
}

impl<K, V> Deref for Map<K, V> {
    type Target = ReadMap<K, V>;
    fn deref(&self) -> &ReadMap<K, V> {
        &self.0
    }
}

/// The reading half of a [`Map`] or an [`IndexedMap`](super::IndexedMap).
#[derive(Debug)]
pub struct ReadMap<K, V> {
    store: StoreName,
    prefix: &'static [u8],
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> ReadMap<K, V> {
    pub(crate) const fn new(store: StoreName, prefix: &'static [u8]) -> Self {
        Self { store, prefix, types: PhantomData }
    }

    /// The same rows with keys of another type that encodes alike.
    pub(crate) const fn retyped<L>(&self) -> ReadMap<L, V> {
        ReadMap::new(self.store, self.prefix)
    }

    /// The store that the map lies in.
    pub const fn store(&self) -> StoreName {
        self.store
    }
}

impl<K: KeyCodec, V: ValueCodec> ReadMap<K, V> {
    /// The whole key of a row, as proofs name it.
    pub fn raw_key(&self, key: impl Borrow<K>) -> Result<Vec<u8>, StoreError> {
        let mut raw = self.prefix.to_vec();
        key.borrow().encode(&mut raw)?;
        Ok(raw)
    }

    /// The value at `key`.
    pub fn get(&self, s: &(impl KvRead + ?Sized), key: impl Borrow<K>) -> Result<Option<V>, StoreError> {
        s.get(self.store, &self.raw_key(key)?)?.map(|bytes| V::decode(&bytes)).transpose()
    }

    /// The value at `key`, or the default.
    pub fn get_or_default(&self, s: &(impl KvRead + ?Sized), key: impl Borrow<K>) -> Result<V, StoreError>
    where
        V: Default,
    {
        Ok(self.get(s, key)?.unwrap_or_default())
    }

    /// Whether `key` holds a value.
    pub fn has(&self, s: &(impl KvRead + ?Sized), key: impl Borrow<K>) -> Result<bool, StoreError> {
        s.has(self.store, &self.raw_key(key)?)
    }

    /// All rows, read lazily.
    pub fn iter<'a>(&self, s: &'a (impl KvRead + ?Sized), order: Order) -> Result<Rows<'a, Entry<K, V>>, StoreError> {
        self.range(s, All, Bound::Unbounded, Bound::Unbounded, order)
    }

    /// The rows whose key starts with the parts of `prefix`, read lazily.
    pub fn prefix<'a>(
        &self,
        s: &'a (impl KvRead + ?Sized),
        prefix: impl KeyPrefix<K>,
        order: Order,
    ) -> Result<Rows<'a, Entry<K, V>>, StoreError> {
        self.range(s, prefix, Bound::Unbounded, Bound::Unbounded, order)
    }

    /// The rows under `prefix` ([`All`] for every row) between two whole keys, read lazily.
    pub fn range<'a>(
        &self,
        s: &'a (impl KvRead + ?Sized),
        prefix: impl KeyPrefix<K>,
        start: Bound<&K>,
        end: Bound<&K>,
        order: Order,
    ) -> Result<Rows<'a, Entry<K, V>>, StoreError> {
        let prefix = self.raw_prefix(prefix)?;
        // The next key after k in byte order is k followed by 0.
        let after = |key: &K| -> Result<Vec<u8>, StoreError> {
            let mut raw = self.raw_key(key)?;
            raw.push(0);
            Ok(raw)
        };
        let low = match start {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(self.raw_key(key)?),
            Bound::Excluded(key) => Some(after(key)?),
        };
        let high = match end {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(after(key)?),
            Bound::Excluded(key) => Some(self.raw_key(key)?),
        };
        let low = low.map_or(prefix.clone(), |low| low.max(prefix.clone()));
        let high = match (high, prefix_end(&prefix)) {
            (Some(high), Some(end)) => Some(high.min(end)),
            (high, end) => high.or(end),
        };
        let skip = self.prefix.len();
        let rows = s.scan(self.store, Some(&low), high.as_deref(), order)?;
        Ok(Box::new(rows.map(move |row| {
            let (key, value) = row?;
            Ok((K::decode(&key[skip..])?, V::decode(&value)?))
        })))
    }

    /// Up to `limit` rows under `prefix` from `start` on (the next key that an earlier page returned), and the next key.
    pub fn page(
        &self,
        s: &(impl KvRead + ?Sized),
        prefix: impl KeyPrefix<K>,
        start: Option<&[u8]>,
        limit: u64,
        reverse: bool,
    ) -> Result<Batch<Entry<K, V>>, StoreError> {
        if limit == 0 {
            return Ok((Vec::new(), start.map(<[u8]>::to_vec)));
        }
        let key = start.unwrap_or_default().to_vec();
        let page = self.paginate(s, prefix, &PageRequest { key, limit, reverse, ..PageRequest::default() })?;
        Ok((page.items, (!page.next_key.is_empty()).then_some(page.next_key)))
    }

    /// A page of the rows under `prefix`, with the SDK's meaning of a page request.
    pub fn paginate(
        &self,
        s: &(impl KvRead + ?Sized),
        prefix: impl KeyPrefix<K>,
        request: &PageRequest,
    ) -> Result<Page<Entry<K, V>>, StoreError> {
        self.paginate_filtered(s, prefix, request, |_, _| Ok(true))
    }

    /// [`paginate`](Self::paginate) over the rows that `keep` accepts.
    pub fn paginate_filtered(
        &self,
        s: &(impl KvRead + ?Sized),
        prefix: impl KeyPrefix<K>,
        request: &PageRequest,
        mut keep: impl FnMut(&K::Owned, &V) -> Result<bool, StoreError>,
    ) -> Result<Page<Entry<K, V>>, StoreError> {
        let prefix = self.raw_prefix(prefix)?;
        let shared = &prefix[self.prefix.len()..];
        paginate(s, self.store, &prefix, request, |key, value| {
            let row = (K::decode(&[shared, key].concat())?, V::decode(value)?);
            Ok(keep(&row.0, &row.1)?.then_some(row))
        })
    }

    /// All rows in ascending order, as whole raw keys with the typed key.
    pub(crate) fn raw_rows<'a>(&self, s: &'a (impl KvRead + ?Sized)) -> Result<Rows<'a, RawEntry<K>>, StoreError> {
        let skip = self.prefix.len();
        let rows = s.scan(self.store, Some(self.prefix), prefix_end(self.prefix).as_deref(), Order::Ascending)?;
        Ok(Box::new(rows.map(move |row| {
            let (raw, _) = row?;
            let key = K::decode(&raw[skip..])?;
            Ok((raw, key))
        })))
    }

    fn raw_prefix(&self, prefix: impl KeyPrefix<K>) -> Result<Vec<u8>, StoreError> {
        let mut raw = self.prefix.to_vec();
        prefix.encode_prefix(&mut raw)?;
        Ok(raw)
    }
}
