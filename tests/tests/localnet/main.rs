//! Four validators under load while parts of them are killed, paused, cut off and joined. Afterwards: the same blocks
//! everywhere, each application at the app hash of the headers, every transaction in exactly one block, no coin made or lost.
//!
//! The short form does each perturbation once; `./dev soak` repeats them in random order.

mod load;

use std::{
    env,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use gantry_localnet::{Cable, Net, NetOptions, Node, START_LIMIT, Sync, until};
use load::{COINS, Load, Party, Report, parties, settled};
use rand::seq::{IndexedRandom, SliceRandom};
use tendermint_rpc::Client;
use tokio::{sync::Mutex, task::JoinSet};

/// Longest until all nodes make blocks again after what was done to one is undone.
const RECOVERY: Duration = Duration::from_secs(60);
const SENDERS: usize = 40;
/// Open transactions of each sender in the usual load, and when mempools are to be full.
const WINDOW: usize = 2;
const FLOOD: usize = 25;
/// Small enough for the flood to fill it.
const MEMPOOL: i64 = 500;
const VALIDATORS: usize = 4;
/// Heights between snapshots: few, so that one is never far.
const SNAPSHOT_INTERVAL: i64 = 20;

/// One network at a time: two would time each other out.
static ALONE: Mutex<()> = Mutex::const_new(());

/// What is done to a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Perturbation {
    /// kill -9 of CometBFT: its `gantryd` starts it again.
    KillCometBft,
    /// kill -9 of both.
    KillNode,
    /// SIGTERM and a start.
    Restart,
    /// SIGSTOP for ten seconds.
    Pause,
    /// Connections are closed.
    Cut,
    /// Nothing passes and nobody is told.
    Pull,
    /// Two of four are cut off: no blocks until one is back.
    NoQuorum,
    /// A full node executes everything from genesis.
    JoinByBlocks,
    /// A full node restores a snapshot.
    JoinByState,
    /// A node comes back while every mempool is full.
    FullMempool,
}

use Perturbation as P;
const ALL: [P; 10] = [
    P::KillCometBft,
    P::KillNode,
    P::Restart,
    P::Pause,
    P::Cut,
    P::Pull,
    P::NoQuorum,
    P::JoinByBlocks,
    P::JoinByState,
    P::FullMempool,
];

/// A network, its load, and where it lies.
struct Perturbed {
    net: Net,
    load: Load,
    dir: tempfile::TempDir,
}

impl Perturbed {
    async fn start() -> Result<Self> {
        let dir = tempfile::Builder::new().disable_cleanup(env::var_os("GANTRY_KEEP").is_some()).tempdir()?;
        let parties = parties(SENDERS)?;
        let net = Net::start(NetOptions {
            validators: VALIDATORS,
            links: true,
            balances: parties.iter().map(|party| (party.address().to_owned(), COINS)).collect(),
            config: vec![("mempool.size", MEMPOOL.into())],
            app_config: vec![
                ("state-sync.snapshot-interval", SNAPSHOT_INTERVAL.into()),
                // A long form kills CometBFT more often than a node that is well would see it die.
                ("cometbft.max-restarts", 1_000.into()),
            ],
            ..NetOptions::new(dir.path())
        })
        .await?;
        let load = Load::start(net.nodes(), parties, WINDOW, 1).await?;
        Ok(Self { net, load, dir })
    }

    /// Highest height of some nodes; those that do not answer do not count.
    async fn height(&self, of: impl Iterator<Item = usize>) -> u64 {
        let mut asked = JoinSet::new();
        for i in of {
            let rpc = self.net.nodes()[i].rpc().clone();
            asked.spawn(async move { rpc.abci_info().await.map(|info| info.last_block_height.value()) });
        }
        asked.join_all().await.into_iter().filter_map(Result::ok).max().unwrap_or_default()
    }

    /// Waits until the others have made as many blocks.
    async fn others_go_on(&self, without: usize, blocks: u64) -> Result<()> {
        let others = || (0..VALIDATORS).filter(|i| *i != without);
        let target = self.height(others()).await + blocks;
        let what = format!("block {target} without node {without}");
        until(&what, RECOVERY, async || Ok((self.height(others()).await >= target).then_some(()))).await
    }

