use bytes::Bytes;
use gantry_store::fail;
use tendermint_proto::v0_38::abci::RequestFinalizeBlock;

use super::height;
use crate::{engine::Engine, stop::Stop};

/// The decided block: takes the result of its execution, or executes it now. Writes nothing: a crash before Commit
/// leaves the state as it was, and CometBFT replays the block. The answer is an encoded `ResponseFinalizeBlock`.
pub(crate) fn finalize_block(engine: &Engine, request: RequestFinalizeBlock) -> Result<Bytes, Stop> {
    let RequestFinalizeBlock {
        txs,
        decided_last_commit,
        misbehavior,
        // An alias for the inputs, which name the candidate themselves.
        hash: _,
        height: at,
        time,
        next_validators_hash: _,
        proposer_address,
    } = request;
    let at = height(at)?;
    fail::point("finalize: asked");
    engine.halted(at)?;
    let mut consensus = engine.consensus();
    consensus.phase.finalize(at)?;

    let last_commit = decided_last_commit.unwrap_or_default();
    let inputs = engine.inputs(&consensus, time, &proposer_address, txs, last_commit, misbehavior);
    let executed = match consensus.executed.take() {
        // CometBFT came back before Commit and replays the block.
        Some(executed) if executed.key == inputs.key() => executed,
        _ => engine.executed(&mut consensus, &inputs)?,
    };
    let response = executed.response.clone();
    consensus.executed = Some(executed);
    fail::point("finalize: executed");
    Ok(response)
}
