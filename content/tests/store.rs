//! The block store: integrity, pins, collection, quota, crashes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use gantry_content::unixfs::{Entry, Node};
use gantry_content::{
    Block, BlockStore, Cid, Codec, ContentError, DagLimits, INLINE_BYTES, Profile, StoreError, import_bytes,
    import_with_profile,
};
use proptest::prelude::*;

/// Distinct bytes of a given length.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x.to_le_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

fn block(seed: u64, len: usize) -> Block {
    Block::new(Codec::Raw, bytes(seed, len)).unwrap()
}

fn open(dir: &Path, quota: Option<u64>) -> BlockStore {
    BlockStore::open(dir, quota).unwrap()
}

/// Files of blocks on disk.
fn block_files(dir: &Path) -> usize {
    let shards = fs::read_dir(dir.join("blocks")).unwrap();
    shards.map(|shard| fs::read_dir(shard.unwrap().path()).unwrap().count()).sum()
}

#[test]
fn blocks_survive_reopening() {
    let tmp = tempfile::tempdir().unwrap();
    let blocks = [block(1, 0), block(2, INLINE_BYTES), block(3, INLINE_BYTES + 1), block(4, 1 << 20)];
    {
        let store = open(tmp.path(), None);
        for block in &blocks {
            assert!(!store.has(&block.cid()).unwrap());
            assert_eq!(store.get(&block.cid()).unwrap(), None);
            store.put(block).unwrap();
            store.put(block).unwrap();
        }
        assert!(matches!(BlockStore::open(tmp.path(), None), Err(StoreError::Locked(_))));
    }
    let store = open(tmp.path(), None);
    let mut total = 0;
    for block in &blocks {
        assert_eq!(store.get(&block.cid()).unwrap().unwrap(), *block.bytes());
        assert_eq!(store.size(&block.cid()).unwrap(), Some(u32::try_from(block.bytes().len()).unwrap()));
        total += block.bytes().len() as u64;
    }
    let usage = store.usage().unwrap();
    assert_eq!((usage.bytes, usage.blocks), (total, 4), "putting twice counts once");
    assert_eq!(block_files(tmp.path()), 2, "small blocks live in the index");
}

#[test]
fn only_bytes_that_hash_can_become_a_block() {
    let good = block(1, 10);
    assert!(Block::verify(good.cid(), good.bytes().clone()).is_ok());
    assert!(Block::verify(good.cid(), bytes(2, 10)).is_err());
    assert!(Block::new(Codec::Raw, vec![0; (2 << 20) + 1]).is_err());
}

