use gantry_store::fail;
use tendermint_proto::v0_38::abci::{RequestCommit, ResponseCommit};

use crate::{engine::Engine, stop::Stop};

/// Writes the executed block in one atomic, synced batch; then queries and the mempool see it.
pub(crate) fn commit(engine: &Engine, request: RequestCommit) -> Result<ResponseCommit, Stop> {
    let RequestCommit {} = request;
    fail::point("commit: asked");
    let mut consensus = engine.consensus();
    let height = consensus.phase.commit()?;
    let executed = consensus
        .executed
        .take()
        .ok_or_else(|| Stop::fatal(format!("height {height} was executed and its result is gone")))?;
    let parts = engine.parts();
    // The record of the block is a row of the state, so nothing has to stand beside it.
    parts.store.commit(executed.candidate, &[])?;
    fail::point("commit: stored");
    consensus.genesis = None;
    consensus.candidates.clear();
    let view = parts.latest_view()?;
    if view.block.height != height || view.app_hash != executed.app_hash {
        return Err(Stop::fatal(format!("committed height {height}, but the store is at {}", view.block.height)));
    }
    engine.publish(view);
    fail::point("commit: published");
    // 0 keeps all blocks: CometBFT replays from them when the application is behind.
    Ok(ResponseCommit { retain_height: 0 })
}
