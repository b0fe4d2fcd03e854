//! Rows of the last height in memory, in front of RocksDB.
//!
//! An entry holds what the last commit left at a key, and since which height it stands there. A snapshot of that height or
//! a later one may read it; an older snapshot finds nothing and asks RocksDB. So snapshots of all heights share the cache.
//!
//! What a reader fetched from RocksDB enters only while its height is still the last one, which it compares under the lock
//! of the shard: a commit raises the height of every shard *before* it lays its writes into any.

use parking_lot::Mutex;
#[expect(clippy::disallowed_types, reason = "only looked up by key: its order shows nowhere")]
use std::collections::HashMap;

/// Locks; threads that read meet at one seldom.
const SHARDS: usize = 64;

/// What an entry takes beside its key and its value: its place in a table that is two thirds full, and two allocations.
const ENTRY_BYTES: usize = 112;

/// Rows by key, absent ones included. It holds about as many bytes as it was made for, and forgets what was not read or
/// written for longest: entries live in a young and an old generation, move to the young one when they are used, and go
/// with the old one when the young one is full.
pub(super) struct RowCache {
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Default)]
struct Shard {
    /// The last height.
    height: u64,
    /// The size at which the young generation becomes the old one.
    limit: usize,
    young: Generation,
    old: Generation,
}

#[derive(Default)]
struct Generation {
    #[expect(clippy::disallowed_types, reason = "only looked up by key: its order shows nowhere")]
    rows: HashMap<Box<[u8]>, Row>,
    bytes: usize,
}

struct Row {
    /// The row has stood like this from this height on, or from an earlier one.
    since: u64,
    /// `None`: there is no row.
    value: Option<Box<[u8]>>,
}

impl RowCache {
    /// A cache of about `bytes` bytes over the state at `height`; 0 bytes keep nothing.
    pub(super) fn new(bytes: usize, height: u64) -> Self {
        let shard = || Mutex::new(Shard { height, limit: bytes / SHARDS / 2, ..Shard::default() });
        Self { shards: std::iter::repeat_with(shard).take(SHARDS).collect() }
    }

    /// What `read` makes of the row at `key` as of `height`; `None` if that is not known here.
    pub(super) fn get<T>(&self, key: &[u8], height: u64, read: impl FnOnce(Option<&[u8]>) -> T) -> Option<T> {
        let mut shard = self.shard(key).lock();
        if let Some(row) = shard.young.rows.get(key) {
            return (row.since <= height).then(|| read(row.value.as_deref()));
        }
        let (key, row) = shard.old.take(key)?;
        let answer = (row.since <= height).then(|| read(row.value.as_deref()));
        let retired = shard.insert(key, row);
        drop(shard);
        drop(retired);
        answer
    }

    /// Keeps what RocksDB holds at `key` as of `height`, unless there was a commit since.
    pub(super) fn fill(&self, key: Vec<u8>, height: u64, value: Option<&[u8]>) {
        let mut shard = self.shard(&key).lock();
        if shard.height != height || !shard.takes(key.len() + value.map_or(0, <[u8]>::len)) {
            return;
        }
        let retired = shard.insert(key.into(), Row { since: height, value: value.map(Into::into) });
        drop(shard);
        drop(retired);
    }

