//! Records the scripted chain and plays recordings: what the tests of determinism and crashes run as child processes, and
//! what `./dev soak` compares builds with.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use gantry_tests::replay::{Node, Recording, Way, record};

const USAGE: &str = "usage: gantry-replay COMMAND

  record FILE                 records the scripted chain
  golden                      prints what tests/golden/app_hashes.txt must hold
  play FILE [--home FOLDER] [--way NAME] [--restart-every BLOCKS] [--until HEIGHT]
                              plays a recording on the state in FOLDER (in memory without it). One line for each start:
                              at, height, app hash. One line for each block: height, block, app hash, results, answer
";

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["record", file] => record()?.0.save(Path::new(file)),
        ["golden"] => golden(),
        ["play", file, options @ ..] => play(Path::new(file), options),
        _ => bail!("{USAGE}"),
    }
}

/// A line, at once: whoever reads may be waiting to kill this process.
fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush().context("standard output")
}

fn golden() -> Result<()> {
    say("# height, block (8 bytes of its digest), app hash, last_results_hash (8 bytes). See tests/tests/replay.rs.")?;
    Node::temporary()?.play(&record()?.0, Way::Decided, |_, outcome| say(&outcome.golden()).is_ok())
}

fn play(file: &Path, options: &[&str]) -> Result<()> {
    let (mut home, mut way, mut restart_every, mut until) = (None, Way::Decided, i64::MAX, i64::MAX);
    for option in options.chunks(2) {
        match option {
            ["--home", folder] => home = Some(PathBuf::from(folder)),
            ["--way", name] => way = Way::named(name)?,
            ["--restart-every", blocks] => restart_every = blocks.parse()?,
            ["--until", height] => until = height.parse()?,
            _ => bail!("{USAGE}"),
        }
    }
    let mut recording = Recording::load(file)?;
    recording.blocks.retain(|block| block.height <= until);
    let last = recording.blocks.last().context("no blocks")?.height;
    let open = || home.as_deref().map_or_else(Node::temporary, Node::open);
    let mut node = open()?;
    loop {
        let (start, app_hash) = node.tip();
        say(&format!("at {start} {}", hex::encode(app_hash)))?;
        node.play(&recording, way, |block, outcome| {
            say(&outcome.to_string()).is_ok() && block.height - start < restart_every
        })?;
        let (now, _) = node.tip();
        if now == last {
            return node.engine().check_invariants().context("an invariant does not hold at the end");
        }
        if home.is_none() || now == start {
            bail!("stopped at height {now} of {last}");
        }
        drop(node);
        node = reopen(&open)?;
    }
}

/// Threads that were executing proposals which nobody decided may hold the state for a moment.
fn reopen(open: &impl Fn() -> Result<Node>) -> Result<Node> {
    let start = std::time::Instant::now();
    loop {
        match open() {
            Err(_) if start.elapsed().as_secs() < 10 => std::thread::yield_now(),
            outcome => return outcome,
        }
    }
}
