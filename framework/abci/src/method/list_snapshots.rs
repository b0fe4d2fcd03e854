use tendermint_proto::v0_38::abci::{RequestListSnapshots, ResponseListSnapshots};

/// None are taken yet: peers that join sync block by block.
pub(crate) fn list_snapshots(request: RequestListSnapshots) -> ResponseListSnapshots {
    let RequestListSnapshots {} = request;
    ResponseListSnapshots { snapshots: Vec::new() }
}
