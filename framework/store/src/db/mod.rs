//! The node's database; its layout, invariants and recovery are described in the crate's README.

mod cache;
mod forest;
mod keeper;
mod restore;
mod rocks;
mod rows;
mod snapshot;
#[cfg(test)]
mod tests;

pub(crate) use forest::Forest;
pub use snapshot::Snapshot;

use crate::commitment::{Commitment, EMPTY_HASH, Hash, TreeMemory, prove_store};
use crate::{Changes, KvRead, StoreError, StoreName, fail};
use keeper::{Discard, Keeper};
use parking_lot::{Mutex, RwLock};
use prost::Message;
use rayon::{ThreadPool, ThreadPoolBuilder};
use rocks::{Rocks, TREES};
use rows::{ChangeLog, CommitRow, TipRow};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// What the database keeps, and how often it saves its trees.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// How many heights before the last one can be read ([`Store::snapshot_at`]).
    pub keep_recent: u64,
    /// How many heights before the last one can be proven ([`Store::prove`]), restarts included.
    pub proof_window: u64,
    /// Heights between two saves of the trees; bounds what a start has to replay.
    pub tree_interval: u64,
    /// How many changed rows the past trees in memory may amount to, at 1 to 2 KiB each. Trees of a proof window that
    /// exceed it are rebuilt from disk when a proof asks for them.
    pub history_rows: u64,
    /// The size of RocksDB's block cache in bytes.
    pub cache_bytes: usize,
    /// The size of the cache of single rows before it, in bytes.
    pub row_cache_bytes: usize,
    /// Versions of rows that have left the windows are dropped this many heights at a time: each time costs a synced
    /// write of RocksDB's manifest.
    pub prune_interval: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            keep_recent: 10_000,
            proof_window: 1000,
            tree_interval: 1000,
            history_rows: 250_000,
            cache_bytes: 256 << 20,
            row_cache_bytes: 128 << 20,
            prune_interval: 100,
        }
    }
}

/// What a [`Store`] holds in memory, in bytes where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Rows in the trees of the last height.
    pub tree_rows: u64,
    /// The trees of the last height.
    pub trees: TreeMemory,
    /// Changed rows in the trees of past heights.
    pub past_tree_rows: u64,
    /// The cache of rows.
    pub rows: u64,
    /// RocksDB's block cache: blocks, indexes and filters.
    pub blocks: u64,
    /// RocksDB's memtables.
    pub memtables: u64,
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tree_rows, trees, past_tree_rows, rows, blocks, memtables } = self;
        let [trees, mapped] = [trees.bytes, trees.mapped_bytes].map(|bytes| bytes >> 20);
        let [rows, blocks, memtables] = [rows, blocks, memtables].map(|bytes| bytes >> 20);
        write!(
            f,
            "rows in trees {tree_rows}, trees {trees} MiB and {mapped} MiB mapped, \
             changed rows in past trees {past_tree_rows}, row cache {rows} MiB, \
             block cache {blocks} MiB, memtables {memtables} MiB"
        )
    }
}

/// One step of a Merkle proof as ABCI's `ProofOp` carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofOp {
    /// `ics23:iavl` (a row in its store) or `ics23:simple` (a store in the app hash).
    pub type_: String,
    /// The key of the row, or the name of the store.
    pub key: Vec<u8>,
    /// An encoded `cosmos.ics23.v1.CommitmentProof`.
    pub data: Vec<u8>,
}

/// The node's database: flat state, commitment trees and recent history, in RocksDB.
///
/// There is one writer: [`prepare`](Self::prepare) computes what a block makes of the state and changes nothing,
/// [`commit`](Self::commit) makes it last in one synced batch.
pub struct Store {
    shared: Arc<Shared>,
    /// Held while a block is written.
    commit: Mutex<()>,
    keeper: Keeper,
}

