//! The module as the application sees it.

use gantry_core::{
    BlockCtx, InitCtx, Invariant, Module, MsgRoute, QueryCtx, QueryRoute, Result, genesis_from_json, genesis_to_json,
};
use gantry_store::StoreName;
use serde_json::Value;

use crate::{STORE, abci, genesis, handler, invariants, query};

pub(crate) const NAME: &str = "provider";

/// The provider module.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProviderModule;

impl Module for ProviderModule {
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
        abci::end_block(ctx)
    }

    fn messages(&self) -> Vec<MsgRoute> {
        handler::routes()
    }

    fn queries(&self) -> Vec<QueryRoute> {
        query::routes()
    }

    fn invariants(&self) -> Vec<Invariant> {
        vec![invariants::HELD, invariants::BONDS, invariants::ROWS]
    }
}
