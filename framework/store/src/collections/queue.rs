use super::map::Map;
use crate::{KeyCodec, KvRead, KvWrite, Order, Rows, StoreError, StoreName};

/// Keys by when they are due (a height, or seconds of a market clock), served oldest first and bounded per block.
#[derive(Debug)]
pub struct DueQueue<K>(Map<(u64, K), ()>);

impl<K: KeyCodec> DueQueue<K> {
    /// The queue under `prefix` of `store`.
    pub const fn new(store: StoreName, prefix: &'static [u8]) -> Self {
        Self(Map::new(store, prefix))
    }

    /// Puts `key` in at `due`. The same key may stand at several times.
    pub fn schedule(&self, s: &mut (impl KvWrite + ?Sized), due: u64, key: K) -> Result<(), StoreError> {
        self.0.set(s, (due, key), &())
    }

    /// Takes `key` out at `due`; nothing happens if it is not there.
    pub fn cancel(&self, s: &mut (impl KvWrite + ?Sized), due: u64, key: K) -> Result<(), StoreError> {
        self.0.remove(s, (due, key))
    }

    /// Whether `key` stands at `due`.
    pub fn has(&self, s: &(impl KvRead + ?Sized), due: u64, key: K) -> Result<bool, StoreError> {
        self.0.has(s, (due, key))
    }

    /// Everything in the queue, oldest first.
    pub fn iter<'a>(&self, s: &'a (impl KvRead + ?Sized)) -> Result<Rows<'a, (u64, K::Owned)>, StoreError> {
        let rows = self.0.iter(s, Order::Ascending)?;
        Ok(Box::new(rows.map(|row| row.map(|(entry, ())| entry))))
    }

    /// Removes and returns the oldest entries due at or before `now`, at most `max`; the rest carry over.
    pub fn pop_due(
        &self,
        s: &mut (impl KvWrite + ?Sized),
        now: u64,
        max: usize,
    ) -> Result<Vec<(u64, K::Owned)>, StoreError> {
        let mut due = Vec::new();
        let mut raw_keys = Vec::new();
        for row in self.0.raw_rows(s)?.take(max) {
            let (raw, (at, key)) = row?;
            if at > now {
                break;
            }
            due.push((at, key));
            raw_keys.push(raw);
        }
        for raw in raw_keys {
            s.remove(self.0.store(), &raw)?;
        }
        Ok(due)
    }
}
