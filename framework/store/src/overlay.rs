//! Write buffers over a state, stacked as deep as needed: block, fee, messages.

use crate::{KvIter, KvRead, KvWrite, Order, StoreError, StoreName};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::iter::Peekable;
use std::ops::Bound;

/// The writes to one store by ascending key; `None` is a removal.
pub(crate) type StoreChanges = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// All writes of a block (or of a part of one): the last write of each key, per store, by ascending key.
///
/// A set of an equal value stays in, because it changes the app hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(pub(crate) BTreeMap<StoreName, StoreChanges>);

impl Changes {
    /// Every write by store and key; `None` is a removal.
    pub fn iter(&self) -> impl Iterator<Item = (StoreName, &[u8], Option<&[u8]>)> {
        self.0
            .iter()
            .flat_map(|(store, rows)| rows.iter().map(move |(key, value)| (*store, key.as_slice(), value.as_deref())))
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(BTreeMap::is_empty)
    }

    /// The number of keys written.
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    /// Lays later writes over these.
    pub fn merge(&mut self, later: Changes) {
        for (store, rows) in later.0 {
            match self.0.entry(store) {
                Entry::Vacant(entry) => {
                    entry.insert(rows);
                }
                Entry::Occupied(mut entry) => entry.get_mut().extend(rows),
            }
        }
    }
}

/// A write buffer over `base`. Reads see the buffer first; the base is never changed.
#[derive(Debug)]
pub struct Overlay<B> {
    base: B,
    changes: Changes,
}

impl<B> Overlay<B> {
    /// An empty buffer over `base`.
    pub fn new(base: B) -> Self {
        Self { base, changes: Changes::default() }
    }

    /// Drops the base and hands out what was written.
    pub fn into_changes(self) -> Changes {
        self.changes
    }

    /// What was written so far.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The state below.
    pub fn base(&self) -> &B {
        &self.base
    }

    /// Lays the writes of a buffer that lay over this one into this one.
    pub fn apply(&mut self, later: Changes) {
        self.changes.merge(later);
    }
}

impl<B: KvRead> KvRead for Overlay<B> {
    fn get(&self, store: StoreName, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.changes.0.get(&store).and_then(|rows| rows.get(key)) {
            Some(written) => Ok(written.clone()),
            None => self.base.get(store, key),
        }
    }

    fn has(&self, store: StoreName, key: &[u8]) -> Result<bool, StoreError> {
        match self.changes.0.get(&store).and_then(|rows| rows.get(key)) {
            Some(written) => Ok(written.is_some()),
            None => self.base.has(store, key),
        }
    }

    fn scan<'a>(
        &'a self,
        store: StoreName,
        start: Option<&[u8]>,
        end: Option<&[u8]>,
        order: Order,
    ) -> Result<KvIter<'a>, StoreError> {
        if start.zip(end).is_some_and(|(start, end)| start >= end) {
            return Ok(Box::new(std::iter::empty()));
        }
        let base = self.base.scan(store, start, end, order)?;
        let Some(rows) = self.changes.0.get(&store) else {
            return Ok(base);
        };
        let bounds = (start.map_or(Bound::Unbounded, Bound::Included), end.map_or(Bound::Unbounded, Bound::Excluded));
        let layer = rows.range::<[u8], _>(bounds);
        Ok(match order {
            Order::Ascending => Box::new(Merge { base: base.peekable(), layer: layer.peekable(), order }),
            Order::Descending => Box::new(Merge { base: base.peekable(), layer: layer.rev().peekable(), order }),
        })
    }
}

impl<B: KvRead> KvWrite for Overlay<B> {
    fn set(&mut self, store: StoreName, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        if key.is_empty() {
            return Err(StoreError::EmptyKey(store.as_str()));
        }
        if value.is_empty() {
            return Err(StoreError::EmptyValue { store: store.as_str(), key });
        }
        self.changes.0.entry(store).or_default().insert(key, Some(value));
        Ok(())
    }

    fn remove(&mut self, store: StoreName, key: &[u8]) -> Result<(), StoreError> {
        self.changes.0.entry(store).or_default().insert(key.to_vec(), None);
        Ok(())
    }
}

/// Merges the rows of a base with the writes above it, both in `order`.
struct Merge<'a, L: Iterator> {
    base: Peekable<KvIter<'a>>,
    layer: Peekable<L>,
    order: Order,
}

impl<'a, L: Iterator<Item = (&'a Vec<u8>, &'a Option<Vec<u8>>)>> Iterator for Merge<'a, L> {
    type Item = Result<(Vec<u8>, Vec<u8>), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let base_first = match (self.base.peek(), self.layer.peek()) {
                (_, None) | (Some(Err(_)), _) => return self.base.next(),
                (None, Some(_)) => Ordering::Greater,
                (Some(Ok((base, _))), Some((layer, _))) => match self.order {
                    Order::Ascending => base.cmp(layer),
                    Order::Descending => base.cmp(layer).reverse(),
                },
            };
            match base_first {
                Ordering::Less => return self.base.next(),
                // The row is overwritten: only the layer's is seen.
                Ordering::Equal => drop(self.base.next()),
                Ordering::Greater => {}
            }
            if let Some((key, Some(value))) = self.layer.next() {
                return Some(Ok((key.clone(), value.clone())));
            }
        }
    }
}
