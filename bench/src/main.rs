//! `gantry-bench`: every measurement of `./dev bench` as a subcommand. Figures go to standard output, one JSON object a
//! line; what is said about them goes to standard error.

mod catch_up;
mod chain;
mod check_tx;
mod exec;
mod hold;
mod rows;
mod suite;
mod sustained;
mod throughput;
mod tree;

use clap::{Parser, Subcommand};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// The node's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "gantry-bench", version, about = "Measures the chain beside its peers")]
struct Cli {
    /// Processors to run on, with everything that is measured; all of them otherwise
    #[arg(long, global = true, value_delimiter = ',', env = "GANTRY_BENCH_CORES")]
    cores: Vec<usize>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tree updates per second with roots
    Tree(tree::Args),
    /// Reads of rows, and what their commits cost
    Rows(rows::Args),
    /// FinalizeBlock and Commit of transfers, without consensus
    Exec(exec::Args),
    /// CheckTx over the socket, and recheck
    CheckTx(check_tx::Args),
    /// Committed transactions a second of one network
    Throughput(throughput::Args),
    /// The highest rate that a network holds with blocks under a second
    Hold(hold::Args),
    /// Speed of a node that catches up with one that makes full blocks
    CatchUp(catch_up::Args),
    /// A long load below the peak: latency and memory over time
    Sustained(sustained::Args),
    /// Runs them all and makes the table
    Suite(suite::Args),
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    pin(&cli.cores)?;
    match cli.command {
        Command::Tree(args) => tree::run(args),
        Command::Rows(args) => rows::run(args),
        Command::Exec(args) => exec::run(args),
        Command::CheckTx(args) => check_tx::run(args),
        Command::Throughput(args) => throughput::run(args),
        Command::Hold(args) => hold::run(args),
        Command::CatchUp(args) => catch_up::run(args),
        Command::Sustained(args) => sustained::run(args),
        Command::Suite(args) => suite::run(args),
    }
}

/// Keeps this process and all that it starts on some processors.
fn pin(cores: &[usize]) -> anyhow::Result<()> {
    if cores.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    cores.iter().try_for_each(|core| set.set(*core))?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Runs a future on one thread: posting takes little, and children die with the thread that started them.
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
