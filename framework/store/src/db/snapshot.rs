use super::rocks::Rocks;
use crate::{KvIter, KvRead, Order, StoreError, StoreName};
use rocksdb::ReadOptions;
use std::fmt;
use std::sync::Arc;

/// The state at one height: cheap to clone, isolated from later commits, and kept readable while it is held.
/// The database stays open, and locked, until the last snapshot is gone.
#[derive(Clone)]
pub struct Snapshot(Arc<View>);

struct View {
    rocks: Arc<Rocks>,
    height: u64,
    at: ReadOptions,
}

impl Snapshot {
    /// The state at `height`, which must be committed; `latest` is the last height, for the error.
    pub(super) fn open(rocks: &Arc<Rocks>, height: u64, latest: u64) -> Result<Self, StoreError> {
        let mut retention = rocks.retention.lock();
        if height < retention.from {
            return Err(StoreError::HeightUnavailable { height, oldest: retention.from, latest });
        }
        *retention.pins.entry(height).or_default() += 1;
        drop(retention);
        Ok(Self(Arc::new(View { rocks: Arc::clone(rocks), height, at: Rocks::read_at(height) })))
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
        Ok(Box::new(self.0.rocks.scan_state(store, start, end, self.0.height, order == Order::Descending)))
    }
}
