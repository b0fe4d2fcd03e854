//! A file system that fills up under a node: it stops, says which one and what to do, and goes on from where it was once
//! there is room. The small file systems are mounted in a mount namespace of their own, which ends with the test.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result, ensure};
use gantry_tests::{
    fire::{Target, tail},
    replay::{Node, Way, record},
};

/// Set in the child that has a mount namespace: which part it plays.
const CHILD: &str = "GANTRY_TEST_DISK";
/// `gantryd`'s exit code for a disk that is full.
const DISK: i32 = 6;
const MIB: usize = 1 << 20;

/// Runs a test of this file again where it may mount. Root needs a mount namespace alone, others one of users too.
fn in_namespace(test: &str) -> Result<()> {
    let ways: [&[&str]; 2] = [&["--mount"], &["--mount", "--user", "--map-root-user"]];
    let works = |way: &&&[&str]| {
        let probe = Command::new("unshare")
            .args(**way)
            .args(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt"])
            .stderr(Stdio::null())
            .status();
        probe.is_ok_and(|status| status.success())
    };
    let Some(way) = ways.iter().find(works) else {
        eprintln!("SKIPPED {test}: this user may not mount a file system (neither as root nor in a user namespace)");
        return Ok(());
    };
    let output = Command::new("unshare")
        .args(*way)
        .arg(std::env::current_exe()?)
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, test)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}\n{said}", String::from_utf8_lossy(&output.stdout));
    eprint!("{said}");
    Ok(())
}

fn is_child(test: &str) -> bool {
    std::env::var(CHILD).is_ok_and(|child| child == test)
}

/// A file system of its own size in a folder.
fn mount(folder: &Path, mib: usize) -> Result<()> {
    fs::create_dir_all(folder)?;
    let status =
        Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"]).arg(folder).status()?;
    ensure!(status.success(), "mounting on {}: {status}", folder.display());
    Ok(())
}

/// A file that takes what is left but for some bytes.
struct Ballast {
    path: PathBuf,
    file: File,
}

impl Ballast {
    fn new(folder: &Path) -> Result<Self> {
        let path = folder.join("ballast");
        Ok(Self { file: File::create(&path)?, path })
    }

