//! Cancelling, graphs, and what stays behind.

use gantry_core::Coin;
use gantry_proto::gantry::job::v1::{input::Source, *};

use crate::chain::*;

fn from_output(path: &str, job: &str, subpath: &str) -> Input {
    Input { path: path.into(), source: Some(Source::Output(OutputRef { job: job.into(), path: subpath.into() })) }
}

#[test]
fn cancelling_before_an_acknowledgement_is_free() {
    let mut c = Chain::new(3);
    let job = c.submit(vec![quorum("one", 2, 3)])[0];
    c.begin();
    let stranger = MsgCancelJob { renter: account("other").to_string(), job_id: job };
    assert_eq!(code(c.tx(&stranger)), ("job", 6));
    assert_eq!(code(c.cancel(99)), ("job", 2));
    c.end();
    c.block(|c| c.cancel(job)).unwrap();
    assert_eq!((c.state_of(job), c.reason_of(job)), (JobState::Cancelled, Reason::CancelledByRenter));
    assert_eq!(c.job(job).end.unwrap().actor, Actor::Renter);
    assert_eq!(c.spent(), 0);
    assert_eq!(code(c.cancel(job)), ("job", 8));

    let job = c.submit(vec![quorum("one", 2, 3)])[0];
    c.until(job, |c| !c.live(job).is_empty());
    c.block(|c| c.cancel(job)).unwrap();
    assert_eq!(c.spent(), 0, "offered, not acknowledged");
    assert_eq!((1..=3).map(|n| c.bond(n)).collect::<Vec<_>>(), [BOND; 3]);
}

/// The price times the time since the acknowledgement, whatever the state.
#[test]
fn cancelling_after_an_acknowledgement_pays_staging_and_run() {
    for (state, seconds) in [(AssignmentState::Acked, 4), (AssignmentState::Staging, 4), (AssignmentState::Running, 4)]
    {
        let mut c = Chain::new(3);
        let job = c.submit(vec![quorum("one", 2, 3)])[0];
        c.until(job, |c| !c.live(job).is_empty());
        let drawn = c.live(job);
        // One does not acknowledge, one does and no more, one goes on.
        c.block(|c| {
            c.ack(&drawn[1]).unwrap();
            c.ack(&drawn[2]).unwrap();
        });
        c.blocks(1);
        c.block(|c| {
            if state != AssignmentState::Acked {
                c.stage(&drawn[2]).unwrap();
            }
            if state == AssignmentState::Running {
                c.run(&drawn[2]).unwrap();
            }
        });
        c.blocks(1);
        c.block(|c| c.cancel(job)).unwrap();
        assert_eq!(c.state_of(job), JobState::Cancelled);
        let net: Vec<u128> = drawn.iter().map(|a| c.earned(a.provider_id)).collect();
        assert_eq!(net, [0, 980 * seconds, 980 * seconds], "cancelled when {state:?}");
        assert_eq!(c.spent(), 2 * 1000 * seconds);
        assert_eq!(c.pool(), 0);
    }
}

#[test]
fn cancelling_is_refused_from_the_first_commitment_on() {
    let mut c = Chain::new(3);
    let job = c.submit(vec![quorum("one", 2, 3)])[0];
    let drawn = c.start(job);
    c.block(|c| c.commit(&drawn[0], &good())).unwrap();
    assert_eq!(code(c.cancel(job)), ("job", 7));
    c.block(|c| drawn[1..].iter().for_each(|a| c.commit(a, &good()).unwrap()));
    assert_eq!(code(c.cancel(job)), ("job", 7));
    c.block(|c| c.reveal(&drawn[0], &good()).unwrap());
    assert_eq!(code(c.cancel(job)), ("job", 7));
}

#[test]
fn a_payment_never_exceeds_the_share_of_a_replica() {
    let mut c = Chain::new(1);
    // Twelve seconds' worth of money for a minute's run.
    let job = c.submit(vec![JobSpec { max_price_total: Some(Coin::base(12_000).to_proto()), ..spec("one") }])[0];
    c.start(job);
    c.blocks(29);
    c.finish(job, &[good()]);
    assert_eq!(c.spent(), 12_000);
    assert_eq!(c.earned(1), 11_760);
}

#[test]
fn all_are_paid_the_highest_ask_drawn() {
    let mut c = Chain::new(3);
    c.block(|c| {
        c.set_offer(3, 1500);
        c.set_offer(3, 1500);
    });
    // The first offer of the third, at 1,000, goes.
    let msg = gantry_proto::gantry::provider::v1::MsgRemoveOffer { operator: operator(3).to_string(), offer_id: 1 };
    c.block(|c| c.tx(&msg)).unwrap();
    c.blocks(2);
    let job = c.submit(vec![quorum("one", 2, 3)])[0];
    c.start(job);
    assert_eq!(c.job(job).price_per_second, 1500);
    c.blocks(1);
    c.finish(job, &[good(), good(), good()]);
    assert_eq!(c.spent(), 9000);
    assert!((1..=3).all(|n| c.earned(n) == 2940));
}

