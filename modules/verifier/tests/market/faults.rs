//! What goes wrong: wrong and missing reveals, silence in each state, reports, time that runs out.

use gantry_core::Address;
use gantry_proto::gantry::{
    job::v1::*,
    verifier::v1::{
        ExitKind, MsgCommitResult, MsgRevealResult, Outcome as Judged, QuerySlashesRequest, QuerySlashesResponse,
        Reveal, SlashReason,
    },
};

use crate::chain::*;

fn slashes(c: &Chain, provider_id: u64) -> Vec<(SlashReason, String)> {
    let request = QuerySlashesRequest { provider_id, pagination: None };
    let response: QuerySlashesResponse = c.query("/gantry.verifier.v1.Query/Slashes", &request).unwrap();
    response.slashes.iter().map(|s| (s.reason(), s.amount.clone().unwrap().amount)).collect()
}

#[test]
fn a_missing_reveal_after_another_costs_as_much_as_a_wrong_one() {
    let mut c = Chain::new(3);
    let job = c.submit(vec![quorum("one", 2, 3)])[0];
    let drawn = c.start(job);
    c.blocks(1);
    c.block(|c| drawn.iter().for_each(|a| c.commit(a, &good()).unwrap()));
    c.block(|c| drawn[..2].iter().for_each(|a| c.reveal(a, &good()).unwrap()));
    // Two agree, but the third may still come.
    assert_eq!(c.state_of(job), JobState::Verifying);
    c.until(job, |c| c.state_of(job) != JobState::Verifying);
    assert_eq!(c.state_of(job), JobState::Completed);
    let silent = c.assignment(&drawn[2]);
    assert_eq!((silent.reason(), silent.slashed), (Reason::RevealWithheld, 120_000));
    assert_eq!(slashes(&c, silent.provider_id), [(SlashReason::RevealWithheld, "120000".into())]);
    assert_eq!(slashes(&c, 0).len(), 1);
    assert_eq!(c.verdict(job).unwrap().withheld, [silent.provider_id]);
    assert_eq!(c.earned(drawn[0].provider_id), 1960);
    assert_eq!(code(c.reveal(&silent, &good())), ("verifier", 9), "too late");
}

#[test]
fn an_early_verdict_does_not_spare_the_wrong_one() {
    let mut c = Chain::new(3);
    let job = c.submit(vec![quorum("one", 2, 3)])[0];
    let drawn = c.start(job);
    c.block(|c| {
        c.commit(&drawn[0], &good()).unwrap();
        c.commit(&drawn[1], &good()).unwrap();
        c.commit(&drawn[2], &wrong(1)).unwrap();
    });
    c.block(|c| drawn[..2].iter().for_each(|a| c.reveal(a, &good()).unwrap()));
    assert_eq!(c.verdict(job), None);
    c.blocks(3);
    c.block(|c| c.reveal(&drawn[2], &wrong(1)).unwrap());
    assert_eq!(c.state_of(job), JobState::Completed);
    assert_eq!(slashes(&c, drawn[2].provider_id), [(SlashReason::WrongResult, "120000".into())]);
}