    fn fill(&mut self, but_for: u64) -> Result<()> {
        let folder = self.path.parent().context("a folder")?;
        for size in [MIB, 4096] {
            let block = vec![0x55; size];
            while free(folder)? >= but_for + size as u64 {
                match self.file.write_all(&block) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn remove(self) -> Result<()> {
        Ok(fs::remove_file(self.path)?)
    }
}

fn free(folder: &Path) -> Result<u64> {
    let room = nix::sys::statvfs::statvfs(folder)?;
    Ok(room.blocks_available() * room.fragment_size())
}

/// A node whose `min-free-bytes` is this, with a small file system in each of these folders of its home.
fn target(dir: &Path, min_free: usize, mounts: &[(&str, usize)]) -> Result<Target> {
    let min_free = i64::try_from(min_free)?;
    let mut target = Target::create(dir, vec![("min-free-bytes", min_free.into())])?;
    let home = target.node().home().to_owned();
    for (folder, mib) in mounts {
        let folder = home.join(folder);
        // What `init` wrote there moves along.
        let kept = dir.join("kept");
        if folder.is_dir() {
            fs::rename(&folder, &kept)?;
        }
        mount(&folder, *mib)?;
        if kept.is_dir() {
            for entry in fs::read_dir(&kept)? {
                let entry = entry?;
                fs::copy(entry.path(), folder.join(entry.file_name()))?;
            }
            fs::remove_dir_all(&kept)?;
        }
    }
    Ok(target)
}

/// The node dies while `folder` of its home fills up to the last bytes, says so, and goes on once there is room.
async fn fills_up(target: &mut Target, folder: &str, but_for: u64, words: &[&str]) -> Result<()> {
    let folder = target.node().home().join(folder);
    let mut ballast = Ballast::new(&folder)?;
    let (status, said) = target.dies_of(&[], 5, || ballast.fill(but_for)).await?;
    let all = words.iter().all(|word| said.contains(word));
    ensure!(status.code() == Some(DISK) && all, "{status}; expected {words:?} in\n{}", tail(&said));
    ballast.remove()?;
    let (blocks, txs) = target.goes_on().await?;
    eprintln!("{blocks} blocks with {txs} transactions executed again");
    ensure!(txs > 0, "no transactions in {blocks} blocks");
    target.node().stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_stops_in_order_before_its_disk_is_full() -> Result<()> {
    const TEST: &str = "a_node_stops_in_order_before_its_disk_is_full";
    if !is_child(TEST) {
        return in_namespace(TEST);
    }
    let dir = tempfile::tempdir()?;
    let mut target = target(dir.path(), 24 * MIB, &[("data", 256)])?;
    let data = target.node().home().join("data");
    let mounted = format!("mounted at {}", data.display());
    fills_up(&mut target, "data", 16 * MIB as u64, &[&mounted, "make room and start again"]).await?;

    // Nor does it start without room.
    let mut ballast = Ballast::new(&data)?;
    ballast.fill(16 * MIB as u64)?;
    let (status, said) = target.dies(&[]).await?;
    ensure!(status.code() == Some(DISK) && said.contains(&mounted), "{status}\n{}", tail(&said));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_finds_no_room_stops_the_node_and_loses_nothing() -> Result<()> {
    const TEST: &str = "a_commit_that_finds_no_room_stops_the_node_and_loses_nothing";
    if !is_child(TEST) {
        return in_namespace(TEST);
    }
    let dir = tempfile::tempdir()?;
    // Too small for RocksDB to take the room of a whole log ahead.
    let mut target = target(dir.path(), 0, &[("data/application.db", 48)])?;
    for _ in 0..3 {
        let words = ["the state cannot be written", "No space left on device", "start again"];
        fills_up(&mut target, "data/application.db", 0, &words).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cometbft_that_finds_no_room_takes_the_node_down_and_loses_nothing() -> Result<()> {
    const TEST: &str = "a_cometbft_that_finds_no_room_takes_the_node_down_and_loses_nothing";
    if !is_child(TEST) {
        return in_namespace(TEST);
    }
    let dir = tempfile::tempdir()?;
    let mut target = target(dir.path(), MIB, &[("data", 256), ("data/application.db", 256)])?;
    for _ in 0..3 {
        fills_up(&mut target, "data", 0, &["make room and start again"]).await?;
    }
    Ok(())
}

/// Plays a recording in a child, and compares what it said with `expected`, whose lines are those of heights from 1. How
/// it ended, the last height that it told of, and its standard error.
fn play(chain: &Path, home: &Path, until: usize, expected: &[String]) -> Result<(ExitStatus, usize, String)> {
    let output = Command::new(env!("CARGO_BIN_EXE_gantry-replay"))
        .args(["play".as_ref(), chain.as_os_str(), "--home".as_ref(), home.as_os_str()])
        .args(["--restart-every", "37", "--until", &until.to_string()])
        .output()?;
    let mut last = 0;
    for line in String::from_utf8(output.stdout)?.lines() {
        let (first, rest) = line.split_once(' ').context("a line of one word")?;
        if first == "at" {
            last = rest.split(' ').next().context("a height")?.parse()?;
        } else {
            last = first.parse()?;
            ensure!(expected[last - 1] == line, "another outcome:\n  {line}\nand not\n  {}", expected[last - 1]);
        }
    }
    Ok((output.status, last, String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// The application alone, which saves its trees every few blocks: saves that find no room cost nothing but time.
#[test]
fn trees_that_find_no_room_are_saved_later() -> Result<()> {
    const TEST: &str = "trees_that_find_no_room_are_saved_later";
    if !is_child(TEST) {
        return in_namespace(TEST);
    }
    let dir = tempfile::tempdir()?;
    let (chain, disk) = (dir.path().join("chain"), dir.path().join("disk"));
    mount(&disk, 48)?;
    let (recording, _) = record()?;
    recording.save(&chain)?;
    let mut expected = Vec::new();
    Node::temporary()?.play(&recording, Way::Decided, |_, outcome| {
        expected.push(outcome.to_string());
        true
    })?;

    let home = disk.join("home");
    let (mut stops, mut reached) = (0, 0);
    loop {
        let mut ballast = Ballast::new(&disk)?;
        // Room for a few blocks, or for many.
        ballast.fill([0, 3, 30, 300][stops % 4] << 10)?;
        let (status, height, said) = play(&chain, &home, expected.len(), &expected)?;
        ballast.remove()?;
        if status.success() {
            break;
        }
        ensure!(said.contains("No space left on device"), "{status}\n{}", tail(&said));
        stops += 1;
        // One that could not even start told of no height.
        reached = (height.max(reached) + 9).min(expected.len());
        let (status, height, said) = play(&chain, &home, reached, &expected)?;
        ensure!(status.success() && height == reached, "no way on to {reached}: {status} at {height}\n{}", tail(&said));
    }
    eprintln!("{stops} stops on the way");
    ensure!(stops > 3, "the disk was never full");
    Ok(())
}
