use tendermint_proto::v0_38::abci::{RequestLoadSnapshotChunk, ResponseLoadSnapshotChunk};

use crate::engine::Engine;

/// A chunk for a peer that joins. An empty one tells it that there is none.
pub(crate) fn load_snapshot_chunk(engine: &Engine, request: RequestLoadSnapshotChunk) -> ResponseLoadSnapshotChunk {
    let RequestLoadSnapshotChunk { height, format, chunk } = request;
    let chunk = engine.snapshot_chunk(height, format, chunk).unwrap_or_default();
    ResponseLoadSnapshotChunk { chunk: chunk.into() }
}