#[test]
fn damage_on_disk_is_noticed_and_healed() {
    let tmp = tempfile::tempdir().unwrap();
    let store = open(tmp.path(), None);
    let block = block(1, 100_000);
    store.put(&block).unwrap();
    let shard = fs::read_dir(tmp.path().join("blocks")).unwrap().next().unwrap().unwrap().path();
    let file = shard.join(block.cid().to_string());
    for damage in [Some(&b"other bytes"[..]), None] {
        match damage {
            Some(bytes) => fs::write(&file, bytes).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        assert!(matches!(store.get(&block.cid()), Err(StoreError::Corrupt(c)) if c == block.cid()));
        assert!(!store.has(&block.cid()).unwrap(), "so that it is fetched again");
        assert_eq!(store.usage().unwrap().blocks, 0);
        store.put(&block).unwrap();
        assert_eq!(store.get(&block.cid()).unwrap().unwrap(), *block.bytes());
    }
}

#[test]
fn pins_need_the_whole_dag() {
    let tmp = tempfile::tempdir().unwrap();
    let store = open(tmp.path(), None);
    let leaf = block(1, 10);
    let entry = Entry { name: "leaf".to_owned(), cid: leaf.cid(), tsize: 10 };
    let dir = Block::new(Codec::DagPb, Node::Directory(vec![entry]).encode().unwrap()).unwrap();
    store.put(&dir).unwrap();
    assert!(matches!(store.pin(&dir.cid(), "t"), Err(ContentError::Missing(c)) if c == leaf.cid()));
    store.put(&leaf).unwrap();
    store.pin(&dir.cid(), "t").unwrap();
    assert_eq!(store.pins().unwrap(), [(dir.cid(), "t".to_owned())]);
}

#[test]
fn collection_spares_what_is_pinned_or_held() {
    let tmp = tempfile::tempdir().unwrap();
    let store = open(tmp.path(), None);
    let profile = Profile { chunk_bytes: 20_000, max_links: 3 };
    let import = |seed| import_with_profile(&store, &bytes(seed, 300_000)[..], profile).unwrap();
    let (pinned, held, loose) = (import(1), import(2), import(3));
    store.pin(&pinned.root, "one").unwrap();
    store.pin(&pinned.root, "two").unwrap();
    drop(pinned.lease);
    drop(loose.lease);

    let whole = |root: &Cid| store.walk(root, &DagLimits::NONE, |_, _| ());
    assert!(store.gc(0).unwrap().blocks > 0);
    whole(&pinned.root).unwrap();
    whole(&held.root).unwrap();
    assert!(whole(&loose.root).is_err());

    drop(held.lease);
    assert!(store.unpin(&pinned.root, "one").unwrap());
    store.gc(0).unwrap();
    whole(&pinned.root).unwrap();
    assert!(whole(&held.root).is_err());

    assert!(store.unpin(&pinned.root, "two").unwrap());
    assert!(!store.unpin(&pinned.root, "two").unwrap());
    store.gc(0).unwrap();
    assert_eq!((store.usage().unwrap().bytes, store.usage().unwrap().blocks), (0, 0));
    assert_eq!(block_files(tmp.path()), 0);
}

#[test]
fn a_full_store_collects_and_then_refuses() {
    let tmp = tempfile::tempdir().unwrap();
    let store = open(tmp.path(), Some(1_000_000));
    // Garbage makes room by itself, oldest first.
    for seed in 0..40 {
        drop(import_bytes(&store, bytes(seed, 100_000)).unwrap());
        assert!(store.usage().unwrap().bytes <= 1_000_000);
    }
    assert!(!store.has(&block(0, 100_000).cid()).unwrap());
    assert!(store.has(&block(39, 100_000).cid()).unwrap());
    // What is pinned does not, and the refusal leaves no trace.
    store.gc(0).unwrap();
    for seed in 0..10 {
        let imported = import_bytes(&store, bytes(seed, 100_000)).unwrap();
        store.pin(&imported.root, "keep").unwrap();
    }
    for _ in 0..3 {
        let refused = import_bytes(&store, bytes(99, 100_000)).unwrap_err();
        let full = StoreError::QuotaExceeded { used: 1_000_000, quota: 1_000_000, need: 100_000 };
        assert_eq!(refused.to_string(), full.to_string());
    }
    assert_eq!(block_files(tmp.path()), 10);
    store.unpin(&block(0, 100_000).cid(), "keep").unwrap();
    import_bytes(&store, bytes(99, 100_000)).unwrap();
    assert!(store.put(&block(100, 1_000_001)).is_err());
    assert!(store.check().unwrap().damaged.is_empty());
}

#[test]
fn concurrent_imports_pins_and_collections_never_lose_what_is_pinned() {
    let tmp = tempfile::tempdir().unwrap();
    let store = open(tmp.path(), Some(3_000_000));
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let store = store.clone();
            scope.spawn(move || {
                for round in 0..12 {
                    // Threads share content in pairs, so that one unpins what the other pins.
                    let profile = Profile { chunk_bytes: 30_000, max_links: 3 };
                    let data = bytes(round * 2 + thread % 2, 200_000);
                    let imported = import_with_profile(&store, &data[..], profile).unwrap();
                    let tag = format!("thread-{thread}");
                    store.pin(&imported.root, &tag).unwrap();
                    drop(imported.lease);
                    store.gc(0).unwrap();
                    let read = gantry_content::cat(&store, &imported.root, 200_000).unwrap();
                    assert_eq!(read, data);
                    store.unpin(&imported.root, &tag).unwrap();
                }
            });
        }
    });
    store.gc(0).unwrap();
    assert_eq!(store.usage().unwrap().blocks, 0);
}

const CRASH_DIR: &str = "GANTRY_CONTENT_CRASH_DIR";

