//! Tree updates per second with roots: each batch is a block as in production, prepared and committed with a synced write.
//! `bench/peers/iavl` runs the same keys, values and batches through Go `iavl`.

use crate::chain::cpu_time;
use anyhow::{Result, ensure};
use gantry_bench::Measurement;
use gantry_store::{Changes, KvWrite, Overlay, Store, StoreName, StoreOptions};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const STORE: StoreName = StoreName::new("bank");

/// Keys of the blocks that fill the tree.
const FILL: u64 = 100_000;

/// Updates before the first measurement.
const WARM_UP: usize = 100_000;
const WARM_UP_BATCH: usize = 1000;

/// Flags of `tree`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Keys of the tree
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// Updates in a batch
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    batches: Vec<usize>,
    /// Percentages of new keys among them
    #[arg(long, value_delimiter = ',', default_value = "0,10")]
    inserts: Vec<usize>,
    /// Updates of each measurement
    #[arg(long, default_value_t = 300_000)]
    updates: usize,
    /// Where the database is made; a temporary folder otherwise
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// Measures every size of batch with every mix.
pub(crate) fn run(args: Args) -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let folder = args.folder.as_deref().unwrap_or(temporary.path());
    let mut run = Run { store: open(folder)?, keys: 0, random: 1, blocks: 0 };
    while run.keys < args.keys {
        let end = args.keys.min(run.keys + FILL);
        let keys = (run.keys..end).collect();
        run.commit(&keys)?;
        run.keys = end;
    }
    // What filled the tree shall not be in memory, no more than on a node that has run for a while. So many changed rows
    // are saved at once, in the background; fewer are made again by the start.
    while run.keys >= 1_000_000 && run.store.memory().trees.mapped_bytes < run.keys * 128 {
        run.commit(&BTreeSet::from([0]))?;
    }
    let Run { store, keys, random, blocks } = run;
    drop(store);
    let mut run = Run { store: open(folder)?, keys, random, blocks };
    for _ in 0..WARM_UP / WARM_UP_BATCH {
        let keys = run.draw(WARM_UP_BATCH, 0);
        run.commit(&keys)?;
    }
    let print = |measurement: Measurement| measurement.with("engine", "gantry").with("keys", args.keys).print();

    for &size in &args.batches {
        for &inserts in &args.inserts {
            let blocks = args.updates.div_ceil(size);
            let (mut all, mut slowest) = (Cost::default(), Duration::ZERO);
            for _ in 0..blocks {
                let keys = run.draw(size, inserts);
                let block = run.commit(&keys)?;
                all = Cost { root: all.root + block.root, wall: all.wall + block.wall, cpu: all.cpu + block.cpu };
                slowest = slowest.max(block.wall);
            }
            let updates = (blocks * size) as f64;
            let each = |time: Duration| time.as_secs_f64() * 1e6 / updates;
            for (name, unit, value) in [
                ("tree.updates", "1/s", updates / all.wall.as_secs_f64()),
                ("tree.root", "us", each(all.root)),
                ("tree.cpu", "us", each(all.cpu)),
                ("tree.batch.slowest", "ms", slowest.as_secs_f64() * 1e3),
            ] {
                print(Measurement::new(name, unit, value).with("batch", size).with("inserts_percent", inserts))?;
            }
        }
    }

    let (proofs, began) = (1000, Instant::now());
    for _ in 0..proofs {
        let key = run.next() % run.keys;
        ensure!(run.store.prove(run.store.height(), STORE.as_str(), &key_of(key))?.0.is_some(), "key {key} is lost");
    }
    let each = began.elapsed().as_secs_f64() * 1e6 / f64::from(proofs);
    print(Measurement::new("tree.proof", "us", each))?;
    print_memory(&print, run.keys)?;
    let trees = run.store.memory().trees;
    for (name, bytes) in [("tree.nodes.own", trees.bytes), ("tree.nodes.mapped", trees.mapped_bytes)] {
        print(Measurement::new(name, "bytes/key", bytes as f64 / run.keys as f64))?;
    }

    let (height, app_hash) = (run.store.height(), run.store.app_hash());
    drop(run);
    let began = Instant::now();
    let store = open(folder)?;
    print(Measurement::new("tree.start", "ms", began.elapsed().as_secs_f64() * 1e3))?;
    ensure!((store.height(), store.app_hash()) == (height, app_hash), "the state changed over a restart");
    Ok(())
}

fn open(folder: &Path) -> Result<Store> {
    Ok(Store::open(&folder.join("state"), &[STORE], StoreOptions::default())?)
}

/// What a batch took: until its root was known, until it was on disk, and of the processors.
#[derive(Default)]
struct Cost {
    root: Duration,
    wall: Duration,
    cpu: Duration,
}

struct Run {
    store: Store,
    /// How many keys the tree has.
    keys: u64,
    random: u64,
    blocks: u64,
}

impl Run {
    /// Writes `keys` as one block.
    fn commit(&mut self, keys: &BTreeSet<u64>) -> Result<Cost> {
        self.blocks += 1;
        let changes = changes(keys, self.blocks)?;
        let (began, cpu) = (Instant::now(), cpu_time());
        let candidate = self.store.prepare(self.blocks, changes)?;
        let root = began.elapsed();
        self.store.commit(candidate, b"")?;
        Ok(Cost { root, wall: began.elapsed(), cpu: cpu_time() - cpu })
    }

    /// Different keys of a batch, `inserts` percent of them new.
    fn draw(&mut self, size: usize, inserts: usize) -> BTreeSet<u64> {
        let new = (size * inserts / 100) as u64;
        let mut keys: BTreeSet<u64> = (self.keys..self.keys + new).collect();
        while keys.len() < size {
            let key = self.next() % self.keys;
            keys.insert(key);
        }
        self.keys += new;
        keys
    }

    /// The next number of SplitMix64.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn changes(keys: &BTreeSet<u64>, block: u64) -> Result<Changes> {
    let mut overlay = Overlay::new(gantry_core::Empty);
    for key in keys {
        overlay.set(STORE, key_of(*key), format!("{:016}", block * 1_000_003 + key).into_bytes())?;
    }
    Ok(overlay.into_changes())
}

/// A balance's key, as the bank module has it: 29 bytes.
fn key_of(account: u64) -> Vec<u8> {
    let address = &Sha256::digest(account.to_be_bytes())[..20];
    [&[2, 20], address, b"ugantry"].concat()
}

/// What the process holds, in bytes a key: `RssAnon` is its own, `RssFile` mapped and shared with the page cache.
fn print_memory(print: &impl Fn(Measurement) -> std::io::Result<()>, keys: u64) -> Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    for (field, name) in [("RssAnon:", "tree.memory.own"), ("RssFile:", "tree.memory.mapped")] {
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        print(Measurement::new(name, "bytes/key", kilobytes * 1024.0 / keys as f64))?;
    }
    Ok(())
}
