//! The process dies at every step of a block, in turn; what follows is what an undisturbed run comes to, to the byte.
//!
//! The steps name themselves (`gantry_store::fail::point`): whoever adds one has it tried here.

use std::{
    collections::BTreeMap,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use gantry_tests::{
    fire::soak_time,
    replay::{Node, Way, record},
};
use tempfile::TempDir;

const SIGABRT: i32 = 6;

/// Steps that every build with fail points has. There may be more.
const KNOWN: &[&str] = &[
    "finalize: asked",
    "execute: begun",
    "execute: transactions run",
    "execute: ended",
    "execute: prepared",
    "finalize: executed",
    "commit: asked",
    "commit: begin",
    "commit: batch complete",
    "commit: written",
    "commit: visible",
    "commit: stored",
    "commit: published",
    "save: begin",
    "save: complete",
];

/// A chain, what it comes to undisturbed, and places for children to play it.
struct Stage {
    dir: TempDir,
    recording: PathBuf,
    /// Lines by height.
    expected: Vec<String>,
    /// App hash by height.
    app_hashes: Vec<String>,
}

impl Stage {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (recording, _) = record()?;
        let file = dir.path().join("chain");
        recording.save(&file)?;
        let (mut expected, mut app_hashes) = (vec![String::new()], vec![hex::encode(gantry_abci::EMPTY_APP_HASH)]);
        Node::temporary()?.play(&recording, Way::Decided, |_, outcome| {
            expected.push(outcome.to_string());
            app_hashes.push(hex::encode(&outcome.app_hash));
            true
        })?;
        Ok(Self { dir, recording: file, expected, app_hashes })
    }

    fn last(&self) -> usize {
        self.expected.len() - 1
    }

    fn play(&self, home: &Path, until: usize, fail: &str) -> Result<Output> {
        Ok(Command::new(env!("CARGO_BIN_EXE_gantry-replay"))
            .args(["play", self.recording.to_str().context("path")?, "--way", "mixed"])
            .args(["--home", home.to_str().context("path")?, "--until", &until.to_string()])
            .envs((!fail.is_empty()).then_some(("GANTRY_FAIL", fail)))
            .output()?)
    }

    /// Compares what a child said with the undisturbed run; the height that it began and the last one that it committed.
    fn check(&self, output: &Output) -> Result<(usize, usize)> {
        let text = String::from_utf8(output.stdout.clone())?;
        let mut lines = text.lines();
        let start = lines.next().and_then(|line| line.strip_prefix("at ")).context("no start")?;
        let (height, app_hash) = start.split_once(' ').context("no app hash")?;
        let start: usize = height.parse()?;
        ensure!(self.app_hashes[start] == app_hash, "height {start} came back with another app hash");
        let mut now = start;
        for line in lines {
            now += 1;
            ensure!(
                self.expected[now] == line,
                "after a start at {start}:\n  {line}\nand not\n  {}",
                self.expected[now]
            );
        }
        Ok((start, now))
    }
}

/// Every step with the number of times that a whole run passes it.
fn steps(stage: &Stage) -> Result<BTreeMap<String, usize>> {
    let output = stage.play(&stage.dir.path().join("steps"), stage.last(), "?")?;
    ensure!(stage.check(&output)? == (0, stage.last()), "an undisturbed run");
    let mut steps = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        if let Some(step) = line.strip_prefix(gantry_store::fail::PREFIX) {
            *steps.entry(step.to_owned()).or_default() += 1;
        }
    }
    let missing: Vec<_> = KNOWN.iter().filter(|step| !steps.contains_key(**step)).collect();
    ensure!(missing.is_empty(), "never passed: {missing:?}; passed: {steps:?}");
    Ok(steps)
}

/// Dies at the `count`th pass of a step from now on. False if the chain ended before that.
fn die_at(stage: &Stage, home: &Path, step: &str, count: usize, before: &mut usize) -> Result<bool> {
    let output = stage.play(home, stage.last(), &format!("{step}#{count}"))?;
    let (start, now) = stage.check(&output).with_context(|| format!("{step}#{count}"))?;
    // What was committed stays, and nothing can be there that was not decided.
    ensure!((*before..=*before + 1).contains(&start), "{step}#{count}: at {start} after a death at {before}");
    *before = now;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(false);
    }
    ensure!(
        output.status.signal() == Some(SIGABRT) && said.contains(&format!("{}{step}", gantry_store::fail::PREFIX)),
        "{step}#{count}: {}\n{said}",
        output.status
    );
    Ok(true)
}

/// One chain dies of everything, again and again, on its way.
#[test]
fn a_chain_that_dies_at_every_step_is_the_same_chain() -> Result<()> {
    let stage = Stage::new()?;
    let mut homes = 0;
    let mut home = stage.dir.path().join("0");
    let mut before = 0;
    for (step, passes) in steps(&stage)? {
        for count in [1, 3] {
            if count > passes {
                continue;
            }
            // The end of the chain came first: once more from the start, which every step reaches.
            while !die_at(&stage, &home, &step, count, &mut before)? {
                homes += 1;
                home = stage.dir.path().join(homes.to_string());
                before = 0;
            }
        }
    }
    let output = stage.play(&home, stage.last(), "")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ensure!(stage.check(&output)?.1 == stage.last(), "the chain does not come to its end");
    Ok(())
}

/// Before the first commit there is nothing on disk but what InitChain will write again.
#[test]
fn a_chain_that_dies_in_its_first_block_begins_again() -> Result<()> {
    let stage = Stage::new()?;
    for (number, (step, _)) in steps(&stage)?.into_iter().enumerate() {
        let home = stage.dir.path().join(number.to_string());
        let mut reached = 0;
        if !die_at(&stage, &home, &step, 1, &mut reached)? || reached > 1 {
            // A step that the first block does not come to.
            continue;
        }
        let output = stage.play(&home, 5, "")?;
        let (start, now) = stage.check(&output)?;
        ensure!(output.status.success() && start <= 1 && now == 5, "{step}: from {start} to {now}");
    }
    Ok(())
}

/// Deaths at random, for as long as it is asked.
#[test]
#[ignore = "long form: ./dev soak"]
fn soak_the_application_dies_at_random_steps() -> Result<()> {
    let stage = Stage::new()?;
    let steps: Vec<(String, usize)> = steps(&stage)?.into_iter().collect();
    let (start, mut deaths, mut chains, mut before) = (Instant::now(), 0, 0, 0);
    while start.elapsed() < soak_time() {
        let home = stage.dir.path().join("home");
        let (step, passes) = &steps[rand::random_range(0..steps.len())];
        let count = rand::random_range(1..=(*passes).min(40));
        if die_at(&stage, &home, step, count, &mut before)? {
            deaths += 1;
        } else {
            std::fs::remove_dir_all(&home)?;
            before = 0;
            chains += 1;
        }
    }
    eprintln!("soak: {deaths} deaths of the application on {chains} whole chains");
    Ok(())
}
