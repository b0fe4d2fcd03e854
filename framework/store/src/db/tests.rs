use super::*;
use crate::{KvWrite, Order, Overlay};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use tempfile::TempDir;

const BANK: StoreName = StoreName::new("bank");
const AUTH: StoreName = StoreName::new("auth");
const NAMES: &[StoreName] = &[BANK, AUTH];

/// The writes of block `height` of a chain whose every block is different.
fn block(height: u64) -> Changes {
    let mut overlay = Overlay::new(Nothing);
    for i in 0..20u64 {
        let key = (height * 7 + i * i * 31) % 97;
        let store = if i.is_multiple_of(3) { AUTH } else { BANK };
        let key = format!("key-{key}").into_bytes();
        if (height + i).is_multiple_of(4) {
            overlay.remove(store, &key).unwrap();
        } else {
            overlay.set(store, key, format!("value {height} {i}").into_bytes()).unwrap();
        }
    }
    overlay.into_changes()
}

/// A state without rows.
struct Nothing;

impl KvRead for Nothing {
    fn get(&self, _: StoreName, _: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }
    fn scan<'a>(
        &'a self,
        _: StoreName,
        _: Option<&[u8]>,
        _: Option<&[u8]>,
        _: Order,
    ) -> Result<crate::KvIter<'a>, StoreError> {
        Ok(Box::new(std::iter::empty()))
    }
}

fn advance(store: &Store) {
    let height = store.height() + 1;
    let candidate = store.prepare(height, block(height)).unwrap();
    assert_eq!(candidate.height(), height);
    let app_hash = candidate.app_hash();
    store.commit(candidate, &height.to_be_bytes()).unwrap();
    assert_eq!((store.height(), store.app_hash()), (height, app_hash));
}

/// All rows of a state.
fn dump(state: &impl KvRead) -> Vec<(StoreName, Vec<u8>, Vec<u8>)> {
    let rows = |name: &StoreName| {
        let name = *name;
        state.scan(name, None, None, Order::Ascending).unwrap().map(move |row| {
            let (key, value) = row.unwrap();
            (name, key, value)
        })
    };
    NAMES.iter().flat_map(rows).collect()
}

/// What an undisturbed run of `block` comes to, at every height.
struct Reference {
    store: Store,
    app_hashes: Vec<Hash>,
}

const REFERENCE_HEIGHTS: u64 = 300;

static REFERENCE: LazyLock<Reference> = LazyLock::new(|| {
    let store = Store::temporary(NAMES).unwrap();
    let mut app_hashes = vec![EMPTY_HASH];
    for _ in 0..REFERENCE_HEIGHTS {
        advance(&store);
        app_hashes.push(store.app_hash());
    }
    Reference { store, app_hashes }
});

/// Small windows, so that everything happens within a few blocks; trees of two or three blocks stay in memory.
fn small() -> StoreOptions {
    StoreOptions {
        keep_recent: 4,
        proof_window: 8,
        tree_interval: 3,
        history_rows: 50,
        cache_bytes: 1 << 20,
        row_cache_bytes: 1 << 16,
        prune_interval: 100,
    }
}

fn open(dir: &TempDir) -> Store {
    Store::open(dir.path(), NAMES, small()).unwrap()
}

fn advance_to(store: &Store, height: u64) {
    while store.height() < height {
        advance(store);
        store.keeper.settle();
    }
}

/// The heights of the files of saved trees, ascending; nothing else is in their folder.
fn tree_files(dir: &TempDir) -> Vec<u64> {
    let files = std::fs::read_dir(dir.path().join("trees")).unwrap();
    let height = |name: std::ffi::OsString| name.to_str().unwrap().parse().unwrap();
    let mut heights: Vec<u64> = files.map(|entry| height(entry.unwrap().file_name())).collect();
    heights.sort_unstable();
    heights
}

/// As [`small`], with all past trees in memory once they were rebuilt.
fn roomy() -> StoreOptions {
    StoreOptions { history_rows: 100_000, ..small() }
}

