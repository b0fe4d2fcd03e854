//! `cosmos.base.node.v1beta1.Service`: what the operator set, and how far the node is.

use cosmos_sdk_proto::{
    Timestamp,
    cosmos::base::node::v1beta1::{ConfigRequest, ConfigResponse, StatusRequest, StatusResponse},
};
use gantry_abci::Engine;
use gantry_core::{QueryCtx, QueryRoute, Status};

pub(super) fn routes(engine: &Engine) -> Vec<QueryRoute> {
    let (config_of, status_of) = (engine.clone(), engine.clone());
    vec![
        QueryRoute::new("/cosmos.base.node.v1beta1.Service/Config", move |_, request| config(&config_of, request)),
        QueryRoute::new("/cosmos.base.node.v1beta1.Service/Status", move |ctx, request| {
            status(&status_of, ctx, request)
        }),
    ]
}

/// Relayers refuse a node whose prices are above theirs.
fn config(engine: &Engine, ConfigRequest {}: ConfigRequest) -> Result<ConfigResponse, Status> {
    let (options, kept) = (engine.options(), engine.store().options());
    Ok(ConfigResponse {
        minimum_gas_price: options.min_gas_prices.to_string(),
        pruning_keep_recent: kept.keep_recent.to_string(),
        pruning_interval: kept.prune_interval.to_string(),
        halt_height: options.halt_height,
    })
}

fn status(engine: &Engine, ctx: &QueryCtx<'_>, StatusRequest {}: StatusRequest) -> Result<StatusResponse, Status> {
    let block = ctx.block();
    let view = engine.view(block.height)?;
    Ok(StatusResponse {
        earliest_store_height: engine.store().oldest(),
        height: block.height,
        timestamp: Some(Timestamp { seconds: block.time.seconds, nanos: block.time.nanos }),
        app_hash: view.app_hash.to_vec(),
        validator_hash: Vec::new(),
    })
}
