//! `gantry-bench`: every measurement of `./dev bench` as a subcommand. Figures go to standard output, one JSON object a
//! line; what is said about them goes to standard error.

mod chain;
mod check_tx;
mod exec;
mod tree;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "gantry-bench", version, about = "Measures the chain beside its peers")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tree updates per second with roots
    Tree(tree::Args),
    /// FinalizeBlock and Commit of transfers, without consensus
    Exec(exec::Args),
    /// CheckTx over the socket, and recheck
    CheckTx(check_tx::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Tree(args) => tree::run(args),
        Command::Exec(args) => exec::run(args),
        Command::CheckTx(args) => check_tx::run(args),
    }
}
