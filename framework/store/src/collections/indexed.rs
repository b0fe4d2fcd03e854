use super::map::{Map, ReadMap};
use super::page::{Page, PageRequest};
use crate::{KeyCodec, KeyPrefix, KvRead, KvWrite, Order, Rows, StoreError, StoreName, ValueCodec};
use std::borrow::Borrow;
use std::fmt;
use std::ops::{Bound, Deref};

/// A secondary index, kept by the [`IndexedMap`] that owns it.
pub trait Index<K, V> {
    /// Fails if (`key`, `new`) cannot stand in the index.
    fn check(&self, s: &dyn KvRead, key: &K, new: &V) -> Result<(), StoreError>;

    /// Replaces the rows of `old` by those of `new`.
    fn update(&self, s: &mut dyn KvWrite, key: &K, old: Option<&V>, new: Option<&V>) -> Result<(), StoreError>;
}

/// What is done with every index of a map.
pub type EachIndex<'a, K, V> = dyn FnMut(&dyn Index<K, V>) -> Result<(), StoreError> + 'a;

/// The indexes of a map; declared by [`index_list!`](crate::index_list), which cannot forget one.
pub trait IndexList<K, V> {
    /// Calls `each` for every index.
    fn for_each(&self, each: &mut EachIndex<'_, K, V>) -> Result<(), StoreError>;
}

/// Declares a struct of indexes and its [`IndexList`]:
///
/// ```
/// use gantry_store::{IndexedMap, MultiIndex, StoreName, index_list, prefixes};
///
/// const STORE: StoreName = StoreName::new("example");
/// prefixes! { JOB = b"\x01"; JOB_BY_STATE = b"\x02"; }
/// index_list! {
///     /// The indexes of jobs (here a job is just its state, a number).
///     pub struct JobIndexes for u64 => u64 {
///         /// Ids by state.
///         pub by_state: MultiIndex<u64, u64, u64>,
///     }
/// }
/// pub const JOBS: IndexedMap<u64, u64, JobIndexes> = IndexedMap::new(STORE, JOB, JobIndexes {
///     by_state: MultiIndex::new(STORE, JOB_BY_STATE, |_id, state| Some(*state)),
/// });
/// ```
#[macro_export]
macro_rules! index_list {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident for $key:ty => $value:ty {
        $($(#[$field_attribute:meta])* $field_visibility:vis $field:ident: $index:ty),+ $(,)?
    }) => {
        $(#[$attribute])*
        #[derive(Debug)]
        $visibility struct $name {
            $($(#[$field_attribute])* $field_visibility $field: $index),+
        }

        impl $crate::IndexList<$key, $value> for $name {
            fn for_each(
                &self,
                each: &mut $crate::EachIndex<'_, $key, $value>,
            ) -> ::std::result::Result<(), $crate::StoreError> {
                $(each(&self.$field)?;)+
                Ok(())
            }
        }
    };
}

/// Many keys per index value: rows (index value, key). A value whose index function gives `None` is left out.
pub struct MultiIndex<I, K, V> {
    rows: Map<(I, K), ()>,
    value_of: fn(&K, &V) -> Option<I>,
}

impl<I, K, V> fmt::Debug for MultiIndex<I, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultiIndex").finish_non_exhaustive()
    }
}

impl<I: KeyCodec, K: KeyCodec, V> MultiIndex<I, K, V> {
    /// The index under `prefix` of `store`; `value_of` gives what a row is found by.
    pub const fn new(store: StoreName, prefix: &'static [u8], value_of: fn(&K, &V) -> Option<I>) -> Self {
        Self { rows: Map::new(store, prefix), value_of }
    }

    /// The same rows, addressed by borrowed parts.
    fn by_ref<'a>(&self) -> ReadMap<(&'a I, &'a K), ()> {
        self.rows.retyped()
    }

    /// The keys found by `value`, read lazily.
    pub fn keys<'a>(
        &self,
        s: &'a (impl KvRead + ?Sized),
        value: impl Borrow<I>,
        order: Order,
    ) -> Result<Rows<'a, K::Owned>, StoreError> {
        let rows = self.rows.prefix(s, Borrow::<I>::borrow(&value), order)?;
        Ok(Box::new(rows.map(|row| row.map(|((_, key), ())| key))))
    }

    /// Whether `key` is found by `value`.
    pub fn has(&self, s: &(impl KvRead + ?Sized), value: I, key: K) -> Result<bool, StoreError> {
        self.rows.has(s, (value, key))
    }

    /// The index rows under `prefix` ([`All`](crate::All) for every row) between two whole rows, read lazily.
    pub fn range<'a>(
        &self,
        s: &'a (impl KvRead + ?Sized),
        prefix: impl KeyPrefix<(I, K)>,
        start: Bound<&(I, K)>,
        end: Bound<&(I, K)>,
        order: Order,
    ) -> Result<Rows<'a, <(I, K) as KeyCodec>::Owned>, StoreError> {
        let rows = self.rows.range(s, prefix, start, end, order)?;
        Ok(Box::new(rows.map(|row| row.map(|(entry, ())| entry))))
    }

    /// A page of the keys found by `value`, with the SDK's meaning of a page request.
    pub fn paginate(
        &self,
        s: &(impl KvRead + ?Sized),
        value: impl Borrow<I>,
        request: &PageRequest,
    ) -> Result<Page<K::Owned>, StoreError> {
        let page = self.rows.paginate(s, Borrow::<I>::borrow(&value), request)?;
        let items = page.items.into_iter().map(|((_, key), ())| key).collect();
        Ok(Page { items, next_key: page.next_key, total: page.total })
    }
}