    /// Waits until all nodes have two blocks more than any has now, and transactions among them.
    async fn recovered(&mut self) -> Result<()> {
        let committed = self.load.committed();
        let target = self.height(0..self.net.nodes().len()).await + 2;
        self.net.wait_for_height(target, RECOVERY).await?;
        until("transactions are in blocks again", RECOVERY, async || {
            Ok((self.load.committed() > committed).then_some(()))
        })
        .await
    }

    /// Does it to a node, undoes it, and waits for the network; how long that took.
    async fn perturb(&mut self, what: P, victim: usize) -> Result<()> {
        let start = Instant::now();
        self.apply(what, victim).await.with_context(|| format!("{what:?} of node {victim}"))?;
        let undone = Instant::now();
        self.recovered().await.with_context(|| format!("after {what:?} of node {victim}"))?;
        eprintln!(
            "{what:?} of node {victim}: {:.1} s, all nodes make blocks with transactions {:.1} s later",
            (undone - start).as_secs_f32(),
            undone.elapsed().as_secs_f32()
        );
        Ok(())
    }

    async fn apply(&mut self, what: P, victim: usize) -> Result<()> {
        match what {
            P::KillCometBft => self.net.node(victim).kill_cometbft(),
            P::KillNode => {
                self.net.node(victim).kill()?;
                self.others_go_on(victim, 2).await?;
                self.net.node(victim).start()
            }
            P::Restart => self.net.node(victim).restart().await,
            P::Pause => {
                self.net.node(victim).pause()?;
                let ten_seconds = tokio::time::sleep(Duration::from_secs(10));
                let (went_on, ()) = tokio::join!(self.others_go_on(victim, 2), ten_seconds);
                self.net.node(victim).resume()?;
                went_on
            }
            P::Cut | P::Pull => {
                let how = if what == P::Cut { Cable::Cut } else { Cable::Pulled };
                self.net.disconnect(victim, how)?;
                self.others_go_on(victim, 5).await?;
                let (behind, ahead) = (self.net.nodes()[victim].height().await?, self.height(0..VALIDATORS).await);
                self.net.reconnect(victim);
                ensure!(behind + 3 <= ahead, "cut off at {behind}, and yet it has followed to {ahead}");
                Ok(())
            }
            P::NoQuorum => self.no_quorum([victim, (victim + 1) % VALIDATORS]).await,
            P::JoinByBlocks => self.join(Sync::Blocks).await,
            P::JoinByState => self.join(Sync::State).await,
            P::FullMempool => self.full_mempool(victim).await,
        }
    }

    /// Two halves must not go on by themselves.
    async fn no_quorum(&mut self, victims: [usize; 2]) -> Result<()> {
        for victim in victims {
            self.net.disconnect(victim, Cable::Cut)?;
        }
        // A commit that was on its way may still arrive in each half.
        let stuck = self.height(0..VALIDATORS).await + 1;
        let over = Instant::now() + Duration::from_secs(4);
        until("four seconds without a block", RECOVERY, async || {
            let now = self.height(0..VALIDATORS).await;
            if now > stuck {
                return Ok(Some(Err(anyhow::anyhow!("block {now} without a quorum, which was lost at {stuck}"))));
            }
            Ok((Instant::now() > over).then_some(Ok(())))
        })
        .await??;
        for victim in victims {
            self.net.reconnect(victim);
        }
        Ok(())
    }

    async fn join(&mut self, sync: Sync) -> Result<()> {
        let target = self.height(0..VALIDATORS).await;
        let i = self.net.join(sync).await?;
        // What came before takes its time: a block of this load a fiftieth of a second.
        let limit = RECOVERY + Duration::from_millis(20 * target);
        self.net.node(i).wait_for_height(target, limit).await?;
        if sync == Sync::State {
            let rpc = self.net.nodes()[i].rpc();
            // The state is there before the first block is.
            let first = until("a block after the snapshot", RECOVERY, async || {
                let first = rpc.status().await?.sync_info.earliest_block_height.value();
                Ok((first > 0).then_some(first))
            })
            .await?;
            ensure!(first > 1, "a node that restored a snapshot has blocks from {first} on");
        }
        Ok(())
    }

