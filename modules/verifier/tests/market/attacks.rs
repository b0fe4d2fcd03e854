//! What somebody with keys, money and patience would try.

use gantry_core::Coin;
use gantry_proto::gantry::{
    job::v1::{
        AssignmentState, Input, JobSpec, JobState, OutputRef, QueryJobRequest, QueryJobResponse, Reason, Timeouts,
        input::Source,
    },
    provider::v1::{MsgRemoveOffer, MsgUnbond},
};

use crate::chain::*;

/// Who commits last may choose the block, so it must not decide how long the others have to reveal.
#[test]
fn the_last_commitment_cannot_shorten_the_time_to_reveal() {
    // In the block that would have closed commitments anyway, and in the one before it.
    for early in [0, 1] {
        let mut c = Chain::new(3);
        let job = c.submit(vec![quorum("one", 2, 3)])[0];
        let drawn = c.start(job);
        c.block(|c| drawn[..2].iter().for_each(|a| c.commit(a, &good()).unwrap()));
        let close = c.job(job).commit_close_height;
        c.blocks(close - early - 1 - c.block.height);
        c.block(|c| c.commit(&drawn[2], &good()).unwrap());
        assert_eq!(c.job(job).reveal_close_height, close - early + 10);
        // The attacker reveals at once, the others within the time that they were given.
        c.block(|c| c.reveal(&drawn[2], &good()).unwrap());
        c.blocks(5);
        c.block(|c| drawn[..2].iter().for_each(|a| c.reveal(a, &good()).unwrap()));
        assert_eq!(c.state_of(job), JobState::Completed);
        assert_eq!(c.pool(), 0);
    }
}

/// The seed of a block is known before its transactions are: none of them may have a say in what is drawn with it.
#[test]
fn no_transaction_of_a_block_changes_what_is_drawn_in_it() {
    let drawn = |attack: &dyn Fn(&mut Chain)| {
        let mut c = Chain::new(12);
        let job = c.submit(vec![quorum("one", 2, 3)])[0];
        c.blocks(1);
        c.block(|c| attack(c));
        c.live(job).iter().map(|a| a.provider_id).collect::<Vec<_>>()
    };
    let fair = drawn(&|_| ());
    assert_eq!(fair.len(), 3);
    for amount in 1..=8 {
        let unbond = MsgUnbond { owner: account("owner1").to_string(), amount: Some(Coin::base(amount).to_proto()) };
        assert_eq!(drawn(&|c| drop(c.tx(&unbond).unwrap())), fair, "after taking {amount} of the bond out");
    }
    for n in (1..=12).filter(|n| !fair.contains(n)) {
        let remove = MsgRemoveOffer { operator: operator(n).to_string(), offer_id: 1 };
        assert_eq!(drawn(&|c| drop(c.tx(&remove).unwrap())), fair, "after withdrawing an offer of {n}");
    }
}

/// Jobs that nobody here will take, for next to no money.
fn idle(jobs: u32, seconds: u64) -> Vec<JobSpec> {
    let job = |n: u32| JobSpec {
        timeouts: Some(Timeouts { queue_seconds: seconds, staging_seconds: 1, execution_seconds: 1 }),
        deadline_seconds: seconds,
        max_price_per_second: Some(Coin::base(1).to_proto()),
        max_price_total: Some(Coin::base(1).to_proto()),
        ..spec(&format!("n{n}"))
    };
    (0..jobs).map(job).collect()
}

/// As many of them as four messages hold.
fn flood(c: &mut Chain, seconds: u64) -> Vec<u64> {
    (0..4).flat_map(|_| c.submit_as("renter", idle(256, seconds)).unwrap()).collect()
}

/// Renters can make any number of timers fall due at once; those of workers stand behind bond.
#[test]
fn a_flood_of_jobs_that_expire_delays_no_timer_of_a_worker() {
    let mut c = Chain::new(1);
    let job = c.submit(vec![spec("one")])[0];
    let a = c.start(job)[0].clone();
    c.block(|c| flood(c, 57));
    let due = a.running_time_ms + 60_000;
    c.until(job, |c| gantry_job::keeper::now_ms(&c.state).unwrap() >= due);
    assert_eq!(c.assignment(&a).reason(), Reason::ExecutionTimeout);
    // All of them expire in the end.
    c.blocks(8);
    assert!((job + 1..=job + 1024).all(|id| c.state_of(id) == JobState::Expired));
}

#[test]
fn a_flood_of_jobs_that_shrink_delays_no_timer_of_a_worker() {
    let mut c = Chain::with(1, |p| p.retention_blocks = 7, |_| ());
    let jobs = c.block(|c| flood(c, 50));
    let job = c.submit(vec![spec("one")])[0];
    c.until(job, |c| !c.live(job).is_empty());
    let a = c.live(job)[0].clone();
    c.block(|c| jobs.iter().for_each(|id| c.cancel(*id).unwrap()));
    c.blocks(a.offered_height + 10 - c.block.height);
    assert_eq!(c.assignment(&a).state, AssignmentState::Lapsed);
}

