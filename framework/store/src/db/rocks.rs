//! RocksDB: column families, keys, and nothing about what they mean together.

use super::StoreOptions;
use super::cache::RowCache;
use super::forest::Forest;
use super::rows::{CommitRow, TipRow, decode};
use crate::{Changes, StoreError, StoreName};
use parking_lot::Mutex;
use prost::Message;
use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, ColumnFamily, ColumnFamilyDescriptor, CompactOptions, DB,
    DBCompressionType, Direction, Env, FlushOptions, IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rows of the stores: length of name, name, key; every version of a row, by height (RocksDB's user-defined timestamp).
const STATE: &str = "state";
/// What each block wrote, in parts: height, number of part.
const CHANGES: &str = "changes";
/// The stores and roots of each height.
const COMMITS: &str = "commits";
const FAMILIES: [&str; 3] = [STATE, CHANGES, COMMITS];
/// The folder, within the database's, of the files of saved trees.
pub(super) const TREES: &str = "trees";

/// Keys of single rows, in the default column family.
const TIP: &[u8] = b"tip";
/// The height of the oldest saved tree that is kept once change logs were dropped; change logs begin above it.
const CHANGES_FROM: &[u8] = b"changes-from";
/// There while a snapshot is restored, or one that was is to go: the next start drops everything.
const RESTORING: &[u8] = b"restoring";
/// Height: its saved trees are complete.
const SAVED: &[u8] = b"saved/";

/// The size of all memtables together.
const MEMTABLE_BYTES: usize = 128 << 20;

pub(super) struct Rocks {
    db: DB,
    /// The folder of the files of saved trees; a database in memory has none.
    trees: Option<PathBuf>,
    names: Vec<StoreName>,
    /// RocksDB's blocks, indexes and filters.
    blocks: Cache,
    /// Rows of the last height.
    pub(super) rows: RowCache,
    /// Saved trees by height, those that were mapped: none of it is in memory for good.
    pub(super) mapped: Mutex<BTreeMap<u64, Forest>>,
    /// What keeps versions of rows from being dropped.
    pub(super) retention: Mutex<Retention>,
}

#[derive(Default)]
pub(super) struct Retention {
    /// Versions that only heights below this one can see may be gone.
    pub(super) from: u64,
    /// Open snapshots by height.
    pub(super) pins: BTreeMap<u64, usize>,
}

impl Rocks {
    pub(super) fn open(
        path: &Path,
        names: &[StoreName],
        wanted: &StoreOptions,
        env: Option<&Env>,
    ) -> Result<Self, StoreError> {
        let mut names = names.to_vec();
        names.sort_unstable();
        names.dedup();

        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        // Column families stay in step on disk whatever happens to the log's tail.
        options.set_atomic_flush(true);
        options.set_max_background_jobs(4);
        options.set_keep_log_file_num(4);
        // Files that stay open hold memory for their indexes; more than these are opened when they are read.
        options.set_max_open_files(1000);
        // All memtables together: the bound of what a commit leaves in memory.
        options.set_db_write_buffer_size(MEMTABLE_BYTES);
        // Flushes and merges reach the disk as they go, not all at once under a commit's sync.
        options.set_bytes_per_sync(1 << 20);
        // There is one writer.
        options.set_allow_concurrent_memtable_write(false);
        if let Some(env) = env {
            options.set_env(env);
        }
        let blocks = Cache::new_lru_cache(wanted.cache_bytes);
        let family = |name: &str| {
            let mut table = BlockBasedOptions::default();
            table.set_block_cache(&blocks);
            table.set_bloom_filter(10.0, false);
            // Indexes and filters count as blocks, so that their memory is bounded too.
            table.set_cache_index_and_filter_blocks(true);
            table.set_pin_l0_filter_and_index_blocks_in_cache(true);
            table.set_format_version(5);
            let mut options = Options::default();
            options.set_compression_type(DBCompressionType::Lz4);
            if name == STATE {
                set_versioned(&mut options);
                options.set_write_buffer_size(MEMTABLE_BYTES / 2);
                // Rows that are looked up in vain do not cost a search in the memtable.
                options.set_memtable_prefix_bloom_ratio(0.02);
                options.set_memtable_whole_key_filtering(true);
            }
            options.set_block_based_table_factory(&table);
            ColumnFamilyDescriptor::new(name, options)
        };
        let families = FAMILIES.map(family);
        let mut db = DB::open_cf_descriptors(&options, path, families)?;
        if db.get(RESTORING)?.is_some() {
            // Column families that are gone are made again by the next start. Saved trees go where no height has them.
            for name in FAMILIES {
                db.drop_cf(name)?;
            }
            let mut batch = WriteBatch::default();
            for row in [TIP, CHANGES_FROM, RESTORING] {
                batch.delete(row);
            }
            db.write(batch)?;
            drop(db);
            return Self::open(path, &names, wanted, env);
        }
        let trees = env.is_none().then(|| path.join(TREES));
        if let Some(trees) = &trees {
            let failed = |error: std::io::Error| StoreError::Io(format!("{}: {error}", trees.display()));
            std::fs::create_dir_all(trees).map_err(failed)?;
        }
        let mut rocks = Self {
            db,
            trees,
            names,
            blocks,
            rows: RowCache::new(0, 0),
            mapped: Mutex::default(),
            retention: Mutex::default(),
        };
        let from = rocks.db.get_full_history_ts_low(rocks.family(STATE))?;
        rocks.retention.lock().from = <[u8; 8]>::try_from(from).map_or(0, u64::from_be_bytes);
        rocks.rows = RowCache::new(wanted.row_cache_bytes, rocks.tip()?.map_or(0, |tip| tip.height));
        Ok(rocks)
    }

    /// The folder of the files of saved trees.
    pub(super) fn trees(&self) -> Option<&Path> {
        self.trees.as_deref()
    }

    /// The stores of the chain, by ascending name.
    pub(super) fn names(&self) -> &[StoreName] {
        &self.names
    }

    /// The store called `name`.
    pub(super) fn resolve(&self, name: &str) -> Result<StoreName, StoreError> {
        let found = self.names.iter().find(|known| known.as_str() == name);
        found.copied().ok_or_else(|| StoreError::UnknownStore(name.to_owned()))
    }

    fn family(&self, name: &str) -> &ColumnFamily {
        self.db.cf_handle(name).expect("every column family is opened with the database")
    }

    // --- state ---

    /// Options to read the state as of `height`.
    pub(super) fn read_at(height: u64) -> ReadOptions {
        let mut options = ReadOptions::default();
        options.set_timestamp(height.to_be_bytes());
        options
    }

    /// What `read` makes of a row as of `height`; `at` are the options to read at that height.
    pub(super) fn state<T>(
        &self,
        store: StoreName,
        key: &[u8],
        height: u64,
        at: &ReadOptions,
        read: impl Fn(Option<&[u8]>) -> T,
    ) -> Result<T, StoreError> {
        let key = state_key(store, key);
        if let Some(answer) = self.rows.get(&key, height, &read) {
            return Ok(answer);
        }
        let value = self.db.get_pinned_cf_opt(self.family(STATE), &key, at)?;
        self.rows.fill(key, height, value.as_deref());
        Ok(read(value.as_deref()))
    }

    /// Keeps what was committed at `height` in memory. To be called once it is on disk, before anybody reads there.
    pub(super) fn cache(&self, height: u64, changes: &Changes) {
        self.rows.commit(height, changes.iter().map(|(store, key, value)| (state_key(store, key), value)));
    }

    pub(super) fn scan_state<'a>(
        &'a self,
        store: StoreName,
        start: Option<&[u8]>,
        end: Option<&[u8]>,
        height: u64,
        descending: bool,
    ) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), StoreError>> + use<'a> {
        let mut options = Self::read_at(height);
        options.set_iterate_lower_bound(state_key(store, start.unwrap_or_default()));
        options.set_iterate_upper_bound(match end {
            Some(end) => state_key(store, end),
            None => crate::prefix_end(&state_key(store, &[])).expect("a store's rows start with its ASCII name"),
        });
        let mode = if descending { IteratorMode::End } else { IteratorMode::Start };
        let skip = state_key(store, &[]).len();
        self.db.iterator_cf_opt(self.family(STATE), options, mode).map(move |row| {
            let (key, value) = row?;
            Ok((key[skip..].to_vec(), value.into_vec()))
        })
    }

    /// Lets RocksDB drop, when it compacts, the versions of rows that only heights below `height` can see.
    pub(super) fn drop_versions_below(&self, height: u64) -> Result<(), StoreError> {
        Ok(self.db.increase_full_history_ts_low(self.family(STATE), height.to_be_bytes())?)
    }

    /// Moves all rows to files and rewrites these without what was dropped. Takes as long as reading and writing them all.
    pub(super) fn compact(&self) -> Result<(), StoreError> {
        let mut flush = FlushOptions::default();
        flush.set_wait(true);
        let families = FAMILIES.map(|name| self.family(name));
        self.db.flush_cfs_opt(&families, &flush)?;
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        for family in families {
            self.db.compact_range_cf_opt(family, None::<&[u8]>, None::<&[u8]>, &options);
        }
        Ok(())
    }

    /// The number of versions of all rows, in files and memtables.
    #[cfg(test)]
    pub(super) fn versions(&self) -> u64 {
        self.db.property_int_value_cf(self.family(STATE), "rocksdb.estimate-num-keys").unwrap().unwrap()
    }

    /// The bytes of the memtables, and of the block cache.
    pub(super) fn memory(&self) -> Result<(u64, u64), StoreError> {
        let memtables: Result<Option<u64>, _> = FAMILIES
            .iter()
            .map(|name| self.db.property_int_value_cf(self.family(name), "rocksdb.size-all-mem-tables"))
            .sum();
        Ok((memtables?.unwrap_or_default(), self.blocks.get_usage() as u64))
    }

    // --- single rows ---

    pub(super) fn tip(&self) -> Result<Option<TipRow>, StoreError> {
        self.db.get(TIP)?.map(|bytes| decode(&bytes)).transpose()
    }

    /// Change logs of heights up to this one may be gone.
    pub(super) fn changes_from(&self) -> Result<u64, StoreError> {
        self.db.get(CHANGES_FROM)?.map_or(Ok(0), |bytes| height_of(&bytes))
    }

    /// The heights with a complete saved tree, ascending.
    pub(super) fn saved_trees(&self) -> Result<Vec<u64>, StoreError> {
        let mut options = ReadOptions::default();
        options.set_iterate_range(rocksdb::PrefixRange(SAVED));
        let rows = self.db.iterator_opt(IteratorMode::Start, options);
        rows.map(|row| height_of(&row?.0[SAVED.len()..])).collect()
    }

    /// Has the next start drop everything; ended by [`Batch::end_restore`].
    pub(super) fn begin_restore(&self) -> Result<(), StoreError> {
        let mut batch = self.batch();
        batch.batch.put(RESTORING, []);
        batch.write_synced()
    }

    // --- rows by height ---

    pub(super) fn commit_row(&self, height: u64) -> Result<CommitRow, StoreError> {
        let row = self.db.get_cf(self.family(COMMITS), height.to_be_bytes())?;
        let row = row.ok_or_else(|| StoreError::Corrupt(format!("no commit of height {height}")))?;
        decode(&row)
    }

    /// The committed heights from `from` on, ascending.
    pub(super) fn commit_heights(&self, from: u64) -> impl Iterator<Item = Result<u64, StoreError>> + '_ {
        let mode = from.to_be_bytes();
        let rows = self.db.iterator_cf(self.family(COMMITS), IteratorMode::From(&mode, Direction::Forward));
        rows.map(|row| height_of(&row?.0))
    }

    /// The parts of a height's change log, in order.
    pub(super) fn changes(&self, height: u64) -> impl Iterator<Item = Result<Box<[u8]>, StoreError>> + '_ {
        self.parts(CHANGES, height.to_be_bytes().to_vec())
    }

    fn parts<'a>(
        &'a self,
        family: &str,
        prefix: Vec<u8>,
    ) -> impl Iterator<Item = Result<Box<[u8]>, StoreError>> + use<'a> {
        let mut options = ReadOptions::default();
        options.set_iterate_range(rocksdb::PrefixRange(prefix));
        let rows = self.db.iterator_cf_opt(self.family(family), options, IteratorMode::Start);
        rows.map(|row| Ok(row?.1))
    }

    pub(super) fn batch(&self) -> Batch<'_> {
        Batch { rocks: self, batch: WriteBatch::default() }
    }
}

