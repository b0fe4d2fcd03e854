//! A node that joins with a snapshot: it has the state without the blocks that made it, and follows the chain, also after
//! it was stopped or killed. A copy of the snapshot, carried by hand, makes the same state.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use gantry_core::Address;
use gantry_localnet::{Net, NetOptions, START_LIMIT, Sync, binary, run, until};
use gantry_tests::tx::send;
use tendermint_rpc::Client;

const LIMIT: Duration = Duration::from_secs(90);

/// Heights of the finished snapshots in a home.
fn snapshots(home: &Path) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(home.join("data/snapshots")) else { return Vec::new() };
    let finished = entries.flatten().map(|entry| entry.path()).filter(|path| path.join("1").is_dir());
    let mut heights: Vec<u64> = finished.filter_map(|path| path.file_name()?.to_str()?.parse().ok()).collect();
    heights.sort_unstable();
    heights
}

/// Waits until both nodes have the same app hash at a height that the joiner executed itself.
async fn follows(net: &mut Net, joiner: usize) -> Result<u64> {
    let height = net.nodes()[0].height().await? + 2;
    net.wait_for_height(height, LIMIT).await?;
    // The state of a snapshot is there before any block, and older than some.
    let height = until("blocks of its own", LIMIT, async || {
        let sync = net.nodes()[joiner].rpc().status().await?.sync_info;
        let (earliest, latest) = (sync.earliest_block_height.value(), sync.latest_block_height.value());
        Ok((earliest > 0 && latest > height.max(earliest)).then(|| latest - 1))
    })
    .await?;
    let (chain, joined) = (net.nodes()[0].app_hash(height).await?, net.nodes()[joiner].app_hash(height).await?);
    ensure!(chain == joined, "app hashes differ at height {height}");
    Ok(height)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_node_joins_with_a_snapshot_and_follows_the_chain() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut net = Net::start(NetOptions {
        validators: 1,
        keys: vec![("sender".into(), "1000000000ugantry".into())],
        config: vec![("consensus.timeout_commit", "200ms".into())],
        app_config: vec![("state-sync.snapshot-interval", 5.into()), ("state-sync.snapshot-keep-recent", 0.into())],
        ..NetOptions::new(dir.path())
    })
    .await?;
    let friend = Address::new([9; 20])?.to_string();
    let signer = net.keyring().signer("sender")?;
    let sender = gantry_client::Sender::new(net.nodes()[0].chain().await?, signer, gantry_client::GasPrice::default());
    for amount in 1..=5 {
        sender.send(&send(sender.address(), &friend, amount)).await?;
    }
    // The snapshot must carry it.
    let height = net.nodes()[0].height().await?;
    let home = net.nodes()[0].home().to_owned();
    let snapshot = until("a snapshot of it", LIMIT, async || {
        Ok(snapshots(&home).into_iter().find(|snapshot| *snapshot >= height))
    })
    .await?;
    // A light client wants the two headers after it.
    net.wait_for_height(snapshot + 2, START_LIMIT).await?;

    let joiner = net.join(Sync::State).await?;
    follows(&mut net, joiner).await?;
    let sync = net.nodes()[joiner].rpc().status().await?.sync_info;
    let first = sync.earliest_block_height.value();
    ensure!(first > snapshot, "the joiner has blocks from {first} on: it did not join with a snapshot");
    let chain = net.nodes()[joiner].chain().await?;
    ensure!(chain.balance(&friend, "ugantry").await? == 15);

    net.node(joiner).restart().await?;
    follows(&mut net, joiner).await?;
    net.node(joiner).kill()?;
    net.node(joiner).start()?;
    follows(&mut net, joiner).await?;
    sender.send(&send(sender.address(), &friend, 1)).await?;
    follows(&mut net, joiner).await?;
    ensure!(net.nodes()[joiner].chain().await?.balance(&friend, "ugantry").await? == 16);

    // A node that dies when it has the state and CometBFT does not know it yet joins anew, with the same snapshot or,
    // by way of another start, with a later one.
    let unlucky = net.join(Sync::State).await?;
    net.node(unlucky).kill()?;
    net.node(unlucky).start_with(&["env", "GANTRY_FAIL=restore: complete#1"])?;
    until("it dies", LIMIT, async || net.node(unlucky).process()?.ended()).await?;
    net.node(unlucky).start()?;
    let ended = until("it joins or gives up its state", LIMIT, async || {
        if net.node(unlucky).process()?.ended()?.is_some() {
            return Ok(Some(true));
        }
        let sync = net.nodes()[unlucky].rpc().status().await?.sync_info;
        Ok((sync.latest_block_height.value() > 0).then_some(false))
    })
    .await?;
    if ended {
        net.node(unlucky).start()?;
    }
    follows(&mut net, unlucky).await?;
    net.leave().await?;

    // By hand: a snapshot that the joiner makes of its state is the state, and no app hash but its own fits.
    let newest = *snapshots(&home).last().context("snapshots")?;
    let app_hash = hex::encode_upper(net.nodes()[0].app_hash(newest).await?);
    let joined = net.nodes()[joiner].home().to_owned();
    net.node(joiner).stop().await?;
    net.stop().await?;
    let gantryd = binary("gantryd")?;
    let at = |home: &Path, words: &[&str]| -> Result<String> {
        let home = home.to_str().context("a path in UTF-8")?;
        run(&gantryd, &[&["snapshots"], words, &["--home", home]].concat())
    };
    let newest = newest.to_string();
    let made = at(&joined, &["export", "--height", &newest])?;
    ensure!(made.contains(&format!("height {newest}")), "{made}");
    let listed = at(&joined, &["list"])?;
    ensure!(listed.contains(&format!("height: {newest} format: 1")), "{listed}");
    for chunk in fs::read_dir(home.join("data/snapshots").join(&newest).join("1"))? {
        let chunk = chunk?.path();
        let same = joined.join("data/snapshots").join(&newest).join("1").join(chunk.file_name().context("a name")?);
        ensure!(fs::read(&chunk)? == fs::read(&same)?, "{} differs between nodes", chunk.display());
    }
    let (file, third) = (dir.path().join("snapshot"), dir.path().join("third"));
    let file = file.to_str().context("a path in UTF-8")?;
    at(&joined, &["dump", &newest, "--output-document", file])?;
    at(&third, &["load", file])?;
    let wrong = at(&third, &["restore", &newest, "--app-hash", &"00".repeat(32)]);
    ensure!(wrong.is_err_and(|error| error.to_string().contains(&app_hash)), "the app hash was not compared");
    let restored = at(&third, &["restore", &newest, "1", "--app-hash", &app_hash])?;
    ensure!(restored.contains(&app_hash), "{restored}");
    ensure!(at(&third, &["restore", &newest]).is_err(), "restored over a state");
    at(&third, &["delete", &newest])?;
    ensure!(at(&third, &["list"])?.is_empty() && at(&third, &["delete", &newest]).is_err());
    Ok(())
}
