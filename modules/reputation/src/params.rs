//! Parameters: how fast outcomes are forgotten, and what the worst ones cost at once.

use gantry_core::Result;
use gantry_proto::gantry::reputation::v1::Params;

use crate::ReputationError;

/// Parts per million in one.
pub(crate) const MILLION: u64 = 1_000_000;

/// The parameters of a fresh chain: about the last fifty outcomes of a kind count.
#[must_use]
pub fn default_params() -> Params {
    Params {
        decay_ppm: 980_000,
        penalty_downtime: 50,
        penalty_fraud: 200,
        penalty_dispute_lost: 100,
        penalty_timeout: 25,
        recovery_per_completion: 5,
    }
}

/// Refuses a decay outside 0.5 to 0.999999 (without any, counters would grow for ever) and a penalty over the whole
/// score.
pub fn validate_params(params: &Params) -> Result<()> {
    let refuse = |why: &str| Err(ReputationError::Genesis(why.to_owned()).into());
    if !(MILLION / 2..MILLION).contains(&params.decay_ppm) {
        return refuse("decay_ppm must be from 500000 to 999999");
    }
    let points = [
        params.penalty_downtime,
        params.penalty_fraud,
        params.penalty_dispute_lost,
        params.penalty_timeout,
        params.recovery_per_completion,
    ];
    if points.iter().any(|p| *p > crate::keeper::MAX_SCORE) {
        return refuse("penalties and recovery are at most 1000 points");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_enforced() {
        validate_params(&default_params()).unwrap();
        for decay_ppm in [0, 499_999, 1_000_000, u64::MAX] {
            validate_params(&Params { decay_ppm, ..default_params() }).unwrap_err();
        }
        validate_params(&Params { penalty_fraud: 1001, ..default_params() }).unwrap_err();
    }
}
