//! `./dev localnet`: validators as processes on this machine, until Ctrl-C.

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Parser;
use gantry_localnet::{Net, NetOptions, Sync};
use tokio::signal::unix::{SignalKind, signal};

/// Validators as processes on this machine, until Ctrl-C.
#[derive(Parser, Debug)]
struct Args {
    /// Validators
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=32))]
    processes: u16,
    /// Full nodes that join afterwards by block sync
    #[arg(long, default_value_t = 0)]
    joiners: u16,
    /// Where homes and logs go, and stay [default: a fresh folder that goes with the network]
    #[arg(long)]
    home: Option<PathBuf>,
    /// Accounts with money: their keys are test-1, test-2, …
    #[arg(long, default_value_t = 3)]
    accounts: u16,
    /// Chain id
    #[arg(long, default_value = "gantry-local-1")]
    chain_id: String,
    /// CometBFT's pause after a block, such as 100ms [default: as `gantryd init` writes it]
    #[arg(long)]
    timeout_commit: Option<String>,
    /// Another CometBFT: path of the binary
    #[arg(long)]
    cometbft: Option<PathBuf>,
    /// Stops by itself after as many blocks, as for a smoke test
    #[arg(long)]
    blocks: Option<u64>,
}

/// What each of the accounts has.
const COINS: &str = "1000000000ugantry";

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let temporary = std::env::temp_dir().join(format!("gantry-localnet-{}", std::process::id()));
    let dir = args.home.clone().unwrap_or_else(|| temporary.clone());
    // Listening from the start, so that Ctrl-C during the start removes what was made too.
    let outcome = tokio::select! {
        outcome = network(&args, &dir) => outcome,
        () = asked_to_stop() => Ok(()),
    };
    if args.home.is_none() && outcome.is_ok() {
        std::fs::remove_dir_all(&temporary).with_context(|| temporary.display().to_string())?;
    }
    println!("\nEverything has stopped.");
    outcome
}

async fn asked_to_stop() {
    let (Ok(mut interrupt), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = term.recv() => {}
    }
}

async fn network(args: &Args, dir: &Path) -> Result<()> {
    let mut options = NetOptions::new(dir);
    options.chain_id.clone_from(&args.chain_id);
    options.validators = args.processes.into();
    options.keys = (1..=args.accounts).map(|i| (format!("test-{i}"), COINS.to_owned())).collect();
    options.cometbft.clone_from(&args.cometbft);
    options.config.extend(args.timeout_commit.as_deref().map(|value| ("consensus.timeout_commit", value.into())));
    println!("Starting {} validators.", args.processes);
    let mut net = Net::start(options).await?;
    for _ in 0..args.joiners {
        net.join(Sync::Blocks).await?;
    }
    explain(args, &net)?;
    tokio::select! {
        watched = watch(&net, args.blocks) => watched?,
        () = asked_to_stop() => println!("\nStopping."),
    }
    net.stop().await
}

/// Where it listens, and what to type.
fn explain(args: &Args, net: &Net) -> Result<()> {
    println!("\nnode  rpc                      grpc                     home");
    for (i, node) in net.nodes().iter().enumerate() {
        let at = node.endpoints();
        println!("{i:>4}  {:<23}  {:<23}  {}", at.rpc, at.grpc, node.home().display());
    }
    let first = net.nodes().first().context("no nodes")?;
    let (at, home) = (first.endpoints(), first.home().display());
    let gantryd = gantry_localnet::binary("gantryd")?;
    let gantryd = gantryd.display();
    let grpc = at.grpc.trim_start_matches("http://");
    let keyring = net.keyring();
    let names: Vec<String> = (1..=args.accounts).map(|i| format!("test-{i}")).collect();
    println!("\nAccounts with {COINS} each (keyring of node 0, backend test):");
    for name in &names {
        println!("  {name}  {}", keyring.signer(name)?.info.address);
    }
    println!("\nTry:");
    println!("  curl -s {}/status", at.rpc);
    println!("  grpcurl -plaintext {grpc} list");
    println!("  grpcurl -plaintext {grpc} cosmos.base.tendermint.v1beta1.Service/GetLatestBlock");
    if let [from, to, ..] = &names[..] {
        let to = keyring.signer(to)?.info.address;
        println!(
            "  {gantryd} tx bank send {from} {to} 5ugantry --home {home} --keyring-backend test --chain-id {} --node {} \
             --gas auto --gas-adjustment 1.5 --gas-prices 0.0025ugantry --yes",
            args.chain_id,
            at.rpc.replace("http://", "tcp://")
        );
        println!("  {gantryd} query bank balances {to} --node {}", at.rpc.replace("http://", "tcp://"));
    }
    let gantry = gantry_localnet::binary("gantry")?;
    println!("  {} offers --rpc {} --grpc {}", gantry.display(), at.rpc, at.grpc);
    println!("\nLogs: {}/node-*.log. Ctrl-C stops everything.\n", net.dir().display());
    Ok(())
}

/// Shows the height of each node until the first one has as many blocks, or for good.
async fn watch(net: &Net, blocks: Option<u64>) -> Result<()> {
    let terminal = std::io::stdout().is_terminal();
    let mut tick = tokio::time::interval(if terminal { Duration::from_secs(1) } else { Duration::from_secs(5) });
    loop {
        tick.tick().await;
        let heights = futures::future::join_all(net.nodes().iter().map(|node| node.height())).await;
        let text: Vec<String> =
            heights.iter().map(|height| height.as_ref().map_or("down".to_owned(), u64::to_string)).collect();
        let end = if terminal { "\r" } else { "\n" };
        print!("height per node: {}   {end}", text.join("  "));
        std::io::stdout().flush()?;
        if blocks.is_some_and(|blocks| heights.iter().all(|height| height.as_ref().is_ok_and(|now| *now >= blocks))) {
            return Ok(());
        }
    }
}