/// Compares the state, its recent past and its proofs with the reference.
fn check(store: &Store) {
    let reference = &*REFERENCE;
    let height = store.height();
    assert_eq!(store.app_hash(), reference.app_hashes[usize::try_from(height).unwrap()], "height {height}");
    assert_eq!(store.meta(), (height > 0).then(|| height.to_be_bytes().to_vec()));
    for past in height.saturating_sub(4).max(1)..=height {
        assert_eq!(dump(&store.snapshot_at(past).unwrap()), dump(&reference.store.snapshot_at(past).unwrap()));
    }
    for past in height.saturating_sub(8).max(1)..=height {
        for (name, key) in [(BANK, "key-1"), (BANK, "key-50"), (AUTH, "key-2"), (AUTH, "no such key")] {
            let ours = store.prove(past, name.as_str(), key.as_bytes()).unwrap();
            assert_eq!(ours, reference.store.prove(past, name.as_str(), key.as_bytes()).unwrap());
        }
    }
}

#[test]
fn restarts_at_every_height_change_nothing() {
    let dir = TempDir::new().unwrap();
    for height in 0u64..30 {
        let options = if height.is_multiple_of(3) { roomy() } else { small() };
        let store = Store::open(dir.path(), NAMES, options).unwrap();
        assert_eq!(store.height(), height);
        check(&store);
        advance(&store);
        // Half of the stops interrupt the keeper.
        if height % 2 == 0 {
            store.keeper.settle();
        }
        check(&store);
    }
}

#[test]
fn heights_outside_the_windows_are_refused() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for height in 0..2 {
        let unavailable = StoreError::HeightUnavailable { height: 0, oldest: height, latest: height };
        assert_eq!(store.prove(0, "bank", b"key-1"), Err(unavailable));
        advance(&store);
    }
    advance_to(&store, 20);
    let unavailable = |height, oldest| StoreError::HeightUnavailable { height, oldest, latest: 20 };
    assert_eq!(store.snapshot_at(15).unwrap_err(), unavailable(15, 16));
    assert_eq!(store.snapshot_at(21).unwrap_err(), unavailable(21, 16));
    assert_eq!(store.prove(11, "bank", b"key-1"), Err(unavailable(11, 12)));
    assert_eq!(store.prove(21, "bank", b"key-1"), Err(unavailable(21, 12)));
    assert_eq!(store.prove(20, "nobody", b"key-1"), Err(StoreError::UnknownStore("nobody".into())));
    assert_eq!(store.prove(20, "bank", b""), Err(StoreError::EmptyKey("bank")));
}

#[test]
fn what_left_the_windows_leaves_the_disk() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    advance_to(&store, 250);
    let rocks = &store.shared.rocks;
    let saved = rocks.saved_trees().unwrap();
    assert!(saved.len() <= 5, "{saved:?}");
    assert_eq!(tree_files(&dir), saved);
    assert_eq!(rocks.changes_from().unwrap(), saved[0]);
    let heights: Vec<u64> = rocks.commit_heights(0).map(Result::unwrap).collect();
    assert_eq!(heights, (saved[0]..=250).collect::<Vec<_>>());
    assert!(rocks.changes(saved[0]).next().is_none());
    assert!(rocks.changes(saved[0] + 1).next().is_some());
    assert!(rocks.retention.lock().from > 100);
    let history = store.shared.history.read();
    assert!((2..=3).contains(&history.forests.len()) && history.rows <= 50, "{:?}", history.forests.keys());
    drop(history);
    drop(store);
    check(&open(&dir));
}

#[test]
fn a_snapshot_is_isolated_and_stays_readable_while_it_is_held() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    advance_to(&store, 1);
    let held = store.snapshot();
    let then = dump(&held);
    advance_to(&store, 150);
    store.shared.rocks.compact().unwrap();
    assert_eq!(held.height(), 1);
    assert_eq!(dump(&held), then);
    let mut backwards: Vec<_> = held.scan(BANK, None, None, Order::Descending).unwrap().map(Result::unwrap).collect();
    backwards.reverse();
    assert!(held.scan(BANK, None, None, Order::Ascending).unwrap().map(Result::unwrap).eq(backwards));
    drop(held);
    advance_to(&store, 151);
    store.shared.rocks.compact().unwrap();
    assert!(store.shared.rocks.retention.lock().from > 100);
    check(&store);
}

