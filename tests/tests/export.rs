//! The scripted chain, with jobs in every state, exported on its way; another chain begins with what came out and goes on.

use anyhow::{Context, Result, ensure};
use gantry_abci::Exported;
use gantry_core::{BASE_DENOM, BlockInfo, Empty, InitCtx, Module, QueryCtx};
use gantry_store::{KvRead, Overlay};
use gantry_tests::replay::{Node, Way, record};
use gantryd::modules::definition;
use serde_json::{Map, Value};
use tendermint_proto::{google::protobuf::Timestamp, v0_38::abci::RequestInitChain};

/// Heights between two exports.
const INTERVAL: u64 = 17;
/// Blocks that each new chain makes.
const MORE: usize = 12;

fn export(state: &dyn KvRead, block: &BlockInfo) -> Result<Value> {
    let ctx = QueryCtx::new(state, block);
    let modules = definition().modules;
    let sections = modules.iter().filter(|module| module.store().is_some());
    let export = |module: &dyn Module| -> Result<_> {
        let section = module.export_genesis(&ctx).map_err(|error| anyhow::anyhow!("{}: {error}", module.name()))?;
        Ok((module.name().to_owned(), section))
    };
    Ok(Value::Object(sections.map(|module| export(module.as_ref())).collect::<Result<Map<_, _>>>()?))
}

/// What is exported of what was imported.
fn imported(exported: &Exported) -> Result<Value> {
    let definition = definition();
    let mut state = Overlay::new(Empty);
    for name in definition.order.init_genesis {
        let module = definition.modules.iter().find(|module| module.name() == *name).context("a module")?;
        let section = exported.app_state.get(*name).cloned().unwrap_or_else(|| module.default_genesis());
        module
            .init_genesis(&mut InitCtx::new(&mut state, &exported.block), &section)
            .map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
    }
    for invariant in definition.modules.iter().flat_map(|module| module.invariants()) {
        (invariant.check)(&state).map_err(|error| anyhow::anyhow!("{}: {error}", invariant.name))?;
    }
    export(&state, &exported.block)
}

fn supply(state: &dyn KvRead) -> Result<u128> {
    gantry_bank::keeper::supply(state, BASE_DENOM).map_err(|error| anyhow::anyhow!("{error}"))
}

#[test]
fn a_chain_begins_anew_with_any_of_its_states() -> Result<()> {
    let (recording, _) = record()?;
    let node = Node::temporary()?;
    node.start(&recording.genesis)?;
    let mut jobs = 0;
    for (at, block) in recording.blocks.iter().enumerate() {
        node.finalize(block, Way::Decided)?;
        node.commit()?;
        let engine = node.engine();
        if !engine.latest().block.height.is_multiple_of(INTERVAL) && at + 1 < recording.blocks.len() {
            continue;
        }
        let exported = engine.export(0).map_err(|error| anyhow::anyhow!("{error}"))?;
        let Exported { app_state, consensus_params, block: last } = &exported;
        let height = last.height;
        gantryd::modules::validate_genesis(app_state)?;
        ensure!(imported(&exported)? == *app_state, "height {height} is imported as another state");
        jobs += app_state["job"]["jobs"].as_array().map_or(0, Vec::len);

        let other = Node::temporary()?;
        other.start(&RequestInitChain {
            time: Some(Timestamp { seconds: last.time.seconds, nanos: last.time.nanos }),
            chain_id: last.chain_id.clone(),
            consensus_params: Some(consensus_params.clone()),
            app_state_bytes: app_state.to_string().into(),
            initial_height: i64::try_from(height + 1)?,
            ..RequestInitChain::default()
        })?;
        // Draws come out otherwise, so some of these transactions fail: the chain takes them as any others.
        for block in recording.blocks.iter().skip(at + 1).take(MORE) {
            other.finalize(block, Way::Decided)?;
            other.commit()?;
        }
        if other.tip().0 > 0 {
            other.engine().check_invariants().map_err(|error| anyhow::anyhow!("from height {height}: {error}"))?;
            let (was, is) = (supply(&node.state())?, supply(&other.state())?);
            ensure!(was == is, "supply {was} at height {height} became {is}");
        }
    }
    ensure!(jobs > 20, "{jobs} jobs were exported");
    Ok(())
}