    async fn full_mempool(&mut self, victim: usize) -> Result<()> {
        self.net.node(victim).kill()?;
        let refused = self.load.refused();
        self.load.set_window(FLOOD);
        until("mempools are full", RECOVERY, async || Ok((self.load.refused() > refused + 20).then_some(()))).await?;
        self.others_go_on(victim, 3).await?;
        let target = self.height(0..VALIDATORS).await + 3;
        self.net.node(victim).start()?;
        let caught_up = self.net.node(victim).wait_for_height(target, RECOVERY).await;
        self.load.set_window(WINDOW);
        caught_up.map(|_| ())
    }

    /// Ends the load, and looks at everything.
    async fn check(mut self) -> Result<()> {
        let (report, parties) = self.load.finish(RECOVERY).await?;
        eprintln!("soak: {report}");
        let height = self.net.nodes()[0].height().await? + 2;
        self.net.wait_for_height(height, RECOVERY).await?;
        same_blocks(self.net.nodes(), height).await?;
        for (i, node) in self.net.nodes().iter().enumerate() {
            self_consistent(node, height).await.with_context(|| format!("node {i}"))?;
            let sent = state(node, &parties).await.with_context(|| format!("node {i}"))?;
            ensure!(sent == report.committed, "node {i}: {sent} transfers, of {}", report.committed);
        }
        self.net.stop().await?;
        self.dir.close()?;
        Ok(())
    }
}

async fn state(node: &Node, parties: &Arc<Vec<Party>>) -> Result<u64> {
    settled(&node.chain().await?, parties, COINS * parties.len() as u128).await
}

/// Every node has the first one's block at each height, as far back as it has blocks.
async fn same_blocks(nodes: &[Node], height: u64) -> Result<()> {
    let (first, others) = nodes.split_first().context("no nodes")?;
    let mut low = 1;
    while low <= height {
        // CometBFT answers twenty at a time.
        let high = height.min(low + 19);
        let (low_u32, high_u32) = (u32::try_from(low)?, u32::try_from(high)?);
        let expected = first.rpc().blockchain(low_u32, high_u32).await?.block_metas;
        ensure!(expected.len() as u64 == high - low + 1, "{} blocks from {low} to {high}", expected.len());
        for (i, node) in others.iter().enumerate() {
            let from = node.rpc().status().await?.sync_info.earliest_block_height.value().max(low);
            if from > high {
                continue;
            }
            let has = node.rpc().blockchain(u32::try_from(from)?, high_u32).await?.block_metas;
            ensure!(has.len() as u64 == high - from + 1, "node {}: {} blocks from {from}", i + 1, has.len());
            for (theirs, ours) in expected.iter().zip(&has) {
                ensure!(
                    (theirs.block_id, &theirs.header) == (ours.block_id, &ours.header),
                    "node {} has another block {}: {ours:?}, not {theirs:?}",
                    i + 1,
                    theirs.header.height
                );
            }
        }
        low = high + 1;
    }
    Ok(())
}

