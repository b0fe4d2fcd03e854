//! What a worker serves: `gantry.worker.v1.Worker`, `gantry.content.v1.Blocks`, health and reflection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use gantry_content::{BlockStore, BlocksService, ServiceLimits};
use gantry_proto::gantry::{
    content::v1::blocks_server::BlocksServer,
    worker::v1::{
        InfoRequest, InfoResponse, LogsRequest, LogsResponse,
        worker_server::{Worker, WorkerServer},
    },
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, transport::Server};

use crate::{
    Key,
    gate::{Door, Gate, NotRenter},
    logs::Logs,
    renters::Renters,
};

/// Bytes of log in one message.
const LOG_PIECE: usize = 64 << 10;
/// A follower that takes nothing for this long is dropped.
const LOG_STALL: Duration = Duration::from_secs(60);
/// Calls at once on one connection.
const CALLS_PER_CONNECTION: u32 = 128;

/// What the services share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    /// Who may see what.
    pub(crate) gate: Arc<Gate>,
    /// Logs of runs.
    pub(crate) logs: Logs,
    /// Whose assignments are which.
    pub(crate) renters: Renters,
    /// Blocks.
    pub(crate) store: BlockStore,
    /// Runs under way.
    pub(crate) running: Arc<AtomicU32>,
    /// What the worker says of itself.
    pub(crate) about: Arc<About>,
}

/// What the worker says of itself.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// Its name.
    pub(crate) moniker: String,
    /// Ids of the classes that it offers.
    pub(crate) classes: Vec<String>,
    /// Runs at once.
    pub(crate) capacity: u32,
}

/// Serves until stopped.
///
/// # Errors
/// Those of the listener, and of services that cannot be described.
pub(crate) async fn serve(listener: TcpListener, shared: Shared, stop: CancellationToken) -> anyhow::Result<()> {
    let blocks = BlocksService::new(shared.store.clone(), Door(Arc::clone(&shared.gate)), ServiceLimits::default());
    let (health, health_service) = tonic_health::server::health_reporter();
    let mut health = health;
    health.set_serving::<WorkerServer<WorkerService>>().await;
    health.set_serving::<BlocksServer<BlocksService<Door>>>().await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(gantry_proto::DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("gantry.worker.v1.Worker")
            .with_service_name("gantry.content.v1.Blocks")
            .with_service_name("grpc.health.v1.Health")
    };
    Server::builder()
        .concurrency_limit_per_connection(CALLS_PER_CONNECTION as usize)
        .max_concurrent_streams(CALLS_PER_CONNECTION)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(blocks.into_server())
        .add_service(WorkerServer::new(WorkerService { shared }).max_decoding_message_size(64 << 10))
        .serve_with_incoming_shutdown(gantry_net::incoming(listener), stop.cancelled_owned())
        .await?;
    Ok(())
}

/// `gantry.worker.v1.Worker`.
#[derive(Debug)]
pub(crate) struct WorkerService {
    shared: Shared,
}

#[tonic::async_trait]
impl Worker for WorkerService {
    async fn info(&self, _: Request<InfoRequest>) -> Result<Response<InfoResponse>, Status> {
        let Shared { gate, about, running, .. } = &self.shared;
        Ok(Response::new(InfoResponse {
            provider_id: gate.provider(),
            moniker: about.moniker.clone(),
            chain_id: gate.chain_id().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            classes: about.classes.clone(),
            running: running.load(Ordering::Relaxed),
            capacity: about.capacity,
            height: gate.height(),
        }))
    }

    type LogsStream = ReceiverStream<Result<LogsResponse, Status>>;

    async fn logs(&self, request: Request<LogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
        let LogsRequest { job_id, attempt, offset, follow } = *request.get_ref();
        let (key, renter) = self
            .shared
            .renters
            .find(job_id, attempt)
            .ok_or_else(|| Status::not_found(format!("job {job_id} is not known to this worker")))?;
        self.shared.gate.check_renter(request.metadata(), job_id, &renter).map_err(|e| match e {
            NotRenter::Anonymous => Status::unauthenticated(e.to_string()),
            NotRenter::BadToken(_) | NotRenter::Other => Status::permission_denied(e.to_string()),
        })?;
        let (sender, receiver) = mpsc::channel(4);
        let logs = self.shared.logs.clone();
        tokio::spawn(async move {
            // Nothing is left to tell when the caller is gone.
            let _ = send_log(logs, key, offset, follow, sender).await;
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// Sends a log from an offset on: what there is, and with `follow` what comes.
async fn send_log(
    logs: Logs,
    key: Key,
    mut offset: u64,
    follow: bool,
    sender: mpsc::Sender<Result<LogsResponse, Status>>,
) -> Result<(), mpsc::error::SendTimeoutError<Result<LogsResponse, Status>>> {
    let mut extents = logs.extent(key);
    loop {
        let extent = *extents.borrow_and_update();
        while offset < extent.len {
            let reader = logs.clone();
            let piece = tokio::task::spawn_blocking(move || reader.read(key, offset, LOG_PIECE)).await;
            let data = match piece {
                Ok(Ok(data)) if !data.is_empty() => data,
                _ => {
                    let failed = Status::internal("the log cannot be read");
                    return sender.send_timeout(Err(failed), LOG_STALL).await;
                }
            };
            let at = offset;
            offset += data.len() as u64;
            sender.send_timeout(Ok(LogsResponse { offset: at, data, end: false }), LOG_STALL).await?;
        }
        if extent.ended || !follow {
            let last = LogsResponse { offset, data: Vec::new(), end: extent.ended };
            return sender.send_timeout(Ok(last), LOG_STALL).await;
        }
        tokio::select! {
            changed = extents.changed() => if changed.is_err() {
                extents = logs.extent(key);
            },
            () = sender.closed() => return Ok(()),
        }
    }
}
