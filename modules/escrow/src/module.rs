//! The module as the application sees it.

use gantry_core::{InitCtx, Invariant, Module, QueryCtx, QueryRoute, Result, genesis_from_json, genesis_to_json};
use gantry_store::StoreName;
use serde_json::Value;

use crate::{STORE, genesis, invariants, query};

const NAME: &str = "escrow";

/// The escrow module.
#[derive(Clone, Copy, Debug, Default)]
pub struct EscrowModule;

impl Module for EscrowModule {
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

    fn queries(&self) -> Vec<QueryRoute> {
        query::routes()
    }

    fn invariants(&self) -> Vec<Invariant> {
        vec![invariants::CONSERVATION, invariants::SUMS]
    }
}