#[test]
fn readers_see_whole_heights_while_blocks_are_committed() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    advance(&store);
    let reference = &*REFERENCE;
    let reader = |seed: u64| {
        let mut random = seed;
        let mut compared = 0;
        while store.height() < 150 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let height = store.height().saturating_sub(random >> 61).max(1);
            let known = reference.store.snapshot_at(height).unwrap();
            match store.snapshot_at(height) {
                Ok(snapshot) => assert_eq!(dump(&snapshot), dump(&known)),
                Err(error) => assert!(matches!(error, StoreError::HeightUnavailable { .. }), "{error}"),
            }
            match store.prove(height, "bank", b"key-1") {
                Ok(proof) => {
                    assert_eq!(proof, reference.store.prove(height, "bank", b"key-1").unwrap());
                    compared += 1;
                }
                Err(error) => assert!(matches!(error, StoreError::HeightUnavailable { .. }), "{error}"),
            }
        }
        assert!(compared > 0);
    };
    std::thread::scope(|scope| {
        for seed in 1..4 {
            scope.spawn(move || reader(seed));
        }
        while store.height() < 150 {
            advance(&store);
        }
    });
    check(&store);
}

#[test]
fn rows_in_memory_are_those_of_the_height_that_is_read() {
    const LAST: u64 = 250;
    type AllRows = BTreeMap<(StoreName, Vec<u8>), Vec<u8>>;
    /// As [`REFERENCE`]: all rows of every height.
    static HEIGHTS: LazyLock<Vec<AllRows>> = LazyLock::new(|| {
        let rows = |height| dump(&REFERENCE.store.snapshot_at(height).unwrap());
        let of = |height| rows(height).into_iter().map(|(store, key, value)| ((store, key), value)).collect();
        std::iter::once(BTreeMap::new()).chain((1..=LAST).map(of)).collect()
    });
    LazyLock::force(&HEIGHTS);
    // A cache that holds all rows, one that forgets most of them, none.
    for row_cache_bytes in [1 << 20, 1 << 16, 0] {
        let dir = TempDir::new().unwrap();
        let options = || StoreOptions { row_cache_bytes, keep_recent: 20, ..small() };
        let store = Store::open(dir.path(), NAMES, options()).unwrap();
        advance(&store);
        let reader = |seed: u64| {
            let mut random = seed;
            let mut next = |below: u64| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (random >> 33) % below
            };
            let mut held = store.snapshot();
            while store.height() < LAST {
                held = match next(4) {
                    0 => held,
                    1 => store.snapshot_at(store.height().saturating_sub(next(10)).max(1)).unwrap(),
                    _ => store.snapshot(),
                };
                let rows = &HEIGHTS[usize::try_from(held.height()).unwrap()];
                for _ in 0..20 {
                    let key = format!("key-{}", next(100)).into_bytes();
                    let name = NAMES[usize::try_from(next(2)).unwrap()];
                    let known = rows.get(&(name, key.clone()));
                    assert_eq!(held.get(name, &key).unwrap().as_ref(), known, "height {}", held.height());
                    assert_eq!(held.has(name, &key).unwrap(), known.is_some());
                }
            }
        };
        std::thread::scope(|scope| {
            for seed in 1..4 {
                scope.spawn(move || reader(seed));
            }
            while store.height() < LAST {
                advance(&store);
            }
        });
        assert_eq!(store.shared.rocks.rows.bytes() > 0, row_cache_bytes > 0);
        drop(store);
        // A start begins with nothing in memory, at its height.
        let store = Store::open(dir.path(), NAMES, options()).unwrap();
        let snapshot = store.snapshot();
        for _ in 0..2 {
            for ((name, key), value) in &HEIGHTS[usize::try_from(LAST).unwrap()] {
                assert_eq!(snapshot.get(*name, key).unwrap().as_ref(), Some(value));
            }
        }
    }
}

#[test]
fn scans_by_tree_and_by_database_give_the_same_rows() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let mut random = 1u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for height in 1..=12 {
        let mut overlay = Overlay::new(store.snapshot());
        for _ in 0..80 {
            let key = vec![u8::try_from(next(4)).unwrap() + 1; usize::try_from(next(40)).unwrap() + 1];
            match next(3) {
                0 => overlay.remove(BANK, &key).unwrap(),
                _ => overlay.set(BANK, key, vec![1]).unwrap(),
            }
        }
        // Trees of one row and of none, too.
        if height == 11 {
            let keys: Vec<_> =
                overlay.scan(BANK, None, None, Order::Ascending).unwrap().map(|row| row.unwrap().0).collect();
            keys[1..].iter().for_each(|key| overlay.remove(BANK, key).unwrap());
        }
        let candidate = store.prepare(height, overlay.into_changes()).unwrap();
        store.commit(candidate, b"").unwrap();
        let (by_tree, by_database) = (store.snapshot(), Snapshot::open(&store.shared.rocks, height, height).unwrap());
        for _ in 0..60 {
            let mut bound = || match next(5) {
                0 => None,
                _ => Some(vec![u8::try_from(next(5)).unwrap() + 1; usize::try_from(next(42)).unwrap()]),
            };
            let (start, end) = (bound(), bound());
            for order in [Order::Ascending, Order::Descending] {
                let rows = |snapshot: &Snapshot| -> Vec<_> {
                    let rows = snapshot.scan(BANK, start.as_deref(), end.as_deref(), order).unwrap();
                    rows.map(Result::unwrap).collect()
                };
                assert_eq!(rows(&by_tree), rows(&by_database), "{start:?} {end:?} {order:?}");
            }
        }
    }
}

