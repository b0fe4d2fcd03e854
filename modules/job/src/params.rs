//! Parameters: defaults and bounds.

use gantry_core::{Result, sdk};
use gantry_proto::gantry::job::v1::Params;
use gantry_store::KvRead;

use crate::state;

/// One million: what parts per million are parts of.
pub const MILLION: u64 = 1_000_000;

/// Largest quorum that the matcher can draw in reasonable time, and that one job row holds locations of.
const QUORUM_LIMIT: u32 = 64;

/// The parameters of a fresh chain.
#[must_use]
pub fn default_params() -> Params {
    Params {
        ack_window_blocks: 10,
        max_graph_jobs: 256,
        max_graph_edges: 1024,
        max_inputs: 64,
        max_outputs: 32,
        max_predicates: 16,
        max_timeout_seconds: 7 * 24 * 3600,
        max_retries: 5,
        retention_blocks: 100_000,
        max_replacements: 8,
        bond_ratio_ppm: 2 * MILLION,
        slash_timeout_ppm: 50_000,
        max_quorum: 7,
    }
}

/// Refuses parameters under which the market could not work.
pub fn validate(p: &Params) -> Result<()> {
    let bad = |what: &str| Err(sdk::invalid_request(format!("job params: {what}")));
    if p.ack_window_blocks == 0 || p.retention_blocks == 0 || p.max_timeout_seconds == 0 {
        return bad("ack_window_blocks, retention_blocks and max_timeout_seconds must be positive");
    }
    if p.max_timeout_seconds > 10 * 366 * 24 * 3600 {
        return bad("max_timeout_seconds exceeds ten years");
    }
    if p.max_graph_jobs == 0 || p.max_graph_jobs > 10_000 || p.max_graph_edges > 100_000 {
        return bad("a graph has 1 to 10000 jobs and at most 100000 edges");
    }
    if p.max_quorum == 0 || p.max_quorum > QUORUM_LIMIT {
        return bad("max_quorum must be 1 to 64");
    }
    if p.max_retries > 100 || p.max_replacements > 100 {
        return bad("max_retries and max_replacements are at most 100");
    }
    if usize::try_from(p.max_predicates).map_or(true, |n| n > gantry_matching::MAX_PREDICATES) {
        return bad("max_predicates exceeds what the matcher takes");
    }
    if p.slash_timeout_ppm > MILLION || p.bond_ratio_ppm > 1000 * MILLION {
        return bad("slash_timeout_ppm is at most 1000000, bond_ratio_ppm a thousand times that");
    }
    Ok(())
}

/// That many parts per million of an amount, floored; a million and more are all of it.
#[must_use]
pub fn part(amount: u128, ppm: u64) -> u128 {
    let (million, ppm) = (u128::from(MILLION), u128::from(ppm.min(MILLION)));
    amount / million * ppm + amount % million * ppm / million
}

/// The parameters in force.
pub fn get(state: &dyn KvRead) -> Result<Params> {
    Ok(state::PARAMS.get(state)?.map_or_else(default_params, |p| p.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_parts_are_floored() {
        assert_eq!(validate(&default_params()), Ok(()));
        assert!(validate(&Params { ack_window_blocks: 0, ..default_params() }).is_err());
        assert_eq!(part(1_000_001, 500_000), 500_000);
        assert_eq!(part(1, 999_999), 0);
        assert_eq!(part(u128::MAX, MILLION), u128::MAX);
        assert_eq!(part(u128::MAX, u64::MAX), u128::MAX);
    }
}
