//! The load generator against real nodes: what it says was committed must be what the application has.

use std::{env, path::Path, time::Duration};

use anyhow::Result;
use gantry_bench::{
    load::{FloodOptions, Rpc, Senders, Stream, run},
    net::{Indexer, Net, NetOptions, Programs, System},
};

/// `None` where no CometBFT is given and none is required.
fn programs() -> Option<Programs> {
    let Some(cometbft) = env::var_os("GANTRY_COMETBFT") else {
        assert!(env::var_os("GANTRY_REQUIRE_COMETBFT").is_none(), "no cometbft, and it is required");
        eprintln!("no GANTRY_COMETBFT: skipped");
        return None;
    };
    Some(Programs { cometbft: cometbft.into(), simd: None, kvstore: None, gantryd: None })
}

async fn start(system: System, dir: &Path, programs: &Programs) -> Result<(Net, Senders, FloodOptions)> {
    let mut senders = Senders::new(system.payload(), 12)?;
    let options = NetOptions {
        system,
        validators: 1,
        indexer: Indexer::Null,
        timeout_commit: Duration::from_millis(50),
        dir: dir.join("net"),
    };
    let net = Net::start(options, programs, &senders).await?;
    senders.meet(&mut Rpc::connect(&net.rpcs()[0]).await?).await?;
    let flood = FloodOptions {
        nodes: net.rpcs(),
        connections: 4,
        batch: 5,
        spread: false,
        rate: None,
        outstanding: 100,
        duration: Duration::from_secs(60),
    };
    Ok((net, senders, flood))
}

#[tokio::test]
async fn what_is_said_to_be_committed_is_in_the_state() -> Result<()> {
    let Some(programs) = programs() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let (net, mut senders, flood) = start(System::Gantryd, dir.path(), &programs).await?;

    let before = net.usage()?;
    let streams = senders.sign(240);
    let outcome = run(&mut senders, &streams, &flood, || Ok(())).await?;
    assert_eq!((outcome.committed, outcome.late), (240, 0));
    assert!(outcome.blocks >= 2, "not all fit what may be outstanding: {outcome:?}");
    assert!(outcome.latency_p50 <= outcome.latency_p99 && outcome.latency_p99 <= outcome.wall);
    let used = net.usage()? - before;
    assert!(used.app > 0.0 && used.comet > 0.0, "both processes were at work: {used:?}");

    // Each sender goes on at its next sequence; at a rate, and of several senders in one post.
    let paced = FloodOptions { rate: Some(100.0), spread: true, ..flood.clone() };
    let streams = senders.sign(60);
    let outcome = run(&mut senders, &streams, &paced, || Ok(())).await?;
    assert_eq!((outcome.committed, outcome.late), (60, 0));
    assert!(outcome.wall >= 0.5, "60 transactions at 100 a second: {} s", outcome.wall);

    // A stream that starts too late: the node names the sequence, which was never signed.
    let gap: Vec<Stream> =
        senders.sign(24).into_iter().map(|s| Stream { first: s.first + 1, txs: s.txs[1..].to_vec() }).collect();
    let error = run(&mut senders, &gap, &flood, || Ok(())).await.unwrap_err().to_string();
    assert!(error.contains("which we never sent"), "{error}");
    Ok(())
}

#[tokio::test]
async fn unsigned_transactions_of_the_example_are_counted_alike() -> Result<()> {
    let Some(programs) = programs() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let (_net, mut senders, flood) = start(System::Kvstore, dir.path(), &programs).await?;
    let streams = senders.sign(240);
    let outcome = run(&mut senders, &streams, &flood, || Ok(())).await?;
    assert_eq!((outcome.committed, outcome.late), (240, 0));
    Ok(())
}
