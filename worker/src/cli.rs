//! Flags, their environment, and the file `worker.toml`: a flag wins over its variable, that over the file, that over
//! the default.

use std::{ffi::OsString, fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use gantry_proto::gantry::worker::v1::InfoResponse;
use gantry_worker::{Coin, journal::Record};
use serde_json::json;

#[derive(Debug, Parser)]
#[command(name = "gantry-worker", version, about = "Runs jobs of a Gantry chain for money")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Register, follow assignments, run them, serve what they give.
    Start(Box<Start>),
    /// Show what a worker does, or what its journal says when it does not run.
    Status(StatusArgs),
}

/// Flags of `start`. Each can also be set as `GANTRY_WORKER_<NAME>` and, by its name, in `<home>/worker.toml`.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Folder of everything that the worker keeps
    #[arg(long, env = "GANTRY_WORKER_HOME", default_value_os_t = default_home())]
    pub(crate) home: PathBuf,
    /// CometBFT RPC of the node
    #[arg(long, env = "GANTRY_WORKER_RPC", default_value = "http://127.0.0.1:26657")]
    pub(crate) rpc: String,
    /// gRPC of the node
    #[arg(long, env = "GANTRY_WORKER_GRPC", default_value = "http://127.0.0.1:9090")]
    pub(crate) grpc: String,
    /// Where to serve gRPC: address and port
    #[arg(long, env = "GANTRY_WORKER_LISTEN", default_value = "127.0.0.1:7070")]
    pub(crate) listen: String,
    /// How others reach it, as registered on chain [default: http://LISTEN]
    #[arg(long, env = "GANTRY_WORKER_PUBLIC_ENDPOINT")]
    pub(crate) public_endpoint: Option<String>,
    /// Where keys are kept: file (encrypted; passphrase in GANTRY_WORKER_PASSPHRASE or asked for) or test
    #[arg(long, env = "GANTRY_WORKER_KEYRING_BACKEND", default_value = "file")]
    pub(crate) keyring_backend: String,
    /// Folder of the keyring [default: HOME]
    #[arg(long, env = "GANTRY_WORKER_KEYRING_DIR")]
    pub(crate) keyring_dir: Option<PathBuf>,
    /// Name of the key that owns or operates the provider
    #[arg(long, env = "GANTRY_WORKER_FROM")]
    pub(crate) from: String,
    /// Name of the provider on chain [default: the key's]
    #[arg(long, env = "GANTRY_WORKER_MONIKER")]
    pub(crate) moniker: Option<String>,
    /// Bond that a new provider is registered with
    #[arg(long, env = "GANTRY_WORKER_BOND", default_value = "100000000ugantry")]
    pub(crate) bond: Coin,
    /// Price of one slot for a second
    #[arg(long, env = "GANTRY_WORKER_ASK", default_value = "5ugantry")]
    pub(crate) ask: Coin,
    /// Assignments at once
    #[arg(long, env = "GANTRY_WORKER_CAPACITY", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) capacity: u32,
    /// Most bytes of content to keep
    #[arg(long, env = "GANTRY_WORKER_QUOTA", default_value_t = 16 << 30)]
    pub(crate) quota: u64,
    /// Fee for a million units of gas
    #[arg(long, env = "GANTRY_WORKER_GAS_PRICE", default_value = "2500ugantry")]
    pub(crate) gas_price: Coin,
    /// Blocks of the chain for which outputs and logs are kept after the end of their job
    #[arg(long, env = "GANTRY_WORKER_KEEP_BLOCKS", default_value_t = 20_000)]
    pub(crate) keep_blocks: u64,
    /// Blocks of the chain for which uploads of others are kept
    #[arg(long, env = "GANTRY_WORKER_UPLOAD_BLOCKS", default_value_t = 20_000)]
    pub(crate) upload_blocks: u64,
    /// Seconds for which content that nobody gives is asked for again
    #[arg(long, env = "GANTRY_WORKER_PATIENCE_SECONDS", default_value_t = 20)]
    pub(crate) patience_seconds: u64,
    /// Milliseconds between two looks at the chain
    #[arg(long, env = "GANTRY_WORKER_POLL_MS", default_value_t = 150, value_parser = clap::value_parser!(u64).range(10..))]
    pub(crate) poll_ms: u64,
    /// What to log: error, warn, info, debug, trace, or a filter by module
    #[arg(long, env = "GANTRY_WORKER_LOG_LEVEL", default_value = "info")]
    pub(crate) log_level: String,
    /// Return wrong results (builds for the demo only)
    #[cfg(feature = "demo")]
    #[arg(long, env = "GANTRY_WORKER_MISBEHAVE", default_value = "never")]
    pub(crate) misbehave: gantry_worker::Misbehave,
}

