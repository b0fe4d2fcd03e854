//! What a power cut leaves when a disk lied about a sync: logs that end in the middle of a record, or in garbage. The
//! node comes back at an earlier height and replays; where it cannot, it stops and says why.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use gantry_tests::fire::{Target, tail};

/// The newest file of a folder whose name fits.
fn newest(folder: &Path, fits: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if fits(&entry.file_name().to_string_lossy()) && entry.metadata()?.len() > 0 {
            files.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    files.sort();
    files.pop().map(|(_, path)| path).with_context(|| format!("no such file in {}", folder.display()))
}

/// Changes the bytes of a file.
fn damage(path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
    let mut bytes = fs::read(path)?;
    change(&mut bytes);
    Ok(fs::write(path, bytes)?)
}

/// Takes bytes off the end; at most half of the file.
fn cut(bytes: usize) -> impl Fn(&mut Vec<u8>) {
    move |file| file.truncate(file.len() - bytes.min(file.len() / 2))
}

/// Overwrites the last bytes, and adds as many.
fn garble(bytes: usize) -> impl Fn(&mut Vec<u8>) {
    move |file| {
        let intact = file.len() - bytes.min(file.len() / 2);
        file[intact..].fill(0xa5);
        file.extend(std::iter::repeat_n(0x5a, bytes));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn torn_logs_are_cut_back_and_the_blocks_replayed() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut target = Target::create(dir.path(), Vec::new())?;
    let data = target.node().home().join("data");
    let ours = || newest(&data.join("application.db"), |name| name.ends_with(".log"));
    let wal = || newest(&data.join("cs.wal"), |name| name.starts_with("wal"));

    // The end of the last commit, a few commits, their middle; then CometBFT's log of votes alike.
    for bytes in [1, 20_000] {
        target.killed_after(4).await?;
        damage(&ours()?, cut(bytes))?;
        target.killed_after(4).await?;
        damage(&ours()?, garble(bytes))?;
    }
    for bytes in [3, 700] {
        target.killed_after(2).await?;
        damage(&wal()?, cut(bytes))?;
    }
    target.killed_after(2).await?;
    damage(&ours()?, cut(5000))?;
    damage(&wal()?, garble(300))?;
    let (blocks, txs) = target.goes_on().await?;
    ensure!(txs > 0, "no transactions in {blocks} blocks");
    target.node().stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_that_cannot_be_undone_stops_the_node_with_its_place() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut target = Target::create(dir.path(), Vec::new())?;
    let data = target.node().home().join("data");
    target.killed_after(3).await?;

    let manifest = newest(&data.join("application.db"), |name| name.starts_with("MANIFEST"))?;
    let intact = fs::read(&manifest)?;
    damage(&manifest, |bytes| bytes.iter_mut().for_each(|byte| *byte ^= 0x5a))?;
    let (status, said) = target.dies(&[]).await?;
    let place = data.join("application.db");
    ensure!(
        status.code() == Some(1) && said.contains(&place.display().to_string()) && said.contains("corrupt"),
        "{status}\n{}",
        tail(&said)
    );
    fs::write(&manifest, intact)?;
    target.goes_on().await?;
    target.node().stop().await
}
