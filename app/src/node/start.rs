//! `gantryd start`: the application, its servers, and CometBFT beside them.

use std::{
    io::IsTerminal,
    net::SocketAddr,
    path::PathBuf,
    process::ExitStatus,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use gantry_abci::{AbciApp, Engine, Halt, Options, Queries, SnapshotOptions, server};
use gantry_store::{Store, sync::Archive};
use tokio::{runtime::Runtime, sync::oneshot};

use super::{
    config::{AppConfig, CometToml},
    disk::Disk,
    exit::{self, Exit},
    genesis::Genesis,
    home::Home,
    ports, pruning,
    supervisor::{self, Supervisor},
};
use crate::{modules, services};

/// How long a start waits for the lock and the ports of a node that is on its way out.
const PATIENCE: Duration = Duration::from_secs(20);

/// Flags of `gantryd start`. What is not given comes from `app.toml` and `config.toml`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct StartArgs {
    /// Serve an external CometBFT instead of running one
    #[arg(long)]
    pub abci_only: bool,
    /// Where the ABCI server listens: unix://PATH or tcp://IP:PORT (default: a socket in the home)
    #[arg(long)]
    pub address: Option<String>,
    /// Prices under which the mempool refuses a transaction, such as 0.025ugantry
    #[arg(long)]
    pub minimum_gas_prices: Option<String>,
    /// Path of the CometBFT binary
    #[arg(long)]
    pub cometbft: Option<PathBuf>,
    /// Log level of both processes: error, info, debug (ours also takes tracing filters through RUST_LOG)
    #[arg(long = "log_level", alias = "log-level")]
    pub log_level: Option<String>,
    /// Where gRPC listens, HOST:PORT
    #[arg(long = "grpc.address")]
    pub grpc_address: Option<String>,
    /// Serve gRPC
    #[arg(long = "grpc.enable")]
    pub grpc_enable: Option<bool>,
    /// Where CometBFT's RPC listens, tcp://HOST:PORT
    #[arg(long = "rpc.laddr")]
    pub rpc_laddr: Option<String>,
    /// Where CometBFT listens for peers, tcp://HOST:PORT
    #[arg(long = "p2p.laddr")]
    pub p2p_laddr: Option<String>,
    /// What is kept.
    #[command(flatten)]
    pub pruning: pruning::Flags,
    /// Blocks that CometBFT keeps at least; 0 is all
    #[arg(long)]
    pub min_retain_blocks: Option<u64>,
    /// Heights between two state-sync snapshots; 0 makes none
    #[arg(long = "state-sync.snapshot-interval")]
    pub snapshot_interval: Option<u64>,
    /// How many state-sync snapshots are kept; 0 keeps all
    #[arg(long = "state-sync.snapshot-keep-recent")]
    pub snapshot_keep_recent: Option<usize>,
    /// The last height to execute; 0 is none
    #[arg(long = "halt-height")]
    pub halt_height: Option<u64>,
}

