use gantry_store::fail;
use tendermint_proto::v0_38::abci::{RequestCommit, ResponseCommit};

use crate::{
    engine::{Engine, chain},
    stop::Stop,
};

/// Writes the executed block in one atomic, synced batch; then queries and the mempool see it.
pub(crate) fn commit(engine: &Engine, request: RequestCommit) -> Result<ResponseCommit, Stop> {
    let RequestCommit {} = request;
    fail::point("commit: asked");
    let mut consensus = engine.consensus();
    let height = consensus.phase.commit()?;
    let executed = consensus
        .executed
        .take()
        .ok_or_else(|| Stop::fatal(format!("height {height} was executed and its result is gone")))?;
    let parts = engine.parts();
    // The record of the block is a row of the state, so nothing has to stand beside it.
    parts.store.commit(executed.candidate, &[])?;
    fail::point("commit: stored");
    consensus.genesis = None;
    consensus.candidates.clear();
    let view = parts.latest_view()?;
    if view.block.height != height || view.app_hash != executed.app_hash {
        return Err(Stop::fatal(format!("committed height {height}, but the store is at {}", view.block.height)));
    }
    let params = chain::params(&view.state)?;
    engine.publish(view);
    fail::point("commit: published");
    engine.snapshot_if_due();
    let evidence = params.evidence.map_or(0, |evidence| evidence.max_age_num_blocks);
    let needs = [
        parts.options.min_retain_blocks,
        u64::try_from(evidence).unwrap_or_default(),
        // Whoever is given a proof looks for the header after its height.
        parts.store.options().proof_window,
        // Whoever joins with a snapshot goes on with the block after it.
        engine.oldest_snapshot_age(),
    ];
    Ok(ResponseCommit { retain_height: retain_height(height, needs) })
}

/// Below which height CometBFT may drop its blocks: none that one of `needs`, each a number of blocks before `height`,
/// asks for. 0, which drops nothing, where the first of them, the operator's wish, is 0.
///
/// As the SDK's `GetBlockRetentionHeight`, with proofs among what blocks are needed for.
fn retain_height<const N: usize>(height: u64, needs: [u64; N]) -> i64 {
    let kept = needs.into_iter().max().unwrap_or_default();
    match height.checked_sub(kept) {
        Some(retained) if needs[0] > 0 => i64::try_from(retained).unwrap_or_default(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_somebody_needs_are_retained() {
        for (height, needs, retained) in [
            (1_000, [0, 100, 100], 0),
            (1_000, [1, 0, 0], 999),
            (1_000, [1, 300, 0], 700),
            (1_000, [400, 300, 20], 600),
            (1_000, [1, 300, 500], 500),
            (1_000, [1, 1_000, 0], 0),
            (1_000, [1, 1_001, 0], 0),
            (1_000, [u64::MAX, 0, 0], 0),
        ] {
            assert_eq!(retain_height(height, needs), retained, "{height} {needs:?}");
        }
    }
}
