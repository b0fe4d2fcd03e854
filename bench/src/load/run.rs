//! A flood from its first post to its proof.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{FloodOptions, Rpc, Senders, Stream, confirm, flood};
use crate::stats::percentile;

/// Floods that repeat what a node has taken and dropped.
const REPEATS: usize = 3;
/// Longest that such a repeat may take.
const LATE_LIMIT: Duration = Duration::from_secs(600);

/// What a load came to. Times are in seconds, and are those of the first time that the transactions were posted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Transactions executed with code 0.
    pub committed: u64,
    /// Transactions that a node took and dropped, or executed with another code; they were posted again afterwards.
    pub late: u64,
    /// Posts that had to be repeated, in part or whole.
    pub repeated: u64,
    /// From the first post to the execution of the last block with a transaction.
    pub wall: f64,
    /// Committed transactions a second of `wall`.
    pub rate: f64,
    /// Median time from submission to commit.
    pub latency_p50: f64,
    /// 99th percentile of the same.
    pub latency_p99: f64,
    /// Blocks with transactions.
    pub blocks: u64,
    /// Median time between blocks with transactions.
    pub interval_p50: f64,
    /// Mean of the same.
    pub interval_mean: f64,
    /// 99th percentile of the same.
    pub interval_p99: f64,
    /// Of each transaction: when it was executed, and the time since its first post.
    pub latencies: Vec<(f64, f64)>,
}

/// Posts the streams, calls `executed` when the last of them is executed, and proves by the blocks and by the balances
/// what happened.
///
/// # Errors
/// As [`flood`], [`confirm`] and [`Senders::check_balances`]; when transactions stay lost.
pub async fn run(
    senders: &mut Senders,
    streams: &[Stream],
    options: &FloodOptions,
    executed: impl FnOnce() -> Result<()>,
) -> Result<Outcome> {
    let mut rpc = Rpc::connect(&options.nodes[0]).await?;
    let mut posted = flood(streams, options).await?;
    executed()?;
    let taken: Vec<u64> = posted.posted.iter().map(|times| times.len() as u64).collect();
    let mut found = confirm(&mut rpc, streams, &posted).await?;
    let mut committed = found.committed;
    let mut outcome = Outcome {
        committed: committed.iter().sum(),
        repeated: posted.repeated,
        wall: found.wall.as_secs_f64(),
        latencies: std::mem::take(&mut found.latencies),
        ..Outcome::default()
    };
    outcome.rate = ratio(outcome.committed, outcome.wall);
    outcome.describe(&posted.blocks);
    for _ in 0..REPEATS {
        let late = std::mem::take(&mut found.missing);
        let count: usize = late.iter().map(|stream| stream.txs.len()).sum();
        if count == 0 {
            break;
        }
        outcome.late += count as u64;
        // As fast as they are taken, and slowly for each sender.
        let gently = FloodOptions { rate: None, spread: true, duration: LATE_LIMIT, ..options.clone() };
        posted = flood(&late, &gently).await?;
        found = confirm(&mut rpc, &late, &posted).await?;
        committed.iter_mut().zip(&found.committed).for_each(|(all, more)| *all += more);
    }
    let lost: usize = found.missing.iter().map(|stream| stream.txs.len()).sum();
    ensure!(lost == 0, "{lost} transactions were taken and not executed; a log: {:?}", found.failed.1);
    senders.advance(&taken, &committed);
    senders.check_balances(&mut rpc).await?;
    Ok(outcome)
}

impl Outcome {
    fn describe(&mut self, blocks: &[super::Seen]) {
        let full: Vec<_> = blocks.iter().filter(|seen| seen.txs > 0).collect();
        let mut intervals: Vec<f64> =
            full.windows(2).map(|pair| (pair[1].at.saturating_sub(pair[0].at)).as_secs_f64()).collect();
        self.blocks = full.len() as u64;
        self.interval_mean = intervals.iter().sum::<f64>() / ratio(intervals.len() as u64, 1.0).max(1.0);
        self.interval_p50 = percentile(&mut intervals, 50);
        self.interval_p99 = percentile(&mut intervals, 99);
        let mut latencies: Vec<f64> = self.latencies.iter().map(|(_, took)| *took).collect();
        self.latency_p50 = percentile(&mut latencies, 50);
        self.latency_p99 = percentile(&mut latencies, 99);
    }
}

/// A count over seconds; 0 where there are none.
#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
fn ratio(count: u64, over: f64) -> f64 {
    if over > 0.0 { count as f64 / over } else { 0.0 }
}
