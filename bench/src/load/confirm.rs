//! What the blocks say of a flood.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::json;

use super::{Flood, Rpc, Stream};

/// Transactions of a flood as the blocks have them.
#[derive(Clone, Debug, Default)]
pub struct Confirmed {
    /// For each stream, its transactions that were executed with code 0.
    pub committed: Vec<u64>,
    /// How often one was executed with another code, and the first of the logs.
    pub failed: (u64, String),
    /// For each stream, what was posted and never executed with code 0.
    pub missing: Vec<Stream>,
    /// Of each transaction with code 0: when it was executed, and the time since its first post, both in seconds.
    pub latencies: Vec<(f64, f64)>,
    /// Time from the first post to the last block with a transaction of the flood.
    pub wall: Duration,
}

#[derive(Deserialize)]
struct Block {
    block: Inner,
}

#[derive(Deserialize)]
struct Inner {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    txs: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Results {
    txs_results: Option<Vec<TxResult>>,
}

#[derive(Deserialize)]
struct TxResult {
    #[serde(default)]
    code: u32,
    #[serde(default)]
    log: String,
}

/// Reads the flood's blocks back and looks up each transaction.
///
/// # Errors
/// When a block holds a transaction that the flood has not posted, or executed one twice with code 0.
pub async fn confirm(rpc: &mut Rpc, streams: &[Stream], flood: &Flood) -> Result<Confirmed> {
    let mut waiting: BTreeMap<&[u8], (usize, usize)> = BTreeMap::new();
    for (s, stream) in streams.iter().enumerate() {
        let posted = stream.txs.iter().take(flood.posted[s].len()).enumerate();
        waiting.extend(posted.map(|(i, tx)| (tx.as_slice(), (s, i))));
    }
    let mut found = Confirmed { committed: vec![0; streams.len()], ..Confirmed::default() };
    for seen in flood.blocks.iter().filter(|seen| seen.txs > 0) {
        let height = json!({"height": seen.height.to_string()});
        let block: Block = serde_json::from_value(rpc.call("block", height.clone()).await?)?;
        let results: Results = serde_json::from_value(rpc.call("block_results", height).await?)?;
        let (txs, results) = (block.block.data.txs.unwrap_or_default(), results.txs_results.unwrap_or_default());
        ensure!(txs.len() == results.len(), "block {} has {} results", seen.height, results.len());
        for (tx, result) in txs.iter().zip(results) {
            let tx = BASE64_STANDARD.decode(tx)?;
            found.wall = seen.at;
            if result.code == 0 {
                let Some((s, i)) = waiting.remove(tx.as_slice()) else {
                    anyhow::bail!("block {} has a transaction that was not posted, or not once", seen.height);
                };
                found.committed[s] += 1;
                let took = seen.at.saturating_sub(flood.posted[s][i]);
                found.latencies.push((seen.at.as_secs_f64(), took.as_secs_f64()));
            } else {
                found.failed.0 += 1;
                if found.failed.1.is_empty() {
                    found.failed.1 = result.log;
                }
            }
        }
    }
    found.missing = vec![Stream::default(); streams.len()];
    let mut left: Vec<(usize, usize)> = waiting.into_values().collect();
    left.sort_unstable();
    for (s, i) in left {
        let missing = &mut found.missing[s];
        if missing.txs.is_empty() {
            missing.first = streams[s].first + i as u64;
        }
        missing.txs.push(streams[s].txs[i].clone());
    }
    Ok(found)
}
