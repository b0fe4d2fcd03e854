use gantry_core::{BlockInfo, Empty, InitCtx, Result, sdk};
use gantry_store::Overlay;
use serde_json::Value;
use tendermint_proto::v0_38::{
    abci::{RequestInitChain, ResponseInitChain},
    types::ConsensusParams,
};

use super::height;
use crate::{
    engine::{EMPTY_APP_HASH, Engine, Genesis, Parts, Space, chain},
    stop::Stop,
};

/// Genesis. What it writes stays in memory and is flushed with the first block, so that a crash before that block is a
/// fresh start: CometBFT calls this again for as long as `Info` says height 0.
pub(crate) fn init_chain(engine: &Engine, request: RequestInitChain) -> Result<ResponseInitChain, Stop> {
    let RequestInitChain {
        time,
        chain_id,
        consensus_params,
        // The validators are those of the genesis document until there is a module that keeps them.
        validators: _,
        app_state_bytes,
        initial_height,
    } = request;
    // Before consensus is locked: a snapshot that is applied takes the locks in this order.
    engine.forget_joining()?;
    let mut consensus = engine.consensus();
    let initial_height = height(initial_height)?.max(1);
    consensus.phase.init_chain(initial_height)?;
    let params = consensus_params.unwrap_or_default();
    check_params(&params)?;

    let block = BlockInfo {
        chain_id,
        height: initial_height - 1,
        time: chain::time(time),
        proposer: Vec::new(),
        previous_app_hash: EMPTY_APP_HASH,
    };
    let app_state: Value = serde_json::from_slice(&app_state_bytes)
        .map_err(|error| Stop::fatal(format!("app_state of genesis is not JSON: {error}")))?;
    let mut state = Overlay::new(Empty);
    chain::set_params(&mut state, &params)?;
    write_app_state(engine.parts(), &mut state, &block, &app_state)
        .map_err(|error| Stop::from(error.context("genesis")))?;

    let genesis = Genesis { changes: state.into_changes(), block, space: Space::of_block(&params) };
    engine.check_from(&genesis);
    consensus.genesis = Some(genesis);
    consensus.candidates.clear();
    consensus.executed = None;
    Ok(ResponseInitChain { consensus_params: None, validators: Vec::new(), app_hash: EMPTY_APP_HASH.to_vec().into() })
}

/// Each module reads its part; a part that is missing is the module's default, one that no module reads is refused.
fn write_app_state(parts: &Parts, state: &mut Overlay<Empty>, block: &BlockInfo, app_state: &Value) -> Result<()> {
    let sections = app_state.as_object().ok_or_else(|| sdk::invalid_request("app_state is not an object"))?;
    let modules = || parts.init_genesis();
    if let Some(unknown) = sections.keys().find(|name| modules().all(|m| m.name() != name.as_str())) {
        return Err(sdk::invalid_request(format!("app_state.{unknown} belongs to no module")));
    }
    for module in modules() {
        let default;
        let section = match sections.get(module.name()) {
            Some(section) => section,
            None => {
                default = module.default_genesis();
                &default
            }
        };
        module.init_genesis(&mut InitCtx::new(state, block), section)?;
    }
    for invariant in parts.invariants() {
        (invariant.check)(state).map_err(|error| error.context(invariant.name))?;
    }
    Ok(())
}

/// Refuses parameters under which CometBFT would call what is not implemented (GHSA-qr8r-m495-7hc4).
fn check_params(params: &ConsensusParams) -> Result<(), Stop> {
    match &params.abci {
        Some(abci) if abci.vote_extensions_enable_height != 0 => Err(Stop::fatal(
            "consensus_params.abci.vote_extensions_enable_height must be 0: vote extensions are not used",
        )),
        _ => Ok(()),
    }
}