/// What the store shares with its background thread.
struct Shared {
    rocks: Arc<Rocks>,
    options: StoreOptions,
    tip: RwLock<Arc<Tip>>,
    /// Past trees.
    history: RwLock<History>,
    /// Held while past trees are rebuilt, and while what they are rebuilt from is dropped.
    rebuild: Mutex<()>,
    /// The trees of a height on those that were saved last, for the next block to go on with; see [`keeper`].
    moved: Mutex<Option<Arc<Forest>>>,
    /// Where saved trees are checked and past ones rebuilt while blocks go on: on rayon's own threads, which blocks need,
    /// each of their jobs would wait behind all of this.
    background: ThreadPool,
    discard: Discard,
}

/// How many of the past trees that proofs asked for are kept, whatever memory is meant for.
const REBUILT: usize = 2;

/// Trees by height, as many as memory is meant for; the others of the proof window are on disk.
#[derive(Default)]
struct History {
    forests: BTreeMap<u64, Arc<Forest>>,
    /// The rows that the blocks of these heights changed.
    rows: u64,
    /// Those that were rebuilt last, the newest at the end: in `forests` old ones are the first to give way.
    rebuilt: Vec<Arc<Forest>>,
}

impl History {
    /// The last trees up to a height.
    fn before(&self, height: u64) -> Option<Arc<Forest>> {
        let last = self.forests.range(..=height).next_back().map(|(_, forest)| forest);
        let rebuilt = self.rebuilt.iter().filter(|forest| forest.height <= height);
        rebuilt.chain(last).max_by_key(|forest| forest.height).map(Arc::clone)
    }

    /// Keeps trees that were rebuilt. Returns those that gave way.
    fn keep(&mut self, forest: Arc<Forest>) -> Option<Arc<Forest>> {
        self.rebuilt.push(forest);
        (self.rebuilt.len() > REBUILT).then(|| self.rebuilt.remove(0))
    }

    /// Adds trees. Returns those that gave way: the oldest, while they are too many or older than `oldest`.
    fn add(&mut self, forest: Arc<Forest>, oldest: u64, rows: u64) -> Vec<Arc<Forest>> {
        let mut gone: Vec<_> = self.rebuilt.extract_if(.., |forest| forest.height < oldest).collect();
        self.rows += forest.changed;
        if let Some(double) = self.forests.insert(forest.height, forest) {
            self.rows -= double.changed;
            gone.push(double);
        }
        while let Some(first) = self.forests.first_entry()
            && (*first.key() < oldest || self.rows > rows)
        {
            let forest = first.remove();
            self.rows -= forest.changed;
            gone.push(forest);
        }
        gone
    }

    /// Takes out those that are in memory as a whole and larger than all changed rows may be together.
    fn take_whole(&mut self, rows: u64) -> Vec<Arc<Forest>> {
        let is_whole = |forest: &Forest| forest.base == 0 && forest.rows() > rows;
        let whole = self.forests.extract_if(.., |_, forest| is_whole(forest));
        let mut whole: Vec<_> = whole.map(|(_, forest)| forest).collect();
        self.rows -= whole.iter().map(|forest| forest.changed).sum::<u64>();
        whole.extend(self.rebuilt.extract_if(.., |forest| is_whole(forest)));
        whole
    }
}

/// The last commit.
struct Tip {
    forest: Arc<Forest>,
    app_hash: Hash,
    meta: Option<Vec<u8>>,
    /// The first height ever committed; 0 before it.
    first: u64,
    snapshot: Snapshot,
}

/// A block's outcome, computed and not yet committed. Any number of them may stand on one base.
pub struct Candidate {
    base: Arc<Tip>,
    forest: Arc<Forest>,
    app_hash: Hash,
    changes: Changes,
}

impl Candidate {
    /// The height it would commit.
    pub fn height(&self) -> u64 {
        self.forest.height
    }

    /// The app hash that the state would have.
    pub fn app_hash(&self) -> [u8; 32] {
        self.app_hash
    }

    /// What it writes.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate").field("height", &self.height()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("height", &self.height()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens or creates the database in the folder `path`, which one process at a time can hold, and rebuilds the trees.
    ///
    /// `names` are the stores of the chain. A name that the database does not know yet is a store that begins, empty,
    /// at the next height.
    ///
    /// # Errors
    /// [`StoreError::UnknownStore`] if the database holds a store that is not among `names`; [`StoreError::Corrupt`] if
    /// the trees that come out do not have the recorded app hash.
    pub fn open(path: &Path, names: &[StoreName], options: StoreOptions) -> Result<Self, StoreError> {
        Self::start(Rocks::open(path, names, &options, None)?, options)
    }