#[test]
fn a_candidate_counts_only_on_the_state_it_was_made_on() {
    let store = Store::temporary(NAMES).unwrap();
    let wrong = |got, committed| StoreError::WrongHeight { got, committed };
    assert_eq!(store.prepare(0, block(1)).unwrap_err(), wrong(0, 0));
    let (one, other) = (store.prepare(1, block(1)).unwrap(), store.prepare(1, block(2)).unwrap());
    assert_eq!((store.height(), store.app_hash()), (0, EMPTY_HASH), "preparing changes nothing");
    assert_ne!(one.app_hash(), other.app_hash());
    store.commit(one, b"one").unwrap();
    assert_eq!(store.commit(other, b"other").unwrap_err(), StoreError::StaleCandidate(1));
    assert_eq!(store.prepare(1, block(1)).unwrap_err(), wrong(1, 1));
    assert_eq!(store.prepare(3, block(3)).unwrap_err(), wrong(3, 1));
    let mut overlay = Overlay::new(Nothing);
    overlay.set(StoreName::new("nobody"), b"key".to_vec(), b"value".to_vec()).unwrap();
    let unknown = StoreError::UnknownStore("nobody".into());
    assert_eq!(store.prepare(2, overlay.into_changes()).unwrap_err(), unknown);
    assert_eq!(store.snapshot().get(StoreName::new("nobody"), b"key").unwrap_err(), unknown);
    assert_eq!(store.meta().as_deref(), Some(&b"one"[..]));
}

#[test]
fn one_process_holds_the_database_and_names_all_its_stores() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    assert!(matches!(Store::open(dir.path(), NAMES, small()), Err(StoreError::Io(_))));
    advance_to(&store, 2);
    drop(store);
    let partly = Store::open(dir.path(), &[BANK], small());
    assert_eq!(partly.unwrap_err(), StoreError::UnknownStore("auth".into()));
}

#[test]
fn a_large_genesis_is_logged_in_parts_and_comes_back() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let mut overlay = Overlay::new(store.snapshot());
    for account in 0..40_000u32 {
        overlay.set(BANK, account.to_be_bytes().to_vec(), vec![7; 60]).unwrap();
    }
    let candidate = store.prepare(1, overlay.into_changes()).unwrap();
    store.commit(candidate, b"genesis").unwrap();
    assert!(store.shared.rocks.changes(1).count() > 2);
    let app_hash = store.app_hash();
    assert!(store.shared.history.read().forests.is_empty(), "the block exceeds what memory is meant for");
    assert_eq!(store.prove(1, "bank", &[0; 4]).unwrap().0, Some(vec![7; 60]));
    drop(store);
    let store = open(&dir);
    assert_eq!(store.app_hash(), app_hash);
    // Saved trees are in parts as well.
    for height in 2..=4 {
        let candidate = store.prepare(height, Changes::default()).unwrap();
        store.commit(candidate, b"empty").unwrap();
        store.keeper.settle();
        assert_eq!(store.app_hash(), app_hash, "a block that writes nothing keeps the app hash");
    }
    assert_eq!(store.shared.rocks.saved_trees().unwrap(), [4]);
    assert_eq!(tree_files(&dir), [4]);
    drop(store);
    assert_eq!(open(&dir).app_hash(), app_hash);
}

#[test]
fn damaged_trees_and_logs_are_found_at_the_start() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    advance_to(&store, 8);
    let mut batch = store.shared.rocks.batch();
    let mut other = Vec::new();
    ChangeLog::write(&block(99), |_, part| {
        other = part.to_vec();
        Ok(())
    })
    .unwrap();
    batch.changes(8, 0, &other);
    batch.write_synced().unwrap();
    drop(store);
    assert!(matches!(Store::open(dir.path(), NAMES, small()), Err(StoreError::Corrupt(_))));
}