/// What the main thread waits for.
#[derive(Debug)]
pub(super) enum Event {
    /// SIGTERM or SIGINT.
    Signal(&'static str),
    /// The child has ended.
    CometEnded(std::io::Result<ExitStatus>),
    /// The state machine stops with its state well.
    Halt(Halt),
    /// A file system has too little room.
    Disk(String),
    /// A server cannot go on.
    Failed(String),
}

/// Runs a node until a signal, a planned halt, or a failure. Blocks; to be called on the main thread.
///
/// # Errors
/// With one of the codes of [`exit`].
pub fn run(home: &Home, args: &StartArgs) -> Result<(), Exit> {
    start_log(args.log_level.as_deref());
    let app_config = AppConfig::load(home)?;
    let comet_config = CometToml::load(home)?;
    let rpc_laddr = args.rpc_laddr.clone().unwrap_or(comet_config.rpc.laddr);
    let p2p_laddr = args.p2p_laddr.clone().unwrap_or(comet_config.p2p.laddr);
    let binary = if args.abci_only {
        None
    } else {
        let given = args.cometbft.as_deref().or(app_config.cometbft.binary());
        Some(supervisor::find(given, home).map_err(|error| Exit::new(exit::COMETBFT_NOT_FOUND, error))?)
    };
    let genesis = Genesis::load(home)?;
    home.create()?;
    let _lock = home.lock(PATIENCE).map_err(|error| Exit::new(exit::BUSY, error))?;
    let grpc = grpc_address(args, &app_config)?;
    let mut wanted: Vec<(&str, SocketAddr)> = grpc.iter().map(|address| ("gRPC", *address)).collect();
    if binary.is_some() {
        wanted.push(("CometBFT's RPC", ports::parse(&rpc_laddr)?));
        wanted.push(("CometBFT's peer-to-peer port", ports::parse(&p2p_laddr)?));
    }
    // What a save or a snapshot was killed at may take the very room that the disk lacks.
    Store::clear(&home.database()).context("clearing the database")?;
    Archive::clear(&home.snapshots()).context("clearing the snapshots")?;
    let disk = Disk::new(home, app_config.min_free_bytes);
    disk.check().map_err(|error| Exit::new(exit::DISK, error))?;
    ports::wait_until_free(&wanted, PATIENCE).map_err(|error| Exit::new(exit::BUSY, error))?;

    let runtime = Runtime::new().context("starting the runtime")?;
    let engine = open_engine(home, args, &app_config, &genesis)?;
    let comet_url = ports::local_url(&rpc_laddr)?;
    let queries = services::queries(&engine, &comet_url, runtime.handle())?;

    let (events, heard) = mpsc::channel();
    let address = match &args.address {
        Some(text) => text.parse().map_err(|error: String| anyhow!("--address: {error}"))?,
        None => home.abci_socket()?,
    };
    let halting = events.clone();
    let watching = events.clone();
    let abci = AbciApp::new(queries.clone(), move |halt| {
        // The main thread is gone only when the process is ending already.
        let _ = halting.send(Event::Halt(halt));
    });
    let abci = server::Server::start(&address, abci).with_context(|| format!("ABCI server on {address}"))?;
    listen_for_signals(&runtime, events.clone())?;
    let stop_grpc = match grpc {
        Some(address) => Some(start_grpc(&runtime, address, queries, events.clone())?),
        None => None,
    };

    let mut comet = binary.map(|binary| {
        let arguments = comet_arguments(home, args, &abci.address().to_string());
        Supervisor::new(binary, arguments, app_config.cometbft.max_restarts, events)
    });
    if let Some(comet) = &mut comet {
        comet.start()?;
    }
    disk.clone().watch(watching)?;
    let mut unanswered = false;
    let outcome = wait_for_the_end(&heard, comet.as_mut(), &engine, &disk, &mut unanswered);

    if let Some(comet) = &mut comet {
        // A child that waits for an answer which never comes cannot end in order; its log is synced at every step.
        let most = if unanswered { Duration::from_secs(1) } else { Duration::MAX };
        comet.stop(|patience| child_ended(&heard, patience.min(most)));
    }
    if let Some(stop) = stop_grpc {
        // The server may have failed by itself.
        let _ = stop.send(());
    }
    if !unanswered {
        abci.stop();
    }
    runtime.shutdown_timeout(Duration::from_secs(2));
    tracing::info!(height = engine.latest().block.height, "stopped");
    outcome
}

/// Returns when the node is to stop. A halt leaves one call `unanswered` for good: its thread cannot be joined.
fn wait_for_the_end(
    heard: &Receiver<Event>,
    mut comet: Option<&mut Supervisor>,
    engine: &Engine,
    disk: &Disk,
    unanswered: &mut bool,
) -> Result<(), Exit> {
    let mut restart_at: Option<Instant> = None;
    loop {
        let event = match restart_at {
            None => heard.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => heard.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match event {
            Ok(Event::Signal(name)) => {
                tracing::info!("{name}: stopping");
                return Ok(());
            }
            Ok(Event::Halt(halt)) => {
                *unanswered = true;
                return match halt {
                    Halt::AtHeight(_) => {
                        tracing::info!("{halt}: stopping");
                        Ok(())
                    }
                    Halt::Disk(_) => Err(Exit::new(exit::DISK, disk.explain(&halt.to_string()))),
                };
            }
            Ok(Event::Disk(full)) => return Err(Exit::new(exit::DISK, anyhow!(full))),
            Ok(Event::Failed(what)) => return Err(anyhow!(what).into()),
            Ok(Event::CometEnded(status)) => {
                engine.drop_candidates();
                let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                disk.check()
                    .map_err(|error| Exit::new(exit::DISK, error.context(format!("CometBFT ended ({how})"))))?;
                match comet.as_mut().and_then(|comet| comet.ended()) {
                    Some(wait) => {
                        tracing::error!(%how, ?wait, "CometBFT ended; queries stay up, starting it again");
                        restart_at = Some(Instant::now() + wait);
                    }
                    None => {
                        let error = anyhow!("CometBFT ended ({how}) and was started again too often");
                        return Err(Exit::new(exit::COMETBFT_KEEPS_DYING, error));
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                restart_at = None;
                if let Some(comet) = comet.as_mut() {
                    comet.start()?;
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Err(anyhow!("nobody is left to wait for").into()),
        }
    }
}

/// Waits for the child's end; false when it takes longer.
fn child_ended(heard: &Receiver<Event>, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        match heard.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Event::CometEnded(_)) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

fn open_engine(home: &Home, args: &StartArgs, config: &AppConfig, genesis: &Genesis) -> Result<Engine> {
    let prices = args.minimum_gas_prices.as_ref().unwrap_or(&config.minimum_gas_prices);
    let options = Options {
        min_gas_prices: prices.parse().map_err(|error| anyhow!("minimum gas prices {prices:?}: {error}"))?,
        halt_height: args.halt_height.unwrap_or(config.halt_height),
        min_retain_blocks: args.min_retain_blocks.unwrap_or(config.min_retain_blocks),
        snapshots: Some(SnapshotOptions {
            dir: home.snapshots(),
            interval: args.snapshot_interval.unwrap_or(config.state_sync.snapshot_interval),
            keep_recent: args.snapshot_keep_recent.unwrap_or(config.state_sync.snapshot_keep_recent),
        }),
    };
    let definition = modules::definition();
    let path = home.database();
    let kept = pruning::store_options(&args.pruning, config)?;
    let store =
        Store::open(&path, &definition.stores(), kept).with_context(|| format!("opening {}", path.display()))?;
    let engine = Engine::new(definition, store, options)?;
    let block = engine.latest().block.clone();
    anyhow::ensure!(
        block.height == 0 || block.chain_id == genesis.chain_id(),
        "the state is of chain {:?}, genesis.json of {:?}",
        block.chain_id,
        genesis.chain_id()
    );
    tracing::info!(chain_id = genesis.chain_id(), height = block.height, "state opened");
    Ok(engine)
}

fn grpc_address(args: &StartArgs, config: &AppConfig) -> Result<Option<SocketAddr>> {
    if !args.grpc_enable.unwrap_or(config.grpc.enable) {
        return Ok(None);
    }
    let address = args.grpc_address.as_ref().unwrap_or(&config.grpc.address);
    ports::parse(address).map(Some)
}

fn start_grpc(
    runtime: &Runtime,
    address: SocketAddr,
    queries: Queries,
    events: Sender<Event>,
) -> Result<oneshot::Sender<()>> {
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind(address))
        .with_context(|| format!("gRPC cannot listen on {address}"))?;
    tracing::info!(%address, "gRPC server listens");
    let (stop, stopped) = oneshot::channel();
    runtime.spawn(async move {
        let stopped = async {
            // A dropped sender means the same as a sent word.
            let _ = stopped.await;
        };
        let queries = Arc::new(services::GrpcQueries(queries));
        if let Err(error) = gantry_server::serve(listener, queries, stopped).await {
            let _ = events.send(Event::Failed(error.to_string()));
        }
    });
    Ok(stop)
}

fn listen_for_signals(runtime: &Runtime, events: Sender<Event>) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let _inside = runtime.enter();
    let mut term = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    runtime.spawn(async move {
        let name = tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        let _ = events.send(Event::Signal(name));
    });
    Ok(())
}

/// Logs to standard error. RUST_LOG wins over the flag; CometBFT's "module:level" lists mean nothing to us.
fn start_log(level: Option<&str>) {
    let level = level.and_then(|level| level.parse::<tracing::Level>().ok()).unwrap_or(tracing::Level::INFO);
    let filter = tracing_subscriber::EnvFilter::builder().with_default_directive(level.into()).from_env_lossy();
    // A second node in one process, as in tests, keeps the first one's log.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}

fn comet_arguments(home: &Home, args: &StartArgs, proxy_app: &str) -> Vec<String> {
    let mut arguments = vec![
        "start".to_owned(),
        "--home".to_owned(),
        home.path().display().to_string(),
        "--proxy_app".to_owned(),
        proxy_app.to_owned(),
    ];
    for (flag, value) in
        [("--log_level", &args.log_level), ("--rpc.laddr", &args.rpc_laddr), ("--p2p.laddr", &args.p2p_laddr)]
    {
        if let Some(value) = value {
            arguments.extend([flag.to_owned(), value.clone()]);
        }
    }
    arguments
}