#[test]
fn a_graph_feeds_outputs_into_inputs() {
    let mut c = Chain::new(3);
    let merge = JobSpec {
        inputs: vec![
            from_output("left.png", "left", "tile.png"),
            from_output("right", "right", ""),
            Input { path: "scene.json".into(), source: Some(Source::Cid(IMAGE.into())) },
        ],
        ..spec("merge")
    };
    let jobs = c.submit(vec![merge, spec("left"), spec("right")]);
    assert_eq!(c.spent(), 360_000, "all of the graph is locked");
    let merge = c.job(jobs[0]);
    assert_eq!((merge.state, merge.open_dependencies, &merge.dependencies[..]), (JobState::Pending, 2, &jobs[1..]));
    let inputs = |c: &Chain| -> Vec<ResolvedInput> {
        let response: QueryJobResponse =
            c.query("/gantry.job.v1.Query/Job", &QueryJobRequest { job_id: jobs[0] }).unwrap();
        response.inputs
    };
    assert_eq!(inputs(&c), []);

    c.start(jobs[1]);
    c.finish(jobs[1], &[good()]);
    c.blocks(1);
    assert_eq!((c.state_of(jobs[0]), c.job(jobs[0]).open_dependencies), (JobState::Pending, 1));
    if c.live(jobs[2]).iter().any(|a| a.state == AssignmentState::Offered) {
        c.start(jobs[2]);
    }
    let maker = c.live(jobs[2])[0].provider_id;
    c.finish(jobs[2], &[good()]);
    c.blocks(1);
    assert_eq!(c.state_of(jobs[0]), JobState::Queued);
    let resolved = inputs(&c);
    assert_eq!(resolved.len(), 3);
    assert_eq!(
        (resolved[0].path.as_str(), resolved[0].cid.as_str(), resolved[0].subpath.as_str()),
        ("left.png", OUTPUT, "tile.png")
    );
    assert_eq!(
        (resolved[1].subpath.as_str(), &resolved[1].sources[..]),
        ("", &[format!("http://127.0.0.1:{}", 7000 + maker)][..])
    );
    assert_eq!(
        (resolved[2].cid.as_str(), &resolved[2].sources[..]),
        (IMAGE, &["http://127.0.0.1:9999".to_owned()][..])
    );

    let a = c.start(jobs[0]).remove(0);
    let followed: QueryAssignmentsResponse =
        c.query("/gantry.job.v1.Query/Assignments", &QueryAssignmentsRequest { provider_id: a.provider_id }).unwrap();
    assert_eq!(followed.assignments.len(), 1);
    assert_eq!(followed.assignments[0].inputs, resolved);
    c.finish(jobs[0], &[good()]);
    assert!(jobs.iter().all(|id| c.state_of(*id) == JobState::Completed));
    let graph: QueryGraphResponse = c.query("/gantry.job.v1.Query/Graph", &QueryGraphRequest { graph_id: 1 }).unwrap();
    assert_eq!((graph.graph.unwrap().job_ids, graph.jobs.len(), graph.assignments.len()), (jobs, 3, 3));
}

#[test]
fn the_end_of_a_job_cancels_all_that_depend_on_it() {
    let mut c = Chain::new(1);
    let after = |name: &str, on: &str| JobSpec { dependencies: vec![on.into()], ..spec(name) };
    let mut graph = vec![spec("root")];
    // A chain, a fan wider than one block serves, and one that is apart.
    graph.extend([after("a", "root"), after("b", "a"), after("c", "b"), spec("apart")]);
    graph.extend((0..100).map(|n| after(&format!("fan{n}"), "root")));
    let jobs = c.submit(graph);
    assert_eq!(c.spent(), 105 * 120_000);
    c.block(|c| c.cancel(jobs[0])).unwrap();
    let gone = |c: &Chain| jobs.iter().filter(|id| c.reason_of(**id) == Reason::DependencyFailed).count();
    assert_eq!(gone(&c), 64, "so many hear of it in the first block");
    c.blocks(4);
    assert_eq!(gone(&c), 103);
    assert_eq!(c.job(jobs[3]).end.unwrap().evidence, jobs[2].to_be_bytes());
    assert_eq!(c.state_of(jobs[4]), JobState::Queued);
    assert_eq!(c.spent(), 120_000);
}

#[test]
fn an_ended_job_shrinks_to_a_receipt() {
    let mut c = Chain::with(1, |p| p.retention_blocks = 30, |_| {});
    let jobs = c.submit(vec![spec("one"), JobSpec { inputs: vec![from_output("x", "one", "")], ..spec("two") }]);
    c.start(jobs[0]);
    c.blocks(1);
    c.finish(jobs[0], &[good()]);
    let ended = c.block.height;
    c.until(jobs[1], |c| gantry_job::keeper::get(&c.state, jobs[0]).is_err());
    assert_eq!(c.block.height, ended + 30);
    let response: QueryJobResponse = c.query("/gantry.job.v1.Query/Job", &QueryJobRequest { job_id: jobs[0] }).unwrap();
    assert_eq!((response.job, response.assignments.len()), (None, 0));
    let receipt = response.receipt.unwrap();
    assert_eq!(
        (receipt.state(), receipt.output_cid.as_str(), receipt.ended_height),
        (JobState::Completed, OUTPUT, ended)
    );
    assert_eq!(receipt.paid.unwrap().amount, "1960");
    // The one that takes its output is not disturbed.
    let inputs: QueryJobResponse = c.query("/gantry.job.v1.Query/Job", &QueryJobRequest { job_id: jobs[1] }).unwrap();
    assert_eq!(inputs.inputs[0].cid, OUTPUT);
    c.until(jobs[1], |c| c.verdict(jobs[0]).is_none());
    assert!(gantry_verifier::keeper::submissions(&c.state, jobs[0], 1).unwrap().is_empty());
}