#[test]
fn damaged_files_of_trees_give_way_to_older_ones() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    advance_to(&store, 14);
    drop(store);
    let files = tree_files(&dir);
    assert_eq!(files.len(), 4, "{files:?}");
    let file = |height: u64| dir.path().join(format!("trees/{height}"));
    let mut bytes = std::fs::read(file(files[3])).unwrap();
    bytes[100] ^= 4;
    std::fs::write(file(files[3]), bytes).unwrap();
    std::fs::remove_file(file(files[2])).unwrap();
    assert_eq!(roll_back(&dir).unwrap(), (13, REFERENCE.app_hashes[13]));
    let store = open(&dir);
    assert_eq!(store.shared.tip().forest.base, files[1]);
    goes_on(&store);
    drop(store);
    // Logs go back no further than the oldest.
    for height in tree_files(&dir) {
        std::fs::write(file(height), [0; 200]).unwrap();
    }
    assert!(matches!(Store::open(dir.path(), NAMES, small()), Err(StoreError::Corrupt(_))));
}

#[test]
fn trees_go_on_from_the_file_that_was_saved_last() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for height in 1..40 {
        // Prepared before the keeper has done what the block before asked of it.
        let candidate = store.prepare(height, block(height)).unwrap();
        let unused = store.prepare(height, block(height + 1)).unwrap();
        store.keeper.settle();
        let saved = store.shared.rocks.saved_trees().unwrap();
        store.commit(candidate, &height.to_be_bytes()).unwrap();
        drop(unused);
        let base = store.shared.tip().forest.base;
        assert_eq!(base, saved.last().copied().unwrap_or(0), "height {height}");
        check(&store);
        let memory = store.memory().trees;
        assert_eq!(memory.mapped_bytes > 0, base > 0);
        assert!(height < 10 || memory.nodes < 150, "{memory:?}");
    }
}

#[test]
fn what_goes_on_beside_blocks_takes_none_of_their_threads() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    // Trees that are worth several threads.
    let mut overlay = Overlay::new(Nothing);
    (0..20_000u32).for_each(|key| overlay.set(BANK, key.to_be_bytes().to_vec(), vec![1]).unwrap());
    let mut changes = overlay.into_changes();
    for height in 1..=12 {
        store.commit(store.prepare(height, changes).unwrap(), b"").unwrap();
        store.keeper.settle();
        changes = block(height + 1);
    }
    let candidate = store.prepare(13, changes).unwrap();
    // Every thread of rayon's is busy for as long as it takes.
    let busy = Arc::new(std::sync::Barrier::new(rayon::current_num_threads() + 1));
    let waiting = Arc::clone(&busy);
    rayon::spawn_broadcast(move |_| {
        waiting.wait();
        waiting.wait();
    });
    busy.wait();
    store.commit(candidate, b"").unwrap();
    store.keeper.settle();
    let saved = store.shared.rocks.saved_trees().unwrap();
    let rebuilt = store.shared.history.read().before(9).is_none();
    let proven = store.prove(9, "bank", &[0; 4]);
    busy.wait();
    assert_eq!((saved.last(), rebuilt, proven.unwrap().0), (Some(&13), true, Some(vec![1])));
}

#[test]
fn past_trees_are_rebuilt_once() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    advance_to(&store, 20);
    let in_memory = |height| store.shared.history.read().before(height).is_some_and(|trees| trees.height == height);
    let prove = |height| {
        let proof = store.prove(height, "bank", b"key-1").unwrap();
        assert_eq!(proof, REFERENCE.store.prove(height, "bank", b"key-1").unwrap());
    };
    assert!(!in_memory(14) && !in_memory(15));
    prove(15);
    prove(14);
    // Any number of proofs of two heights, and blocks meanwhile, find them there.
    for _ in 0..2 {
        assert!(in_memory(14) && in_memory(15));
        prove(14);
        advance(&store);
        store.keeper.settle();
    }
    prove(16);
    assert!(in_memory(14) && in_memory(16) && !in_memory(15));
    advance_to(&store, 23);
    assert!(!in_memory(14), "it has left the window");

    // Nor is a file checked once more, or read at all.
    prove(17);
    for height in tree_files(&dir) {
        std::fs::remove_file(dir.path().join(format!("trees/{height}"))).unwrap();
    }
    (15..=23).rev().for_each(prove);
}

