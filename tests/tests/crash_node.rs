//! kill -9 of the node at any moment under load, again and again: what was said to be in a block stays there, and the
//! chain goes on from the same state.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use gantry_core::Address;
use gantry_localnet::until;
use gantry_tests::{
    TestNet,
    tx::{Account, FEE, Rpc, Verdict, base_account, paid, send},
};
use serde_json::{Value, json};

const ROUNDS: usize = 5;
const LIMIT: Duration = Duration::from_secs(60);
/// Longest that both processes may take to end after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Sends one coin after another, without waiting for blocks, until the node is gone; what was reported to be in a block.
async fn stream(rpc: Rpc, mut from: Account, to: String) -> Vec<Verdict> {
    let (mut open, mut committed) = (Vec::new(), Vec::new());
    loop {
        let tx = from.next(&paid().message(&send(from.address(), &to, 1)));
        match rpc.broadcast(&tx).await {
            Ok(check) if check.code == 0 => open.push(check.hash),
            // A full mempool, or a node that is going.
            Ok(_) => from.data.sequence -= 1,
            Err(_) => return committed,
        }
        // Answers come in the order of sending; asking for the oldest is enough.
        while let Some(hash) = open.first() {
            match rpc.find(hash).await {
                Ok(Some(verdict)) => {
                    committed.push(verdict);
                    open.remove(0);
                }
                Ok(None) => break,
                Err(_) => return committed,
            }
        }
    }
}

/// Height and app hash of the application, as it tells CometBFT.
async fn app_state(rpc: &Rpc) -> Result<(u64, Vec<u8>)> {
    let info = rpc.call("abci_info", json!({})).await?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("abci_info");
    let height = text(&info["response"]["last_block_height"])?.parse()?;
    Ok((height, STANDARD.decode(text(&info["response"]["last_block_app_hash"])?)?))
}

async fn gone(what: &str, processes: &[u32]) -> Result<()> {
    until(what, STOP_LIMIT, async || {
        Ok(processes.iter().all(|id| !Path::new(&format!("/proc/{id}")).exists()).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_survives_any_kill_and_sigterm_leaves_no_process() -> Result<()> {
    let mut test = TestNet::start(0).await?;
    let rpc = Rpc::new(&test.net);
    let address = Account::load(&test.net, "renter").await?.address().to_owned();
    let friend = Address::new([9; 20])?.to_string();
    let coins = test.net.chain().await?.balance(&address, "ugantry").await?;
    let supply_key = [&[0], b"ugantry".as_slice()].concat();

    let mut committed: Vec<Verdict> = Vec::new();
    let mut last = 0;
    for round in 1..=ROUNDS {
        let account = Account::load(&test.net, "renter").await?;
        let load = tokio::spawn(stream(rpc.clone(), account, friend.clone()));
        // Any moment of about ten blocks.
        let delay = Duration::from_millis(rand::random_range(300..3_000));
        tokio::time::sleep(delay).await;
        let comet = test.net.node().children()?;
        test.net.kill_node()?;
        let reported = load.await?;
        eprintln!("round {round}: killed after {delay:?}, {} transactions in blocks", reported.len());
        committed.extend(reported);
        gone("CometBFT dies with its node", &comet).await?;

        test.net.restart_node()?;
        let height = test.net.wait_for_height(last + 1).await?;
        // Two blocks of its own, so that the restart is more than a replay.
        last = test.net.wait_for_height(height + 2).await?;

        for known in &committed {
            let found = rpc.find(&known.hash).await?;
            ensure!(found.as_ref() == Some(known), "round {round}: reported {known:?}, now {found:?}");
        }
        let (height, app_hash) = app_state(&rpc).await?;
        ensure!(
            rpc.app_hash(height).await? == app_hash,
            "round {round}: the header after {height} has another app hash"
        );

        // Each transaction in a block moved one coin and paid one fee, and none did so twice. All at one height.
        let chain = test.net.chain().await?;
        until("balances that add up", LIMIT, async || {
            let before = chain.height().await?;
            let sent = u128::from(base_account(&chain, &address).await?.sequence);
            let has = chain.balance(&address, "ugantry").await?;
            let friends = chain.balance(&friend, "ugantry").await?;
            if chain.height().await? != before {
                return Ok(None);
            }
            let all = friends == sent && has == coins - sent * (1 + FEE);
            ensure!(all, "{sent} transactions, and yet the renter has {has} of {coins} and the friend {friends}");
            ensure!(sent >= committed.len() as u128, "{sent} transactions, but {} were reported", committed.len());
            Ok(Some(()))
        })
        .await?;
        let params = json!({ "path": "/store/bank/key", "data": hex::encode(&supply_key) });
        let supply = rpc.call("abci_query", params).await?;
        let supply = STANDARD.decode(supply["response"]["value"].as_str().context("supply")?)?;
        ensure!(supply == coins.to_string().as_bytes(), "supply is {}", String::from_utf8_lossy(&supply));
    }
    ensure!(committed.len() >= ROUNDS, "only {} transactions came into blocks: no load", committed.len());

    let node = test.net.node();
    let mut processes = node.children()?;
    ensure!(processes.len() == 1, "one CometBFT, not {processes:?}");
    processes.push(node.id());
    let start = std::time::Instant::now();
    let status = node.stop().await?;
    ensure!(status.success(), "after SIGTERM: {status}");
    gone("no process is left", &processes).await?;
    ensure!(start.elapsed() < STOP_LIMIT, "SIGTERM took {:?}", start.elapsed());
    Ok(())
}
