//! A node's RPC: gRPC methods through ABCI Query, and CometBFT's own methods.

use std::future::Future;

use anyhow::{Context, Result, anyhow, bail};
use prost::Message;
use serde::{Deserialize, Serialize};
use tendermint::block::Height;
use tendermint_rpc::{
    Client as _, HttpClient, Method, Request, Response, SimpleRequest, dialect::Dialect, request::RequestMessage,
};

/// A node to ask.
pub(super) struct Node {
    pub(super) rpc: HttpClient,
    url: String,
}

impl Node {
    /// The node at `tcp://HOST:PORT` (or `http`, `https`); nothing is sent yet.
    pub(super) fn connect(url: &str) -> Result<Self> {
        let http = match url.split_once("://") {
            Some(("tcp", rest)) => format!("http://{rest}"),
            Some(_) => url.to_owned(),
            None => format!("http://{url}"),
        };
        let rpc = HttpClient::new(http.as_str()).map_err(|error| anyhow!("--node {url}: {}", error.detail()))?;
        Ok(Self { rpc, url: url.to_owned() })
    }

    /// Calls the gRPC method at `path` with an encoded request, at a height or (0) the latest.
    pub(super) async fn query(&self, path: &str, request: Vec<u8>, height: u64) -> Result<Vec<u8>> {
        let height = (height > 0).then(|| Height::try_from(height)).transpose().context("--height")?;
        let response = self.rpc.abci_query(Some(path.to_owned()), request, height, false).await;
        let response = answer(&self.url, response)?;
        if response.code.is_err() {
            bail!("{}", response.log);
        }
        Ok(response.value)
    }

    /// The answer to one of CometBFT's methods as it stands, so that nothing is lost on the way through typed structures.
    pub(super) async fn json<R: RequestMessage + Send>(&self, request: R) -> Result<serde_json::Value> {
        let result = self.rpc.perform(Raw(request)).await;
        answer(&self.url, result).map(|Json(value)| value)
    }

    /// A gRPC method with types, at the latest height.
    pub(super) async fn call<R: Message + Default>(&self, path: &str, request: &impl Message) -> Result<R> {
        let value = self.query(path, request.encode_to_vec(), 0).await?;
        R::decode(value.as_slice()).with_context(|| format!("the node's answer to {path}"))
    }
}

/// A request of CometBFT's whose answer is not read into its own type.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Raw<R>(R);

/// Any answer.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Json(serde_json::Value);

impl Response for Json {}

impl<R: RequestMessage> RequestMessage for Raw<R> {
    fn method(&self) -> Method {
        self.0.method()
    }
}

impl<R: RequestMessage + Send, S: Dialect> Request<S> for Raw<R> {
    type Response = Json;
}

impl<R: RequestMessage + Send, S: Dialect> SimpleRequest<S> for Raw<R> {
    type Output = Json;
}

/// The answer of an RPC method, or the error in the words of the SDK's client.
pub(super) fn answer<T>(url: &str, result: Result<T, tendermint_rpc::Error>) -> Result<T> {
    use tendermint_rpc::error::ErrorDetail;
    result.map_err(|error| match error.detail() {
        ErrorDetail::Response(response) => {
            let error = &response.source;
            let data = error.data().map(|data| format!(": {data}")).unwrap_or_default();
            anyhow!("RPC error {} - {}{data}", error.code().value(), error.message())
        }
        ErrorDetail::Http(_) => anyhow!("post failed: Post {url:?}: {}", root_cause(&error)),
        other => anyhow!("{url}: {other}"),
    })
}

/// The last of an error's causes: HTTP clients bury the operating system's words.
fn root_cause(error: &tendermint_rpc::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Runs a command that talks to a node.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
