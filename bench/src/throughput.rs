//! Committed transactions a second of one network: as fast as they are taken, or at a rate.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use gantry_bench::{
    Measurement,
    load::{self, FloodOptions, Outcome, Rpc, Senders},
    net::{Indexer, Net, NetOptions, Programs, System, Usage},
};
use serde_json::{Map, Value, json};

/// What network, and who sends on it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct NetArgs {
    /// What to measure
    #[arg(long, value_enum)]
    pub(crate) system: System,
    /// Validators
    #[arg(long, default_value_t = 1)]
    pub(crate) validators: usize,
    /// CometBFT's transaction index
    #[arg(long, value_enum, default_value = "null")]
    pub(crate) indexer: Indexer,
    /// Accounts that send
    #[arg(long, default_value_t = 200)]
    pub(crate) senders: usize,
    /// CometBFT's pause after a block, in milliseconds
    #[arg(long, default_value_t = 500)]
    pub(crate) timeout_commit: u64,
    /// Most transactions posted and not executed
    #[arg(long, default_value_t = 20_000)]
    pub(crate) outstanding: usize,
    /// Folder of the network, on the disk that is measured; removed afterwards
    #[arg(long, env = "GANTRY_BENCH_DIR", default_value = "/var/tmp/gantry-bench")]
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    programs: Programs,
}

/// A network and its senders.
pub(crate) struct Running {
    pub(crate) net: Net,
    pub(crate) senders: Senders,
    args: NetArgs,
}

impl NetArgs {
    /// Starts the network.
    pub(crate) async fn start(&self) -> Result<Running> {
        let mut senders = Senders::new(self.system.payload(), self.senders)?;
        let options = NetOptions {
            system: self.system,
            validators: self.validators,
            indexer: self.indexer,
            timeout_commit: Duration::from_millis(self.timeout_commit),
            dir: self.dir.join(format!("net-{}", std::process::id())),
        };
        let net = Net::start(options, &self.programs, &senders).await?;
        senders.meet(&mut Rpc::connect(&net.rpcs()[0]).await?).await?;
        Ok(Running { net, senders, args: self.clone() })
    }

    /// What every figure of this network says about itself.
    pub(crate) fn settings(&self) -> Map<String, Value> {
        let settings = json!({
            "system": self.system.name(),
            "validators": self.validators,
            "indexer": self.indexer,
            "senders": self.senders,
            "timeout_commit_ms": self.timeout_commit,
            "outstanding": self.outstanding,
        });
        settings.as_object().cloned().unwrap_or_default()
    }

    /// A figure with the settings.
    pub(crate) fn figure(&self, name: &str, unit: &str, value: f64) -> Measurement {
        Measurement { settings: self.settings(), ..Measurement::new(name, unit, value) }
    }
}

impl Running {
    /// Signs and posts so many transactions, and proves what became of them; with what the nodes used meanwhile.
    pub(crate) async fn load(&mut self, txs: usize, rate: Option<f64>, duration: Duration) -> Result<(Outcome, Usage)> {
        let streams = self.senders.sign(txs);
        let options = FloodOptions {
            nodes: self.net.rpcs().into_iter().take(self.args.validators).collect(),
            connections: 200,
            batch: 10,
            spread: self.args.validators > 1,
            rate,
            outstanding: self.args.outstanding,
            duration,
        };
        let before = self.net.usage()?;
        let mut used = Usage::default();
        let net = &self.net;
        let executed = || {
            used = net.usage()? - before;
            Ok(())
        };
        let outcome = load::run(&mut self.senders, &streams, &options, executed).await?;
        Ok((outcome, used))
    }
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    net: NetArgs,
    /// Transactions of all senders together
    #[arg(long, default_value_t = 30_000)]
    txs: usize,
    /// Transactions a second; as fast as they are taken otherwise
    #[arg(long)]
    rate: Option<f64>,
    /// Stop posting after so many seconds
    #[arg(long, default_value_t = 120)]
    seconds: u64,
}

pub(crate) fn run(args: Args) -> Result<()> {
    crate::block_on(async {
        let mut running = args.net.start().await?;
        // The first blocks warm caches and connections; they are no part of the figure.
        running.load(args.txs / 20, None, Duration::from_secs(30)).await?;
        let (outcome, used) = running.load(args.txs, args.rate, Duration::from_secs(args.seconds)).await?;
        print(&args.net, &outcome, &used)
    })
}

/// All figures of one load.
fn print(net: &NetArgs, outcome: &Outcome, used: &Usage) -> Result<()> {
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
    let (committed, late, memory) = (outcome.committed as f64, outcome.late as f64, used.app_memory as f64);
    let micros = |seconds: f64| seconds / committed * 1e6;
    for (name, unit, value) in [
        ("throughput", "tx/s", outcome.rate),
        ("committed", "tx", committed),
        ("late", "tx", late),
        ("wall", "s", outcome.wall),
        ("latency.p50", "s", outcome.latency_p50),
        ("latency.p99", "s", outcome.latency_p99),
        ("block.interval.p50", "s", outcome.interval_p50),
        ("block.interval.p99", "s", outcome.interval_p99),
        ("cpu.total", "us/tx", micros(used.total())),
        ("cpu.app", "us/tx", micros(used.app)),
        ("cpu.comet", "us/tx", micros(used.comet)),
        ("memory.app", "bytes", memory),
    ] {
        net.figure(name, unit, value).print()?;
    }
    Ok(())
}