#[test]
fn a_save_that_fails_leaves_no_file() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    advance_to(&store, 5);
    assert_eq!(tree_files(&dir), [4]);
    let (rocks, forest) = (&store.shared.rocks, Arc::clone(&store.shared.tip().forest));
    let file = |name: &str| dir.path().join("trees").join(name);
    for stop_at in 0..4 {
        let asked = std::cell::Cell::new(0);
        let go_on = || asked.replace(asked.get() + 1) < stop_at;
        assert_eq!(forest.save(rocks, &go_on), Ok(false));
        assert_eq!(tree_files(&dir), [4]);
    }
    // Nothing can be written.
    std::fs::create_dir(file("5.partial")).unwrap();
    assert!(matches!(forest.save(rocks, &|| true), Err(StoreError::Io(_))));
    std::fs::remove_dir(file("5.partial")).unwrap();
    // Something else was written.
    assert_eq!(forest.save(rocks, &|| true), Ok(true));
    std::fs::copy(file("4"), file("5")).unwrap();
    assert!(matches!(forest.read_back(rocks), Err(StoreError::Corrupt(_))));
    assert_eq!(tree_files(&dir), [4]);

    // What was killed is cleared away before there is room for a start.
    drop((forest, store));
    std::fs::write(file("5.partial"), [1; 100]).unwrap();
    Store::clear(dir.path()).unwrap();
    assert_eq!(tree_files(&dir), [4]);
    Store::clear(&dir.path().join("nowhere")).unwrap();
}

#[test]
fn no_block_is_committed_without_the_keeper() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    advance_to(&store, 5);
    let candidate = store.prepare(6, block(6)).unwrap();
    store.keeper.kill();
    assert_eq!(store.commit(candidate, b""), Err(StoreError::Panicked("store-keeper")));
    drop(store);
    let store = open(&dir);
    assert_eq!(store.height(), 5);
    goes_on(&store);
}

// --- crashes ---

/// Runs the chain in the folder `GANTRY_STORE_DIR`, saying every height, until it is killed. Not a test by itself.
#[test]
#[ignore = "run as a child process by the crash tests"]
fn crash_child() {
    let Ok(dir) = std::env::var("GANTRY_STORE_DIR") else { return };
    let store = Store::open(Path::new(&dir), NAMES, small()).unwrap();
    while store.height() < REFERENCE_HEIGHTS {
        advance(&store);
        if std::env::var_os("GANTRY_FAIL").is_some() {
            store.keeper.settle();
        }
        println!("height {}", store.height());
    }
}

fn child(dir: &Path) -> Command {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "db::tests::crash_child", "--ignored", "--nocapture"]);
    child.env("GANTRY_STORE_DIR", dir).stdin(Stdio::null()).stderr(Stdio::null());
    child
}

/// Kills a process the `count`th time it passes `point`, and returns the store that the next start finds.
fn crash_at(dir: &TempDir, point: &str, count: u64) -> Store {
    let output = child(dir.path()).env("GANTRY_FAIL", format!("{point}#{count}")).output().unwrap();
    assert_eq!(output.status.signal(), Some(SIGABRT), "{point} was not reached {count} times");
    open(dir)
}

const SIGABRT: i32 = 6;

fn goes_on(store: &Store) {
    check(store);
    advance_to(store, store.height() + 20);
    check(store);
}

#[test]
fn a_crash_in_a_commit_leaves_the_state_before_or_after_it() {
    for (point, lost) in
        [("commit: begin", 1), ("commit: batch complete", 1), ("commit: written", 0), ("commit: visible", 0)]
    {
        for count in [1, 2, 13] {
            let dir = TempDir::new().unwrap();
            let store = crash_at(&dir, point, count);
            assert_eq!(store.height(), count - lost, "{point}#{count}");
            goes_on(&store);
        }
    }
}

#[test]
fn a_crash_while_saving_trees_loses_nothing() {
    for (point, counts) in [
        ("save: begin", &[1, 4][..]),
        ("save: part", &[1, 2, 9]),
        ("save: all parts", &[1, 5]),
        ("save: renamed", &[1, 3]),
        ("save: marked", &[1, 5]),
        ("save: complete", &[1, 6]),
        ("versions dropped", &[1]),
    ] {
        for count in counts {
            let dir = TempDir::new().unwrap();
            let store = crash_at(&dir, point, *count);
            assert!(store.height() >= 4, "{point}#{count}");
            let saved = store.shared.rocks.saved_trees().unwrap();
            assert_eq!(tree_files(&dir), saved, "only complete trees are left");
            goes_on(&store);
        }
    }
}

