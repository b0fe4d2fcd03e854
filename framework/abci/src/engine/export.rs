//! The state as `app_state`.

use gantry_core::{BlockInfo, Error, QueryCtx};
use serde_json::{Map, Value};
use tendermint_proto::v0_38::types::ConsensusParams;

use super::{Engine, chain};

/// A state in the form of a genesis.
#[derive(Clone, Debug)]
pub struct Exported {
    /// By module; `InitChain` makes the same state of it.
    pub app_state: Value,
    /// The consensus parameters.
    pub consensus_params: ConsensusParams,
    /// The block that made the state: a chain that starts with it goes on at the next height.
    pub block: BlockInfo,
}

impl Engine {
    /// The state at a height, of all modules that have one; 0 is the latest.
    ///
    /// # Errors
    /// As [`Engine::view`].
    pub fn export(&self, height: u64) -> Result<Exported, Error> {
        let view = self.view(height)?;
        let ctx = QueryCtx::new(&view.state, &view.block);
        let mut app_state = Map::new();
        for module in self.definition().modules.iter().filter(|module| module.store().is_some()) {
            let section = module.export_genesis(&ctx).map_err(|error| error.context(module.name()))?;
            app_state.insert(module.name().to_owned(), section);
        }
        let consensus_params = chain::params(&view.state)?;
        Ok(Exported { app_state: Value::Object(app_state), consensus_params, block: view.block.clone() })
    }
}
