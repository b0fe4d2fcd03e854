use tendermint_proto::v0_38::abci::{RequestPrepareProposal, ResponsePrepareProposal};

use super::height;
use crate::{
    engine::{Engine, without_extensions},
    stop::Stop,
};

/// Builds a block of what the mempool offers, lane by lane, and starts to execute it.
///
/// Whatever it builds, every ProcessProposal accepts: both go by [`Engine::with_rules`].
pub(crate) fn prepare_proposal(
    engine: &Engine,
    request: RequestPrepareProposal,
) -> Result<ResponsePrepareProposal, Stop> {
    let RequestPrepareProposal {
        max_tx_bytes,
        txs,
        local_last_commit,
        misbehavior,
        height: at,
        time,
        // Follows from the validators; nothing reads it.
        next_validators_hash: _,
        proposer_address,
    } = request;
    let at = height(at)?;
    let mut consensus = engine.consensus();
    consensus.phase.prepare(at)?;

    let max_bytes = u64::try_from(max_tx_bytes).unwrap_or(0);
    let txs = engine.with_rules(&consensus, at, |rules| rules.select(&txs, max_bytes))?;
    let last_commit = without_extensions(local_last_commit.unwrap_or_default());
    let inputs = engine.inputs(&consensus, time, &proposer_address, txs.clone(), last_commit, misbehavior);
    engine.speculate(&mut consensus, inputs);
    Ok(ResponsePrepareProposal { txs })
}
