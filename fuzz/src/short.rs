//! The short form: replays a corpus, then mutates it for a while. No coverage, no nightly compiler, nothing to rebuild.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    Target,
    mutate::{Rng, mutate},
};

/// Longest input that mutation makes.
const MAX_BYTES: usize = 64 << 10;
/// An input that takes longer than this has found something, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Inputs of the corpus.
    pub corpus: usize,
    /// Mutations of them.
    pub mutations: usize,
    /// The longest that one took.
    pub slowest: Duration,
}

/// The folder of a target's corpus.
#[must_use]
pub fn corpus_dir(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

/// The inputs of a corpus, by name.
///
/// # Errors
/// When the folder cannot be read.
pub fn corpus(target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let mut paths = fs::read_dir(corpus_dir(target))?.map(|e| Ok(e?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    paths.iter().map(fs::read).collect()
}

/// Replays the corpus and mutates it until `budget` is spent, always in the same order for one seed.
///
/// # Panics
/// When the target does; the input is left in the temporary folder, and its path printed.
#[must_use]
pub fn run(target: &Target, corpus: &[Vec<u8>], seed: u64, budget: Duration) -> Report {
    let mut report = Report::default();
    for input in corpus {
        report.slowest = report.slowest.max(one(target, input));
        report.corpus += 1;
    }
    let mut rng = Rng::new(seed);
    let start = Instant::now();
    while start.elapsed() < budget && !corpus.is_empty() {
        let mut input = rng.pick(corpus).clone();
        for _ in 0..=rng.below(3) {
            let other = rng.pick(corpus).as_slice();
            input = mutate(target.form, &input, other, MAX_BYTES, &mut rng);
        }
        report.slowest = report.slowest.max(one(target, &input));
        report.mutations += 1;
    }
    report
}

fn one(target: &Target, input: &[u8]) -> Duration {
    let start = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let took = start.elapsed();
    if result.is_err() || took > PATIENCE {
        let path = std::env::temp_dir().join(format!("gantry-fuzz-{}-{:016x}", target.name, digest(input)));
        let kept = fs::write(&path, input).map_or_else(|e| e.to_string(), |()| path.display().to_string());
        eprintln!("{}: failed on {} bytes after {took:?}, kept in {kept}", target.name, input.len());
    }
    if let Err(panic) = result {
        resume_unwind(panic);
    }
    assert!(took <= PATIENCE, "{}: one input took {took:?}", target.name);
    took
}

/// A name for an input (FNV-1a).
fn digest(input: &[u8]) -> u64 {
    input.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