#[test]
fn kill_9_again_and_again_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let mut reached = 0;
    for more in [3, 17, 1, 40, 9, 60] {
        let mut child = child(dir.path()).stdout(Stdio::piped()).spawn().unwrap();
        let goal = format!("height {}", reached + more);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map(Result::unwrap).any(|line| line.ends_with(&goal)));
        child.kill().unwrap();
        child.wait().unwrap();
        let store = open(&dir);
        assert!(store.height() >= reached + more);
        reached = store.height();
        check(&store);
    }
    let store = open(&dir);
    goes_on(&store);
}

/// Copies the files of a closed database, with its log changed by `damage`, and opens the copy.
fn with_log(dir: &TempDir, damage: impl Fn(&mut Vec<u8>)) -> (TempDir, Store) {
    let copy = TempDir::new().unwrap();
    std::fs::create_dir(copy.path().join("trees")).unwrap();
    for height in tree_files(dir) {
        let file = format!("trees/{height}");
        std::fs::copy(dir.path().join(&file), copy.path().join(&file)).unwrap();
    }
    let mut damaged = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let from = entry.unwrap().path();
        if from.is_dir() {
            continue;
        }
        let mut bytes = std::fs::read(&from).unwrap();
        if from.extension().is_some_and(|extension| extension == "log") && !bytes.is_empty() {
            damage(&mut bytes);
            damaged += 1;
        }
        std::fs::write(copy.path().join(from.file_name().unwrap()), bytes).unwrap();
    }
    assert_eq!(damaged, 1);
    let store = open(&copy);
    (copy, store)
}

#[test]
fn a_torn_log_gives_an_earlier_height_whole() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    advance_to(&store, 12);
    drop(store);
    let mut heights = Vec::new();
    for lost in [0, 1, 7, 100, 1500, 4000, 9000] {
        let (_copy, store) = with_log(&dir, |log| log.truncate(log.len().saturating_sub(lost)));
        heights.push(store.height());
        goes_on(&store);
    }
    assert_eq!(heights[0], 12);
    assert!(heights.is_sorted_by(|a, b| a >= b) && heights[6] < 12, "{heights:?}");

    for lost in [1, 100, 3000] {
        let (_copy, store) = with_log(&dir, |log| {
            let intact = log.len() - lost;
            log[intact..].fill(0xa5);
        });
        assert!(store.height() <= 12);
        goes_on(&store);
        let (_copy, store) = with_log(&dir, |log| log.extend(vec![0x5a; lost]));
        assert_eq!(store.height(), 12);
        goes_on(&store);
    }
}

#[test]
fn handles_cross_threads() {
    fn send<T: Send + 'static>() {}
    fn sync<T: Sync>() {}
    send::<Candidate>();
    send::<Snapshot>();
    sync::<Snapshot>();
    send::<Store>();
    sync::<Store>();
}

// --- rolling back, pruning ---

fn roll_back(dir: &TempDir) -> Result<(u64, Hash), StoreError> {
    Store::roll_back(dir.path(), NAMES, &small())
}

#[test]
fn a_height_is_taken_back_and_made_again() {
    let dir = TempDir::new().unwrap();
    let reference = &*REFERENCE;
    // Four heights back, what `check` looks at must still be there.
    let wide = || StoreOptions { keep_recent: 12, proof_window: 12, ..small() };
    let open = |dir: &TempDir| Store::open(dir.path(), NAMES, wide()).unwrap();
    for last in [2, 31, 60, 90] {
        let store = open(&dir);
        advance_to(&store, last);
        drop(store);
        // Every third height goes with the trees that were saved there.
        for expected in (1..last).rev().take(4) {
            let app_hash = reference.app_hashes[usize::try_from(expected).unwrap()];
            assert_eq!(roll_back(&dir), Ok((expected, app_hash)));
            check(&open(&dir));
        }
        // Another block takes the place of the first: nothing of that one shows.
        let store = open(&dir);
        let (height, before) = (store.height() + 1, dump(&store.snapshot()));
        let candidate = store.prepare(height, Changes::default()).unwrap();
        store.commit(candidate, b"other").unwrap();
        assert_eq!(dump(&store.snapshot()), before);
        drop(store);
        assert_eq!(roll_back(&dir).unwrap().0, height - 1);
        goes_on(&open(&dir));
    }
}

