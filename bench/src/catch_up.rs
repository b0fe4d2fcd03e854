//! How fast a node that has nothing but the genesis catches up with one that goes on making full blocks. Each has a processor
//! of its own, as on machines of their own; the load generator is on the producer's.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use gantry_bench::{
    load::{self, FloodOptions, Rpc},
    net::{Net, Usage},
};
use nix::{
    sched::{CpuSet, sched_getaffinity},
    unistd::Pid,
};
use tokio::time::sleep;

use crate::throughput::{NetArgs, Running};

/// How often heights are read.
const LOOK: Duration = Duration::from_millis(50);
/// Blocks behind at which a follower has caught up.
const NEAR: u64 = 2;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    net: NetArgs,
    /// Transactions of all senders together; posting must outlast the follower
    #[arg(long)]
    txs: usize,
    /// Seconds of production before the follower starts
    #[arg(long, default_value_t = 20)]
    ahead: u64,
}

/// Where a chain is at a time.
#[derive(Clone, Copy, Debug)]
struct Point {
    at: Instant,
    height: u64,
}

impl Point {
    /// Blocks a second since an earlier point.
    #[expect(clippy::cast_precision_loss, reason = "heights of a run are far below 2^53")]
    fn speed_since(self, earlier: Self) -> f64 {
        (self.height - earlier.height) as f64 / (self.at - earlier.at).as_secs_f64()
    }
}

pub(crate) fn run(args: Args) -> Result<()> {
    crate::block_on(async {
        let [producers, followers] = two_processors()?;
        crate::pin(&[producers])?;
        let Running { mut net, mut senders, .. } = args.net.start().await?;
        let streams = senders.sign(args.txs);
        let options = FloodOptions {
            nodes: net.rpcs(),
            connections: 200,
            batch: 10,
            spread: false,
            rate: None,
            outstanding: args.net.outstanding,
            duration: Duration::from_secs(600),
        };
        let posting = Cell::new(true);
        let production = async {
            let outcome = load::run(&mut senders, &streams, &options, || {
                posting.set(false);
                Ok(())
            });
            outcome.await
        };
        let (outcome, speeds) = tokio::join!(production, follow(&mut net, &args, [producers, followers], &posting));
        let (outcome, Followed { sync, produced, caught_up, txs: followed, rate, used }) = (outcome?, speeds?);
        for (name, unit, value) in [
            ("catch-up", "x", sync / produced),
            ("catch-up.follower", "blocks/s", sync),
            ("catch-up.producer", "blocks/s", produced),
            ("catch-up.follower.rate", "tx/s", rate),
            ("catch-up.reached", "bool", f64::from(u8::from(caught_up))),
            ("catch-up.throughput", "tx/s", outcome.rate),
            ("catch-up.cpu.app", "us/tx", used.app * 1e6 / followed),
            ("catch-up.cpu.comet", "us/tx", used.comet * 1e6 / followed),
        ] {
            args.net.figure(name, unit, value).print()?;
        }
        Ok(())
    })
}

/// The first two processors that this process may run on.
fn two_processors() -> Result<[usize; 2]> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let mut cores = (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false));
    let two = cores.next().zip(cores.next()).context("catching up is measured on two processors")?;
    Ok([two.0, two.1])
}

/// What a follower did.
struct Followed {
    /// Its blocks a second.
    sync: f64,
    /// The producer's in the same time.
    produced: f64,
    /// Whether it was at the head before posting ended.
    caught_up: bool,
    /// Its transactions a second.
    rate: f64,
    /// The transactions of its blocks, and what it used for them.
    txs: f64,
    used: Usage,
}

/// Follows with a node of its own until that has caught up, or posting ends.
async fn follow(net: &mut Net, args: &Args, cores: [usize; 2], posting: &Cell<bool>) -> Result<Followed> {
    sleep(Duration::from_secs(args.ahead)).await;
    let mut producer = Rpc::connect(&net.rpcs()[0]).await?;
    // A process inherits the processors of the thread that starts it.
    crate::pin(&[cores[1]])?;
    let address = net.add_follower()?.rpc_address();
    crate::pin(&[cores[0]])?;
    // Its RPC answers once it runs.
    let mut follower = gantry_localnet::until("the follower's RPC", Duration::from_secs(60), async || {
        Ok(Rpc::connect(&address).await.ok())
    })
    .await?;
    let mut first: Option<(Point, Point)> = None;
    let mut last = None;
    let mut caught_up = false;
    while posting.get() && !caught_up {
        let theirs = Point { height: producer.height().await?, at: Instant::now() };
        let own = Point { height: follower.height().await?, at: Instant::now() };
        if own.height > 0 {
            first.get_or_insert((own, theirs));
        }
        last = Some((own, theirs));
        caught_up = own.height + NEAR >= theirs.height;
        sleep(LOOK).await;
    }
    let (first, last) = first.zip(last).context("the follower made no block before posting ended")?;
    ensure!(last.0.height > first.0.height, "the follower made one block before posting ended: post more");
    let used = net.nodes.last().context("the follower is the last")?.usage()?;
    let (mut txs, mut timed) = (0, 0);
    for height in 1..=last.0.height {
        let count = producer.txs_of(height).await?;
        txs += count;
        timed += if height > first.0.height { count } else { 0 };
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
    let (txs, rate) = (txs as f64, timed as f64 / (last.0.at - first.0.at).as_secs_f64());
    let (sync, produced) = (last.0.speed_since(first.0), last.1.speed_since(first.1));
    Ok(Followed { sync, produced, caught_up, txs, rate, used })
}