/// Flags of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Folder of the worker
    #[arg(long, env = "GANTRY_WORKER_HOME", default_value_os_t = default_home())]
    pub(crate) home: PathBuf,
    /// Where the worker serves
    #[arg(long, env = "GANTRY_WORKER_PUBLIC_ENDPOINT", default_value = "http://127.0.0.1:7070")]
    pub(crate) endpoint: String,
    /// text or json
    #[arg(long, default_value = "text", value_parser = ["text", "json"])]
    pub(crate) output: String,
}

fn default_home() -> PathBuf {
    std::env::home_dir().unwrap_or_default().join(".gantry-worker")
}

/// Reads the command line, the environment and the file. Exits by itself for `--help` and for wrong flags.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command> {
    let args: Vec<OsString> = args.into_iter().collect();
    let home = home(&args);
    let path = home.join("worker.toml");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e).with_context(|| path.display().to_string()),
    };
    let command = with_defaults(&text).with_context(|| path.display().to_string())?;
    let matches = command.get_matches_from(args);
    Ok(Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit()).command)
}

/// The folder that holds the file, from what else is there to read.
fn home(args: &[OsString]) -> PathBuf {
    let lenient =
        Cli::command().ignore_errors(true).mut_subcommand("start", |start| start.mut_args(|arg| arg.required(false)));
    let matches = lenient.try_get_matches_from(args).ok();
    let start = matches.as_ref().and_then(|m| m.subcommand());
    start.and_then(|(_, m)| m.try_get_one::<PathBuf>("home").ok().flatten().cloned()).unwrap_or_else(default_home)
}

/// The command line with the file's values as defaults of `start`.
fn with_defaults(text: &str) -> Result<clap::Command> {
    let file: toml::Table = text.parse()?;
    let mut command = Cli::command();
    for (name, value) in file {
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            other => bail!("{name}: a string or a number is needed, not {}", other.type_str()),
        };
        let start = command.find_subcommand("start").context("no start")?;
        if name == "home" || !start.get_arguments().any(|arg| arg.get_long() == Some(&name)) {
            bail!("{name}: unknown setting");
        }
        // Flags live as long as the process.
        let value: &'static str = value.leak();
        let id = name.replace('-', "_");
        command =
            command.mut_subcommand("start", |start| start.mut_arg(&id, |arg| arg.default_value(value).required(false)));
    }
    Ok(command)
}

/// Prints what a worker says of itself and what its journal holds.
pub(crate) fn print_status(args: &StatusArgs, info: Option<InfoResponse>, records: &[Record]) -> Result<()> {
    let info = info.map(|i| {
        json!({
            "provider_id": i.provider_id.to_string(), "moniker": i.moniker, "chain_id": i.chain_id,
            "version": i.version, "classes": i.classes, "running": i.running, "capacity": i.capacity,
            "height": i.height.to_string(),
        })
    });
    if args.output == "json" {
        println!("{}", serde_json::to_string_pretty(&json!({ "running": info, "assignments": records }))?);
        return Ok(());
    }
    match &info {
        Some(info) => {
            for (name, value) in info.as_object().into_iter().flatten() {
                println!("{name:<12} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
        }
        None => println!("no worker answers at {}", args.endpoint),
    }
    for record in records {
        let exit = record.execution.as_ref().map_or("", |e| e.exit.as_str());
        let why = record.failure.as_ref().map_or("", |f| f.text.as_str());
        let phase = format!("{:?}", record.phase).to_lowercase();
        println!("{:<14} {phase:<10} runs {} {exit} {why} {}", record.key.to_string(), record.runs, record.end);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(file: &str, args: &[&str]) -> Start {
        let command = with_defaults(file).unwrap();
        let matches = command.try_get_matches_from(["gantry-worker", "start"].iter().chain(args)).unwrap();
        match Cli::from_arg_matches(&matches).unwrap().command {
            Command::Start(start) => *start,
            Command::Status(_) => panic!(),
        }
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file = "from = \"alice\"\ncapacity = 3\npublic-endpoint = \"http://example.org:1\"\n";
        let read = start(file, &["--capacity", "4"]);
        assert_eq!((read.from.as_str(), read.capacity, read.ask.amount), ("alice", 4, 5));
        assert_eq!(read.public_endpoint.as_deref(), Some("http://example.org:1"));
        assert_eq!(start(file, &[]).capacity, 3);
    }

    #[test]
    fn what_the_file_must_not_say_is_refused() {
        for bad in ["nonsense = 1", "home = \"x\"", "capacity = true", "capacity = "] {
            assert!(with_defaults(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_flags_are_sound() {
        Cli::command().debug_assert();
        let lenient: Vec<OsString> = ["gantry-worker", "start", "--home", "x"].map(Into::into).to_vec();
        assert_eq!(home(&lenient), PathBuf::from("x"));
    }
}