impl<I: KeyCodec, K: KeyCodec, V> Index<K, V> for MultiIndex<I, K, V> {
    fn check(&self, _: &dyn KvRead, _: &K, _: &V) -> Result<(), StoreError> {
        Ok(())
    }

    fn update(&self, s: &mut dyn KvWrite, key: &K, old: Option<&V>, new: Option<&V>) -> Result<(), StoreError> {
        let raw = |value: Option<&V>| -> Result<Option<Vec<u8>>, StoreError> {
            let index = value.and_then(|value| (self.value_of)(key, value));
            index.map(|index| self.by_ref().raw_key((&index, key))).transpose()
        };
        let (old, new) = (raw(old)?, raw(new)?);
        if old == new {
            return Ok(());
        }
        if let Some(old) = old {
            s.remove(self.rows.store(), &old)?;
        }
        if let Some(new) = new {
            s.set(self.rows.store(), new, ValueCodec::encode(&()))?;
        }
        Ok(())
    }
}

/// At most one key per index value: rows index value -> key. A value whose index function gives `None` is left out.
pub struct UniqueIndex<I, K, V> {
    rows: Map<I, Vec<u8>>,
    prefix: &'static [u8],
    value_of: fn(&K, &V) -> Option<I>,
}

impl<I, K, V> fmt::Debug for UniqueIndex<I, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UniqueIndex").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl<I: KeyCodec, K: KeyCodec, V> UniqueIndex<I, K, V> {
    /// The index under `prefix` of `store`; `value_of` gives what a row is found by.
    pub const fn new(store: StoreName, prefix: &'static [u8], value_of: fn(&K, &V) -> Option<I>) -> Self {
        Self { rows: Map::new(store, prefix), prefix, value_of }
    }

    /// The key found by `value`.
    pub fn get(&self, s: &(impl KvRead + ?Sized), value: impl Borrow<I>) -> Result<Option<K::Owned>, StoreError> {
        self.rows.get(s, value)?.map(|key| K::decode(&key)).transpose()
    }
}

impl<I: KeyCodec, K: KeyCodec, V> Index<K, V> for UniqueIndex<I, K, V> {
    fn check(&self, s: &dyn KvRead, key: &K, new: &V) -> Result<(), StoreError> {
        let Some(index) = (self.value_of)(key, new) else {
            return Ok(());
        };
        let Some(holder) = self.rows.get(s, index)? else {
            return Ok(());
        };
        let mut own = Vec::new();
        key.encode(&mut own)?;
        if holder == own {
            return Ok(());
        }
        Err(StoreError::NotUnique { store: self.rows.store().as_str(), prefix: self.prefix })
    }

    fn update(&self, s: &mut dyn KvWrite, key: &K, old: Option<&V>, new: Option<&V>) -> Result<(), StoreError> {
        let raw = |value: Option<&V>| -> Result<Option<Vec<u8>>, StoreError> {
            let index = value.and_then(|value| (self.value_of)(key, value));
            index.map(|index| self.rows.raw_key(index)).transpose()
        };
        let (old, new) = (raw(old)?, raw(new)?);
        if old == new {
            return Ok(());
        }
        if let Some(old) = old {
            s.remove(self.rows.store(), &old)?;
        }
        if let Some(new) = new {
            let mut own = Vec::new();
            key.encode(&mut own)?;
            s.set(self.rows.store(), new, own)?;
        }
        Ok(())
    }
}

/// A map with secondary indexes. Only its own `set` and `remove` write the indexes, so they agree with the rows.
/// Everything that reads is a method of [`ReadMap`].
///
/// `K` owns its bytes (`String`, not `&str`): the index functions take it whole.
#[derive(Debug)]
pub struct IndexedMap<K, V, I> {
    rows: Map<K, V>,
    /// The indexes, to read through.
    pub indexes: I,
}

impl<K, V, I> IndexedMap<K, V, I> {
    /// The map under `prefix` of `store`, with its indexes under theirs.
    pub const fn new(store: StoreName, prefix: &'static [u8], indexes: I) -> Self {
        Self { rows: Map::new(store, prefix), indexes }
    }
}

impl<K: KeyCodec, V: ValueCodec, I: IndexList<K, V>> IndexedMap<K, V, I> {
    /// Writes the value at `key` and brings the indexes in line.
    ///
    /// # Errors
    /// [`StoreError::NotUnique`], with nothing written, if a unique index holds its index value for another key.
    pub fn set(&self, s: &mut (impl KvWrite + ?Sized), key: impl Borrow<K>, value: &V) -> Result<(), StoreError> {
        let key = key.borrow();
        let old = self.rows.get(s, key)?;
        self.indexes.for_each(&mut |index| index.check(&&*s, key, value))?;
        self.rows.set(s, key, value)?;
        self.update(s, key, old.as_ref(), Some(value))
    }

    /// Removes `key` and its index rows.
    pub fn remove(&self, s: &mut (impl KvWrite + ?Sized), key: impl Borrow<K>) -> Result<(), StoreError> {
        let key = key.borrow();
        let Some(old) = self.rows.get(s, key)? else {
            return Ok(());
        };
        self.rows.remove(s, key)?;
        self.update(s, key, Some(&old), None)
    }

    fn update(
        &self,
        mut s: &mut (impl KvWrite + ?Sized),
        key: &K,
        old: Option<&V>,
        new: Option<&V>,
    ) -> Result<(), StoreError> {
        self.indexes.for_each(&mut |index| index.update(&mut s, key, old, new))
    }
}

impl<K, V, I> Deref for IndexedMap<K, V, I> {
    type Target = ReadMap<K, V>;
    fn deref(&self) -> &ReadMap<K, V> {
        &self.rows
    }
}
