//! What others see: events, explanations, genesis.

use gantry_core::{BlockInfo, Empty, InitCtx, Module, QueryCtx};
use gantry_proto::gantry::{
    job::v1::*,
    matching::v1::{QueryExplainJobRequest, QuerySimulateMatchRequest, QuerySimulateMatchResponse},
};
use gantry_store::{Changes, Overlay};

use crate::chain::*;

#[test]
fn every_transition_is_told() {
    let mut c = Chain::new(3);
    let job = c.submit(vec![quorum("one", 2, 3)])[0];
    let drawn = c.start(job);
    c.finish(job, &[good(), good(), wrong(1)]);
    let value = |event: &gantry_core::Event, key: &str| {
        event.attributes.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone()).unwrap_or_default()
    };
    let told: Vec<String> = c
        .events
        .iter()
        .filter(|e| {
            ["gantry_job", "gantry_assignment", "gantry_slash", "gantry_verdict", "gantry_settlement"]
                .contains(&e.kind.as_str())
        })
        .filter(|e| e.kind != "gantry_assignment" || value(e, "replica") == "2")
        .map(|e| format!("{} {}>{} {}", e.kind, value(e, "from"), value(e, "to"), value(e, "reason")))
        .collect();
    assert_eq!(
        told,
        [
            "gantry_job >queued ",
            "gantry_assignment >offered ",
            "gantry_job queued>active ",
            "gantry_assignment offered>acked ",
            "gantry_assignment acked>staging ",
            "gantry_assignment staging>running ",
            "gantry_assignment running>committed ",
            "gantry_job active>verifying ",
            "gantry_assignment committed>revealed ",
            "gantry_slash > wrong_result",
            "gantry_assignment revealed>failed wrong_result",
            "gantry_verdict > ",
            "gantry_settlement > ",
            "gantry_settlement > ",
            "gantry_job verifying>completed ",
        ]
    );
    assert_eq!(drawn.len(), 3);
}

#[test]
fn a_job_that_waits_is_explained() {
    let mut c = Chain::new(3);
    c.block(|c| c.set_offer(2, 3000));
    c.blocks(2);
    let simulate = |c: &Chain, spec: JobSpec| -> Result<QuerySimulateMatchResponse, gantry_core::Status> {
        c.query("/gantry.matching.v1.Query/SimulateMatch", &QuerySimulateMatchRequest { spec: Some(spec) })
    };
    let answer = simulate(&c, quorum("one", 2, 3)).unwrap();
    assert_eq!((answer.feasible_owners, answer.needed, answer.offers.len()), (3, 3, 4));
    let dear = answer.offers.iter().find(|o| !o.feasible).unwrap();
    assert_eq!(
        (dear.provider_id, dear.offer_id, dear.reason_code.as_str(), dear.moniker.as_str()),
        (2, 2, "price", "worker 2")
    );
    let refused = simulate(&c, JobSpec { policy: None, ..spec("one") }).unwrap_err();
    assert_eq!(refused.code, gantry_core::Code::InvalidArgument);

    let explain = |c: &Chain, job_id| -> QuerySimulateMatchResponse {
        c.query("/gantry.matching.v1.Query/ExplainJob", &QueryExplainJobRequest { job_id }).unwrap()
    };
    let wide = c.submit(vec![quorum("one", 3, 4)])[0];
    assert!(explain(&c, wide).summary.contains("from height"), "{}", explain(&c, wide).summary);
    c.blocks(3);
    let answer = explain(&c, wide);
    assert_eq!((answer.feasible_owners, answer.needed), (3, 4));
    assert!(answer.summary.starts_with("waits: 3 distinct owners"), "{}", answer.summary);

    let jobs = c.submit(vec![spec("one"), JobSpec { dependencies: vec!["one".into()], ..spec("two") }]);
    assert!(explain(&c, jobs[1]).summary.contains("1 other job"));
    c.start(jobs[0]);
    assert_eq!(explain(&c, jobs[0]).summary, "does not wait for workers: it is active");
    let none = c.query::<_, QuerySimulateMatchResponse>(
        "/gantry.matching.v1.Query/ExplainJob",
        &QueryExplainJobRequest { job_id: 99 },
    );
    assert_eq!(none.unwrap_err().code, gantry_core::Code::NotFound);
}

/// The rows of two stores.
fn rows(changes: &Changes, store: &str) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    changes
        .iter()
        .filter(|(s, _, _)| s.as_str() == store)
        .map(|(_, k, v)| (k.to_vec(), v.map(<[u8]>::to_vec)))
        .filter(|(_, v)| v.is_some())
        .collect()
}

