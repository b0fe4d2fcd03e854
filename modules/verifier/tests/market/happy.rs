//! What happens when all is well, or when a minority is not.

use gantry_core::Address;
use gantry_proto::gantry::{job::v1::*, verifier::v1::Outcome as Judged};

use crate::chain::*;

#[test]
fn an_attested_job_runs_from_submission_to_payment() {
    let mut c = Chain::new(3);
    let job = c.submit(vec![spec("one")])[0];
    assert_eq!(c.state_of(job), JobState::Queued);
    assert_eq!(c.spent(), 120_000, "all of it is locked at submission");
    // Nobody who knows the seed can have been admitted: two blocks.
    let submitted = c.block.height;
    c.until(job, |c| !c.live(job).is_empty());
    assert_eq!(c.block.height, submitted + 2);

    let a = c.start(job).remove(0);
    assert_eq!(c.state_of(job), JobState::Active);
    assert_eq!(a.reserved_bond, 240_000, "twice the most that it can be paid");
    c.blocks(2);
    // One transaction may hold both, because nobody else is waited for.
    c.block(|c| {
        c.commit(&a, &good()).unwrap();
        c.reveal(&a, &good()).unwrap();
    });
    let done = c.job(job);
    assert_eq!((done.state, done.end), (JobState::Completed, None));
    assert_eq!((done.output_cid.as_str(), done.output_locations.len()), (OUTPUT, 1));
    // Three seconds at the ask of 1,000, less 2 %.
    assert_eq!(c.earned(a.provider_id), 2940);
    assert_eq!(c.balance(&Address::module("market_fee")), 60);
    assert_eq!(c.spent(), 3000);
    let a = c.assignment(&a);
    assert_eq!((a.state, a.paid, a.reserved_bond), (AssignmentState::Settled, 2940, 0));
    assert_eq!(c.bond(a.provider_id), BOND);
    let verdict = c.verdict(job).unwrap();
    assert_eq!((verdict.outcome(), verdict.votes, verdict.winners), (Judged::Accepted, 1, vec![a.provider_id]));
}

#[test]
fn a_quorum_pays_each_its_time_up_to_the_median() {
    let mut c = Chain::new(5);
    let job = c.submit(vec![quorum("one", 2, 3)])[0];
    let drawn = c.start(job);
    assert_eq!(drawn.len(), 3);
    // Committed after 2, 4 and 6 seconds.
    for a in &drawn {
        c.blocks(1);
        c.block(|c| c.commit(a, &good())).unwrap();
    }
    assert_eq!(c.state_of(job), JobState::Verifying, "all have committed: no need to wait");
    c.block(|c| drawn.iter().for_each(|a| c.reveal(a, &good()).unwrap()));
    assert_eq!(c.state_of(job), JobState::Completed);
    let net: Vec<u128> = drawn.iter().map(|a| c.earned(a.provider_id)).collect();
    assert_eq!(net, [1960, 3920, 3920]);
    assert_eq!(c.spent(), 10_000);
    assert_eq!(c.pool(), 0);
}

#[test]
fn a_wrong_minority_is_slashed_and_unpaid() {
    let mut c = Chain::new(5);
    let job = c.submit(vec![quorum("one", 2, 3)])[0];
    let drawn = c.start(job);
    c.blocks(1);
    c.finish(job, &[good(), wrong(1), good()]);
    assert_eq!(c.state_of(job), JobState::Completed);
    let cheater = c.assignment(&drawn[1]);
    assert_eq!((cheater.state, cheater.reason()), (AssignmentState::Failed, Reason::WrongResult));
    assert_eq!((cheater.slashed, cheater.paid), (120_000, 0), "half of what was reserved");
    assert_eq!(c.bond(cheater.provider_id), BOND - 120_000);
    assert_eq!((c.earned(cheater.provider_id), c.pool()), (0, 120_000));
    for a in [&drawn[0], &drawn[2]] {
        assert_eq!(c.earned(a.provider_id), 1960);
        assert_eq!(c.bond(a.provider_id), BOND);
    }
    let verdict = c.verdict(job).unwrap();
    assert_eq!((verdict.votes, verdict.minority), (2, vec![cheater.provider_id]));
    assert_eq!(c.spent(), 4000, "the wrong one costs the renter nothing, and the slash is not the renter's");
}

/// The limit of the policy.
#[test]
fn as_many_colluders_as_votes_get_a_wrong_result_accepted() {
    let mut c = Chain::new(3);
    let job = c.submit(vec![quorum("one", 2, 3)])[0];
    let drawn = c.start(job);
    c.finish(job, &[wrong(1), good(), wrong(1)]);
    assert_eq!(c.state_of(job), JobState::Completed);
    assert_eq!(c.assignment(&drawn[1]).reason(), Reason::WrongResult, "the honest one is slashed");
    assert_eq!(c.pool(), 120_000);
}