/// Writes that happen together or not at all.
pub(super) struct Batch<'a> {
    rocks: &'a Rocks,
    batch: WriteBatch,
}

impl Batch<'_> {
    pub(super) fn state(&mut self, store: StoreName, key: &[u8], height: u64, value: Option<&[u8]>) {
        let (family, key, at) = (self.rocks.family(STATE), state_key(store, key), height.to_be_bytes());
        match value {
            Some(value) => self.batch.put_cf_with_ts(family, key, at, value),
            None => self.batch.delete_cf_with_ts(family, key, at),
        }
    }

    pub(super) fn tip(&mut self, row: &TipRow) {
        self.batch.put(TIP, row.encode_to_vec());
    }

    pub(super) fn commit_row(&mut self, height: u64, row: &CommitRow) {
        self.batch.put_cf(self.rocks.family(COMMITS), height.to_be_bytes(), row.encode_to_vec());
    }

    pub(super) fn changes(&mut self, height: u64, number: u32, part: &[u8]) {
        let key = [&height.to_be_bytes()[..], &number.to_be_bytes()].concat();
        self.batch.put_cf(self.rocks.family(CHANGES), key, part);
    }

    /// Drops the last height's change log, commit and saved trees.
    pub(super) fn drop_height(&mut self, height: u64) {
        let (at, after) = (height.to_be_bytes(), (height + 1).to_be_bytes());
        self.batch.delete_range_cf(self.rocks.family(CHANGES), at, after);
        self.batch.delete_cf(self.rocks.family(COMMITS), at);
        self.drop_tree(height);
    }

    /// Marks the saved trees of `height` as complete.
    pub(super) fn tree_saved(&mut self, height: u64) {
        self.batch.put(saved_key(height), []);
    }

    /// Marks no saved trees of `height` any longer; their file can go.
    pub(super) fn drop_tree(&mut self, height: u64) {
        self.batch.delete(saved_key(height));
    }

    /// Drops the change logs up to `height` and the commits below it: replays begin with its saved tree from now on.
    pub(super) fn drop_changes(&mut self, height: u64) {
        let (start, at, after) = (0u64.to_be_bytes(), height.to_be_bytes(), (height + 1).to_be_bytes());
        self.batch.delete_range_cf(self.rocks.family(CHANGES), start, after);
        self.batch.delete_range_cf(self.rocks.family(COMMITS), start, at);
        self.batch.put(CHANGES_FROM, at);
    }

    /// Makes the rows that were restored part of the state.
    pub(super) fn end_restore(&mut self) {
        self.batch.delete(RESTORING);
    }

    pub(super) fn write(self) -> Result<(), StoreError> {
        Ok(self.rocks.db.write(self.batch)?)
    }

    /// Writes and waits until the log is on disk, with all that was written before.
    pub(super) fn write_synced(self) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        Ok(self.rocks.db.write_opt(self.batch, &options)?)
    }
}

