//! Queries that no module answers: about transactions, blocks and the node. Those that need CometBFT ask its RPC, never
//! one of its ABCI calls, so that a query inside ABCI cannot wait for itself.

mod comet;
mod node;
mod tendermint;
mod tx;

use anyhow::Result;
use cosmos_sdk_proto::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use gantry_abci::{Engine, Queries};
use gantry_core::{Status, page_request};
use gantry_store::DEFAULT_LIMIT;
use tokio::runtime::Handle;

use comet::Comet;

/// The query router of a node: the modules' queries and these services.
///
/// # Errors
/// When `comet_url` is no URL.
pub(crate) fn queries(engine: &Engine, comet_url: &str, runtime: &Handle) -> Result<Queries> {
    let comet = Comet::new(comet_url, runtime)?;
    let routes = [tx::routes(engine, &comet), tendermint::routes(engine, &comet), node::routes(engine)];
    Ok(Queries::new(engine.clone(), routes.into_iter().flatten()))
}

/// A page of a list that is at hand whole, by offset: such lists have no keys to go on from.
fn page<T>(items: Vec<T>, request: Option<PageRequest>) -> (Vec<T>, PageResponse) {
    let request = page_request(request);
    let total = items.len() as u64;
    let limit = if request.limit == 0 { DEFAULT_LIMIT } else { request.limit };
    let bounded = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let shown = items.into_iter().skip(bounded(request.offset)).take(bounded(limit)).collect();
    (shown, PageResponse { next_key: Vec::new(), total })
}

/// The router as the gRPC server sees it.
#[derive(Debug)]
pub(crate) struct GrpcQueries(pub(crate) Queries);

impl gantry_server::Queries for GrpcQueries {
    fn knows(&self, path: &str) -> bool {
        self.0.knows(path)
    }

    fn paths(&self) -> Vec<&'static str> {
        self.0.paths().collect()
    }

    fn query(&self, path: &str, height: u64, request: &[u8]) -> Result<gantry_server::Answer, Status> {
        let (height, bytes) = self.0.answer(path, height, request)?;
        Ok(gantry_server::Answer { height, bytes })
    }
}
