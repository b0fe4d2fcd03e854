use tendermint_proto::v0_38::abci::{
    RequestProcessProposal, ResponseProcessProposal, response_process_proposal::ProposalStatus,
};

use super::height;
use crate::{
    engine::{BlockInputs, Consensus, Engine, chain, next_block},
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
    let mut consensus = engine.consensus();
    consensus.phase.process(height(at)?)?;

    let verdict = judge(engine, &consensus, &txs);
    let status = match verdict {
        Ok(()) => {
            let (previous, app_hash) = engine.previous(&consensus);
            let mut block = next_block(&previous, app_hash);
            block.time = chain::time(time);
            block.proposer = proposer_address.to_vec();
            let last_commit = proposed_last_commit.unwrap_or_default();
            engine.speculate(&mut consensus, BlockInputs { block, txs, last_commit, misbehavior });
            ProposalStatus::Accept
        }
        Err(reason) => {
            tracing::warn!(height = at, reason, "proposal rejected");
            ProposalStatus::Reject
        }
    };
    Ok(ResponseProcessProposal { status: status.into() })
}

fn judge(engine: &Engine, consensus: &Consensus, txs: &[bytes::Bytes]) -> Result<(), &'static str> {
    let mut gas_left = engine.max_gas(consensus).unwrap_or(u64::MAX);
    for gas_wanted in engine.proposable(txs) {
        let gas = gas_wanted.ok_or("a transaction that no node would take")?;
        gas_left = gas_left.checked_sub(gas).ok_or("more gas than a block may want")?;
    }
    Ok(())
}
