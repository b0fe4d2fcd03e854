//! The embedded block store.
//!
//! Layout of its folder: `index.redb` (one row per block, small blocks inline, the pins, the counters), `blocks/xx/CID`
//! (blocks larger than [`INLINE_BYTES`]), `open` (exists while the store is open).
//!
//! **Durability.** A put returns once its blocks, their directory entries and their rows are synced to disk, in that
//! order: a row never names bytes that a crash or power cut could take away. A crash leaves at worst a file without a
//! row, which the next open sweeps.
//!
//! **Integrity.** Only a [`Block`], whose hash has been checked, can be put; bytes are hashed again on every read.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};

use crate::cid::{CID_BYTES, Cid, Codec};
use crate::error::{ContentError, StoreError};
use crate::unixfs::{MAX_BLOCK_BYTES, Node, NodeError};

/// Blocks up to this many bytes live in the index: most directories and small files, which would cost a sync each.
pub const INLINE_BYTES: usize = 16 << 10;

/// The index keeps this much of itself in memory.
const INDEX_CACHE_BYTES: usize = 32 << 20;
/// Files of one batch are written and synced by this many threads.
const WRITERS: usize = 4;
/// Blocks dropped in one transaction of the garbage collection.
const GC_BATCH: usize = 1024;

/// CID -> (order of arrival, size in bytes, the bytes if small).
const BLOCKS: TableDefinition<'_, &[u8; CID_BYTES], Row<'_>> = TableDefinition::new("blocks");
type Row<'a> = (u64, u32, Option<&'a [u8]>);
/// (root CID, tag): a root stays as long as any tag holds it.
const PINS: TableDefinition<'_, (&[u8; CID_BYTES], &str), ()> = TableDefinition::new("pins");
/// Counters: [`BYTES`], [`COUNT`], [`NEXT`].
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const BYTES: &str = "bytes";
const COUNT: &str = "blocks";
const NEXT: &str = "next";

/// A block whose bytes have been checked against its CID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    cid: Cid,
    bytes: Bytes,
}

/// Bytes that are not what their CID says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bytes do not hash to {0}")]
pub struct HashMismatch(pub Cid);

impl Block {
    /// Names `bytes`, at most [`MAX_BLOCK_BYTES`].
    pub fn new(codec: Codec, bytes: impl Into<Bytes>) -> Result<Self, NodeError> {
        let bytes = bytes.into();
        if bytes.len() > MAX_BLOCK_BYTES {
            return Err(NodeError::BlockTooLarge(bytes.len()));
        }
        Ok(Self { cid: Cid::of(codec, &bytes), bytes })
    }

    /// Checks `bytes` against `cid`.
    pub fn verify(cid: Cid, bytes: impl Into<Bytes>) -> Result<Self, HashMismatch> {
        let bytes = bytes.into();
        if bytes.len() <= MAX_BLOCK_BYTES && cid.matches(&bytes) {
            Ok(Self { cid, bytes })
        } else {
            Err(HashMismatch(cid))
        }
    }

    /// Its name.
    pub const fn cid(&self) -> Cid {
        self.cid
    }

    /// Its content.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    fn size(&self) -> u32 {
        u32::try_from(self.bytes.len()).expect("blocks are at most MAX_BLOCK_BYTES")
    }
}

/// How full a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of blocks.
    pub bytes: u64,
    /// Number of blocks.
    pub blocks: u64,
    /// Most bytes allowed.
    pub quota: Option<u64>,
}

/// What a garbage collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Blocks dropped.
    pub blocks: u64,
    /// Bytes dropped.
    pub bytes: u64,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Whole blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blocks that were damaged, and are dropped now.
    pub damaged: Vec<Cid>,
}

/// How far a walk over a DAG may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DagLimits {
    /// Bytes of distinct blocks.
    pub max_bytes: u64,
    /// Distinct blocks.
    pub max_blocks: u64,
    /// Levels of blocks below the root.
    pub max_depth: u32,
}

impl DagLimits {
    /// For content that this machine has already accepted.
    pub const NONE: Self = Self { max_bytes: u64::MAX, max_blocks: u64::MAX, max_depth: u32::MAX };
}

impl Default for DagLimits {
    /// 16 GiB in 262,144 blocks, 128 levels.
    fn default() -> Self {
        Self { max_bytes: 16 << 30, max_blocks: 1 << 18, max_depth: 128 }
    }
}

