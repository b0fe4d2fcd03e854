//! The module as the application sees it.

use gantry_core::{
    BlockCtx, InitCtx, Invariant, Module, MsgRoute, QueryCtx, QueryRoute, Result, genesis_from_json, genesis_to_json,
};
use gantry_store::StoreName;
use serde_json::Value;

use crate::{genesis, handler, invariants, keeper, query, state::STORE};

const NAME: &str = "verifier";

/// The verifier module. Its genesis needs jobs in place; its end of block comes after theirs.
#[derive(Clone, Copy, Debug, Default)]
pub struct VerifierModule;

impl Module for VerifierModule {
    fn name(&self) -> &'static str {
        NAME
    }

    fn store(&self) -> Option<StoreName> {
        Some(STORE)
    }

    fn default_genesis(&self) -> Value {
        genesis_to_json(&genesis::default()).expect("the genesis message is in the descriptor set")
    }

    fn init_genesis(&self, ctx: &mut InitCtx<'_>, state: &Value) -> Result<()> {
        genesis::init(ctx, genesis_from_json(NAME, state)?)
    }

    fn validate_genesis(&self, state: &Value) -> Result<()> {
        genesis::validate(&genesis_from_json(NAME, state)?)
    }

    fn export_genesis(&self, ctx: &QueryCtx<'_>) -> Result<Value> {
        genesis_to_json(&genesis::export(ctx)?)
    }

    fn end_block(&self, ctx: &mut BlockCtx<'_>) -> Result<()> {
        keeper::run_due(ctx)
    }

    fn messages(&self) -> Vec<MsgRoute> {
        handler::routes(NAME)
    }

    fn queries(&self) -> Vec<QueryRoute> {
        query::routes()
    }

    fn invariants(&self) -> Vec<Invariant> {
        vec![invariants::WINDOWED]
    }
}