/// Makes rows of a column family versioned by height: keys ascend by their bytes, versions of a key descend.
fn set_versioned(options: &mut Options) {
    const TIMESTAMP: usize = size_of::<u64>();
    fn split(key: &[u8]) -> (&[u8], &[u8]) {
        key.split_at(key.len() - TIMESTAMP)
    }
    fn bare(key: &[u8], with_timestamp: bool) -> &[u8] {
        if with_timestamp { split(key).0 } else { key }
    }
    options.set_comparator_with_ts(
        "gantry.bytes-by-height",
        TIMESTAMP,
        Box::new(|a, b| {
            let ((a, a_height), (b, b_height)) = (split(a), split(b));
            a.cmp(b).then_with(|| b_height.cmp(a_height))
        }),
        Box::new(|a, b| a.cmp(b)),
        Box::new(|a, a_has, b, b_has| bare(a, a_has).cmp(bare(b, b_has))),
    );
}

fn named(out: &mut Vec<u8>, store: StoreName) {
    let name = store.as_str().as_bytes();
    out.push(u8::try_from(name.len()).expect("checked by StoreName::new"));
    out.extend_from_slice(name);
}

fn state_key(store: StoreName, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + store.as_str().len() + key.len());
    named(&mut out, store);
    out.extend_from_slice(key);
    out
}

fn saved_key(height: u64) -> Vec<u8> {
    [SAVED, &height.to_be_bytes()].concat()
}

fn height_of(bytes: &[u8]) -> Result<u64, StoreError> {
    let bytes = bytes.try_into().map_err(|_| StoreError::Corrupt("a height is not 8 bytes".into()))?;
    Ok(u64::from_be_bytes(bytes))
}