#[test]
fn reveals_that_are_refused() {
    let mut c = Chain::new(4);
    let job = c.submit(vec![quorum("one", 2, 3)])[0];
    let drawn = c.start(job);
    let (first, second, third) = (&drawn[0], &drawn[1], &drawn[2]);
    let idle = (1..=4).find(|n| drawn.iter().all(|a| a.provider_id != *n)).unwrap();

    c.begin();
    assert_eq!(code(c.reveal(first, &good())), ("verifier", 7), "without commit");
    c.commit(first, &good()).unwrap();
    assert_eq!(code(c.commit(first, &good())), ("verifier", 12), "committed twice");
    assert_eq!(code(c.reveal(first, &good())), ("verifier", 6), "others may still commit");
    assert_eq!(c.job(job).commit_close_height, 0, "one commitment is no majority");
    c.commit(second, &good()).unwrap();
    assert_eq!(c.job(job).commit_close_height, c.block.height + 20);
    assert_eq!(code(c.reveal(first, &good())), ("verifier", 6));
    c.commit(third, &good()).unwrap();
    c.end();

    c.begin();
    assert_eq!(code(c.reveal(first, &wrong(1))), ("verifier", 10), "another result than committed");
    let mut msg = MsgRevealResult {
        operator: operator(first.provider_id).to_string(),
        job_id: job,
        attempt: 1,
        replica: first.replica,
        reveal: Some(reveal(first, &good())),
    };
    for change in [
        (|r| r.nonce = vec![9; 32]) as fn(&mut Reveal),
        |r| r.manifest_digest = vec![9; 32],
        |r| r.possession_root = vec![9; 32],
        |r| r.exit_code = 1,
    ] {
        let mut other = msg.clone();
        change(other.reveal.as_mut().unwrap());
        assert_eq!(code(c.tx(&other)), ("verifier", 10));
    }
    assert_eq!(code(c.reveal_as(&operator(idle), first, &good())), ("job", 4), "another provider");
    assert_eq!(code(c.reveal_as(&account("stranger"), first, &good())).0, "provider", "nobody's operator");
    assert_eq!(code(c.reveal_as(&operator(second.provider_id), first, &good())), ("job", 4), "a fellow replica");
    for (change, expected) in [
        ((|m| m.reveal = None) as fn(&mut MsgRevealResult), 3),
        (|m| m.reveal.as_mut().unwrap().nonce = vec![4; 31], 2),
        (|m| m.reveal.as_mut().unwrap().output_root.clear(), 2),
        (|m| m.reveal.as_mut().unwrap().exit_kind = 0, 4),
        (|m| m.reveal.as_mut().unwrap().exit_kind = 77, 4),
        (|m| m.reveal.as_mut().unwrap().locations = vec!["http://x".into(); 5], 5),
    ] {
        let mut bad = msg.clone();
        change(&mut bad);
        assert_eq!(code(c.tx(&bad)), ("verifier", expected));
    }
    msg.reveal.as_mut().unwrap().output_cid = "not a cid".into();
    assert_eq!(code(c.tx(&msg)), ("job", 15));
    // After all that the right opening is still taken.
    c.reveal(first, &good()).unwrap();
    assert_eq!(code(c.reveal(first, &good())), ("verifier", 8), "twice");
    c.reveal(second, &good()).unwrap();
    c.reveal(third, &good()).unwrap();
    c.end();
    assert_eq!(c.state_of(job), JobState::Completed);
    assert_eq!(code(c.reveal(first, &good())), ("verifier", 8), "after the end");
    assert_eq!(code(c.commit(third, &good())), ("job", 5));
    assert_eq!(c.pool(), 0);
}

#[test]
fn commitments_that_are_refused() {
    let mut c = Chain::new(3);
    let job = c.submit(vec![quorum("one", 2, 3)])[0];
    c.until(job, |c| !c.live(job).is_empty());
    let drawn = c.live(job);
    c.begin();
    assert_eq!(code(c.commit(&drawn[0], &good())), ("job", 5), "not running");
    let short = MsgCommitResult {
        operator: operator(drawn[0].provider_id).to_string(),
        job_id: job,
        attempt: 1,
        replica: 0,
        commitment: vec![1; 33],
    };
    assert_eq!(code(c.tx(&short)), ("verifier", 2));
    assert_eq!(code(c.tx(&MsgCommitResult { job_id: 99, commitment: vec![1; 32], ..short.clone() })), ("job", 2));
    assert_eq!(code(c.tx(&MsgCommitResult { replica: 9, commitment: vec![1; 32], ..short })), ("job", 3));
    c.end();
    let drawn = c.start(job);
    c.block(|c| drawn[..2].iter().for_each(|a| c.commit(a, &good()).unwrap()));
    assert_eq!(c.state_of(job), JobState::Active);
    // The third is too slow: it is not paid, and it is not at fault.
    c.blocks(20);
    assert_eq!(c.state_of(job), JobState::Verifying);
    let late = c.assignment(&drawn[2]);
    assert_eq!((late.reason(), late.slashed, late.reserved_bond), (Reason::CommitLate, 0, 0));
    assert_eq!(code(c.commit(&drawn[2], &good())), ("verifier", 11));
    c.block(|c| drawn[..2].iter().for_each(|a| c.reveal(a, &good()).unwrap()));
    assert_eq!(c.state_of(job), JobState::Completed);
    assert_eq!((c.verdict(job).unwrap().votes, c.pool()), (2, 0));
}