/// The embedded block store. Cloning gives another handle to the same store.
///
/// Calls block on the disk: async code calls them through [`tokio::task::spawn_blocking`].
#[derive(Clone, Debug)]
pub struct BlockStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    db: Database,
    dir: PathBuf,
    quota: Option<u64>,
    /// How many leases hold each block.
    held: Mutex<HashMap<Cid, u32>>,
    /// Written by a collection, read by a pin: a root is not pinned in the middle of one that has not seen the pin.
    gc: RwLock<()>,
    /// Grows whenever something may have become garbage; `gc_in_vain` is its value when a collection last freed too
    /// little. While both are equal, another one cannot do better.
    garbage: AtomicU64,
    gc_in_vain: AtomicU64,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Left behind by a crash; then the next open looks for files without rows.
        let _ = fs::remove_file(self.dir.join("open"));
    }
}

/// No code panics while holding one of these locks half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn index<E: Into<redb::Error>>(error: E) -> StoreError {
    StoreError::Index(error.into())
}

impl BlockStore {
    /// Opens the store in `dir`, creating it if need be. `quota` is the most bytes of blocks it may hold.
    pub fn open(dir: impl Into<PathBuf>, quota: Option<u64>) -> Result<Self, StoreError> {
        let dir = dir.into();
        fs::create_dir_all(dir.join("blocks")).map_err(StoreError::io(&dir))?;
        let db = Database::builder().set_cache_size(INDEX_CACHE_BYTES).create(dir.join("index.redb"));
        let db = db.map_err(|e| match e {
            redb::DatabaseError::DatabaseAlreadyOpen => StoreError::Locked(dir.clone()),
            e => index(e),
        })?;
        let tx = db.begin_write().map_err(index)?;
        tx.open_table(BLOCKS).map_err(index)?;
        tx.open_table(PINS).map_err(index)?;
        tx.open_table(META).map_err(index)?;
        tx.commit().map_err(index)?;
        let marker = dir.join("open");
        let crashed = marker.exists();
        let store = Self {
            inner: Arc::new(Inner {
                db,
                dir,
                quota,
                held: Mutex::default(),
                gc: RwLock::default(),
                garbage: AtomicU64::new(1),
                gc_in_vain: AtomicU64::new(0),
            }),
        };
        if crashed {
            store.sweep_orphans()?;
        }
        File::create(&marker).map_err(StoreError::io(&marker))?;
        Ok(store)
    }

    /// Stores one block, unless it is there. Nothing protects it from garbage collection: see [`Lease::put`].
    pub fn put(&self, block: &Block) -> Result<(), StoreError> {
        self.inner.garbage.fetch_add(1, Ordering::Relaxed);
        self.put_all(std::slice::from_ref(block))
    }

    fn put_all(&self, blocks: &[Block]) -> Result<(), StoreError> {
        match self.try_put_all(blocks) {
            Err(StoreError::QuotaExceeded { need, quota, .. }) => {
                self.make_room(need, quota)?;
                self.try_put_all(blocks)
            }
            other => other,
        }
    }

    fn try_put_all(&self, blocks: &[Block]) -> Result<(), StoreError> {
        // The transaction is also the lock between writers of block files.
        let tx = self.inner.db.begin_write().map_err(index)?;
        {
            let mut rows = tx.open_table(BLOCKS).map_err(index)?;
            let mut fresh = Vec::with_capacity(blocks.len());
            let mut seen = HashSet::with_capacity(blocks.len());
            for block in blocks {
                if seen.insert(block.cid) && rows.get(&block.cid.to_bytes()).map_err(index)?.is_none() {
                    fresh.push(block);
                }
            }
            if fresh.is_empty() {
                return Ok(());
            }
            let mut meta = tx.open_table(META).map_err(index)?;
            let used = counter(&meta, BYTES)?;
            let need = fresh.iter().map(|b| u64::from(b.size())).sum::<u64>();
            if let Some(quota) = self.inner.quota
                && used.saturating_add(need) > quota
            {
                return Err(StoreError::QuotaExceeded { used, quota, need });
            }
            let large: Vec<&Block> = fresh.iter().copied().filter(|b| b.bytes.len() > INLINE_BYTES).collect();
            if let Err(error) = self.write_files(&large) {
                for block in large {
                    let _ = fs::remove_file(self.path(&block.cid));
                }
                return Err(error);
            }
            let next = counter(&meta, NEXT)?;
            for (n, block) in (next..).zip(&fresh) {
                let inline = (block.bytes.len() <= INLINE_BYTES).then_some(&block.bytes[..]);
                rows.insert(&block.cid.to_bytes(), (n, block.size(), inline)).map_err(index)?;
            }
            let count = counter(&meta, COUNT)?;
            let added = fresh.len() as u64;
            meta.insert(NEXT, next + added).map_err(index)?;
            meta.insert(BYTES, used + need).map_err(index)?;
            meta.insert(COUNT, count + added).map_err(index)?;
        }
        tx.commit().map_err(index)
    }

