//! What can happen to a provider, and what it does to the provider's record.

use gantry_proto::gantry::reputation::v1::{Params, Record};

use crate::{keeper::MAX_SCORE, params::MILLION};

/// Missed epochs that one heartbeat can be charged with; more would change next to nothing.
pub const MAX_MISSED_EPOCHS: u64 = 200;

/// Weight of the prior: a newcomer starts as if half of this many outcomes of each kind had been good.
const PRIOR: u64 = 2 * MILLION;

/// Something that a provider did, or failed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A heartbeat, after a number of whole epochs without one.
    Heartbeat {
        /// Epochs missed since the last.
        missed: u64,
    },
    /// So many epochs without heartbeat that its offers were passed over.
    Downtime,
    /// Acknowledged an assignment in time.
    Acknowledged,
    /// Let an assignment lapse.
    Lapsed,
    /// A result that was accepted.
    Completed,
    /// An assignment that ended without a result, by its own account.
    Failed,
    /// Missed a deadline after it had acknowledged.
    TimedOut,
    /// A result proven wrong.
    DataFraud,
    /// Lost a dispute.
    DisputeLost,
    /// Won a dispute.
    DisputeWon,
}

/// Good outcomes among all of one kind, in millionths of an outcome.
struct Share<'a> {
    good: &'a mut u64,
    all: &'a mut u64,
}

impl Share<'_> {
    /// Fades the past and adds one outcome. Good and bad fade apart, each rounded down, so that rounding can turn no
    /// good outcome into a loss nor a bad one into a gain.
    fn add(&mut self, is_good: bool, params: &Params) {
        let fade = |weight: u64| {
            let faded = u128::from(weight) * u128::from(params.decay_ppm) / u128::from(MILLION);
            u64::try_from(faded).unwrap_or(u64::MAX)
        };
        let mut good = fade(*self.good);
        let mut bad = fade(self.all.saturating_sub(*self.good));
        let side = if is_good { &mut good } else { &mut bad };
        *side = side.saturating_add(MILLION);
        *self.good = good;
        *self.all = good.saturating_add(bad);
    }
}

/// The record of a provider of whom nothing is known: half of everything that has to be earned, no disputes. That is
/// 550 points: above who fails more than half of the time, below who has shown that it works.
pub(crate) fn newcomer(provider_id: u64) -> Record {
    Record {
        provider_id,
        uptime_good: PRIOR / 2,
        uptime_all: PRIOR,
        response_good: PRIOR / 2,
        response_all: PRIOR,
        completion_good: PRIOR / 2,
        completion_all: PRIOR,
        disputes_lost: 0,
        disputes_all: PRIOR,
        penalty: 0,
    }
}

/// Applies an outcome.
pub(crate) fn apply(record: &mut Record, outcome: Outcome, params: &Params) {
    let r = record;
    match outcome {
        Outcome::Heartbeat { missed } => {
            let mut uptime = Share { good: &mut r.uptime_good, all: &mut r.uptime_all };
            for _ in 0..missed.min(MAX_MISSED_EPOCHS) {
                uptime.add(false, params);
            }
            uptime.add(true, params);
        }
        Outcome::Downtime => {}
        Outcome::Acknowledged | Outcome::Lapsed => {
            Share { good: &mut r.response_good, all: &mut r.response_all }
                .add(outcome == Outcome::Acknowledged, params);
        }
        Outcome::Completed | Outcome::Failed | Outcome::TimedOut | Outcome::DataFraud => {
            Share { good: &mut r.completion_good, all: &mut r.completion_all }
                .add(outcome == Outcome::Completed, params);
        }
        Outcome::DisputeLost | Outcome::DisputeWon => {}
    }
    if matches!(outcome, Outcome::DataFraud | Outcome::DisputeLost | Outcome::DisputeWon) {
        let mut won = r.disputes_all.saturating_sub(r.disputes_lost);
        Share { good: &mut won, all: &mut r.disputes_all }.add(outcome == Outcome::DisputeWon, params);
        r.disputes_lost = r.disputes_all.saturating_sub(won);
    }
    let penalty = match outcome {
        Outcome::Downtime => params.penalty_downtime,
        Outcome::TimedOut => params.penalty_timeout,
        Outcome::DataFraud => params.penalty_fraud,
        Outcome::DisputeLost => params.penalty_dispute_lost,
        _ => 0,
    };
    r.penalty = r.penalty.saturating_add(penalty).min(MAX_SCORE);
    if outcome == Outcome::Completed {
        r.penalty = r.penalty.saturating_sub(params.recovery_per_completion);
    }
}
