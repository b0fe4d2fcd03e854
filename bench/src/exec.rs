//! Execution alone: FinalizeBlock and Commit of transfers, through the engine, on a store on disk.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use gantry_bench::Measurement;

use crate::chain::{Chain, cpu_time};

/// Flags of `exec`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Accounts of the state
    #[arg(long, value_delimiter = ',', default_value = "10000,1000000")]
    accounts: Vec<u64>,
    /// Transfers in a block
    #[arg(long, value_delimiter = ',', default_value = "1000,2000,5000,10000,20000")]
    txs: Vec<usize>,
    /// Accounts that send
    #[arg(long, default_value_t = 10_000)]
    senders: u64,
    /// Blocks of each size
    #[arg(long, default_value_t = 3)]
    blocks: u32,
    /// Where the states are kept for the next run; a temporary folder otherwise
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// Measures each size of block on each size of state.
pub(crate) fn run(args: Args) -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let folder = args.keep.as_deref().unwrap_or(temporary.path());
    for accounts in args.accounts {
        let home = folder.join(format!("accounts-{accounts}"));
        let mut chain = Chain::open(&home, accounts, args.senders.min(accounts))?;
        let first = chain.transfers(1000);
        chain.finalize(first)?;
        chain.commit()?;
        for &txs in &args.txs {
            for checked in [false, true] {
                for _ in 0..args.blocks {
                    block(&mut chain, txs, checked)?;
                }
            }
        }
        drop(chain);
        if args.keep.is_none() {
            std::fs::remove_dir_all(&home)?;
        }
    }
    Ok(())
}

/// One block; `checked`: its signatures were verified at CheckTx, as they are on a node that has met the transactions.
fn block(chain: &mut Chain, count: usize, checked: bool) -> Result<()> {
    let txs = chain.transfers(count);
    if checked {
        for tx in &txs {
            let response = chain.check(tx.clone(), false)?;
            ensure!(response.code == 0, "CheckTx: {}", response.log);
        }
    }
    let (wall, cpu) = (Instant::now(), cpu_time());
    chain.finalize(txs)?;
    let executed = wall.elapsed();
    chain.commit()?;
    let (wall, cpu) = (wall.elapsed(), cpu_time() - cpu);
    let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
    for (name, unit, value) in [
        ("exec.rate", "1/s", count as f64 / wall.as_secs_f64()),
        ("exec.finalize", "us", each(executed)),
        ("exec.commit", "us", each(wall - executed)),
        ("exec.cpu", "us", each(cpu)),
    ] {
        Measurement::new(name, unit, value)
            .with("accounts", chain.accounts())
            .with("txs", count)
            .with("senders", chain.senders())
            .with("signatures", if checked { "checked before" } else { "new" })
            .with("threads", rayon::current_num_threads())
            .print()?;
    }
    Ok(())
}
