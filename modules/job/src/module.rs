//! The modules as the application sees them: jobs, and the draws that are made for them.

use gantry_core::{
    BlockCtx, InitCtx, Invariant, Module, MsgRoute, QueryCtx, QueryRoute, Result, genesis_from_json, genesis_to_json,
};
use gantry_store::StoreName;
use serde_json::Value;

use crate::{clock, draws, genesis, handler, invariants, query, state::STORE};

const NAME: &str = "job";

/// The job module. Its genesis needs providers and escrows in place. The clock advances at the begin of a block; what
/// is due is done at its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct JobModule;

impl Module for JobModule {
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

    fn begin_block(&self, ctx: &mut BlockCtx<'_>) -> Result<()> {
        clock::advance(ctx)
    }

    fn end_block(&self, ctx: &mut BlockCtx<'_>) -> Result<()> {
        clock::run_due(ctx)
    }

    fn messages(&self) -> Vec<MsgRoute> {
        handler::routes(NAME)
    }

    fn queries(&self) -> Vec<QueryRoute> {
        query::job_routes()
    }

    fn invariants(&self) -> Vec<Invariant> {
        vec![invariants::LIFECYCLE, invariants::HOLDINGS]
    }
}

/// The draws. A module of its own, because they come after what all others do at the begin of a block. It has no state:
/// everything lies in the jobs' store.
///
/// They come before a block's transactions because the seed is known by then: whoever could still change a bond, an offer
/// or a job would choose among draws that he can compute.
#[derive(Clone, Copy, Debug, Default)]
pub struct MatchingModule;

impl Module for MatchingModule {
    fn name(&self) -> &'static str {
        "matching"
    }

    fn begin_block(&self, ctx: &mut BlockCtx<'_>) -> Result<()> {
        draws::draw(ctx)
    }

    fn queries(&self) -> Vec<QueryRoute> {
        query::matching_routes()
    }
}
