use tendermint_proto::v0_38::abci::{RequestListSnapshots, ResponseListSnapshots};

use crate::engine::{Engine, to_abci};

/// The snapshots that peers may join with.
pub(crate) fn list_snapshots(engine: &Engine, request: RequestListSnapshots) -> ResponseListSnapshots {
    let RequestListSnapshots {} = request;
    ResponseListSnapshots { snapshots: engine.snapshots().into_iter().map(to_abci).collect() }
}
