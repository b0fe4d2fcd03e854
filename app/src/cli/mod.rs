//! The command line of `gantryd`: the SDK's commands, flags, output shapes and error texts.
//!
//! Results go to stdout, everything else to stderr; a failure ends with code 1 (`start` has codes of its own). One file
//! for each group of commands. What `tx` and `query` offer for each module follows from the descriptor set
//! (`dynamic`), so a new message or query needs no line here.

mod client;
mod comet;
mod dynamic;
mod export;
mod fee;
mod genesis;
mod init;
mod keys;
mod output;
mod prompt;
mod proto_json;
mod prune;
mod query;
mod rollback;
mod rpc;
mod snapshots;
mod status;
mod tx;
mod validator;
mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand, error::ErrorKind};

use crate::node::{
    exit::{self, Exit},
    start::{self, StartArgs},
};

/// Gantry: a marketplace for verifiable compute
#[derive(Debug, Parser)]
#[command(name = "gantryd", disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    client: client::Flags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a home: keys, configuration and a genesis with this node as its validator
    Init(init::Args),
    /// Run the node
    Start(Box<StartArgs>),
    /// Manage keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// Edit and check genesis.json
    #[command(subcommand)]
    Genesis(genesis::Command),
    /// Former place of `genesis add-genesis-account`
    #[command(hide = true)]
    AddGenesisAccount(genesis::AddAccount),
    /// What CometBFT knows of this node
    #[command(subcommand, visible_alias = "tendermint")]
    Comet(comet::Command),
    /// Go one block back, application and CometBFT
    Rollback(rollback::Args),
    /// Print the state of a height as genesis.json
    Export(export::Args),
    /// Drop past states at once and give their space back: default, nothing, everything, custom
    Prune(prune::Args),
    /// Manage state-sync snapshots of this node
    #[command(subcommand)]
    Snapshots(snapshots::Command),
    /// Forget all blocks and state; keys and genesis stay
    UnsafeResetAll(comet::Reset),
    /// Ask a node how it is
    Status,
    /// Make, sign and send transactions
    Tx(tx::Tx),
    /// Ask the chain
    #[command(visible_alias = "q")]
    Query(query::Query),
    /// Print the version
    Version(version::Args),
}

/// Runs the command that the process was called with.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing is left to do when the terminal is gone.
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return ExitCode::from(if asked { exit::OK } else { exit::ERROR });
        }
    };
    match execute(cli) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::from(error.code)
        }
    }
}

fn execute(cli: Cli) -> Result<(), Exit> {
    let client = cli.client.resolve()?;
    match cli.command {
        Command::Start(args) => return start::run(&client.home, &args),
        Command::Init(args) => init::run(&client, &args),
        Command::Keys(command) => keys::run(&client, command),
        Command::Genesis(command) => genesis::run(&client, command),
        Command::AddGenesisAccount(args) => genesis::add_account(&client, &args),
        Command::Comet(command) => comet::run(&client, command),
        Command::UnsafeResetAll(args) => comet::reset(&client, &args),
        Command::Rollback(args) => rollback::run(&client, &args),
        Command::Export(args) => export::run(&client, &args),
        Command::Prune(args) => prune::run(&client, args),
        Command::Snapshots(command) => snapshots::run(&client, command),
        Command::Status => rpc::block_on(status::run(&client)),
        Command::Tx(tx) => rpc::block_on(tx::run(&client, tx)),
        Command::Query(query) => rpc::block_on(query::run(&client, query)),
        Command::Version(args) => version::run(&client, &args),
    }
    .map_err(Exit::from)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn no_two_flags_or_commands_collide() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_is() {
        let cli = Cli::command();
        let about = |path: &[&str]| {
            let command = path.iter().fold(&cli, |command, name| command.find_subcommand(name).unwrap());
            command.get_about().unwrap().to_string()
        };
        assert_eq!(about(&["tx", "job", "submit-jobs"]), "/gantry.job.v1.Msg/SubmitJobs");
        assert_eq!(about(&["query", "bank", "balances"]), "/cosmos.bank.v1beta1.Query/AllBalances");
        assert_eq!(about(&["tx", "bank"]), "Messages of bank");
        assert_eq!(about(&["tx", "bank", "send"]), "Send coins to an account");
        assert_eq!(about(&["q"]), "Ask the chain");
        assert_eq!(about(&["tx"]), "Make, sign and send transactions");
        assert_eq!(about(&["init"]), "Make a home: keys, configuration and a genesis with this node as its validator");
        assert_eq!(about(&["comet", "unsafe-reset-all"]), about(&["unsafe-reset-all"]));
        assert_eq!(about(&[]), "Gantry: a marketplace for verifiable compute");
    }

    #[test]
    fn flags_of_every_command_stand_before_and_after_it() {
        for line in ["gantryd --home h --chain-id c init m", "gantryd init m --home h --chain-id c"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.client.chain_id.as_deref(), Some("c"));
        }
    }
}
