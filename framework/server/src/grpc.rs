//! gRPC for every route of the query router, with reflection (v1 and v1alpha) and health.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use gantry_core::{Code, Status};
use prost_reflect::DescriptorError;
use tokio::{net::TcpListener, sync::Semaphore};
use tonic::{
    Request, Response,
    body::BoxBody,
    codegen::{Body, StdError},
    server::{Grpc, UnaryService},
    service::Routes,
    transport::Server,
};

use crate::{
    Queries,
    codec::BytesCodec,
    reflection::{Reflection, v1, v1alpha},
};

/// Metadata that selects the height of a query, and tells the height of its answer.
pub const HEIGHT_HEADER: &str = "x-cosmos-block-height";

/// Largest request read, as the SDK's `max-recv-msg-size`.
const MAX_REQUEST_BYTES: usize = 10 * 1024 * 1024;

/// Queries answered at once; more wait, so that a flood of them cannot take every thread and all memory.
const MAX_CONCURRENT_QUERIES: usize = 64;

/// Why the server could not start or go on.
#[derive(Debug)]
pub enum GrpcError {
    /// The descriptor set is damaged.
    Reflection(DescriptorError),
    /// The listener failed.
    Transport(tonic::transport::Error),
}

impl std::fmt::Display for GrpcError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reflection(error) => write!(f, "gRPC reflection: {error}"),
            Self::Transport(error) => write!(f, "gRPC server: {error}"),
        }
    }
}

impl std::error::Error for GrpcError {}

/// Serves `queries` on `listener` until `shutdown` completes; open calls are answered first.
///
/// Reflection lists exactly the services that have a route, plus reflection and health themselves.
///
/// # Errors
/// When the descriptor set cannot be read or the listener fails.
pub async fn serve(
    listener: TcpListener,
    queries: Arc<dyn Queries>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), GrpcError> {
    let (mut reporter, health) = tonic_health::server::health_reporter();
    let services = queries.services();
    for service in &services {
        reporter.set_service_status(*service, tonic_health::ServingStatus::Serving).await;
    }
    let reflection = described(&services).map_err(GrpcError::Reflection)?;
    let router = Routes::new(health)
        .add_service(v1::ServerReflectionServer::new(reflection.clone()))
        .add_service(v1alpha::ServerReflectionServer::new(reflection))
        .into_axum_router()
        .fallback_service(Passthrough { queries, slots: Arc::new(Semaphore::new(MAX_CONCURRENT_QUERIES)) });
    Server::builder()
        .add_routes(Routes::from(router))
        .serve_with_incoming_shutdown(gantry_net::incoming(listener), shutdown)
        .await
        .map_err(GrpcError::Transport)
}

/// Everything that is served, and the services that serve it.
fn described(services: &BTreeSet<&'static str>) -> Result<Reflection, DescriptorError> {
    let sets = [
        gantry_proto::DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        // Each version describes the other too, because a client asks one of them about both.
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let own =
        ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];
    Reflection::new(&sets, services.iter().copied().chain(own))
}

/// Takes the raw message of any path.
#[derive(Clone)]
struct Passthrough {
    queries: Arc<dyn Queries>,
    slots: Arc<Semaphore>,
}

type Answering<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl<B> tower::Service<http::Request<B>> for Passthrough
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send,
{
    type Response = http::Response<BoxBody>;
    type Error = Infallible;
    type Future = Answering<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let path = request.uri().path().to_owned();
        let Self { queries, slots } = self.clone();
        Box::pin(async move {
            if !queries.knows(&path) {
                return Ok(unknown_path(&path).into_http());
            }
            Ok(Grpc::new(BytesCodec)
                .max_decoding_message_size(MAX_REQUEST_BYTES)
                .unary(Method { queries, slots, path }, request)
                .await)
        })
    }
}

/// In the words of grpc-go.
fn unknown_path(path: &str) -> tonic::Status {
    match path.trim_start_matches('/').split_once('/') {
        Some((service, method)) => {
            tonic::Status::unimplemented(format!("unknown method {method} for service {service}"))
        }
        None => tonic::Status::unimplemented(format!("malformed method name: {path:?}")),
    }
}

/// One call.
#[derive(Clone)]
struct Method {
    queries: Arc<dyn Queries>,
    slots: Arc<Semaphore>,
    path: String,
}

impl UnaryService<Bytes> for Method {
    type Response = Bytes;
    type Future = Answering<Response<Bytes>, tonic::Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let Self { queries, slots, path } = self.clone();
        Box::pin(async move {
            let height = requested_height(&request)?;
            let request = request.into_inner();
            let slot = slots.acquire_owned().await.map_err(|_| tonic::Status::unavailable("the node is stopping"))?;
            let answer = tokio::task::spawn_blocking(move || {
                let answer = queries.query(&path, height, &request);
                drop(slot);
                answer
            })
            .await
            // A query cannot touch the state, so a panic in one costs that caller alone.
            .map_err(|_| tonic::Status::internal("the query panicked"))?
            .map_err(status)?;
            let mut response = Response::new(Bytes::from(answer.bytes));
            response.metadata_mut().insert(HEIGHT_HEADER, answer.height.into());
            Ok(response)
        })
    }
}

/// The height of the metadata; 0, or none, is the latest.
#[expect(clippy::result_large_err, reason = "tonic gives errors this size")]
fn requested_height<T>(request: &Request<T>) -> Result<u64, tonic::Status> {
    let Some(value) = request.metadata().get(HEIGHT_HEADER) else { return Ok(0) };
    value.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
        tonic::Status::invalid_argument(format!(
            "invalid height header {value:?}: a height is a number from 0 on: invalid request"
        ))
    })
}

fn status(status: Status) -> tonic::Status {
    let code = match status.code {
        Code::Unknown => tonic::Code::Unknown,
        Code::InvalidArgument => tonic::Code::InvalidArgument,
        Code::NotFound => tonic::Code::NotFound,
        Code::FailedPrecondition => tonic::Code::FailedPrecondition,
        Code::Unimplemented => tonic::Code::Unimplemented,
        Code::Internal => tonic::Code::Internal,
        Code::Unavailable => tonic::Code::Unavailable,
    };
    tonic::Status::new(code, status.message)
}