/// The end of a commit window that closed early is no end of the reveals.
#[test]
fn a_window_that_closed_early_does_not_cut_the_next_one_short() {
    let mut c = Chain::new(3);
    let job = c.submit(vec![quorum("one", 2, 3)])[0];
    let drawn = c.start(job);
    c.block(|c| drawn[..2].iter().for_each(|a| c.commit(a, &good()).unwrap()));
    let close = c.job(job).commit_close_height;
    c.until(job, |c| c.block.height == close - 3);
    c.block(|c| c.commit(&drawn[2], &good())).unwrap();
    let reveal_close = c.job(job).reveal_close_height;
    assert_eq!(reveal_close, close - 2 + 10);
    c.until(job, |c| c.block.height == reveal_close - 1);
    c.block(|c| drawn.iter().for_each(|a| c.reveal(a, &good()).unwrap()));
    assert_eq!((c.state_of(job), c.pool()), (JobState::Completed, 0));
}

/// Whoever commits to nonsense at once cannot shut the others out.
#[test]
fn one_fast_cheater_does_not_close_commitments() {
    let mut c = Chain::new(3);
    let job = c.submit(vec![quorum("one", 2, 3)])[0];
    let drawn = c.start(job);
    c.block(|c| c.commit(&drawn[0], &wrong(1))).unwrap();
    c.blocks(40);
    assert_eq!(c.state_of(job), JobState::Active);
    c.block(|c| drawn[1..].iter().for_each(|a| c.commit(a, &good()).unwrap()));
    c.block(|c| {
        c.reveal(&drawn[0], &wrong(1)).unwrap();
        drawn[1..].iter().for_each(|a| c.reveal(a, &good()).unwrap());
    });
    assert_eq!(c.state_of(job), JobState::Completed);
    assert_eq!(c.assignment(&drawn[0]).slashed, 120_000);
}

#[test]
fn no_quorum_pays_nobody_slashes_nobody_and_tries_again() {
    let mut c = Chain::new(3);
    let job = c.submit(vec![JobSpec { retries: 1, ..quorum("one", 2, 3) }])[0];
    let drawn = c.start(job);
    c.blocks(1);
    c.finish(job, &[wrong(1), wrong(2), good()]);
    assert_eq!(c.verdict(job).unwrap().outcome(), Judged::NoQuorum);
    let second = c.job(job);
    assert_eq!((second.state, second.attempt, second.next_replica), (JobState::Queued, 2, 0));
    assert_eq!((c.pool(), c.spent()), (0, 360_000));
    assert!(drawn.iter().all(|a| c.assignment(a).reason() == Reason::NoQuorum && c.earned(a.provider_id) == 0));
    assert_eq!(code(c.reveal(&drawn[0], &wrong(1))), ("verifier", 7), "an attempt that is over");

    c.start(job);
    c.blocks(1);
    c.finish(job, &[good(), good(), good()]);
    assert_eq!(c.state_of(job), JobState::Completed);
    assert_eq!(c.spent(), 6000, "what earlier attempts set aside goes back");

    // Without retries left it fails.
    let job = c.submit(vec![quorum("one", 2, 3)])[0];
    c.start(job);
    c.finish(job, &[wrong(1), wrong(2), good()]);
    assert_eq!((c.state_of(job), c.reason_of(job)), (JobState::Failed, Reason::NoQuorum));
    assert_eq!(c.spent(), 6000);
}

