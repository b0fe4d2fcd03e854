//! Rules: records and what they come to.

use gantry_core::{Ctx, Result};
use gantry_proto::gantry::reputation::v1::{Params, Record};
use gantry_store::{KvRead, Proto};

use crate::{
    Outcome,
    outcome::{apply, newcomer},
    params::default_params,
    state::{PARAMS, RECORDS},
};

/// The best score.
pub const MAX_SCORE: u32 = 1000;

const UPTIME_POINTS: u32 = 400;
const RESPONSE_POINTS: u32 = 200;
const COMPLETION_POINTS: u32 = 300;
const DISPUTE_POINTS: u32 = 100;

/// A score and its parts, in points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Score {
    /// 0 to 1000: the parts less the penalty.
    pub total: u32,
    /// 0 to 400.
    pub uptime: u32,
    /// 0 to 200.
    pub response: u32,
    /// 0 to 300.
    pub completion: u32,
    /// 0 to 100; all of it without lost disputes.
    pub disputes: u32,
    /// Points taken off.
    pub penalty: u32,
}

impl Score {
    /// What a record comes to.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let uptime = points(UPTIME_POINTS, record.uptime_good, record.uptime_all);
        let response = points(RESPONSE_POINTS, record.response_good, record.response_all);
        let completion = points(COMPLETION_POINTS, record.completion_good, record.completion_all);
        let not_lost = record.disputes_all.saturating_sub(record.disputes_lost);
        let disputes = points(DISPUTE_POINTS, not_lost, record.disputes_all);
        let total = (uptime + response + completion + disputes).saturating_sub(record.penalty);
        Self { total, uptime, response, completion, disputes, penalty: record.penalty }
    }
}

/// `of * good / all`, floored; never above `of`.
fn points(of: u32, good: u64, all: u64) -> u32 {
    let points = u128::from(of) * u128::from(good.min(all)) / u128::from(all.max(1));
    u32::try_from(points).unwrap_or(of)
}

/// The parameters.
pub fn params(state: &dyn KvRead) -> Result<Params> {
    Ok(PARAMS.get(state)?.map_or_else(default_params, |p| p.0))
}

/// The record of a provider; a newcomer's where nothing happened yet.
pub fn record_of(state: &dyn KvRead, provider_id: u64) -> Result<Record> {
    Ok(RECORDS.get(state, provider_id)?.map_or_else(|| newcomer(provider_id), |r| r.0))
}

/// Records an outcome.
pub fn record(ctx: &mut dyn Ctx, provider_id: u64, outcome: Outcome) -> Result<()> {
    let params = params(ctx)?;
    let mut record = record_of(ctx, provider_id)?;
    apply(&mut record, outcome, &params);
    RECORDS.set(ctx, provider_id, &Proto(record))?;
    Ok(())
}

/// The score of a provider, 0 to 1000.
pub fn score(state: &dyn KvRead, provider_id: u64) -> Result<u32> {
    Ok(Score::of(&record_of(state, provider_id)?).total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_core::{BlockCtx, BlockInfo, Empty};
    use gantry_store::Overlay;
    use proptest::prelude::*;

    const GOOD: [Outcome; 4] =
        [Outcome::Heartbeat { missed: 0 }, Outcome::Acknowledged, Outcome::Completed, Outcome::DisputeWon];
    const BAD: [Outcome; 6] = [
        Outcome::Downtime,
        Outcome::Lapsed,
        Outcome::Failed,
        Outcome::TimedOut,
        Outcome::DataFraud,
        Outcome::DisputeLost,
    ];

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            proptest::sample::select(GOOD.to_vec()),
            proptest::sample::select(BAD.to_vec()),
            (0..400_u64).prop_map(|missed| Outcome::Heartbeat { missed }),
        ]
    }

    fn after(outcomes: &[Outcome]) -> Record {
        let mut record = newcomer(1);
        for o in outcomes {
            apply(&mut record, *o, &default_params());
        }
        record
    }

    fn then(record: &Record, outcome: Outcome) -> u32 {
        let mut next = *record;
        apply(&mut next, outcome, &default_params());
        Score::of(&next).total
    }

    proptest! {
        #[test]
        fn a_score_stays_in_bounds(outcomes in prop::collection::vec(outcome(), 0..200)) {
            let record = after(&outcomes);
            prop_assert!(Score::of(&record).total <= MAX_SCORE);
            crate::invariants::check_record(&record).unwrap();
        }

        #[test]
        fn good_never_lowers_and_bad_never_raises(outcomes in prop::collection::vec(outcome(), 0..100)) {
            let record = after(&outcomes);
            let before = Score::of(&record).total;
            for good in GOOD {
                prop_assert!(then(&record, good) >= before, "{good:?}");
            }
            for bad in BAD {
                prop_assert!(then(&record, bad) <= before, "{bad:?}");
            }
        }

        #[test]
        fn missing_more_epochs_is_never_better(outcomes in prop::collection::vec(outcome(), 0..50), missed in 0..300_u64) {
            let record = after(&outcomes);
            let (less, more) = (Outcome::Heartbeat { missed }, Outcome::Heartbeat { missed: missed + 1 });
            prop_assert!(then(&record, more) <= then(&record, less));
        }

        #[test]
        fn decay_forgets(outcomes in prop::collection::vec(outcome(), 0..50)) {
            // Whatever came before, a thousand good outcomes of each kind bring it back to the top.
            let mut record = after(&outcomes);
            for _ in 0..1000 {
                for good in GOOD {
                    apply(&mut record, good, &default_params());
                }
            }
            prop_assert!(Score::of(&record).total >= 990, "{:?}", Score::of(&record));
        }
    }

    #[test]
    fn a_newcomer_stands_in_the_middle() {
        assert_eq!(
            Score::of(&newcomer(1)),
            Score { total: 550, uptime: 200, response: 100, completion: 150, disputes: 100, penalty: 0 }
        );
    }

    #[test]
    fn penalties_bite_at_once_and_are_worked_off() {
        let record = after(&[Outcome::DataFraud]);
        let score = Score::of(&record);
        assert_eq!(score.penalty, 200);
        // Completion 0.98 of 2.96, disputes 1.96 of 2.96 not lost.
        assert_eq!((score.completion, score.disputes), (99, 66));
        let worked_off = [Outcome::DataFraud].into_iter().chain([Outcome::Completed; 40]).collect::<Vec<_>>();
        assert_eq!(Score::of(&after(&worked_off)).penalty, 0);
        // The penalty never exceeds the whole score, so it can always be worked off.
        assert_eq!(Score::of(&after(&[Outcome::DataFraud; 50])).total, 0);
        assert_eq!(after(&[Outcome::DataFraud; 50]).penalty, MAX_SCORE);
    }

    #[test]
    fn outcomes_are_stored_by_provider() {
        let mut state = Overlay::new(Empty);
        let block = BlockInfo::default();
        let mut ctx = BlockCtx::new(&mut state, &block);
        record(&mut ctx, 1, Outcome::Completed).unwrap();
        record(&mut ctx, 2, Outcome::TimedOut).unwrap();
        assert!(score(&ctx, 1).unwrap() > 550);
        assert!(score(&ctx, 2).unwrap() < 550);
        assert_eq!(score(&ctx, 3).unwrap(), 550);
    }
}
