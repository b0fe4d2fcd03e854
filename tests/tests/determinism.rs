//! One recorded chain, played by processes that differ in all that must not matter: threads, hash seeds (each process has
//! its own), proposals before the decision, restarts on the way. Equal app hashes, results, logs and events.

use std::{path::Path, process::Command, time::Instant};

use anyhow::{Context, Result, ensure};
use gantry_tests::{
    fire::soak_time,
    replay::{Way, record},
};

/// The lines of a play, without those that tell of restarts.
fn play(recording: &Path, threads: usize, way: Way, more: &[&str]) -> Result<Vec<String>> {
    play_by(Path::new(env!("CARGO_BIN_EXE_gantry-replay")), recording, threads, way, more)
}

/// The same by another build.
fn play_by(program: &Path, recording: &Path, threads: usize, way: Way, more: &[&str]) -> Result<Vec<String>> {
    let output = Command::new(program)
        .args(["play", recording.to_str().context("path")?, "--way", &way.name()])
        .args(more)
        .env("RAYON_NUM_THREADS", threads.to_string())
        .output()?;
    ensure!(
        output.status.success(),
        "{way:?} on {threads} threads, {more:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().filter(|line| !line.starts_with("at ")).map(str::to_owned).collect())
}

#[test]
fn nothing_but_the_blocks_decides_what_they_come_to() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("chain");
    let (recording, _) = record()?;
    recording.save(&file)?;
    let expected = play(&file, 1, Way::Decided, &[])?;
    ensure!(expected.len() == recording.blocks.len(), "{} of {} blocks", expected.len(), recording.blocks.len());

    let restarts = |every: &str, folder: &str| -> Result<Vec<String>> {
        let home = dir.path().join(folder);
        Ok(["--home", home.to_str().context("path")?, "--restart-every", every].map(str::to_owned).to_vec())
    };
    for (threads, way, more) in [
        (1, Way::Mixed, Vec::new()),
        (2, Way::Decided, Vec::new()),
        (2, Way::Proposed, Vec::new()),
        (2, Way::Again, Vec::new()),
        (8, Way::Judged, Vec::new()),
        (8, Way::Rounds, Vec::new()),
        (2, Way::Rounds, restarts("1000", "disk")?),
        (8, Way::Mixed, restarts("11", "some")?),
        (1, Way::Decided, restarts("4", "many")?),
    ] {
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let found = play(&file, threads, way, &more)?;
        for (expected, found) in expected.iter().zip(&found) {
            ensure!(expected == found, "{way:?} on {threads} threads, {more:?}:\n  {found}\nand not\n  {expected}");
        }
        ensure!(found.len() == expected.len(), "{way:?} on {threads} threads, {more:?}: {} blocks", found.len());
    }
    Ok(())
}

/// Two builds: this one, and one as it is released, without what tests add.
#[test]
#[ignore = "long form: ./dev soak"]
fn soak_debug_and_release_come_to_the_same() -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--quiet", "-p", "gantry-tests", "--bin", "gantry-replay"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()?;
    ensure!(status.success(), "the release build: {status}");
    // Beside this build's folder.
    let debug = Path::new(env!("CARGO_BIN_EXE_gantry-replay"));
    let release = debug.parent().and_then(Path::parent).context("a target folder")?.join("release/gantry-replay");

    let dir = tempfile::tempdir()?;
    let [ours, theirs] = ["debug", "release"].map(|name| dir.path().join(name));
    record()?.0.save(&ours)?;
    let status = Command::new(&release).arg("record").arg(&theirs).status()?;
    ensure!(status.success() && std::fs::read(&ours)? == std::fs::read(&theirs)?, "the builds record other chains");

    let start = Instant::now();
    let mut plays = 0;
    while plays == 0 || start.elapsed() < soak_time() {
        for way in Way::ALL {
            for threads in [1, 2, 8] {
                let (ours, theirs) = (play(&ours, threads, way, &[])?, play_by(&release, &theirs, threads, way, &[])?);
                for (ours, theirs) in ours.iter().zip(&theirs) {
                    ensure!(ours == theirs, "{way:?} on {threads} threads:\n  debug   {ours}\n  release {theirs}");
                }
                ensure!(ours.len() == theirs.len() && !ours.is_empty(), "{way:?}: {} blocks", ours.len());
                plays += 1;
            }
        }
    }
    eprintln!("soak: {plays} plays by a debug and a release build agree");
    Ok(())
}