#[test]
fn a_program_that_fails_alike_everywhere_is_paid_for() {
    let ends = [
        Outcome { code: 3, ..good() },
        Outcome { kind: ExitKind::Trap, code: 9, cid: String::new(), root: [0; 32] },
        Outcome { kind: ExitKind::OutOfFuel, code: 0, cid: String::new(), root: [0; 32] },
    ];
    for end in ends {
        let mut c = Chain::new(3);
        let jobs = c.submit(vec![quorum("one", 2, 3), JobSpec { dependencies: vec!["one".into()], ..spec("two") }]);
        c.start(jobs[0]);
        c.blocks(1);
        c.finish(jobs[0], &[end.clone(), end.clone(), end]);
        assert_eq!((c.state_of(jobs[0]), c.reason_of(jobs[0])), (JobState::Failed, Reason::ProgramFailed));
        assert_eq!(c.job(jobs[0]).end.unwrap().actor, Actor::Program);
        assert_eq!(c.verdict(jobs[0]).unwrap().outcome(), Judged::Accepted);
        c.blocks(2);
        assert_eq!(c.reason_of(jobs[1]), Reason::DependencyFailed);
        assert_eq!(c.spent(), 6000, "the workers did their part");
        assert!((1..=3).all(|n| c.earned(n) == 1960));
    }
}

/// Parameters that nobody can meet any more make a waiting job wait, and the chain goes on.
#[test]
fn a_change_of_parameters_does_not_stop_the_chain() {
    let mut c = Chain::new(1);
    let dear = JobSpec {
        max_price_per_second: Some(gantry_core::Coin::base(u128::MAX / 10_000).to_proto()),
        timeouts: Some(Timeouts { queue_seconds: 60, staging_seconds: 1, execution_seconds: 1 }),
        max_price_total: Some(gantry_core::Coin::base(u128::MAX / 10_000).to_proto()),
        ..spec("one")
    };
    let job = c.submit(vec![spec("one")])[0];
    let mut params = gantry_job::params::get(&c.state).unwrap();
    params.bond_ratio_ppm = 1_000_000_000;
    gantry_job::state::PARAMS.set(&mut c.state, &params.into()).unwrap();
    // As if it had been submitted and paid for before.
    let mut row = c.job(job);
    row.terms = gantry_job::Terms::try_from(&dear).unwrap();
    row.spec = dear;
    gantry_job::state::JOBS.set(&mut c.state, job, &row).unwrap();
    c.until(job, |c| c.job(job).is_ended());
    assert_eq!(c.reason_of(job), Reason::QueueTimeout);
}

// --- silence -----------------------------------------------------------------------------------------------------