    /// A database in memory, for tests.
    pub fn temporary(names: &[StoreName]) -> Result<Self, StoreError> {
        let options = StoreOptions { cache_bytes: 8 << 20, row_cache_bytes: 8 << 20, ..StoreOptions::default() };
        let env = rocksdb::Env::mem_env()?;
        Self::start(Rocks::open(Path::new("/state"), names, &options, Some(&env))?, options)
    }

    /// Removes what a save that was killed has left in `path`, if there is a database: as the next start would, but that
    /// may lack the room which this takes. No process may hold the database.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn clear(path: &Path) -> Result<(), StoreError> {
        let trees = path.join(TREES);
        if trees.is_dir() { forest::drop_partial(&trees) } else { Ok(()) }
    }

    /// The last height in the database in `path`, which no process may hold, and its app hash; 0 before the first.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn last_commit(path: &Path, names: &[StoreName]) -> Result<(u64, Hash), StoreError> {
        let rocks = Rocks::open(path, names, &StoreOptions::default(), None)?;
        let Some(tip) = rocks.tip()? else { return Ok((0, EMPTY_HASH)) };
        let app_hash =
            tip.app_hash.try_into().map_err(|_| StoreError::Corrupt("the app hash is not 32 bytes".into()))?;
        Ok((tip.height, app_hash))
    }

    /// Takes the database in `path`, which no process may hold, one height back, so that the block can be executed again.
    /// Returns the height that it is at now, with its app hash. All or nothing; what it leaves behind, the next start
    /// clears away.
    ///
    /// # Errors
    /// [`StoreError::HeightUnavailable`] where the height before is not within the windows any more, or never was there.
    pub fn roll_back(path: &Path, names: &[StoreName], options: &StoreOptions) -> Result<(u64, Hash), StoreError> {
        let rocks = Arc::new(Rocks::open(path, names, options, None)?);
        let Some(TipRow { height, first, .. }) = rocks.tip()? else {
            return Err(StoreError::HeightUnavailable { height: 0, oldest: 0, latest: 0 });
        };
        let to = height - 1;
        let gone = || StoreError::HeightUnavailable { height: to, oldest: height, latest: height };
        let saved: Vec<u64> = rocks.saved_trees()?.into_iter().filter(|saved| *saved <= to).collect();
        if to < first || rocks.changes_from()? > saved.last().copied().unwrap_or(0) {
            return Err(gone());
        }
        // That it can be started from is seen here, not when it is too late.
        let start = Arc::new(Forest::load_newest(&rocks, &saved)?);
        let forest = Forest::replay(&rocks, start, to, drop)?;
        if forest.height != to {
            return Err(gone());
        }
        let before = Snapshot::open(&rocks, to, height)?;
        let mut changes = Changes::default();
        for part in rocks.changes(height) {
            ChangeLog::read(&part?, &mut changes, |name| rocks.resolve(name))?;
        }

        fail::point("roll back: begin");
        let mut batch = rocks.batch();
        // A version cannot be taken back: the rows of the height get the values that they had before it. What the block
        // writes when it is executed again takes their place.
        for (store, key, _) in changes.iter() {
            batch.state(store, key, height, before.get(store, key)?.as_deref());
        }
        batch.drop_height(height);
        let (app_hash, meta) = (forest.app_hash(), rocks.commit_row(to)?.meta);
        batch.tip(&TipRow { height: to, app_hash: app_hash.to_vec(), first, meta });
        fail::point("roll back: batch complete");
        batch.write_synced()?;
        fail::point("roll back: written");
        Ok((to, app_hash))
    }

    /// Drops all that lies outside the windows and gives its space back to the disk. Takes as long as reading and writing
    /// the whole database.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn prune(&self) -> Result<(), StoreError> {
        keeper::prune(&self.shared)
    }

    /// What it holds in memory.
    pub fn memory(&self) -> Memory {
        self.shared.memory()
    }

    /// The first height that can be read.
    pub fn oldest(&self) -> u64 {
        self.shared.tip().oldest(self.shared.options.keep_recent).max(self.shared.rocks.retention.lock().from)
    }

    /// The windows and sizes that it was opened with.
    pub fn options(&self) -> &StoreOptions {
        &self.shared.options
    }

    fn start(rocks: Rocks, options: StoreOptions) -> Result<Self, StoreError> {
        let rocks = Arc::new(rocks);
        let saved = forest::clean(&rocks)?;
        let mut history = History::default();
        let tip = match rocks.tip()? {
            None => {
                let snapshot = Snapshot::open(&rocks, 0, 0)?;
                Tip { forest: Arc::default(), app_hash: EMPTY_HASH, meta: None, first: 0, snapshot }
            }
            Some(TipRow { height, app_hash, first, meta }) => {
                let oldest = height.saturating_sub(options.proof_window);
                let start = Forest::load_newest(&rocks, &saved)?;
                let forest = Forest::replay(&rocks, Arc::new(start), height, |forest| {
                    history.add(forest, oldest, options.history_rows);
                })?;
                if forest.height != height || forest.app_hash()[..] != app_hash {
                    return Err(StoreError::Corrupt(format!(
                        "the trees of height {} do not have the app hash of height {height}",
                        forest.height
                    )));
                }
                let snapshot = Snapshot::latest(&rocks, &forest)?;
                Tip { app_hash: forest.app_hash(), forest, meta: Some(meta), first, snapshot }
            }
        };
        let shared = Arc::new(Shared {
            rocks,
            options,
            tip: RwLock::new(Arc::new(tip)),
            history: RwLock::new(history),
            rebuild: Mutex::new(()),
            moved: Mutex::new(None),
            background: background(),
            discard: Discard::start(),
        });
        Ok(Self { keeper: Keeper::start(Arc::clone(&shared)), shared, commit: Mutex::new(()) })
    }

    /// The last committed height; 0 before the first.
    pub fn height(&self) -> u64 {
        self.shared.tip().forest.height
    }

    /// The app hash at the last committed height; SHA-256 of nothing before the first, as in the SDK.
    pub fn app_hash(&self) -> [u8; 32] {
        self.shared.tip().app_hash
    }

    /// What was committed beside the state at the last height.
    pub fn meta(&self) -> Option<Vec<u8>> {
        self.shared.tip().meta.clone()
    }

    /// The state at the last committed height. Later commits do not show in it.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.tip().snapshot.clone()
    }

    /// The state at a past height.
    ///
    /// # Errors
    /// [`StoreError::HeightUnavailable`] outside the `keep_recent` heights before the last one.
    pub fn snapshot_at(&self, height: u64) -> Result<Snapshot, StoreError> {
        let tip = self.shared.tip();
        if height == tip.forest.height {
            return Ok(tip.snapshot.clone());
        }
        tip.check_window(height, self.shared.options.keep_recent)?;
        Snapshot::open(&self.shared.rocks, height, tip.forest.height)
    }

    /// Computes what `changes` make of the last committed state. Changes nothing.
    ///
    /// # Errors
    /// [`StoreError::WrongHeight`] unless `height` follows the last one (the first may be any but 0);
    /// [`StoreError::UnknownStore`].
    pub fn prepare(&self, height: u64, changes: Changes) -> Result<Candidate, StoreError> {
        let base = self.shared.tip();
        let committed = base.forest.height;
        if height == 0 || (committed > 0 && Some(height) != committed.checked_add(1)) {
            return Err(StoreError::WrongHeight { got: height, committed });
        }
        let names = self.shared.rocks.names();
        if let Some(unknown) = changes.0.keys().find(|name| names.binary_search(name).is_err()) {
            return Err(StoreError::UnknownStore(unknown.to_string()));
        }
        let trees = self.shared.moved(&base.forest).unwrap_or_else(|| Arc::clone(&base.forest));
        let forest = trees.apply(height, names, &|name| changes.0.get(&name));
        Ok(Candidate { app_hash: forest.app_hash(), forest: Arc::new(forest), base, changes })
    }

    /// Makes a candidate the state, with `meta` (opaque) beside it: one synced write batch, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::StaleCandidate`] if something else was committed since it was prepared. After
    /// [`StoreError::Io`] it is unknown whether the batch will be found after a restart: the process must stop.
    /// [`StoreError::Panicked`] if the background thread is gone: nothing is written.
    pub fn commit(&self, candidate: Candidate, meta: &[u8]) -> Result<(), StoreError> {
        let _one_at_a_time = self.commit.lock();
        let Candidate { base, forest, app_hash, changes } = candidate;
        let height = forest.height;
        self.keeper.alive()?;
        if !Arc::ptr_eq(&base, &self.shared.tip()) {
            return Err(StoreError::StaleCandidate(height));
        }
        let first = if base.first == 0 { height } else { base.first };
        let rocks = &self.shared.rocks;

        fail::point("commit: begin");
        let mut batch = rocks.batch();
        for (store, key, value) in changes.iter() {
            batch.state(store, key, height, value);
        }
        ChangeLog::write(&changes, |number, part| {
            batch.changes(height, number, part);
            Ok(())
        })?;
        batch.commit_row(height, &CommitRow { meta: meta.to_vec(), ..CommitRow::of(&forest) });
        batch.tip(&TipRow { height, app_hash: app_hash.to_vec(), first, meta: meta.to_vec() });
        fail::point("commit: batch complete");
        batch.write_synced()?;
        fail::point("commit: written");

        let forest = self.shared.move_over(&base.forest, forest, &changes);
        rocks.cache(height, &changes);
        let snapshot = Snapshot::latest(rocks, &forest)?;
        let tip = Tip { forest: Arc::clone(&forest), app_hash, meta: Some(meta.to_vec()), first, snapshot };
        self.shared.remember(Arc::clone(&forest), height);
        *self.shared.tip.write() = Arc::new(tip);
        fail::point("commit: visible");
        self.keeper.committed(forest);
        // What is left of the old trees goes elsewhere: to free them all takes longer than to make the new ones.
        let old = Arc::clone(&base.forest);
        drop(base);
        self.shared.discard.later((old, changes));
        Ok(())
    }

    /// The value of `key` in `store` at `height`, if any, with the proof of it or of its absence: one step from the row
    /// to the store's root, one from there to the app hash. Verifies against ICS-23's IAVL and Tendermint specs, except
    /// in an empty store, whose emptiness ICS-23 cannot express.
    ///
    /// # Errors
    /// [`StoreError::HeightUnavailable`] outside the proof window; [`StoreError::UnknownStore`]; [`StoreError::EmptyKey`].
    pub fn prove(&self, height: u64, store: &str, key: &[u8]) -> Result<(Option<Vec<u8>>, Vec<ProofOp>), StoreError> {
        let unknown = || StoreError::UnknownStore(store.to_owned());
        let tip = self.shared.tip();
        tip.check_window(height, self.shared.options.proof_window)?;
        let snapshot = Snapshot::open(&self.shared.rocks, height, tip.forest.height)?;
        let forest = self.shared.forest_at(height, &tip)?;
        let (name, tree) = forest.trees.iter().find(|(name, _)| name.as_str() == store).ok_or_else(unknown)?;
        if key.is_empty() {
            return Err(StoreError::EmptyKey(name.as_str()));
        }

        let value_of = |key: &[u8]| snapshot.get(*name, key);
        let row = tree.prove(key, &value_of)?;
        let in_app = prove_store(forest.roots(), store).ok_or_else(unknown)?;
        let op = |type_: &str, key: &[u8], proof: ics23::CommitmentProof| ProofOp {
            type_: type_.to_owned(),
            key: key.to_vec(),
            data: proof.encode_to_vec(),
        };
        let ops = vec![op("ics23:iavl", key, row), op("ics23:simple", store.as_bytes(), in_app)];
        Ok((value_of(key)?, ops))
    }
}

