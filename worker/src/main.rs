//! `gantry-worker`: see `gantry-worker help`.

mod cli;

use std::{io::IsTerminal, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use gantry_client::{Chain, Endpoints, GasPrice, Sender};
use gantry_keyring::{Ask, Backend, Keyring};
use gantry_worker::{NodePort, Options, UploadPolicy, executor::WasmExecutor, work};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

use crate::cli::{Command, Start, StatusArgs};

/// Longest that disk work may take after the end.
const SHUTDOWN: Duration = Duration::from_secs(2);
/// Waits between attempts to reach the node: the first and the longest.
const CONNECT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// Part of the store that one upload may fill.
const UPLOAD_PART: u64 = 4;

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match command {
            Command::Start(start) => run(*start).await,
            Command::Status(args) => status(args).await,
        }
    });
    runtime.shutdown_timeout(SHUTDOWN);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(start: Start) -> Result<()> {
    let filter = EnvFilter::try_new(&start.log_level).context("--log-level")?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone())?);

    let listener = TcpListener::bind(&start.listen).await.with_context(|| format!("listening on {}", start.listen))?;
    // With port 0 the system chose one.
    let listen = listener.local_addr()?;
    let signer = keyring(&start)?.signer(&start.from).with_context(|| format!("key {}", start.from))?;
    let address = signer.info.address.clone();
    info!(version = env!("CARGO_PKG_VERSION"), %listen, address, home = %start.home.display(), "starting");

    let endpoints = Endpoints { rpc: start.rpc.clone(), grpc: start.grpc.clone() };
    let Some(chain) = connect(endpoints, &stop).await else { return Ok(()) };
    let gas_price = GasPrice { denom: start.gas_price.denom.clone(), per_million: start.gas_price.amount };
    let port = Arc::new(NodePort::new(Sender::new(chain, signer, gas_price)));
    let executor = WasmExecutor::new(Some(start.home.join("modules"))).context("wasm executor")?;
    let result = work(options(start, listen.to_string()), port, address, Arc::new(executor), listener, stop).await;
    match &result {
        Ok(()) => info!("stopped"),
        Err(error) => error!("{error:#}"),
    }
    result
}

fn options(start: Start, listen: String) -> Options {
    Options {
        public_endpoint: start.public_endpoint.unwrap_or_else(|| format!("http://{listen}")),
        moniker: start.moniker.unwrap_or(start.from),
        home: start.home,
        bond: start.bond,
        ask: start.ask,
        capacity: start.capacity,
        quota: start.quota,
        uploads: UploadPolicy { max_bytes: start.quota / UPLOAD_PART, keep_blocks: start.upload_blocks },
        keep_blocks: start.keep_blocks,
        poll: Duration::from_millis(start.poll_ms),
        patience: Duration::from_secs(start.patience_seconds),
        #[cfg(feature = "demo")]
        misbehave: start.misbehave,
    }
}

fn stop_on_signal(stop: CancellationToken) -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("stopping");
        stop.cancel();
    })
}

fn keyring(start: &Start) -> Result<Keyring> {
    let backend: Backend = start.keyring_backend.parse()?;
    let dir = start.keyring_dir.clone().unwrap_or_else(|| start.home.clone());
    Ok(Keyring::open(
        backend,
        &dir,
        Box::new(|ask| {
            // A service has no terminal.
            if let Ok(passphrase) = std::env::var("GANTRY_WORKER_PASSPHRASE") {
                return Ok(passphrase.into());
            }
            let prompt = match ask {
                Ask::Existing => "Passphrase of the keyring: ",
                Ask::New => "New passphrase of the keyring: ",
            };
            rpassword::prompt_password(prompt).map(Into::into)
        }),
    ))
}

/// Connects, as often as it takes; `None` when told to stop meanwhile.
async fn connect(endpoints: Endpoints, stop: &CancellationToken) -> Option<Chain> {
    let mut wait = CONNECT.0;
    loop {
        tokio::select! {
            connected = Chain::connect(endpoints.clone()) => match connected {
                Ok(chain) => {
                    info!(chain = chain.chain_id(), "connected");
                    return Some(chain);
                }
                Err(error) => warn!(%error, "cannot connect yet"),
            },
            () = stop.cancelled() => return None,
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(CONNECT.1),
            () = stop.cancelled() => return None,
        }
    }
}

/// Asks the worker at the endpoint, and prints the journal where no worker has it open.
async fn status(args: StatusArgs) -> Result<()> {
    use gantry_proto::gantry::worker::v1::{InfoRequest, worker_client::WorkerClient};
    use gantry_worker::journal::{Journal, JournalError};
    use tonic::transport::Channel;

    let channel = Channel::from_shared(args.endpoint.clone()).context("--endpoint")?.connect().await;
    let info = match channel {
        Ok(channel) => Some(WorkerClient::new(channel).info(InfoRequest {}).await?.into_inner()),
        Err(_) => None,
    };
    let path = args.home.join("journal.redb");
    let records = match path.exists().then(|| Journal::open(&path)).transpose() {
        Ok(journal) => journal.map(|j| j.all()).transpose()?.unwrap_or_default(),
        // The worker that was asked has it.
        Err(JournalError::Locked(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    cli::print_status(&args, info, &records)
}