/// The end of a block is nobody's to pay for, so what it writes must not grow with the product of inputs and locations.
#[test]
fn many_inputs_from_one_output_do_not_multiply_its_locations() {
    let mut c = Chain::new(1);
    let from_output = |n: u32| Input {
        path: format!("in/{n}"),
        source: Some(Source::Output(OutputRef { job: "one".into(), path: String::new() })),
    };
    let jobs = c.submit(vec![spec("one"), JobSpec { inputs: (0..64).map(from_output).collect(), ..spec("two") }]);
    c.start(jobs[0]);
    c.finish(jobs[0], &[good()]);
    c.blocks(2);
    let request = QueryJobRequest { job_id: jobs[1] };
    let response: QueryJobResponse = c.query("/gantry.job.v1.Query/Job", &request).unwrap();
    assert_eq!(response.inputs.len(), 64);
    assert!(response.inputs.iter().all(|input| input.sources == ["http://127.0.0.1:7001"]));
    let rows = gantry_job::state::RESOLVED.prefix(&c.state, jobs[1], gantry_store::Order::Ascending).unwrap();
    assert_eq!(rows.map(|row| row.unwrap().1.0.sources.len()).sum::<usize>(), 1);
}

/// Jobs that nobody can take cost the renter nothing while they wait; they must not make the others wait.
#[test]
fn a_flood_of_waiting_jobs_keeps_no_new_one_from_the_next_draw() {
    let mut c = Chain::new(4);
    c.block(|c| flood(c, 1000));
    c.blocks(9);
    let job = c.submit(vec![quorum("one", 2, 3)])[0];
    c.blocks(2);
    let drawn = c.live(job);
    assert_eq!(drawn.len(), 3);
    // A worker who declines is replaced as fast.
    c.block(|c| c.report(&drawn[0], Reason::WorkerDeclined).unwrap());
    c.blocks(2);
    assert_eq!(c.live(job).len(), 3);
    // And in a flood without end the old ones still have their turns: here comes one who can serve them.
    c.set_offer(1, 1);
    for _ in 0..5 {
        c.block(|c| c.submit_as("other", idle(100, 1000)).unwrap());
    }
    assert!((1..=1024).any(|id| !c.all(id).is_empty()));
}

/// Many jobs that fail at once take many others with them, but not in one block.
#[test]
fn the_jobs_that_hear_of_an_end_in_one_block_are_bounded() {
    let mut c = Chain::new(1);
    let graph = || {
        let mut jobs = idle(256, 1000);
        jobs[1..].iter_mut().for_each(|job| job.dependencies = vec!["n0".into()]);
        jobs
    };
    let roots: Vec<u64> = c.block(|c| (0..12).map(|_| c.submit_as("renter", graph()).unwrap()[0]).collect());
    let ended = |c: &Chain| (roots[0]..roots[0] + 12 * 256).filter(|id| c.job(*id).is_ended()).count();
    c.block(|c| roots.iter().for_each(|id| c.cancel(*id).unwrap()));
    let mut before = roots.len();
    for _ in 0..8 {
        let now = ended(&c);
        assert!(now - before <= 512, "{} in one block", now - before);
        before = now;
        c.blocks(1);
    }
    assert_eq!(ended(&c), 12 * 256);
}

/// Each step of a worker reads and writes the whole job, and the worker pays for it.
#[test]
fn a_job_is_small_enough_for_workers_to_act_on() {
    let mut c = Chain::new(1);
    let input = |n: u32| Input { path: format!("{}{n}", "x".repeat(500)), source: Some(Source::Cid(IMAGE.into())) };
    let paths = |n: u32| (0..n).map(|n| format!("{}{n}", "y".repeat(500))).collect();
    let large = |inputs: u32, args: usize| JobSpec {
        inputs: (0..inputs).map(input).collect(),
        outputs: paths(32),
        args: vec!["z".repeat(args)],
        ..spec("large")
    };
    assert_eq!(code(c.block(|c| c.submit_as("renter", vec![large(64, 30_000)]))), ("job", 13));
    let job = c.submit(vec![large(32, 10_000)])[0];
    c.start(job);
    c.finish(job, &[good()]);
    assert_eq!(c.state_of(job), JobState::Completed);
    assert!(c.gas.iter().all(|(name, gas)| *gas < 2_000_000 || name == "MsgSubmitJobs"), "{:?}", c.gas);
}

/// Whether a module is valid is the same everywhere: who said that it is not while others ran it to a verdict, lied.
#[test]
fn a_report_that_the_verdict_refutes_counts_as_a_failure() {
    for (reason, counts) in [(Reason::InvalidModule, true), (Reason::ContentUnavailable, false)] {
        let mut c = Chain::new(4);
        let job = c.submit(vec![quorum("one", 2, 3)])[0];
        let liar = c.start(job)[0].clone();
        let completion = |c: &Chain| {
            gantry_reputation::Score::of(&gantry_reputation::keeper::record_of(&c.state, liar.provider_id).unwrap())
                .completion
        };
        let before = completion(&c);
        c.block(|c| c.report(&liar, reason).unwrap());
        assert_eq!(completion(&c), before, "nobody knows yet");
        c.until(job, |c| c.live(job).len() == 3);
        c.block(|c| {
            for a in c.live(job).iter().filter(|a| a.state == AssignmentState::Offered) {
                c.ack(a).unwrap();
                c.stage(a).unwrap();
                c.run(a).unwrap();
            }
        });
        c.finish(job, &[good(), good(), good()]);
        assert_eq!(c.state_of(job), JobState::Completed);
        assert_eq!(completion(&c) < before, counts, "{reason:?}");
    }
}
