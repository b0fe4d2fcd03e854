//! The highest offered rate that a network holds with blocks under a second.

use std::time::Duration;

use anyhow::Result;
use gantry_bench::{load::Outcome, net::Usage};

use crate::throughput::{NetArgs, Running};

/// A rate is held when blocks take less than this, on average...
const LONGEST_BLOCK: f64 = 1.0;
/// ...and so much of what was offered is executed while it is offered, and shortly after.
const LEAST_PART: f64 = 0.95;
/// The last transactions have so many blocks and seconds: what then still waits had been piling up.
const TAIL: (f64, f64) = (1.5, 0.25);

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    net: NetArgs,
    /// The first rate, in transactions a second
    #[arg(long)]
    from: f64,
    /// How much higher each next rate is
    #[arg(long, default_value_t = 1.35)]
    factor: f64,
    /// How long each rate is offered, in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u32,
}

struct Held {
    rate: f64,
    outcome: Outcome,
    used: Usage,
}

pub(crate) fn run(args: Args) -> Result<()> {
    crate::block_on(async {
        let mut running = args.net.start().await?;
        running.load(args.net.senders, None, Duration::from_secs(30)).await?;
        let mut held: Option<Held> = None;
        let mut rate = args.from;
        let mut refused = None;
        loop {
            let tried = offer(&args, &mut running, rate).await;
            match tried {
                Ok(now) if holds(&args, &now) => held = Some(now),
                // Below the first rate the search goes down.
                Ok(_) if held.is_none() && rate > args.from / 8.0 => {
                    refused = Some(rate);
                    rate /= 2.0;
                    continue;
                }
                Ok(_) => refused = Some(rate),
                Err(error) => {
                    eprintln!("at {rate:.0} tx/s: {error:#}");
                    break;
                }
            }
            let Some(best) = &held else { break };
            // Up until one is not held, then once between the two.
            rate = match refused {
                None => best.rate * args.factor,
                Some(above) if above / best.rate > args.factor.sqrt() * 1.01 => (above * best.rate).sqrt(),
                Some(_) => break,
            };
        }
        match held {
            Some(held) => print(&args.net, &held),
            None => anyhow::bail!("no rate is held"),
        }
    })
}

async fn offer(args: &Args, running: &mut Running, rate: f64) -> Result<Held> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive and not huge")]
    let txs = (rate * f64::from(args.seconds)) as usize;
    let (outcome, used) = running.load(txs, Some(rate), Duration::from_secs(args.seconds.into())).await?;
    eprintln!(
        "offered {rate:.0} tx/s: {:.0} tx/s committed, blocks of {:.2} s, {:.2} s to commit",
        outcome.rate, outcome.interval_mean, outcome.latency_p50
    );
    Ok(Held { rate, outcome, used })
}

fn holds(args: &Args, tried: &Held) -> bool {
    let seconds = f64::from(args.seconds);
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
    let part = tried.outcome.committed as f64 / (tried.rate * seconds);
    let interval = tried.outcome.interval_mean;
    interval < LONGEST_BLOCK && part >= LEAST_PART && tried.outcome.wall <= seconds + TAIL.0 * interval + TAIL.1
}

fn print(net: &NetArgs, held: &Held) -> Result<()> {
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
    let (committed, late) = (held.outcome.committed as f64, held.outcome.late as f64);
    let micros = |seconds: f64| seconds / committed * 1e6;
    for (name, unit, value) in [
        ("held", "tx/s", held.rate),
        ("late", "tx", late),
        ("latency.p50", "s", held.outcome.latency_p50),
        ("latency.p99", "s", held.outcome.latency_p99),
        ("block.interval.p50", "s", held.outcome.interval_p50),
        ("block.interval.p99", "s", held.outcome.interval_p99),
        ("cpu.total", "us/tx", micros(held.used.total())),
        ("cpu.app", "us/tx", micros(held.used.app)),
        ("cpu.comet", "us/tx", micros(held.used.comet)),
    ] {
        net.figure(name, unit, value).print()?;
    }
    Ok(())
}
