use tendermint_proto::v0_38::abci::{
    RequestApplySnapshotChunk, ResponseApplySnapshotChunk, response_apply_snapshot_chunk::Result as Verdict,
};

/// No snapshot was ever accepted, so a chunk belongs to none: the sync is aborted.
pub(crate) fn apply_snapshot_chunk(request: RequestApplySnapshotChunk) -> ResponseApplySnapshotChunk {
    let RequestApplySnapshotChunk { index: _, chunk: _, sender: _ } = request;
    ResponseApplySnapshotChunk { result: Verdict::Abort.into(), refetch_chunks: Vec::new(), reject_senders: Vec::new() }
}
