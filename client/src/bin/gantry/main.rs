//! `gantry`: what people who rent compute type. Results go to stdout, progress and warnings to stderr.

mod balance;
mod cancel;
mod context;
mod explain;
mod fetch;
mod job;
mod jobs;
mod keys;
mod logs;
mod offers;
mod out;
mod prompt;
mod provider;
mod remedy;
mod send;
mod settings;
mod submit;
mod watch;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use context::Context;
use settings::Flags;
use tracing_subscriber::EnvFilter;

/// Rent compute on a Gantry chain: submit jobs, watch them, read their logs, fetch their results.
///
/// Exit status: 0 done; 1 the watched jobs did not all complete; 2 it could not be done.
#[derive(Parser, Debug)]
#[command(name = "gantry", version, arg_required_else_help = true, max_term_width = 120)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Keys(keys::Args),
    Balance(balance::Args),
    Send(send::Args),
    Offers(offers::Args),
    Submit(Box<submit::Args>),
    Watch(watch::Args),
    Logs(logs::Args),
    Fetch(fetch::Args),
    Cancel(cancel::Args),
    Explain(explain::Args),
    Jobs(jobs::Args),
    Job(job::Args),
    Provider(provider::Args),
}

/// Exit status of a command that could not do what it was told.
const FAILED: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("GANTRY_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .without_time()
        .with_target(false)
        .with_writer(std::io::stderr)
        .init();
    match run(cli).await {
        Ok(code) => code,
        Err(error) => {
            out::note(&format!("error: {error:#}"));
            if let Some(remedy) = remedy::of(&error) {
                eprintln!("  {remedy}");
            }
            ExitCode::from(FAILED)
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode> {
    let context = Context::new(cli.flags.settle()?);
    match cli.command {
        Command::Watch(args) => return watch::run(&context, args).await,
        Command::Submit(args) => return submit::run(&context, *args).await,
        Command::Keys(args) => keys::run(&context, args)?,
        Command::Balance(args) => balance::run(&context, args).await?,
        Command::Send(args) => send::run(&context, args).await?,
        Command::Offers(args) => offers::run(&context, args).await?,
        Command::Logs(args) => logs::run(&context, args).await?,
        Command::Fetch(args) => fetch::run(&context, args).await?,
        Command::Cancel(args) => cancel::run(&context, args).await?,
        Command::Explain(args) => explain::run(&context, args).await?,
        Command::Jobs(args) => jobs::run(&context, args).await?,
        Command::Job(args) => job::run(&context, args).await?,
        Command::Provider(args) => provider::run(&context, args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn check(command: &clap::Command) {
            if command.has_subcommands() {
                command.get_subcommands().filter(|c| c.get_name() != "help").for_each(check);
            } else {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("gantry "), "{} has no example", command.get_name());
            }
        }
        check(&Cli::command());
    }

    #[test]
    fn flags_may_follow_the_command_as_the_demo_gives_them() {
        let words = "gantry logs --follow --rpc http://a --grpc http://b --keyring-backend test --from renter \
                     --keyring-dir /keys 7";
        let cli = Cli::try_parse_from(words.split_whitespace()).unwrap();
        assert_eq!(cli.flags.from.as_deref(), Some("renter"));
        let words = "gantry submit f.yaml --home-endpoint http://h --output json --rpc http://a";
        assert!(Cli::try_parse_from(words.split_whitespace()).is_ok());
        for words in ["gantry watch --graph 1", "gantry watch 1 2", "gantry fetch 9 --to dir"] {
            assert!(Cli::try_parse_from(words.split_whitespace()).is_ok(), "{words}");
        }
        for words in
            ["gantry watch", "gantry watch --graph 1 2", "gantry submit", "gantry submit f --wasm m", "gantry job x"]
        {
            assert!(Cli::try_parse_from(words.split_whitespace()).is_err(), "{words}");
        }
    }
}