#[test]
fn silence_after_the_offer_costs_a_strike_and_another_is_drawn_at_the_same_age() {
    let mut c = Chain::new(4);
    let job = c.submit(vec![quorum("one", 2, 3)])[0];
    c.until(job, |c| !c.live(job).is_empty());
    let (drawn, age) = (c.live(job), c.job(job).queued_height);
    c.block(|c| drawn[..2].iter().for_each(|a| c.ack(a).unwrap()));
    c.until(job, |c| c.live(job).len() == 2);
    let lapsed = c.assignment(&drawn[2]);
    assert_eq!(
        (lapsed.state, lapsed.reason(), lapsed.slashed),
        (AssignmentState::Lapsed, Reason::NoAcknowledgement, 0)
    );
    assert_eq!(c.block.height, lapsed.offered_height + 10);
    let offer = gantry_provider::keeper::offer(&c.state, lapsed.provider_id, lapsed.offer_id).unwrap();
    assert_eq!((offer.strikes, offer.in_use), (1, 0));
    assert_eq!(code(c.ack(&drawn[2])), ("job", 5), "too late");

    c.until(job, |c| c.live(job).len() == 3);
    let other = c.live(job).pop().unwrap();
    assert_eq!(other.replica, 3, "a number of its own");
    assert!(drawn.iter().all(|a| a.provider_id != other.provider_id), "the one who was silent is passed over");
    assert_eq!(c.job(job).queued_height, age);
    assert_eq!(other.offered_height, c.assignment(&drawn[2]).offered_height + 10 + 2, "draws see it two blocks later");
    c.block(|c| {
        c.ack(&other).unwrap();
        for a in [&drawn[0], &drawn[1], &other] {
            c.stage(a).unwrap();
            c.run(a).unwrap();
        }
    });
    c.finish(job, &[good(), good(), good()]);
    assert_eq!(c.state_of(job), JobState::Completed);
}

/// One provider, silent once: after a pause it is asked again.
#[test]
fn the_only_provider_is_asked_again() {
    let mut c = Chain::new(1);
    let job = c.submit(vec![spec("one")])[0];
    c.until(job, |c| !c.live(job).is_empty());
    c.until(job, |c| c.live(job).is_empty());
    c.until(job, |c| !c.live(job).is_empty());
    let a = c.start(job).remove(0);
    assert_eq!(a.replica, 1);
    c.finish(job, &[good()]);
    assert_eq!(c.state_of(job), JobState::Completed);
    let offer = gantry_provider::keeper::offer(&c.state, 1, a.offer_id).unwrap();
    assert_eq!(offer.strikes, 0, "forgotten");
}

/// How far a worker goes before it is silent, what that is called and what it costs of 240,000.
#[test]
fn silence_in_each_state_after_the_acknowledgement() {
    let cases = [
        (AssignmentState::Acked, Reason::StagingTimeout, 12_000),
        (AssignmentState::Staging, Reason::StagingTimeout, 12_000),
        (AssignmentState::Running, Reason::ExecutionTimeout, 12_000),
        (AssignmentState::Committed, Reason::RevealWithheld, 12_000),
    ];
    for (state, reason, cost) in cases {
        let mut c = Chain::new(1);
        let job = c.submit(vec![spec("one")])[0];
        c.until(job, |c| !c.live(job).is_empty());
        let a = c.live(job).remove(0);
        c.block(|c| {
            c.ack(&a).unwrap();
            if state as i32 >= AssignmentState::Staging as i32 {
                c.stage(&a).unwrap();
            }
            if state as i32 >= AssignmentState::Running as i32 {
                c.run(&a).unwrap();
            }
            if state == AssignmentState::Committed {
                c.commit(&a, &good()).unwrap();
            }
        });
        assert_eq!(c.assignment(&a).state, state);
        c.until(job, |c| c.live(job).is_empty());
        let a = c.assignment(&a);
        assert_eq!((a.reason(), a.slashed, a.reserved_bond), (reason, cost, 0), "silent when {state:?}");
        assert_eq!((c.pool(), c.bond(1)), (cost, BOND - cost));
        c.until(job, |c| c.job(job).is_ended());
        let expected = match state {
            AssignmentState::Committed => (JobState::Failed, Reason::NoQuorum),
            // Nobody else is there to take it.
            _ => (JobState::Expired, Reason::QueueTimeout),
        };
        assert_eq!((c.state_of(job), c.reason_of(job)), expected);
        assert_eq!(c.spent(), 0);
    }
}