/// Threads for half of the processors, so that what lasts there leaves the others to blocks.
fn background() -> ThreadPool {
    let threads = ThreadPoolBuilder::new().num_threads(rayon::current_num_threads().div_ceil(2));
    let threads = threads.thread_name(|number| format!("store-trees-{number}"));
    threads.build().expect("the process can start threads")
}

impl Tip {
    /// The first height of the `window` before the last one.
    fn oldest(&self, window: u64) -> u64 {
        self.forest.height.saturating_sub(window).max(self.first)
    }

    /// Fails unless `height` is the last one or among the `window` before it.
    fn check_window(&self, height: u64, window: u64) -> Result<(), StoreError> {
        let (latest, oldest) = (self.forest.height, self.oldest(window));
        if (oldest..=latest).contains(&height) && height > 0 {
            return Ok(());
        }
        Err(StoreError::HeightUnavailable { height, oldest, latest })
    }
}

impl Shared {
    fn tip(&self) -> Arc<Tip> {
        Arc::clone(&self.tip.read())
    }

    fn memory(&self) -> Memory {
        let rocks = &self.rocks;
        // What cannot be told is not worth an error.
        let (memtables, blocks) = rocks.memory().unwrap_or_default();
        let forest = Arc::clone(&self.tip().forest);
        Memory {
            tree_rows: forest.rows(),
            trees: forest.memory(),
            past_tree_rows: self.history.read().rows,
            rows: rocks.rows.bytes() as u64,
            blocks,
            memtables,
        }
    }

