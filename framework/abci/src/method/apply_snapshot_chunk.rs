use tendermint_proto::v0_38::abci::{
    RequestApplySnapshotChunk, ResponseApplySnapshotChunk, response_apply_snapshot_chunk::Result as Verdict,
};

use crate::{
    engine::{Applied, Engine},
    stop::Stop,
};

/// A chunk of the accepted snapshot. One that is not what the snapshot names is fetched again, from anybody but who
/// sent it; one that is, and does not belong to the state, ends the snapshot.
pub(crate) fn apply_snapshot_chunk(
    engine: &Engine,
    request: RequestApplySnapshotChunk,
) -> Result<ResponseApplySnapshotChunk, Stop> {
    let RequestApplySnapshotChunk { index, chunk, sender } = request;
    let applied = engine.apply_chunk(index, &chunk)?;
    let (result, refetch) = match applied {
        Applied::Accept => (Verdict::Accept, false),
        Applied::Retry => (Verdict::Retry, true),
        Applied::RejectSnapshot => (Verdict::RejectSnapshot, false),
        Applied::Abort => (Verdict::Abort, false),
    };
    let bad = matches!(applied, Applied::Retry | Applied::RejectSnapshot) && !sender.is_empty();
    Ok(ResponseApplySnapshotChunk {
        result: result.into(),
        refetch_chunks: if refetch { vec![index] } else { Vec::new() },
        reject_senders: if bad { vec![sender] } else { Vec::new() },
    })
}