/// What the node's application answered after each of the last heights, and where it is now, is what the headers say.
async fn self_consistent(node: &Node, height: u64) -> Result<()> {
    let header = async |height: u64| -> Result<Vec<u8>> {
        let commit = node.rpc().commit(u32::try_from(height)?).await?;
        Ok(commit.signed_header.header.app_hash.as_bytes().to_vec())
    };
    for height in height.saturating_sub(20).max(1)..height {
        ensure!(node.app_hash(height).await? == header(height + 1).await?, "app hash after {height}");
    }
    let (now, app_hash) = node.app().await?;
    until("the next header", RECOVERY, async || Ok((node.height().await? > now).then_some(()))).await?;
    ensure!(app_hash == header(now + 1).await?, "app hash after {now}, the application's last");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn four_validators_survive_every_perturbation_under_load() -> Result<()> {
    let _alone = ALONE.lock().await;
    let mut net = Perturbed::start().await?;
    for (i, what) in ALL.into_iter().enumerate() {
        net.perturb(what, i % VALIDATORS).await?;
    }
    net.check().await
}

/// Seconds that a long form has.
fn share_of_time() -> Duration {
    let seconds = env::var("GANTRY_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(120))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long form: ./dev soak"]
async fn soak_perturbations_in_random_order() -> Result<()> {
    let _alone = ALONE.lock().await;
    let end = Instant::now() + share_of_time();
    let mut net = Perturbed::start().await?;
    let mut rounds = 0;
    while Instant::now() < end {
        let mut order = ALL.to_vec();
        order.shuffle(&mut rand::rng());
        for what in order {
            let victims: Vec<usize> = (0..VALIDATORS).collect();
            net.perturb(what, *victims.choose(&mut rand::rng()).context("no validators")?).await?;
            if net.net.nodes().len() > VALIDATORS {
                let height = net.height(0..VALIDATORS).await;
                net.net.wait_for_height(height, RECOVERY).await?;
                same_blocks(net.net.nodes(), height).await?;
                net.net.leave().await?;
            }
            if Instant::now() > end {
                break;
            }
        }
        rounds += 1;
    }
    eprintln!("soak: {rounds} rounds");
    net.check().await
}

/// Blocks come about three times a second under load, and not much slower when every one is full: by gas (about 1,670
/// transfers that ask for 300,000 each), or by bytes (4 MiB).
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long form: ./dev soak"]
async fn soak_blocks_come_in_time() -> Result<()> {
    let _alone = ALONE.lock().await;
    for (what, senders, window, messages, most) in [
        ("usual load", SENDERS, 5, 1, 700),
        ("blocks full of gas", 100, 50, 1, 2_000),
        ("blocks full of bytes", 50, 20, 100, 2_000),
    ] {
        let dir = tempfile::tempdir()?;
        let parties = parties(senders)?;
        let net = Net::start(NetOptions {
            balances: parties.iter().map(|party| (party.address().to_owned(), COINS)).collect(),
            ..NetOptions::new(dir.path())
        })
        .await?;
        let load = Load::start(net.nodes(), parties, window, messages).await?;
        tokio::time::sleep(share_of_time().min(Duration::from_secs(30))).await;
        let (report, _) = load.finish(RECOVERY).await?;
        eprintln!("soak: {what}: {report}");
        let median = Report::quantile(&report.intervals, 50);
        ensure!(median <= most, "{what}: a median interval of {median} ms, not {most}");
        ensure!(messages == 1 || report.largest > 3 << 20, "{what}: the largest has {} bytes", report.largest);
        net.stop().await?;
    }
    Ok(())
}

/// The next line of CometBFT makes blocks with this application.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long form: ./dev soak"]
async fn soak_cometbft_0_39_makes_blocks_and_commits_transfers() -> Result<()> {
    let _alone = ALONE.lock().await;
    let binary = env::var_os("GANTRY_COMETBFT_39").context("GANTRY_COMETBFT_39 names the binary: see ./dev soak")?;
    let dir = tempfile::tempdir()?;
    let parties = parties(10)?;
    let mut net = Net::start(NetOptions {
        balances: parties.iter().map(|party| (party.address().to_owned(), COINS)).collect(),
        cometbft: Some(PathBuf::from(binary)),
        ..NetOptions::new(dir.path())
    })
    .await?;
    let load = Load::start(net.nodes(), parties, WINDOW, 1).await?;
    until("transfers are in blocks", START_LIMIT, async || Ok((load.committed() >= 100).then_some(()))).await?;
    net.node(1).kill()?;
    net.node(1).start()?;
    let (report, parties) = load.finish(RECOVERY).await?;
    eprintln!("soak: {report}");
    let joined = net.join(Sync::Blocks).await?;
    let height = net.nodes()[0].height().await? + 2;
    net.wait_for_height(height, RECOVERY).await?;
    same_blocks(net.nodes(), height).await?;
    ensure!(state(&net.nodes()[joined], &parties).await? == report.committed, "the joiner has another state");
    net.stop().await
}
