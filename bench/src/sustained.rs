//! A long load at a rate below the peak: memory and latency must stay flat.

use std::time::{Duration, Instant};

use anyhow::Result;
use gantry_bench::{
    load::{self, FloodOptions},
    stats::percentile,
};
use tokio::time::sleep;

use crate::throughput::{NetArgs, Running};

/// How often memory is read.
const SAMPLE: Duration = Duration::from_secs(5);

/// Transactions that the peak is measured with.
const PEAK_TXS: usize = 100_000;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    net: NetArgs,
    /// Transactions a second; a part of the peak, which is measured first, otherwise
    #[arg(long)]
    rate: Option<f64>,
    /// The part of the peak
    #[arg(long, default_value_t = 0.8)]
    of_peak: f64,
    /// How long, in seconds
    #[arg(long, default_value_t = 600)]
    seconds: u32,
    /// Parts of the run that are told apart
    #[arg(long, default_value_t = 10)]
    parts: u32,
}

pub(crate) fn run(args: Args) -> Result<()> {
    crate::block_on(async {
        let mut running = args.net.start().await?;
        let rate = match args.rate {
            Some(rate) => rate,
            None => args.of_peak * running.load(PEAK_TXS, None, Duration::from_secs(60)).await?.0.rate,
        };
        let Running { net, mut senders, .. } = running;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive and not huge")]
        let streams = senders.sign((rate * f64::from(args.seconds)) as usize);
        let options = FloodOptions {
            nodes: net.rpcs(),
            connections: 200,
            batch: 10,
            spread: false,
            rate: Some(rate),
            outstanding: args.net.outstanding,
            duration: Duration::from_secs(args.seconds.into()),
        };
        let start = Instant::now();
        let mut memory = Vec::new();
        let load = load::run(&mut senders, &streams, &options, || Ok(()));
        let sample = async {
            loop {
                memory.push((start.elapsed().as_secs_f64(), net.usage()?.app_memory));
                sleep(SAMPLE).await;
            }
        };
        let outcome = tokio::select! {
            outcome = load => outcome?,
            never = sample => return never,
        };
        let length = f64::from(args.seconds) / f64::from(args.parts);
        for part in 0..args.parts {
            let (from, to) = (f64::from(part) * length, f64::from(part + 1) * length);
            let inside = |at: f64| at >= from && at < to;
            let mut latencies: Vec<f64> =
                outcome.latencies.iter().filter(|(at, _)| inside(*at)).map(|(_, took)| *took).collect();
            let greatest = memory.iter().filter(|(at, _)| inside(*at)).map(|(_, bytes)| *bytes).max().unwrap_or(0);
            #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
            let (committed, greatest) = (latencies.len() as f64, greatest as f64);
            for (name, unit, value) in [
                ("sustained.throughput", "tx/s", committed / length),
                ("sustained.latency.p50", "s", percentile(&mut latencies, 50)),
                ("sustained.latency.p99", "s", percentile(&mut latencies, 99)),
                ("sustained.memory", "bytes", greatest),
            ] {
                args.net.figure(name, unit, value).with("offered", rate.round()).with("from_s", from).print()?;
            }
        }
        Ok(())
    })
}
