use tendermint_proto::v0_38::abci::{RequestLoadSnapshotChunk, ResponseLoadSnapshotChunk};

/// There are no snapshots, so there is no chunk: an empty one tells the peer that it is missing.
pub(crate) fn load_snapshot_chunk(request: RequestLoadSnapshotChunk) -> ResponseLoadSnapshotChunk {
    let RequestLoadSnapshotChunk { height: _, format: _, chunk: _ } = request;
    ResponseLoadSnapshotChunk { chunk: bytes::Bytes::new() }
}
