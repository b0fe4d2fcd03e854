//! The two processes die at each of their own steps: CometBFT at the places that it has for this (`FAIL_TEST_INDEX`), the
//! node at ours, with CometBFT's handshake between. All blocks are executed again in the end: each must come to the state
//! and the results that are in the headers.

use std::{collections::BTreeSet, os::unix::process::ExitStatusExt, time::Instant};

use anyhow::{Result, ensure};
use gantry_localnet::until;
use gantry_tests::fire::{LIMIT, Target, soak_time, tail};

/// Places that CometBFT passes at each height of a chain with one validator: two at its own votes, five in
/// `finalizeCommit`, four in `ApplyBlock`.
const COMETBFT_STEPS: usize = 11;
/// `gantryd`'s exit code when CometBFT keeps dying.
const COMETBFT_KEEPS_DYING: i32 = 4;
const SIGABRT: i32 = 6;

/// Snapshots under way when the node dies.
fn with_snapshots() -> Vec<(&'static str, toml_edit::Value)> {
    vec![("state-sync.snapshot-interval", 3.into())]
}

/// CometBFT dies at the `index`th place after a start.
async fn cometbft_dies(target: &mut Target, index: usize) -> Result<()> {
    let (status, said) = target.dies(&["env", &format!("FAIL_TEST_INDEX={index}")]).await?;
    ensure!(
        status.code() == Some(COMETBFT_KEEPS_DYING) && said.contains(&format!("*** fail-test {index} ***")),
        "place {index}: {status}\n{}",
        tail(&said)
    );
    Ok(())
}

async fn node_dies(target: &mut Target, step: &str, count: usize) -> Result<()> {
    let (status, said) = target.dies(&["env", &format!("GANTRY_FAIL={step}#{count}")]).await?;
    ensure!(
        status.signal() == Some(SIGABRT) && said.contains(&format!("{}{step}\n", gantry_store::fail::PREFIX)),
        "{step}#{count}: {status}\n{}",
        tail(&said)
    );
    Ok(())
}

/// The steps that a node passes in its first blocks.
async fn steps(target: &mut Target) -> Result<BTreeSet<String>> {
    let log = target.node().log();
    let known = std::fs::metadata(&log)?.len();
    target.node().start_with(&["env", "GANTRY_FAIL=?"])?;
    let height = until("the node answers", LIMIT, async || target.net.nodes()[0].height().await.map(Some)).await?;
    target.node().wait_for_height(height + 2, LIMIT).await?;
    target.node().stop().await?;
    let said = String::from_utf8_lossy(&std::fs::read(&log)?[usize::try_from(known)?..]).into_owned();
    Ok(said.lines().filter_map(|line| line.strip_prefix(gantry_store::fail::PREFIX)).map(str::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn cometbft_dies_at_each_of_its_steps() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut target = Target::create(dir.path(), with_snapshots())?;
    // The first ones before there is a block; the later ones each in the second height after a start, with transactions.
    for index in (0..COMETBFT_STEPS).chain(COMETBFT_STEPS..2 * COMETBFT_STEPS) {
        cometbft_dies(&mut target, index).await?;
    }
    let (blocks, txs) = target.goes_on().await?;
    ensure!(blocks > COMETBFT_STEPS && txs > 0, "{blocks} blocks with {txs} transactions");
    target.node().stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_dies_at_each_of_its_steps() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut target = Target::create(dir.path(), with_snapshots())?;
    node_dies(&mut target, "commit: begin", 1).await?;
    node_dies(&mut target, "commit: written", 1).await?;
    for step in steps(&mut target).await? {
        node_dies(&mut target, &step, 2).await?;
    }
    let (blocks, txs) = target.goes_on().await?;
    ensure!(txs > 0, "{blocks} blocks without transactions");
    target.node().stop().await
}

/// Deaths of either process at random under load, for as long as it is asked; the whole chain is executed again after
/// every few of them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long form: ./dev soak"]
async fn soak_both_processes_die_at_random_under_load() -> Result<()> {
    /// More blocks than this take too long to be executed again and again: then a fresh chain begins.
    const LONG: usize = 600;
    let start = Instant::now();
    let (mut deaths, mut all_blocks, mut all_txs) = (0, 0, 0);
    while start.elapsed() < soak_time() {
        let dir = tempfile::tempdir()?;
        let mut target = Target::create(dir.path(), with_snapshots())?;
        target.killed_after(1).await?;
        let steps: Vec<String> = steps(&mut target).await?.into_iter().collect();
        loop {
            for _ in 0..6 {
                match rand::random_range(0..3) {
                    0 => cometbft_dies(&mut target, rand::random_range(0..8 * COMETBFT_STEPS)).await?,
                    1 => {
                        let step = &steps[rand::random_range(0..steps.len())];
                        node_dies(&mut target, step, rand::random_range(1..10)).await?;
                    }
                    _ => target.killed_after(rand::random_range(0..6)).await?,
                }
                deaths += 1;
            }
            let (blocks, txs) = target.goes_on().await?;
            target.node().stop().await?;
            if blocks > LONG || start.elapsed() > soak_time() {
                all_blocks += blocks;
                all_txs += txs;
                break;
            }
        }
    }
    eprintln!("soak: {deaths} deaths, {all_blocks} blocks with {all_txs} transactions executed again");
    Ok(())
}
