//! A node's RPC: gRPC methods through ABCI Query, and CometBFT's own methods.

use std::future::Future;

use anyhow::{Context, Result, anyhow, bail};
use prost::Message;
use tendermint::block::Height;
use tendermint_rpc::{Client as _, HttpClient};

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

    /// The same with types, at the latest height.
    pub(super) async fn call<R: Message + Default>(&self, path: &str, request: &impl Message) -> Result<R> {
        let value = self.query(path, request.encode_to_vec(), 0).await?;
        R::decode(value.as_slice()).with_context(|| format!("the node's answer to {path}"))
    }
}

/// The answer of an RPC method, or the error in the SDK's words.
pub(super) fn answer<T>(url: &str, result: Result<T, tendermint_rpc::Error>) -> Result<T> {
    use tendermint_rpc::error::ErrorDetail;
    result.map_err(|error| match error.detail() {
        ErrorDetail::Response(response) => anyhow!("{}", response.source),
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
