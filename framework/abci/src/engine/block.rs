//! The execution of a block: inputs to results and changes. Writes nothing; Commit does.

use bytes::Bytes;
use gantry_core::{BlockCtx, Event, attr};
use gantry_store::{Candidate, Changes, Overlay, Snapshot, fail};
use prost::Message;
use tendermint_proto::v0_38::abci::{self, ResponseFinalizeBlock};

use super::{Parts, chain, inputs::BlockInputs, inputs::InputsKey, txs};
use crate::stop::Stop;

/// A block that was executed and can be committed.
#[derive(Debug)]
pub(crate) struct Executed {
    /// The inputs it came from.
    pub(crate) key: InputsKey,
    /// The app hash after it.
    pub(crate) app_hash: [u8; 32],
    /// The encoded `ResponseFinalizeBlock`: made here, in the background, and given as often as CometBFT asks. As it is
    /// some kilobytes a transaction, it is kept in this form alone.
    pub(crate) response: Bytes,
    /// What Commit writes.
    pub(crate) candidate: Candidate,
}

/// Runs a block over `base`; `genesis` is what InitChain wrote, for the first block.
///
/// # Errors
/// A broken invariant or an unreadable state. What a transaction does wrong is in its result.
pub(crate) fn execute(
    parts: &Parts,
    base: Snapshot,
    genesis: Option<Changes>,
    inputs: &BlockInputs,
) -> Result<Executed, Stop> {
    let mut state = Overlay::new(base);
    if let Some(genesis) = genesis {
        state.apply(genesis);
    }
    let block = &inputs.block;
    let mut events = Vec::new();

    for module in parts.begin_block() {
        let mut ctx = BlockCtx::new(&mut state, block);
        module.begin_block(&mut ctx)?;
        events.extend(marked(ctx.into_events(), "BeginBlock"));
    }
    fail::point("execute: begun");

    let (tx_results, fees) = txs::run_block(parts, &mut state, inputs)?;
    fail::point("execute: transactions run");

    let mut ctx = BlockCtx::new(&mut state, block);
    (parts.definition.credit_fees)(&mut ctx, &fees)?;
    events.extend(marked(ctx.into_events(), "EndBlock"));
    for module in parts.end_block() {
        let mut ctx = BlockCtx::new(&mut state, block);
        module.end_block(&mut ctx)?;
        events.extend(marked(ctx.into_events(), "EndBlock"));
    }

    chain::set_block(&mut state, block)?;
    fail::point("execute: ended");
    for invariant in parts.invariants() {
        if invariant.every_block {
            (invariant.check)(&state).map_err(|error| {
                Stop::fatal(format!("invariant {} broken at height {}: {error}", invariant.name, block.height))
            })?;
        }
    }

    let candidate = parts.store.prepare(block.height, state.into_changes())?;
    fail::point("execute: prepared");
    let app_hash = candidate.app_hash();
    let response = ResponseFinalizeBlock {
        events,
        tx_results,
        validator_updates: Vec::new(),
        consensus_param_updates: None,
        app_hash: app_hash.to_vec().into(),
    };
    Ok(Executed { key: inputs.key(), app_hash, response: response.encode_to_vec().into(), candidate })
}

/// Events of the block, marked with their phase as the SDK does.
fn marked(events: Vec<Event>, mode: &'static str) -> impl Iterator<Item = abci::Event> {
    events.into_iter().map(move |mut event| {
        event.attributes.push(attr("mode", mode));
        event.into_abci()
    })
}
