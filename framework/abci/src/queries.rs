//! Queries: one router over committed states, for every front end.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use cosmos_sdk_proto::cosmos::base::abci::v1beta1::{GasInfo, Result as SdkResult, SimulationResponse, TxMsgData};
use gantry_core::{Code, Error, Event, QueryCtx, QueryRoute, QueryRouter, Status};
use gantry_tx::TxResult;
use prost::Message;

use crate::engine::{Engine, View};

/// The query router of an application over its engine. Cheap to clone.
#[derive(Clone)]
pub struct Queries {
    engine: Engine,
    router: Arc<QueryRouter>,
}

impl Queries {
    /// The routes of the modules and of the application's own services.
    ///
    /// # Panics
    /// When two routes have one path.
    #[must_use]
    pub fn new(engine: Engine, services: impl IntoIterator<Item = QueryRoute>) -> Self {
        let router = QueryRouter::new(engine.module_queries().into_iter().chain(services));
        Self { engine, router: Arc::new(router) }
    }

    /// The engine whose states are read.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether a gRPC path is served.
    #[must_use]
    pub fn knows(&self, path: &str) -> bool {
        self.router.knows(path)
    }

    /// All gRPC paths, ascending.
    pub fn paths(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.router.paths()
    }

    /// Answers the encoded `request` at a height (0: latest) and says at which height.
    ///
    /// # Errors
    /// The handler's status, or `InvalidArgument` for a height that is not available.
    pub fn answer(&self, path: &str, height: u64, request: &[u8]) -> Result<(u64, Vec<u8>), Status> {
        let view = self.engine.view(height)?;
        Ok((view.block.height, self.call(&view, path, request)?))
    }

    pub(crate) fn call(&self, view: &View, path: &str, request: &[u8]) -> Result<Vec<u8>, Status> {
        // A query cannot write, so a panic in one is its caller's alone: no reason to end the node.
        catch_unwind(AssertUnwindSafe(|| self.router.call(&QueryCtx::new(&view.state, &view.block), path, request)))
            .unwrap_or_else(|_| Err(Status::new(Code::Internal, "the query panicked")))
    }
}

impl std::fmt::Debug for Queries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queries").field("engine", &self.engine).finish_non_exhaustive()
    }
}

/// What a transaction would do.
#[derive(Debug)]
pub struct Simulation(TxResult);

impl Simulation {
    pub(crate) fn new(result: TxResult) -> Self {
        Self(result)
    }

    /// As `cosmos.tx.v1beta1.Service/Simulate` answers.
    ///
    /// # Errors
    /// What the transaction does wrong, with its code; the text is the SDK's `<error> with gas used: 'N'`.
    pub fn into_proto(self) -> Result<SimulationResponse, Error> {
        let result = self.0;
        if result.code != 0 {
            let log = format!("{} with gas used: '{}'", result.log, result.gas_used);
            return Err(Error::user(result.codespace, result.code, log));
        }
        Ok(SimulationResponse {
            gas_info: Some(GasInfo { gas_wanted: result.gas_wanted, gas_used: result.gas_used }),
            result: Some(SdkResult {
                events: result.events.into_iter().map(Event::into_abci).collect(),
                msg_responses: TxMsgData::decode(result.data.as_slice())
                    .map_err(|error| Error::fatal(error.to_string()))?
                    .msg_responses,
                ..SdkResult::default()
            }),
        })
    }
}