#[test]
fn a_lost_worker_is_replaced_alone_until_a_verdict_is_possible() {
    let mut c = Chain::new(5);
    let job = c.submit(vec![quorum("one", 2, 3)])[0];
    let drawn = c.start(job);
    c.block(|c| c.commit(&drawn[0], &good())).unwrap();
    // The two others time out: replaced, while the first one's commitment stands.
    c.until(job, |c| c.live(job).len() == 1);
    c.until(job, |c| c.live(job).len() == 3);
    let new: Vec<_> = c.live(job).split_off(1);
    assert_eq!(new.iter().map(|a| a.replica).collect::<Vec<_>>(), [3, 4]);
    c.block(|c| {
        for a in &new {
            c.ack(a).unwrap();
            c.stage(a).unwrap();
            c.run(a).unwrap();
        }
    });
    c.block(|c| c.commit(&new[0], &good())).unwrap();
    // Two of three have committed: whoever is lost now is not replaced.
    c.block(|c| c.report(&new[1], Reason::NoResult)).unwrap();
    c.until(job, |c| c.state_of(job) == JobState::Verifying);
    c.block(|c| {
        c.reveal(&drawn[0], &good()).unwrap();
        c.reveal(&new[0], &good()).unwrap();
    });
    assert_eq!(c.state_of(job), JobState::Completed);
    assert_eq!(c.job(job).next_replica, 5);
    assert_eq!(c.pool(), 24_000, "two missed deadlines");
}

// --- reports -----------------------------------------------------------------------------------------------------

#[test]
fn as_many_reports_as_votes_end_a_job_that_is_itself_at_fault() {
    for reason in [Reason::ContentUnavailable, Reason::InvalidModule] {
        let mut c = Chain::new(5);
        let job = c.submit(vec![quorum("one", 2, 3)])[0];
        let drawn = c.start(job);
        c.block(|c| c.report(&drawn[0], reason)).unwrap();
        assert_eq!(c.state_of(job), JobState::Active, "one may be mistaken");
        assert_eq!(c.assignment(&drawn[0]).end.unwrap().evidence, [7; 32]);
        c.block(|c| c.report(&drawn[1], reason)).unwrap();
        assert_eq!((c.state_of(job), c.reason_of(job)), (JobState::Failed, reason));
        assert_eq!((c.spent(), c.pool()), (0, 0));
        assert_eq!(c.assignment(&drawn[2]).reason(), Reason::JobEnded);
    }
}

#[test]
fn workers_that_give_up_are_replaced_so_often_and_no_more() {
    let mut c = Chain::with(5, |p| p.max_replacements = 2, |_| {});
    let job = c.submit(vec![JobSpec { retries: 1, ..spec("one") }])[0];
    for attempt in 1..=2 {
        for replica in 0..3 {
            c.until(job, |c| !c.live(job).is_empty());
            let a = c.live(job).remove(0);
            assert_eq!((a.attempt, a.replica), (attempt, replica));
            c.begin();
            assert_eq!(code(c.report(&a, Reason::NoResult)), ("job", 5), "it has not begun");
            assert_eq!(code(c.report(&a, Reason::WrongResult)), ("job", 22));
            c.report(&a, Reason::WorkerDeclined).unwrap();
            c.end();
        }
    }
    assert_eq!((c.state_of(job), c.reason_of(job)), (JobState::Failed, Reason::RetriesExhausted));
    assert_eq!((c.spent(), c.pool()), (0, 0));
}

#[test]
fn an_unavailable_input_is_why_a_job_ends_when_nobody_else_is_left() {
    let mut c = Chain::new(2);
    let job = c.submit(vec![quorum("one", 2, 2)])[0];
    let drawn = c.start(job);
    c.block(|c| c.report(&drawn[0], Reason::ContentUnavailable)).unwrap();
    c.block(|c| c.report(&drawn[1], Reason::NoResult)).unwrap();
    c.until(job, |c| c.job(job).is_ended());
    assert_eq!((c.state_of(job), c.reason_of(job)), (JobState::Failed, Reason::ContentUnavailable));
}

// --- time --------------------------------------------------------------------------------------------------------