#[test]
fn what_is_gone_is_not_rolled_back_to() {
    let dir = TempDir::new().unwrap();
    let gone = |height, latest| Err(StoreError::HeightUnavailable { height, oldest: latest, latest });
    drop(open(&dir));
    assert_eq!(roll_back(&dir), gone(0, 0), "nothing was committed");
    let store = open(&dir);
    advance_to(&store, 1);
    drop(store);
    assert_eq!(roll_back(&dir), gone(0, 1));

    // Without a window there is nothing before the last height.
    let none = || StoreOptions { keep_recent: 0, proof_window: 0, prune_interval: 1, ..small() };
    let store = Store::open(dir.path(), NAMES, none()).unwrap();
    advance_to(&store, 13);
    let saved = store.shared.rocks.saved_trees().unwrap();
    assert_eq!(saved, [13]);
    let files = dump(&store.snapshot());
    drop(store);
    assert_eq!(roll_back(&dir), gone(12, 13));
    let store = open(&dir);
    assert_eq!((store.height(), dump(&store.snapshot())), (13, files), "a refusal changes nothing");
}

#[test]
fn a_crash_while_rolling_back_leaves_the_height_or_the_one_before() {
    for (point, expected) in [("roll back: begin", 12), ("roll back: batch complete", 12), ("roll back: written", 11)] {
        let dir = TempDir::new().unwrap();
        let store = open(&dir);
        advance_to(&store, 12);
        drop(store);
        crash_in("roll_back_child", &dir, point);
        let store = open(&dir);
        assert_eq!(store.height(), expected, "{point}");
        goes_on(&store);
    }
}

#[test]
fn a_crash_while_pruning_loses_nothing() {
    for point in ["prune: trees dropped", "versions dropped"] {
        let dir = TempDir::new().unwrap();
        let wide = StoreOptions { keep_recent: 1000, proof_window: 1000, ..small() };
        let store = Store::open(dir.path(), NAMES, wide).unwrap();
        advance_to(&store, 60);
        drop(store);
        crash_in("prune_child", &dir, point);
        let store = open(&dir);
        assert_eq!(store.height(), 60, "{point}");
        goes_on(&store);
        store.prune().unwrap();
        goes_on(&store);
    }
}

/// Kills one of the children below at a place.
fn crash_in(child: &str, dir: &TempDir, point: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("db::tests::{child}"), "--ignored", "--nocapture"]);
    command.env("GANTRY_STORE_DIR", dir.path()).env("GANTRY_FAIL", format!("{point}#1"));
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.signal(), Some(SIGABRT), "{point}");
}

/// Not a test by itself.
#[test]
#[ignore = "run as a child process by the crash tests"]
fn prune_child() {
    let Ok(dir) = std::env::var("GANTRY_STORE_DIR") else { return };
    Store::open(Path::new(&dir), NAMES, small()).unwrap().prune().unwrap();
}

/// Not a test by itself.
#[test]
#[ignore = "run as a child process by the crash tests"]
fn roll_back_child() {
    let Ok(dir) = std::env::var("GANTRY_STORE_DIR") else { return };
    Store::roll_back(Path::new(&dir), NAMES, &small()).unwrap();
}

#[test]
fn pruning_drops_what_no_window_holds_and_frees_its_space() {
    let dir = TempDir::new().unwrap();
    let wide = StoreOptions { keep_recent: 1000, proof_window: 1000, ..small() };
    let store = Store::open(dir.path(), NAMES, wide).unwrap();
    advance_to(&store, 200);
    assert_eq!((store.oldest(), store.shared.rocks.changes_from().unwrap()), (1, 0));
    let all = store.shared.rocks.versions();
    drop(store);

    let store = open(&dir);
    store.prune().unwrap();
    check(&store);
    assert_eq!(store.oldest(), 196);
    let rocks = &store.shared.rocks;
    let kept = rocks.versions();
    assert!(kept < all / 5, "{kept} of {all} versions");
    let saved = rocks.saved_trees().unwrap();
    assert!((190..=192).contains(&saved[0]) && rocks.changes_from().unwrap() == saved[0], "{saved:?}");
    assert_eq!(tree_files(&dir), saved);
    goes_on(&store);
    drop(store);
    goes_on(&open(&dir));
}

#[test]
fn memory_is_reported() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path(), NAMES, StoreOptions { row_cache_bytes: 1 << 20, ..small() }).unwrap();
    advance_to(&store, 20);
    let memory = store.memory();
    assert_eq!(memory.tree_rows, dump(&store.snapshot()).len() as u64);
    assert!(memory.past_tree_rows > 0 && memory.rows > 1000 && memory.memtables > 1000, "{memory}");
}