/// Not a test by itself: the process that [`kill_9_leaves_a_consistent_store`] kills.
#[test]
fn crash_child() {
    let Some(dir) = std::env::var_os(CRASH_DIR) else {
        return;
    };
    let store = open(Path::new(&dir), Some(20_000_000));
    let mut out = std::io::stdout();
    for seed in u64::from(std::process::id()) << 20.. {
        let size = [100, 5_000, 40_000, 300_000][usize::try_from(seed % 4).unwrap()];
        let imported = import_bytes(&store, bytes(seed, size)).unwrap();
        if seed % 16 == 0 {
            store.pin(&imported.root, "kept").unwrap();
            writeln!(out, "\npinned {}", imported.root).unwrap();
        } else {
            writeln!(out, "\nput {}", imported.root).unwrap();
        }
    }
}

#[test]
fn kill_9_leaves_a_consistent_store() {
    let tmp = tempfile::tempdir().unwrap();
    let mut pinned: Vec<Cid> = Vec::new();
    // Enough for the quota to be reached, so that collections are interrupted as well.
    for lines in [1, 30, 200, 77] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["crash_child", "--exact", "--nocapture"])
            .env(CRASH_DIR, tmp.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines().map(|l| l.unwrap());
        let mut recent = Vec::new();
        let mut output =
            output.filter_map(|l| l.split_once(' ').map(|(what, cid)| (what == "pinned", cid.parse::<Cid>())));
        while recent.len() < lines {
            if let (is_pinned, Ok(cid)) = output.next().unwrap() {
                recent.push(cid);
                pinned.extend(is_pinned.then_some(cid));
            }
        }
        assert!(matches!(BlockStore::open(tmp.path(), None), Err(StoreError::Locked(_))), "one process at a time");
        child.kill().unwrap();
        for (is_pinned, cid) in output {
            pinned.extend(cid.ok().filter(|_| is_pinned));
        }
        child.wait().unwrap();

        let store = open(tmp.path(), Some(20_000_000));
        let report = store.check().unwrap();
        assert!(report.damaged.is_empty(), "{report:?}");
        let usage = store.usage().unwrap();
        assert_eq!((report.blocks, report.bytes), (usage.blocks, usage.bytes), "counters agree with the rows");
        for cid in &pinned {
            assert!(store.get(cid).unwrap().is_some(), "a pinned block is gone");
        }
        assert!(store.get(recent.last().unwrap()).unwrap().is_some(), "a put that returned is durable");
        // Files and rows agree: collecting everything leaves pinned blocks' files alone.
        store.gc(0).unwrap();
        let large = pinned.iter().filter(|c| store.size(c).unwrap().unwrap() as usize > INLINE_BYTES).count();
        assert_eq!(block_files(tmp.path()), large, "an orphan is left");
    }
    assert!(pinned.len() > 5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Any mix of imports, pins, unpins and collections: usage is the sum of what is there, pinned content is whole,
    /// the quota holds.
    #[test]
    fn random_histories(steps in proptest::collection::vec((0u8..4, 0u64..6), 1..40)) {
        let tmp = tempfile::tempdir().unwrap();
        let quota = 200_000;
        let store = open(tmp.path(), Some(quota));
        let profile = Profile { chunk_bytes: 9_000, max_links: 2 };
        let size = |seed: u64| usize::try_from(seed).unwrap() * 10_000;
        let root = |seed| gantry_content::cid_of_reader(&bytes(seed, size(seed))[..], profile).unwrap();
        for (step, seed) in steps {
            match step {
                0 => drop(import_with_profile(&store, &bytes(seed, size(seed))[..], profile)),
                1 => drop(store.pin(&root(seed), "p")),
                2 => drop(store.unpin(&root(seed), "p").unwrap()),
                _ => drop(store.gc(50_000).unwrap()),
            }
            prop_assert!(store.usage().unwrap().bytes <= quota);
            for (root, _) in store.pins().unwrap() {
                prop_assert!(store.walk(&root, &DagLimits::NONE, |_, _| ()).is_ok());
            }
        }
        let (report, usage) = (store.check().unwrap(), store.usage().unwrap());
        prop_assert_eq!((report.blocks, report.bytes), (usage.blocks, usage.bytes));
    }
}
