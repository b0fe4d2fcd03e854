//! What a front end needs of a node.

use std::collections::BTreeSet;

use gantry_core::Status;

/// The answer to a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The height that it was read at; never 0.
    pub height: u64,
    /// The encoded response.
    pub bytes: Vec<u8>,
}

/// The node's query router over its snapshots.
pub trait Queries: Send + Sync + 'static {
    /// Whether a gRPC path (`/package.Service/Method`) is served.
    fn knows(&self, path: &str) -> bool;

    /// All served paths.
    fn paths(&self) -> Vec<&'static str>;

    /// Answers the encoded `request` at `height`; 0 is the latest. Blocks.
    ///
    /// # Errors
    /// The handler's status, or `InvalidArgument` for a height that is not available.
    fn query(&self, path: &str, height: u64, request: &[u8]) -> Result<Answer, Status>;

    /// The services of the served paths, each once.
    fn services(&self) -> BTreeSet<&'static str> {
        self.paths()
            .into_iter()
            .filter_map(|path| path.strip_prefix('/')?.split_once('/'))
            .map(|(service, _method)| service)
            .collect()
    }
}