/// In the middle of everything: one job waits, one runs, one is revealed, one has ended badly, one waits for another.
#[test]
fn an_exported_state_imports_as_itself() {
    let mut c = Chain::new(5);
    let jobs = c.submit(vec![
        quorum("one", 2, 3),
        spec("two"),
        JobSpec { dependencies: vec!["two".into()], ..spec("three") },
        quorum("four", 4, 7),
        JobSpec { deadline_seconds: 500, ..spec("five") },
    ]);
    let drawn = c.start(jobs[0]);
    c.blocks(1);
    c.block(|c| {
        c.commit(&drawn[0], &good()).unwrap();
        c.commit(&drawn[1], &good()).unwrap();
        c.commit(&drawn[2], &wrong(1)).unwrap();
        c.reveal(&drawn[0], &good()).unwrap();
        c.cancel(jobs[4]).unwrap();
    });
    let ended = c.submit(vec![quorum("one", 2, 3)])[0];
    let drawn = c.start(ended);
    c.block(|c| drawn.iter().for_each(|a| c.commit(a, &good()).unwrap()));
    c.block(|c| c.reveal(&drawn[0], &good()).unwrap());
    c.until(ended, |c| c.job(ended).is_ended());

    let modules: [&dyn Module; 6] = [
        &gantry_bank::Bank,
        &gantry_reputation::ReputationModule,
        &gantry_provider::ProviderModule,
        &gantry_escrow::EscrowModule,
        &gantry_job::JobModule,
        &gantry_verifier::VerifierModule,
    ];
    let ctx = QueryCtx::new(&c.state, &c.block);
    let exported = modules.map(|m| m.export_genesis(&ctx).unwrap());
    let block = BlockInfo { chain_id: CHAIN_ID.into(), ..c.block.clone() };
    let mut again = Overlay::new(Empty);
    let mut ctx = InitCtx::new(&mut again, &block);
    for (module, state) in modules.iter().zip(&exported) {
        module.validate_genesis(state).unwrap();
        module.init_genesis(&mut ctx, state).unwrap_or_else(|e| panic!("{}: {e}", module.name()));
    }
    let ctx = QueryCtx::new(&again, &block);
    for (module, state) in modules.iter().zip(&exported) {
        assert_eq!(module.export_genesis(&ctx).unwrap(), *state, "{}", module.name());
    }
    // Rows too, but for when the last block was and when submissions may be forgotten.
    let (was, is) = (rows(c.state.changes(), "job"), rows(again.changes(), "job"));
    let differ: Vec<_> = was.iter().filter(|row| !is.contains(row)).collect();
    assert!(differ.iter().all(|(key, _)| key == b"\x02"), "{differ:02x?}");
    assert!(is.iter().all(|row| was.contains(row)));
    let verifier =
        |changes: &Changes| rows(changes, "verifier").into_iter().filter(|(key, _)| key[0] != 0x13).collect::<Vec<_>>();
    let void =
        |rows: Vec<(Vec<u8>, Option<Vec<u8>>)>| rows.into_iter().filter(|(key, _)| key[0] != 0x12).collect::<Vec<_>>();
    assert_eq!(void(verifier(c.state.changes())), void(verifier(again.changes())));
}

#[test]
fn genesis_that_contradicts_itself_is_refused() {
    let block = BlockInfo::default();
    let module = gantry_job::JobModule;
    let base = module.default_genesis();
    let mut state = Overlay::new(Empty);
    module.init_genesis(&mut InitCtx::new(&mut state, &block), &base).unwrap();
    for (path, value) in [
        ("params", serde_json::Value::Null),
        ("waiting", serde_json::json!([{"job_id": "7", "since_height": "1"}])),
        (
            "due",
            serde_json::json!([{"at": "1", "market_time": true, "task": 1, "job_id": "1", "attempt": 1, "replica": 0}]),
        ),
        ("due", serde_json::json!([{"at": "1", "task": 99, "job_id": "1"}])),
        ("assignments", serde_json::json!([{"job_id": "7", "reserved_bond": "0", "paid": "0", "slashed": "0"}])),
        ("graphs", serde_json::json!([{"id": "7"}])),
        ("unknown", serde_json::json!(1)),
    ] {
        let mut changed = base.clone();
        changed[path] = value;
        let mut state = Overlay::new(Empty);
        assert!(module.init_genesis(&mut InitCtx::new(&mut state, &block), &changed).is_err(), "{path}");
    }
}

/// Least gas that clients must offer: what each message took at most in a usual run.
#[test]
fn messages_stay_within_their_gas() {
    let mut c = Chain::new(7);
    let job = c.submit(vec![quorum("one", 4, 7)])[0];
    c.start(job);
    c.finish(job, &vec![good(); 7]);
    let other = c.submit(vec![quorum("one", 4, 7)])[0];
    c.start(other);
    c.block(|c| c.cancel(other)).unwrap();
    for (message, most) in [
        ("MsgSubmitJobs", 200_000),
        ("MsgAcknowledge", 150_000),
        ("MsgBeginStaging", 50_000),
        ("MsgBeginRun", 60_000),
        ("MsgCommitResult", 250_000),
        ("MsgRevealResult", 120_000),
        ("MsgCancelJob", 900_000),
    ] {
        let used = c.gas[message];
        assert!(used <= most, "{message} took {used}");
    }
}