    /// Lays the writes of the block at `height` into the cache. To be called once they are on disk, and before anybody
    /// reads at that height.
    pub(super) fn commit<'a>(&self, height: u64, writes: impl Iterator<Item = (Vec<u8>, Option<&'a [u8]>)>) {
        for shard in &self.shards {
            shard.lock().height = height;
        }
        for (key, value) in writes {
            let mut shard = self.shard(&key).lock();
            shard.old.take(&key);
            let retired = if shard.takes(key.len() + value.map_or(0, <[u8]>::len)) {
                shard.insert(key.into(), Row { since: height, value: value.map(Into::into) })
            } else {
                shard.young.take(&key);
                None
            };
            drop(shard);
            drop(retired);
        }
    }

    /// Forgets all rows, the absent ones too: the state became another without a block, at `height`.
    pub(super) fn reset(&self, height: u64) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            *shard = Shard { height, limit: shard.limit, ..Shard::default() };
        }
    }

    /// The bytes that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().bytes()).sum()
    }

    fn shard(&self, key: &[u8]) -> &Mutex<Shard> {
        // That somebody may choose keys of one shard costs room and waiting, no more: the tables hash with a secret.
        let hash = key.chunks(8).fold(0u64, |hash, chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            (hash.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        &self.shards[(hash >> 58) as usize]
    }
}

impl Shard {
    /// Whether an entry of this many bytes has its place: none so large that it would push out all others.
    fn takes(&self, bytes: usize) -> bool {
        bytes < self.limit / 8
    }

    /// Adds an entry that the old generation does not hold. Returns a generation that is to be dropped without the lock.
    fn insert(&mut self, key: Box<[u8]>, row: Row) -> Option<Generation> {
        self.young.insert(key, row);
        let full = self.young.bytes > self.limit;
        full.then(|| std::mem::replace(&mut self.old, std::mem::take(&mut self.young)))
    }

    fn bytes(&self) -> usize {
        self.young.bytes + self.old.bytes
    }
}

impl Generation {
    fn insert(&mut self, key: Box<[u8]>, row: Row) {
        let key_bytes = key.len();
        self.bytes += size_of_entry(key_bytes, &row);
        if let Some(former) = self.rows.insert(key, row) {
            self.bytes -= size_of_entry(key_bytes, &former);
        }
    }

    fn take(&mut self, key: &[u8]) -> Option<(Box<[u8]>, Row)> {
        let (key, row) = self.rows.remove_entry(key)?;
        self.bytes -= size_of_entry(key.len(), &row);
        Some((key, row))
    }
}

fn size_of_entry(key_bytes: usize, row: &Row) -> usize {
    ENTRY_BYTES + key_bytes + row.value.as_ref().map_or(0, |value| value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cache: &RowCache, key: &[u8], height: u64) -> Option<Option<Vec<u8>>> {
        cache.get(key, height, |value| value.map(<[u8]>::to_vec))
    }

    #[test]
    fn an_entry_is_seen_from_its_height_on() {
        let cache = RowCache::new(1 << 20, 4);
        cache.fill(b"filled".to_vec(), 4, Some(b"4"));
        cache.fill(b"absent".to_vec(), 4, None);
        cache.commit(5, [(b"written".to_vec(), Some(&b"5"[..])), (b"removed".to_vec(), None)].into_iter());
        assert_eq!(read(&cache, b"filled", 4), Some(Some(b"4".to_vec())));
        assert_eq!(read(&cache, b"filled", 5), Some(Some(b"4".to_vec())));
        assert_eq!(read(&cache, b"filled", 3), None);
        assert_eq!(read(&cache, b"absent", 5), Some(None));
        assert_eq!(read(&cache, b"written", 5), Some(Some(b"5".to_vec())));
        assert_eq!(read(&cache, b"written", 4), None);
        assert_eq!(read(&cache, b"removed", 9), Some(None));
        assert_eq!(read(&cache, b"unknown", 5), None);
    }

    #[test]
    fn what_a_reader_fetched_before_a_commit_does_not_enter_after_it() {
        let cache = RowCache::new(1 << 20, 4);
        cache.commit(5, [(b"written".to_vec(), Some(&b"5"[..]))].into_iter());
        cache.fill(b"written".to_vec(), 4, Some(b"4"));
        cache.fill(b"other".to_vec(), 4, Some(b"4"));
        assert_eq!(read(&cache, b"written", 5), Some(Some(b"5".to_vec())));
        assert_eq!(read(&cache, b"other", 5), None);
    }

    #[test]
    fn it_keeps_within_its_bytes_what_is_used() {
        let cache = RowCache::new(1 << 20, 1);
        // What differs stands anywhere in a key.
        let key = |i: u32| [b"balances", &i.to_be_bytes()[..], b" of ugantry"].concat();
        for i in 0..100_000 {
            cache.fill(key(i), 1, Some(&[7; 50]));
            assert!(read(&cache, &key(0), 1).is_some(), "it is read all the time, {i}");
        }
        let bytes = cache.bytes();
        assert!((1 << 19..=1 << 20).contains(&bytes), "{bytes}");
        let held: usize = cache
            .shards
            .iter()
            .map(|shard| {
                let shard = shard.lock();
                let rows = shard.young.rows.iter().chain(&shard.old.rows);
                rows.map(|(key, row)| size_of_entry(key.len(), row)).sum::<usize>()
            })
            .sum();
        assert_eq!(bytes, held);
        assert!(read(&cache, &key(50_000), 1).is_none());

        // An entry that is too large pushes none out, and leaves none of its key behind.
        cache.commit(2, [(key(0), Some(&[7; 1 << 20][..]))].into_iter());
        assert_eq!(read(&cache, &key(0), 2), None);
        assert_eq!(read(&RowCache::new(0, 1), &key(0), 1), None);
    }
}
