//! Genesis documents: what is read never panics, and what a chain starts from survives its first blocks.

use gantry_abci::{Engine, Options, Queries, Stop, call, testing::init_chain};
use gantry_store::Store;
use gantryd::{modules, node::genesis::Genesis};
use serde_json::Value;
use tendermint_proto::v0_38::abci::{RequestCommit, RequestFinalizeBlock, request::Value as Request};

use crate::{Target, chain, mutate::Form};

/// A genesis document, or an `app_state` alone.
pub const TARGET: Target = Target { name: "genesis", form: Form::Json, run };

fn run(bytes: &[u8]) {
    let Ok(json) = serde_json::from_slice::<Value>(bytes) else { return };
    let state = if json.get("consensus").is_some() {
        let Ok(genesis) = Genesis::from_app_genesis(json) else { return };
        genesis.app_state().clone()
    } else {
        json.get("app_state").cloned().unwrap_or(json)
    };
    let valid = modules::validate_genesis(&state).is_ok();
    let definition = chain::definition();
    let store = Store::temporary(&definition.stores()).expect("a store in memory opens");
    let engine = Engine::new(definition, store, Options::default()).expect("an empty state can be read");
    let queries = Queries::new(engine.clone(), []);
    // What only shows between modules (supply and balances, bonds and their account) is for InitChain to refuse.
    if let Err(stop) = call(&queries, Request::InitChain(init_chain(&state))) {
        assert!(matches!(stop, Stop::Fatal(_)));
        return;
    }
    // A section that is missing is the module's default; validation asks for all, because a file that lacks one is a mistake.
    let whole = engine.definition().modules.iter().all(|m| m.store().is_none() || state.get(m.name()).is_some());
    assert!(valid || !whole, "InitChain takes what validation refuses");
    for height in 1..=3 {
        let block = RequestFinalizeBlock { height, ..RequestFinalizeBlock::default() };
        call(&queries, Request::FinalizeBlock(block)).expect("a chain that starts has a first block");
        call(&queries, Request::Commit(RequestCommit {})).expect("and commits it");
        engine.check_invariants().expect("invariants hold");
    }
}