    /// Writes and syncs the files of `blocks`, then the folders that hold them.
    fn write_files(&self, blocks: &[&Block]) -> Result<(), StoreError> {
        let folders: HashSet<PathBuf> =
            blocks.iter().filter_map(|b| Some(self.path(&b.cid).parent()?.into())).collect();
        let created = folders.iter().filter(|f| !f.exists()).count();
        for folder in &folders {
            fs::create_dir_all(folder).map_err(StoreError::io(folder))?;
        }
        let mut folders: Vec<PathBuf> = folders.into_iter().collect();
        if created > 0 {
            folders.push(self.inner.dir.join("blocks"));
        }
        in_parallel(blocks, |block| write_synced(&self.path(&block.cid), &block.bytes))?;
        in_parallel(&folders, |folder| File::open(folder).and_then(|f| f.sync_all()).map_err(StoreError::io(folder)))
    }

    /// The block's bytes, hashed again. A block damaged on disk is dropped and reported once as
    /// [`StoreError::Corrupt`], then it is simply not there.
    pub fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let Some((_, inline)) = self.row(cid)? else {
            return Ok(None);
        };
        let bytes = match inline {
            Some(bytes) => bytes,
            None => match fs::read(self.path(cid)) {
                Ok(bytes) => Bytes::from(bytes),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    // Collected since the row was read, or lost.
                    return if self.row(cid)?.is_none() { Ok(None) } else { Err(self.drop_corrupt(cid)?) };
                }
                Err(e) => return Err(StoreError::io(self.path(cid))(e)),
            },
        };
        if cid.matches(&bytes) { Ok(Some(bytes)) } else { Err(self.drop_corrupt(cid)?) }
    }

    /// Whether the block is stored.
    pub fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        Ok(self.size(cid)?.is_some())
    }

    /// The block's size in bytes, if it is stored.
    pub fn size(&self, cid: &Cid) -> Result<Option<u32>, StoreError> {
        let tx = self.inner.db.begin_read().map_err(index)?;
        let rows = tx.open_table(BLOCKS).map_err(index)?;
        Ok(rows.get(&cid.to_bytes()).map_err(index)?.map(|row| row.value().1))
    }

    fn row(&self, cid: &Cid) -> Result<Option<(u32, Option<Bytes>)>, StoreError> {
        let tx = self.inner.db.begin_read().map_err(index)?;
        let rows = tx.open_table(BLOCKS).map_err(index)?;
        let row = rows.get(&cid.to_bytes()).map_err(index)?;
        Ok(row.map(|row| {
            let (_, size, inline) = row.value();
            (size, inline.map(Bytes::copy_from_slice))
        }))
    }

    fn drop_corrupt(&self, cid: &Cid) -> Result<StoreError, StoreError> {
        tracing::warn!(%cid, "dropping a damaged block");
        let tx = self.inner.db.begin_write().map_err(index)?;
        remove_rows(&tx, &[*cid])?;
        // The transaction keeps writers out: nobody can be writing this file anew.
        let _ = fs::remove_file(self.path(cid));
        tx.commit().map_err(index)?;
        Ok(StoreError::Corrupt(*cid))
    }

    /// How full the store is.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let tx = self.inner.db.begin_read().map_err(index)?;
        let meta = tx.open_table(META).map_err(index)?;
        Ok(Usage { bytes: counter(&meta, BYTES)?, blocks: counter(&meta, COUNT)?, quota: self.inner.quota })
    }

    /// Reads and hashes every block, dropping damaged ones, and counts what is whole: for repair and for tests. Meant
    /// for a store that nobody is writing to.
    pub fn check(&self) -> Result<CheckReport, StoreError> {
        let tx = self.inner.db.begin_read().map_err(index)?;
        let rows = tx.open_table(BLOCKS).map_err(index)?;
        let mut report = CheckReport::default();
        for row in rows.iter().map_err(index)? {
            let (key, row) = row.map_err(index)?;
            let cid = stored_cid(key.value());
            match self.get(&cid) {
                Ok(Some(bytes)) if bytes.len() == row.value().1 as usize => {
                    report.blocks += 1;
                    report.bytes += bytes.len() as u64;
                }
                Ok(_) | Err(StoreError::Corrupt(_)) => report.damaged.push(cid),
                Err(error) => return Err(error),
            }
        }
        Ok(report)
    }

    /// Pins the whole DAG under `root` for `tag`; every block must be there. Pinning twice is pinning once.
    pub fn pin(&self, root: &Cid, tag: &str) -> Result<(), ContentError> {
        let _no_gc = self.inner.gc.read().unwrap_or_else(PoisonError::into_inner);
        let _lease = self.lease(root, &DagLimits::NONE)?;
        let tx = self.inner.db.begin_write().map_err(index)?;
        tx.open_table(PINS).map_err(index)?.insert((&root.to_bytes(), tag), ()).map_err(index)?;
        Ok(tx.commit().map_err(index)?)
    }

    /// Takes `tag` off `root`; tells whether it was there. The blocks stay until space is needed.
    pub fn unpin(&self, root: &Cid, tag: &str) -> Result<bool, StoreError> {
        let tx = self.inner.db.begin_write().map_err(index)?;
        let was = tx.open_table(PINS).map_err(index)?.remove((&root.to_bytes(), tag)).map_err(index)?.is_some();
        tx.commit().map_err(index)?;
        self.inner.garbage.fetch_add(1, Ordering::Relaxed);
        Ok(was)
    }

    /// All pins, ordered by root and tag.
    pub fn pins(&self) -> Result<Vec<(Cid, String)>, StoreError> {
        let tx = self.inner.db.begin_read().map_err(index)?;
        let pins = tx.open_table(PINS).map_err(index)?;
        let mut out = Vec::new();
        for pin in pins.iter().map_err(index)? {
            let (key, _) = pin.map_err(index)?;
            let (root, tag) = key.value();
            out.push((stored_cid(root), tag.to_owned()));
        }
        Ok(out)
    }

    /// An empty lease: whatever is put or asked through it stays until it is dropped.
    pub fn new_lease(&self) -> Lease {
        Lease { store: self.clone(), held: Mutex::default() }
    }

    /// Holds the whole DAG under `root`, all of which must be there, against garbage collection.
    pub fn lease(&self, root: &Cid, limits: &DagLimits) -> Result<Lease, ContentError> {
        let lease = self.new_lease();
        lease.hold_dag(root, limits)?;
        Ok(lease)
    }

    /// Visits every distinct block of the DAG under `root` (root first, then level by level) with its size in bytes.
    /// Fails with [`ContentError::Missing`] at the first block that is not there.
    pub fn walk(&self, root: &Cid, limits: &DagLimits, mut visit: impl FnMut(Cid, u32)) -> Result<(), ContentError> {
        let (mut level, mut seen) = (vec![*root], HashSet::from([*root]));
        let (mut bytes, mut depth) = (0u64, 0);
        while !level.is_empty() {
            if depth > limits.max_depth {
                return Err(ContentError::TooDeep { limit: limits.max_depth });
            }
            let mut next = Vec::new();
            for cid in level {
                let size = match cid.codec() {
                    Codec::Raw => self.size(&cid)?.ok_or(ContentError::Missing(cid))?,
                    Codec::DagPb => {
                        let block = self.get(&cid)?.ok_or(ContentError::Missing(cid))?;
                        let node = Node::decode(Codec::DagPb, &block).map_err(ContentError::node(cid))?;
                        next.extend(node.links().filter(|c| seen.insert(*c)));
                        // After every node: a level may name far more blocks than memory has room for.
                        if seen.len() as u64 > limits.max_blocks {
                            return Err(ContentError::TooMany { limit: limits.max_blocks });
                        }
                        u32::try_from(block.len()).expect("blocks are at most MAX_BLOCK_BYTES")
                    }
                };
                bytes = bytes.saturating_add(size.into());
                if bytes > limits.max_bytes {
                    return Err(ContentError::TooLarge { limit: limits.max_bytes });
                }
                visit(cid, size);
            }
            level = next;
            depth += 1;
        }
        Ok(())
    }

    /// Drops blocks that are neither pinned nor held, oldest first, until at most `target` bytes are stored.
    pub fn gc(&self, target: u64) -> Result<GcReport, StoreError> {
        let _no_pins = self.inner.gc.write().unwrap_or_else(PoisonError::into_inner);
        let mut used = self.usage()?.bytes;
        let mut report = GcReport::default();
        if used <= target {
            return Ok(report);
        }
        let mut garbage = self.unpinned()?;
        garbage.sort_unstable();
        let mut garbage = garbage.into_iter();
        while used > target {
            let batch: Vec<_> = garbage.by_ref().take(GC_BATCH).collect();
            if batch.is_empty() {
                break;
            }
            let mut victims = Vec::new();
            let tx = self.inner.db.begin_write().map_err(index)?;
            // Kept until the rows are gone: a lease taken meanwhile waits, and then sees that they are.
            let held = lock(&self.inner.held);
            for (_, cid, size) in batch {
                if used > target && !held.contains_key(&cid) {
                    victims.push(cid);
                    used -= u64::from(size);
                    report.blocks += 1;
                    report.bytes += u64::from(size);
                }
            }
            remove_rows(&tx, &victims)?;
            tx.commit().map_err(index)?;
            drop(held);
            self.unlink_rowless(&victims)?;
        }
        tracing::debug!(blocks = report.blocks, bytes = report.bytes, "collected garbage");
        Ok(report)
    }

    /// Frees space for `need` bytes and a tenth of the quota more, so that not every put collects.
    fn make_room(&self, need: u64, quota: u64) -> Result<(), StoreError> {
        let full = |used| StoreError::QuotaExceeded { used, quota, need };
        let now = self.inner.garbage.load(Ordering::Relaxed);
        if need > quota || self.inner.gc_in_vain.load(Ordering::Relaxed) == now {
            return Err(full(self.usage()?.bytes));
        }
        self.gc(quota - need.max(quota / 10))?;
        let used = self.usage()?.bytes;
        if used.saturating_add(need) > quota {
            self.inner.gc_in_vain.store(now, Ordering::Relaxed);
            return Err(full(used));
        }
        Ok(())
    }

    /// Every block that no pin reaches, as (order of arrival, CID, size).
    fn unpinned(&self) -> Result<Vec<(u64, Cid, u32)>, StoreError> {
        let (mut marked, mut todo) = (HashSet::new(), Vec::new());
        todo.extend(self.pins()?.into_iter().map(|(root, _)| root));
        while let Some(cid) = todo.pop() {
            if !marked.insert(cid) || cid.codec() == Codec::Raw {
                continue;
            }
            match self.get(&cid) {
                Ok(Some(block)) => match Node::decode(Codec::DagPb, &block) {
                    Ok(node) => todo.extend(node.links()),
                    Err(error) => tracing::error!(%cid, %error, "pinned block does not decode"),
                },
                // What lies below cannot be known any more; the rest of the pins still counts.
                Ok(None) | Err(StoreError::Corrupt(_)) => {
                    tracing::error!(%cid, "pinned block is lost")
                }
                Err(error) => return Err(error),
            }
        }
        let tx = self.inner.db.begin_read().map_err(index)?;
        let rows = tx.open_table(BLOCKS).map_err(index)?;
        let mut out = Vec::new();
        for row in rows.iter().map_err(index)? {
            let (key, row) = row.map_err(index)?;
            let (cid, (order, size, _)) = (stored_cid(key.value()), row.value());
            if !marked.contains(&cid) {
                out.push((order, cid, size));
            }
        }
        Ok(out)
    }

    /// Removes files of blocks whose rows are gone. The transaction keeps writers out, so no file can be in the making.
    fn unlink_rowless(&self, cids: &[Cid]) -> Result<(), StoreError> {
        let tx = self.inner.db.begin_write().map_err(index)?;
        {
            let rows = tx.open_table(BLOCKS).map_err(index)?;
            for cid in cids {
                if rows.get(&cid.to_bytes()).map_err(index)?.is_none() {
                    let _ = fs::remove_file(self.path(cid));
                }
            }
        }
        tx.abort().map_err(index)
    }

    /// After a crash: removes files that no row names.
    fn sweep_orphans(&self) -> Result<(), StoreError> {
        let blocks = self.inner.dir.join("blocks");
        for folder in fs::read_dir(&blocks).map_err(StoreError::io(&blocks))? {
            let folder = folder.map_err(StoreError::io(&blocks))?.path();
            let files = fs::read_dir(&folder).map_err(StoreError::io(&folder))?;
            let names = files.filter_map(|f| f.ok()?.file_name().into_string().ok());
            let cids: Vec<Cid> = names.filter_map(|name| name.parse().ok()).collect();
            self.unlink_rowless(&cids)?;
        }
        Ok(())
    }

    fn path(&self, cid: &Cid) -> PathBuf {
        let shard = format!("{:02x}", cid.digest()[31]);
        self.inner.dir.join("blocks").join(shard).join(cid.to_string())
    }
}

