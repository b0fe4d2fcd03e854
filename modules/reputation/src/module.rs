//! The module as the application sees it.

use gantry_core::{InitCtx, Invariant, Module, QueryCtx, QueryRoute, Result, genesis_from_json, genesis_to_json};
use gantry_store::StoreName;
use serde_json::Value;

use crate::{STORE, genesis, invariants, query};

const NAME: &str = "reputation";

/// The reputation module.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReputationModule;

impl Module for ReputationModule {
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
        vec![invariants::BOUNDED]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_core::{BlockInfo, Empty, QueryRouter};
    use gantry_proto::gantry::reputation::v1::{QueryScoreRequest, QueryScoreResponse};
    use gantry_store::Overlay;

    #[test]
    fn default_genesis_is_valid_and_served() {
        let (module, block) = (ReputationModule, BlockInfo::default());
        module.validate_genesis(&module.default_genesis()).unwrap();
        let mut state = Overlay::new(Empty);
        module.init_genesis(&mut InitCtx::new(&mut state, &block), &module.default_genesis()).unwrap();
        let ctx = QueryCtx::new(&state, &block);
        assert_eq!(module.export_genesis(&ctx).unwrap(), module.default_genesis());

        let router = QueryRouter::new(module.queries());
        let ask = |provider_id| {
            let request = prost::Message::encode_to_vec(&QueryScoreRequest { provider_id });
            router.call(&ctx, "/gantry.reputation.v1.Query/Score", &request)
        };
        let response: QueryScoreResponse = prost::Message::decode(ask(4).unwrap().as_slice()).unwrap();
        assert_eq!((response.score, response.uptime), (550, 200));
        ask(0).unwrap_err();
    }
}
