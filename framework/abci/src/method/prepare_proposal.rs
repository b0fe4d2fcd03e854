use bytes::Bytes;
use prost::length_delimiter_len;
use tendermint_proto::v0_38::abci::{RequestPrepareProposal, ResponsePrepareProposal};

use super::height;
use crate::{
    engine::{Consensus, Engine, without_extensions},
    stop::Stop,
};

/// Builds a block of what the mempool offers, in its order, and starts to execute it.
///
/// Whatever it builds, every ProcessProposal accepts: both judge with [`Engine::proposable`] and the same limit on gas.
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
    let mut consensus = engine.consensus();
    consensus.phase.prepare(height(at)?)?;

    let txs = select(engine, &consensus, txs, max_tx_bytes);
    let last_commit = without_extensions(local_last_commit.unwrap_or_default());
    let inputs = engine.inputs(&consensus, time, &proposer_address, txs.clone(), last_commit, misbehavior);
    engine.speculate(&mut consensus, inputs);
    Ok(ResponsePrepareProposal { txs })
}

/// The transactions that fit, in the order of the mempool. One that does not fit is passed over, not the end: a smaller
/// one behind it may fit.
fn select(engine: &Engine, consensus: &Consensus, txs: Vec<Bytes>, max_tx_bytes: i64) -> Vec<Bytes> {
    let mut bytes_left = u64::try_from(max_tx_bytes).unwrap_or(0);
    let mut gas_left = engine.max_gas(consensus).unwrap_or(u64::MAX);
    let gas_wanted = engine.proposable(&txs);
    txs.into_iter()
        .zip(gas_wanted)
        .filter_map(|(tx, gas_wanted)| {
            let bytes = size_in_block(&tx);
            let gas = gas_wanted?;
            if bytes > bytes_left || gas > gas_left {
                return None;
            }
            bytes_left -= bytes;
            gas_left -= gas;
            Some(tx)
        })
        .collect()
}

/// Bytes of a transaction as a field of the block's data, which is how CometBFT counts them (`ComputeProtoSizeForTxs`).
fn size_in_block(tx: &Bytes) -> u64 {
    (1 + length_delimiter_len(tx.len()) + tx.len()) as u64
}