/// Keeps blocks from garbage collection while they are in use. Dropping it lets go.
#[derive(Debug)]
pub struct Lease {
    store: BlockStore,
    held: Mutex<HashSet<Cid>>,
}

impl Lease {
    /// The store it holds blocks of.
    pub const fn store(&self) -> &BlockStore {
        &self.store
    }

    /// Stores blocks that are not there yet, in one durable step, and holds them.
    pub fn put(&self, blocks: &[Block]) -> Result<(), StoreError> {
        for block in blocks {
            self.hold(block.cid);
        }
        self.store.put_all(blocks)
    }

    /// Whether the block is there; if it is, it stays.
    pub fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        Ok(self.size(cid)?.is_some())
    }

    /// The block's size in bytes, if it is there; then it stays.
    pub fn size(&self, cid: &Cid) -> Result<Option<u32>, StoreError> {
        self.hold(*cid);
        self.store.size(cid)
    }

    /// Pins the DAG under `root`: see [`BlockStore::pin`].
    pub fn pin(&self, root: &Cid, tag: &str) -> Result<(), ContentError> {
        self.store.pin(root, tag)
    }

    /// Holds every block under `root`; fails if one is missing.
    pub(crate) fn hold_dag(&self, root: &Cid, limits: &DagLimits) -> Result<(), ContentError> {
        // A block may vanish between being seen and being held: hold first, then look whether all are there.
        self.store.walk(root, limits, |cid, _| self.hold(cid))?;
        self.store.walk(root, limits, |_, _| ())
    }

    fn hold(&self, cid: Cid) {
        if lock(&self.held).insert(cid) {
            *lock(&self.store.inner.held).entry(cid).or_default() += 1;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut all = lock(&self.store.inner.held);
        for cid in lock(&self.held).drain() {
            if let Some(count) = all.get_mut(&cid) {
                *count -= 1;
                if *count == 0 {
                    all.remove(&cid);
                }
            }
        }
        self.store.inner.garbage.fetch_add(1, Ordering::Relaxed);
    }
}