#[test]
fn a_job_that_nobody_takes_expires() {
    let mut c = Chain::new(2);
    let cheap = JobSpec { max_price_per_second: Some(gantry_core::Coin::base(ASK - 1).to_proto()), ..spec("one") };
    let job = c.submit(vec![cheap])[0];
    let start = c.job(job).queued_time_ms;
    c.until(job, |c| c.job(job).is_ended());
    assert_eq!((c.state_of(job), c.reason_of(job)), (JobState::Expired, Reason::QueueTimeout));
    assert_eq!(c.job(job).ended_time_ms, start + 60_000);
    assert_eq!(c.spent(), 0);

    // Too few for the quorum: nobody is drawn at all.
    let job = c.submit(vec![quorum("one", 2, 3)])[0];
    c.until(job, |c| c.job(job).is_ended());
    assert_eq!((c.reason_of(job), c.all(job).len()), (Reason::QueueTimeout, 0));
}

#[test]
fn a_deadline_ends_what_has_not_committed() {
    let mut c = Chain::new(3);
    let short = |name| JobSpec { deadline_seconds: 10, ..quorum(name, 2, 3) };
    let job = c.submit(vec![short("one")])[0];
    let drawn = c.start(job);
    c.until(job, |c| c.job(job).is_ended());
    let ended = c.job(job);
    assert_eq!((ended.state, c.reason_of(job)), (JobState::Expired, Reason::Deadline));
    assert_eq!(ended.ended_time_ms, ended.submitted_time_ms + 10_000);
    assert!(drawn.iter().all(|a| c.assignment(a).reason() == Reason::JobEnded));
    assert_eq!((c.spent(), c.pool()), (0, 0));

    // With a commitment in place the verdict comes first.
    let job = c.submit(vec![short("one")])[0];
    let drawn = c.start(job);
    c.block(|c| c.commit(&drawn[0], &good())).unwrap();
    c.blocks(15);
    assert_eq!(c.state_of(job), JobState::Active);
    c.block(|c| drawn[1..].iter().for_each(|a| c.commit(a, &good()).unwrap()));
    c.block(|c| drawn.iter().for_each(|a| c.reveal(a, &good()).unwrap()));
    assert_eq!(c.state_of(job), JobState::Completed);

    // But no other attempt begins.
    let job = c.submit(vec![JobSpec { retries: 3, ..short("one") }])[0];
    c.start(job);
    c.blocks(3);
    let at_work = c.live(job);
    c.block(|c| at_work.iter().enumerate().for_each(|(n, a)| c.commit(a, &wrong(n as u8)).unwrap()));
    c.blocks(8);
    c.block(|c| at_work.iter().enumerate().for_each(|(n, a)| c.reveal(a, &wrong(n as u8)).unwrap()));
    assert_eq!((c.state_of(job), c.reason_of(job)), (JobState::Expired, Reason::Deadline));

    // A job that still waits for another.
    let jobs =
        c.submit(vec![spec("one"), JobSpec { deadline_seconds: 5, dependencies: vec!["one".into()], ..spec("two") }]);
    c.blocks(7);
    assert_eq!(c.reason_of(jobs[1]), Reason::Deadline);
}

/// A halt of the chain for an hour is ten seconds of market time: nobody is late for it, nobody is billed for it.
#[test]
fn a_halt_neither_bills_nor_slashes() {
    let mut c = Chain::new(1);
    let job = c.submit(vec![spec("one")])[0];
    let a = c.start(job).remove(0);
    c.interval_ms = 3_600_000;
    c.blocks(1);
    c.interval_ms = 1000;
    assert_eq!(c.assignment(&a).state, AssignmentState::Running);
    c.finish(job, &[good()]);
    assert_eq!(c.spent(), 11_000, "ten seconds for the halt, one for the block");
    assert_eq!(c.balance(&Address::module("slash_pool")), 0);
}
