//! Reads of rows, hot and cold, of many rows and of the head of a queue; and what their commits cost.

use crate::chain::cpu_time;
use anyhow::{Result, ensure};
use gantry_bench::Measurement;
use gantry_store::{KvRead, KvWrite, Order, Overlay, Snapshot, Store, StoreName, StoreOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const STORE: StoreName = StoreName::new("bank");
/// A queue as the market has them: every block takes what is due and puts in what comes later.
const QUEUE: StoreName = StoreName::new("job");

/// Rows of the blocks that fill the store.
const FILL: u64 = 100_000;

/// Flags of `rows`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Rows of the store
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Reads of each measurement
    #[arg(long, default_value_t = 200_000)]
    reads: u64,
    /// Rows that are read again and again
    #[arg(long, default_value_t = 10_000)]
    hot: u64,
    /// Blocks of a queue that takes and puts `--queued` rows in each
    #[arg(long, default_value_t = 300)]
    blocks: u64,
    /// Rows that a block takes from a queue, and puts into it
    #[arg(long, default_value_t = 1000)]
    queued: u64,
    /// Where the database is made; a temporary folder otherwise
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// Measures all of them.
pub(crate) fn run(args: Args) -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let folder = args.folder.as_deref().unwrap_or(temporary.path());
    let print = |measurement: Measurement| measurement.with("rows", args.rows).print();

    let store = open(folder, StoreOptions::default().row_cache_bytes)?;
    let mut filled = 0;
    while filled < args.rows {
        let end = args.rows.min(filled + FILL);
        commit(&store, |block| (filled..end).try_for_each(|i| block.set(STORE, key(i), value(i))))?;
        filled = end;
    }
    for batch in [1_000u64, 10_000] {
        let (mut wall, mut prepare, mut write, blocks) = (Duration::ZERO, Duration::ZERO, Duration::ZERO, 20);
        for block in 0..blocks {
            let mut random = Random(block + 1);
            let costs = commit(&store, |overlay| {
                (0..batch).try_for_each(|i| overlay.set(STORE, key(random.below(args.rows)), value(i)))
            })?;
            (wall, prepare, write) = (wall + costs.wall, prepare + costs.prepare, write + costs.write);
        }
        let each = (batch * blocks) as f64;
        for (name, time) in [("rows.commit_wall", wall), ("rows.prepare_cpu", prepare), ("rows.commit_cpu", write)] {
            print(Measurement::new(name, "us", time.as_secs_f64() * 1e6 / each).with("batch", batch))?;
        }
    }
    drop(store);

    for cache in [0, StoreOptions::default().row_cache_bytes] {
        let store = open(folder, cache)?;
        let print = |measurement: Measurement| print(measurement.with("row_cache", cache));
        let snapshot = store.snapshot();
        let mut random = Random(7);
        print(read("rows.read_cold", &snapshot, args.reads, || key(random.below(args.rows)), true)?)?;
        let mut random = Random(7);
        print(read("rows.read_second", &snapshot, args.reads, || key(random.below(args.rows)), true)?)?;
        read("rows.warm", &snapshot, 3 * args.hot, || key(random.below(args.hot)), true)?;
        print(read("rows.read_hot", &snapshot, args.reads, || key(random.below(args.hot)), true)?)?;
        read("rows.warm", &snapshot, 3 * args.hot, || key(args.rows + random.below(args.hot)), false)?;
        let absent = || key(args.rows + random.below(args.hot));
        print(read("rows.read_absent", &snapshot, args.reads, absent, false)?)?;
        let start = Instant::now();
        let all = snapshot.scan(STORE, None, None, Order::Ascending)?.count();
        ensure!(all as u64 == args.rows, "{all} rows");
        print(Measurement::new("rows.scan", "us", start.elapsed().as_secs_f64() * 1e6 / all as f64))?;
        print(Measurement::new("rows.memory", "bytes", store.memory().rows as f64))?;
    }

    let store = open(folder, StoreOptions::default().row_cache_bytes)?;
    let entry = |at: u64, i: u64| [&at.to_be_bytes()[..], &i.to_be_bytes()].concat();
    for block in 0..args.blocks {
        let (due, later) = (block, block + 5);
        commit(&store, |overlay| {
            for i in 0..args.queued {
                overlay.remove(QUEUE, &entry(due, i))?;
                overlay.set(QUEUE, entry(later, i), vec![1])?;
            }
            Ok(())
        })?;
        if (block + 1) % (args.blocks / 3).max(1) == 0 {
            let snapshot = store.snapshot();
            let start = Instant::now();
            let head = snapshot.scan(QUEUE, None, None, Order::Ascending)?.next().transpose()?;
            let time = start.elapsed().as_secs_f64() * 1e6;
            ensure!(head.is_some_and(|(head, _)| head == entry(block + 1, 0)), "the head of the queue");
            print(Measurement::new("rows.queue_head", "us", time).with("taken", (block + 1) * args.queued))?;
        }
    }
    Ok(())
}

fn open(folder: &Path, row_cache_bytes: usize) -> Result<Store> {
    let options = StoreOptions { row_cache_bytes, ..StoreOptions::default() };
    Ok(Store::open(folder, &[STORE, QUEUE], options)?)
}

struct Costs {
    wall: Duration,
    prepare: Duration,
    write: Duration,
}

/// Commits a block of `writes`.
fn commit(
    store: &Store,
    writes: impl FnOnce(&mut Overlay<Snapshot>) -> Result<(), gantry_store::StoreError>,
) -> Result<Costs> {
    let mut overlay = Overlay::new(store.snapshot());
    writes(&mut overlay)?;
    let changes = overlay.into_changes();
    let (start, begin) = (Instant::now(), cpu_time());
    let candidate = store.prepare(store.height() + 1, changes)?;
    let prepared = cpu_time();
    store.commit(candidate, &[])?;
    Ok(Costs { wall: start.elapsed(), prepare: prepared - begin, write: cpu_time() - prepared })
}

fn read(
    name: &str,
    snapshot: &Snapshot,
    reads: u64,
    mut key: impl FnMut() -> Vec<u8>,
    there: bool,
) -> Result<Measurement> {
    let keys: Vec<_> = (0..reads).map(|_| key()).collect();
    let start = Instant::now();
    for key in &keys {
        ensure!(snapshot.get(STORE, key)?.is_some() == there, "a row");
    }
    Ok(Measurement::new(name, "us", start.elapsed().as_secs_f64() * 1e6 / reads as f64))
}

/// As a balance: prefix, address, denom.
fn key(i: u64) -> Vec<u8> {
    let address = i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    [&[2, 20][..], &address, &address, &[0; 4], b"ugantry"].concat()
}

fn value(i: u64) -> Vec<u8> {
    (i + 1_000_000_000).to_string().into_bytes()
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % below
    }
}
