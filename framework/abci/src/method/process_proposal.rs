use tendermint_proto::v0_38::abci::{
    RequestProcessProposal, ResponseProcessProposal, response_process_proposal::ProposalStatus,
};

use super::height;
use crate::{
    engine::{BlockInputs, Consensus, Engine},
    stop::Stop,
};

/// Judges a proposal by what every validator sees alike: the bytes of its transactions and the committed state. Execution
/// is not part of the verdict; it goes on in the background while the votes travel.
pub(crate) fn process_proposal(
    engine: &Engine,
    request: RequestProcessProposal,
) -> Result<ResponseProcessProposal, Stop> {
    let RequestProcessProposal {
        txs,
        proposed_last_commit,
        misbehavior,
        // No input of execution: a proposer has none.
        hash: _,
        height: at,
        time,
        next_validators_hash: _,
        proposer_address,
    } = request;
    let at = height(at)?;
    let mut consensus = engine.consensus();
    consensus.phase.process(at)?;

    let last_commit = proposed_last_commit.unwrap_or_default();
    let inputs = engine.inputs(&consensus, time, &proposer_address, txs, last_commit, misbehavior);
    let status = match judge(engine, &consensus, &inputs)? {
        Ok(()) => {
            engine.speculate(&mut consensus, inputs);
            ProposalStatus::Accept
        }
        Err(reason) => {
            tracing::warn!(height = at, reason, "proposal rejected");
            ProposalStatus::Reject
        }
    };
    Ok(ResponseProcessProposal { status: status.into() })
}

fn judge(engine: &Engine, consensus: &Consensus, inputs: &BlockInputs) -> Result<Result<(), &'static str>, Stop> {
    // Only what we built or accepted is under way: our own proposal comes back to us, and is not judged twice.
    if consensus.candidates.has(inputs.key()) {
        return Ok(Ok(()));
    }
    engine.with_rules(consensus, inputs.block.height, |rules| rules.judge(&inputs.txs))
}