    /// Keeps trees in memory; `latest` is the last height.
    fn remember(&self, forest: Arc<Forest>, latest: u64) {
        let oldest = latest.saturating_sub(self.options.proof_window);
        let gone = self.history.write().add(forest, oldest, self.options.history_rows);
        self.discard.later(gone);
    }

    /// The trees `last`, if they are there on the trees that were saved last and do not stand on them yet.
    fn moved(&self, last: &Forest) -> Option<Arc<Forest>> {
        let moved = self.moved.lock();
        moved.as_ref().filter(|moved| moved.height == last.height && moved.base > last.base).map(Arc::clone)
    }

    /// The trees `next`, which `changes` make of `last`, on the trees that were saved last if that can be.
    fn move_over(&self, last: &Forest, next: Arc<Forest>, changes: &Changes) -> Arc<Forest> {
        let Some(moved) = self.moved(last).filter(|moved| moved.base > next.base) else { return next };
        let moved = moved.apply(next.height, self.rocks.names(), &|name| changes.0.get(&name));
        if moved.app_hash() == next.app_hash() {
            return Arc::new(moved);
        }
        tracing::error!(height = next.height, base = moved.base, "the saved trees come to another app hash: not used");
        next
    }

    /// The trees at `height`, from memory or rebuilt from disk with those on the way.
    fn forest_at(&self, height: u64, tip: &Tip) -> Result<Arc<Forest>, StoreError> {
        let latest = tip.forest.height;
        if height == latest {
            return Ok(Arc::clone(&tip.forest));
        }
        let near = || self.history.read().before(height);
        if let Some(forest) = near().filter(|near| near.height == height) {
            return Ok(forest);
        }
        let _one_at_a_time = self.rebuild.lock();
        let near = near();
        if let Some(forest) = near.as_ref().filter(|near| near.height == height) {
            return Ok(Arc::clone(forest));
        }
        let (saved, later): (Vec<u64>, Vec<u64>) =
            self.rocks.saved_trees()?.into_iter().partition(|saved| *saved <= height);
        if saved.is_empty() && self.rocks.changes_from()? > 0 {
            let oldest = later.first().copied().unwrap_or(latest);
            return Err(StoreError::HeightUnavailable { height, oldest, latest });
        }
        let near = near.filter(|near| saved.last().is_none_or(|saved| *saved <= near.height));
        let forest = self.background.install(|| {
            let start = near.map_or_else(|| Forest::load_newest(&self.rocks, &saved).map(Arc::new), Ok)?;
            Forest::replay(&self.rocks, start, height, |forest| self.remember(forest, latest))
        })?;
        let gone = self.history.write().keep(Arc::clone(&forest));
        self.discard.later(gone);
        Ok(forest)
    }
}
