//! Parameters: defaults and bounds.

use gantry_core::{Result, sdk};
use gantry_job::params::MILLION;
use gantry_proto::gantry::verifier::v1::Params;
use gantry_store::KvRead;

use crate::state;

/// The parameters of a fresh chain.
#[must_use]
pub fn default_params() -> Params {
    Params { commit_window_blocks: 20, reveal_window_blocks: 10, slash_wrong_ppm: 500_000 }
}

/// Refuses parameters under which nobody could reveal, or that take more than there is.
pub fn validate(p: &Params) -> Result<()> {
    if p.commit_window_blocks == 0 || p.reveal_window_blocks == 0 {
        return Err(sdk::invalid_request("verifier params: windows must be positive"));
    }
    if p.slash_wrong_ppm > MILLION {
        return Err(sdk::invalid_request("verifier params: slash_wrong_ppm is at most 1000000"));
    }
    Ok(())
}

/// The parameters in force.
pub fn get(state: &dyn KvRead) -> Result<Params> {
    Ok(state::PARAMS.get(state)?.map_or_else(default_params, |p| p.0))
}
