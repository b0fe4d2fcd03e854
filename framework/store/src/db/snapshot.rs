use super::Forest;
use super::rocks::Rocks;
use crate::commitment::Keys;
use crate::{KvIter, KvRead, Order, StoreError, StoreName};
use rocksdb::ReadOptions;
use std::fmt;
use std::sync::Arc;

/// The first rows of a scan are found by the trees, where these are at hand: to find them in the database costs as much as
/// rows were removed before them, which at the head of a queue are all that ever were in it. Further rows are cheaper to
/// read from the database in their order.
const ROWS_BY_TREE: usize = 64;

/// The state at one height: cheap to clone, isolated from later commits, and kept readable while it is held.
/// The database stays open, and locked, until the last snapshot is gone.
#[derive(Clone)]
pub struct Snapshot(Arc<View>);

struct View {
    rocks: Arc<Rocks>,
    height: u64,
    at: ReadOptions,
    /// The trees of the height, where they are at hand.
    forest: Option<Arc<Forest>>,
}

impl Snapshot {
    /// The state at `height`, which must be committed; `latest` is the last height, for the error.
    pub(super) fn open(rocks: &Arc<Rocks>, height: u64, latest: u64) -> Result<Self, StoreError> {
        Self::new(rocks, height, latest, None)
    }

    /// The state at the last height, that of `forest`.
    pub(super) fn latest(rocks: &Arc<Rocks>, forest: &Arc<Forest>) -> Result<Self, StoreError> {
        Self::new(rocks, forest.height, forest.height, Some(Arc::clone(forest)))
    }

    fn new(rocks: &Arc<Rocks>, height: u64, latest: u64, forest: Option<Arc<Forest>>) -> Result<Self, StoreError> {
        let mut retention = rocks.retention.lock();
        if height < retention.from {
            return Err(StoreError::HeightUnavailable { height, oldest: retention.from, latest });
        }
        *retention.pins.entry(height).or_default() += 1;
        drop(retention);
        Ok(Self(Arc::new(View { rocks: Arc::clone(rocks), height, at: Rocks::read_at(height), forest })))
    }

    /// The height; 0 before the first commit.
    pub fn height(&self) -> u64 {
        self.0.height
    }

    fn check(&self, store: StoreName) -> Result<(), StoreError> {
        match self.0.rocks.names().binary_search(&store) {
            Ok(_) => Ok(()),
            Err(_) => Err(StoreError::UnknownStore(store.to_string())),
        }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("height", &self.0.height).finish_non_exhaustive()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        let mut retention = self.rocks.retention.lock();
        if let Some(count) = retention.pins.get_mut(&self.height) {
            *count -= 1;
            if *count == 0 {
                retention.pins.remove(&self.height);
            }
        }
    }
}

impl KvRead for Snapshot {
    fn get(&self, store: StoreName, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.check(store)?;
        self.0.rocks.state(store, key, self.0.height, &self.0.at, |value| value.map(<[u8]>::to_vec))
    }

    fn has(&self, store: StoreName, key: &[u8]) -> Result<bool, StoreError> {
        self.check(store)?;
        self.0.rocks.state(store, key, self.0.height, &self.0.at, |value| value.is_some())
    }

    fn scan<'a>(
        &'a self,
        store: StoreName,
        start: Option<&[u8]>,
        end: Option<&[u8]>,
        order: Order,
    ) -> Result<KvIter<'a>, StoreError> {
        self.check(store)?;
        if start.zip(end).is_some_and(|(start, end)| start >= end) {
            return Ok(Box::new(std::iter::empty()));
        }
        let view = &*self.0;
        let Some(tree) = view.forest.as_ref().and_then(|forest| forest.trees.get(&store)) else {
            return Ok(view.rows(store, start, end, order));
        };
        Ok(Box::new(Scan {
            view,
            store,
            start: start.map(<[u8]>::to_vec),
            end: end.map(<[u8]>::to_vec),
            order,
            keys: tree.keys(start, end, order),
            left: ROWS_BY_TREE,
            rows: None,
        }))
    }
}

impl View {
    /// A scan of the database.
    fn rows<'a>(&'a self, store: StoreName, start: Option<&[u8]>, end: Option<&[u8]>, order: Order) -> KvIter<'a> {
        Box::new(self.rocks.scan_state(store, start, end, self.height, order == Order::Descending))
    }
}

/// A scan that begins in a tree and goes on in the database.
struct Scan<'a> {
    view: &'a View,
    store: StoreName,
    /// What is still to be scanned.
    start: Option<Vec<u8>>,
    end: Option<Vec<u8>>,
    order: Order,
    keys: Keys<'a>,
    /// Rows that may still be found by `keys`.
    left: usize,
    /// The rest, once it has begun.
    rows: Option<KvIter<'a>>,
}

impl Iterator for Scan<'_> {
    type Item = Result<(Vec<u8>, Vec<u8>), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let (view, start, end) = (self.view, self.start.as_deref(), self.end.as_deref());
            return self.rows.get_or_insert_with(|| view.rows(self.store, start, end, self.order)).next();
        }
        self.left -= 1;
        let key = self.keys.next()?;
        if self.left == 0 {
            match self.order {
                // The smallest key after this one.
                Order::Ascending => self.start = Some([key, &[0]].concat()),
                Order::Descending => self.end = Some(key.to_vec()),
            }
        }
        let value = self.view.rocks.state(self.store, key, self.view.height, &self.view.at, |v| v.map(<[u8]>::to_vec));
        Some(value.and_then(|value| match value {
            Some(value) => Ok((key.to_vec(), value)),
            None => Err(StoreError::Corrupt(format!("a row of {} is in its tree alone", self.store))),
        }))
    }
}