fn counter(meta: &impl redb::ReadableTable<&'static str, u64>, name: &str) -> Result<u64, StoreError> {
    Ok(meta.get(name).map_err(index)?.map_or(0, |v| v.value()))
}

fn stored_cid(bytes: &[u8; CID_BYTES]) -> Cid {
    Cid::from_bytes(bytes).expect("rows are written with the bytes of a Cid, and the index checks its pages")
}

fn remove_rows(tx: &WriteTransaction, cids: &[Cid]) -> Result<(), StoreError> {
    let mut rows = tx.open_table(BLOCKS).map_err(index)?;
    let mut meta = tx.open_table(META).map_err(index)?;
    let (mut bytes, mut count) = (counter(&meta, BYTES)?, counter(&meta, COUNT)?);
    for cid in cids {
        if let Some(row) = rows.remove(&cid.to_bytes()).map_err(index)? {
            bytes -= u64::from(row.value().1);
            count -= 1;
        }
    }
    meta.insert(BYTES, bytes).map_err(index)?;
    meta.insert(COUNT, count).map_err(index)?;
    Ok(())
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        file.write_all(bytes)?;
        file.sync_data()
    };
    write().map_err(StoreError::io(path))
}

/// Runs `work` on each item on a few threads; the first error wins.
fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<(), StoreError> + Sync) -> Result<(), StoreError> {
    if items.len() < 2 {
        return items.iter().try_for_each(work);
    }
    std::thread::scope(|scope| {
        let share = items.len().div_ceil(WRITERS);
        let work = &work;
        let threads: Vec<_> =
            items.chunks(share).map(|part| scope.spawn(move || part.iter().try_for_each(work))).collect();
        threads.into_iter().try_for_each(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
