//! The engine as an ABCI application: request to method to response.

use std::{process, sync::Arc, thread, time::Duration};

use prost::Message;
use tendermint_proto::v0_38::abci::{
    CheckTxType, ResponseFinalizeBlock, request::Value as Request, response::Value as Response,
};

use crate::{
    engine::Engine,
    method,
    queries::Queries,
    server::{Answer, Application},
    stop::{Halt, Stop},
};

/// What to do on a planned halt: ask the node to stop. The call that met it is never answered.
type OnHalt = Arc<dyn Fn(Halt) + Send + Sync>;

/// The engine behind the socket server. A fatal stop aborts the process; a planned one calls the node.
#[derive(Clone)]
pub struct AbciApp {
    queries: Queries,
    on_halt: OnHalt,
}

impl AbciApp {
    /// An application over an engine and its queries.
    pub fn new(queries: Queries, on_halt: impl Fn(Halt) + Send + Sync + 'static) -> Self {
        Self { queries, on_halt: Arc::new(on_halt) }
    }
}

impl Application for AbciApp {
    /// Decodes new transactions and verifies their signatures on all cores: the serial CheckTx then finds them done.
    fn look_ahead(&self, requests: &[Request]) {
        let new = requests.iter().filter_map(|request| match request {
            Request::CheckTx(request) if request.r#type == CheckTxType::New as i32 => Some(&request.tx),
            _ => None,
        });
        self.queries.engine().check_ahead(new.collect());
    }

    fn answer(&self, request: Request) -> Response {
        self.or_stop(call(&self.queries, request))
    }

    fn respond(&self, request: Request) -> Answer {
        match request {
            Request::FinalizeBlock(request) => {
                Answer::FinalizeBlock(self.or_stop(method::finalize_block(self.queries.engine(), request)))
            }
            other => Answer::Value(self.answer(other)),
        }
    }
}

impl AbciApp {
    fn or_stop<T>(&self, outcome: Result<T, Stop>) -> T {
        match outcome {
            Ok(response) => response,
            Err(Stop::Planned(halt)) => {
                (self.on_halt)(halt);
                // The node is stopping; an answer would move CometBFT past the halt.
                loop {
                    thread::park_timeout(Duration::from_secs(3600));
                }
            }
            Err(Stop::Fatal(fatal)) => {
                tracing::error!("{fatal}; the process aborts, nothing of this block is committed");
                process::abort()
            }
        }
    }
}

/// Calls the method of a request.
///
/// # Errors
/// When the node must stop instead of answering.
pub fn call(queries: &Queries, request: Request) -> Result<Response, Stop> {
    let engine: &Engine = queries.engine();
    Ok(match request {
        Request::Echo(r) => Response::Echo(method::echo(r)),
        Request::Flush(r) => Response::Flush(method::flush(r)),
        Request::Info(r) => Response::Info(method::info(engine, r)?),
        Request::InitChain(r) => Response::InitChain(method::init_chain(engine, r)?),
        Request::Query(r) => Response::Query(method::query(queries, r)),
        Request::CheckTx(r) => Response::CheckTx(method::check_tx(engine, r)?),
        Request::PrepareProposal(r) => Response::PrepareProposal(method::prepare_proposal(engine, r)?),
        Request::ProcessProposal(r) => Response::ProcessProposal(method::process_proposal(engine, r)?),
        Request::ExtendVote(r) => Response::ExtendVote(method::extend_vote(r)),
        Request::VerifyVoteExtension(r) => Response::VerifyVoteExtension(method::verify_vote_extension(r)),
        Request::FinalizeBlock(r) => {
            let response = ResponseFinalizeBlock::decode(method::finalize_block(engine, r)?);
            Response::FinalizeBlock(response.map_err(|error| Stop::fatal(error.to_string()))?)
        }
        Request::Commit(r) => Response::Commit(method::commit(engine, r)?),
        Request::ListSnapshots(r) => Response::ListSnapshots(method::list_snapshots(engine, r)),
        Request::OfferSnapshot(r) => Response::OfferSnapshot(method::offer_snapshot(engine, r)?),
        Request::LoadSnapshotChunk(r) => Response::LoadSnapshotChunk(method::load_snapshot_chunk(engine, r)),
        Request::ApplySnapshotChunk(r) => Response::ApplySnapshotChunk(method::apply_snapshot_chunk(engine, r)?),
    })
}

impl std::fmt::Debug for AbciApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AbciApp").field("queries", &self.queries).finish_non_exhaustive()
    }
}
