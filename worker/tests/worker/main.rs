//! The worker against a model of the chain: whole lives of assignments, kill -9 at every step, who may see what, and
//! jobs that cannot be run.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod chain;
mod crash;
mod rig;

use std::time::Duration;

use chain::FileChain;
use gantry_content::{Cid, FetchError, SourceError, push};
use gantry_proto::gantry::{
    job::v1::{AssignmentState, Input, Reason, input::Source as InputSource},
    verifier::v1::ExitKind,
};
use gantry_worker::{MISSING_OUTPUT, executor::WasmExecutor, journal::Phase};
use rig::{Rig, Script, spec, until};
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn a_quorum_job_from_offer_to_payment_and_who_may_see_it() {
    let rig = Rig::new();
    rig.chain.update(|s| s.extra.hold = true);
    let worker = rig.start(Script::default()).await;
    let renter = rig::signer(1);
    let input = rig.upload(&worker, &[("scene.txt", b"a sphere")]).await;
    let mut job = spec(&rig.upload_file(&worker, b"copy").await, &worker.endpoint);
    job.inputs = vec![Input { path: "scene".into(), source: Some(InputSource::Cid(input.to_string())) }];
    job.outputs = vec!["scene/scene.txt".into()];
    let key = rig.chain.submit(&renter.info.address, job);

    // Computed and committed; the others have not, so nothing is revealed and nobody else may see anything.
    until(|| rig.chain.state().submission(key).is_some()).await;
    let state = rig.chain.state();
    assert_eq!(state.count("MsgRevealResult"), 0);
    let transaction =
        |name: &str| state.extra.transactions.iter().find(|t| t.iter().any(|m| m.starts_with(name))).cloned();
    let together = transaction("MsgAcknowledge").unwrap();
    assert!(together.iter().any(|m| m.starts_with("MsgBeginStaging")), "{together:?}");
    let output = rig.expected_output(&[("scene/scene.txt", b"a sphere"), ("done", b"copy")]);
    assert!(
        matches!(rig.fetch(&worker, &output, None).await, Err(FetchError::NotFound { tried, .. }) if tried[0].why == SourceError::NotFound)
    );
    assert!(rig.fetch(&worker, &output, Some((&rig::signer(2), key))).await.is_err(), "a stranger's signature");
    rig.fetch(&worker, &output, Some((&renter, key))).await.expect("the renter sees its output");
    // What the output shares with an input stays open: other replicas need it.
    rig.fetch(&worker, &input, None).await.expect("inputs are open");

    let logs = async |by| worker.logs(key, 0, by).await;
    assert_eq!(logs(None).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(logs(Some(rig::signer(2))).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(logs(Some(renter.clone())).await.unwrap(), (b"running\n".to_vec(), true));
    assert_eq!(worker.logs(key, 3, Some(renter.clone())).await.unwrap().0, b"ning\n");
    let unknown = gantry_worker::Key { job: 99, ..key };
    assert_eq!(worker.logs(unknown, 0, Some(renter.clone())).await.unwrap_err().code(), Code::NotFound);

    // Commitments close; the reveal comes, the verdict, and everybody may fetch.
    rig.chain.update(|s| s.extra.hold = false);
    until(|| rig.chain.state().assignment(key).state() == AssignmentState::Settled).await;
    let state = rig.chain.state();
    let reveal = state.submission(key).unwrap().reveal.clone().unwrap();
    assert_eq!((reveal.exit_kind(), reveal.exit_code), (ExitKind::Exit, 0));
    assert_eq!(reveal.output_cid, output.to_string());
    assert_eq!(reveal.locations, [&*worker.endpoint]);
    rig.until_fetched(&worker, &output).await;
    assert_eq!(worker.logs(key, 0, None).await.unwrap_err().code(), Code::Unauthenticated, "logs are the renter's");
    assert_eq!(worker.script.runs(), 1);
    worker.stop().await;

    let record = rig.record(key).unwrap();
    assert_eq!((record.phase, record.runs), (Phase::Done, 1));
    assert!(record.end.contains("COMPLETED") && record.end.contains("paid 7"), "{}", record.end);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attested_result_is_committed_and_revealed_in_one_transaction() {
    let rig = Rig::new();
    let worker = rig.start(Script::default()).await;
    let job = rig::attested(spec(&rig.upload_file(&worker, b"x").await, &worker.endpoint));
    let key = rig.chain.submit("gantry1renter", job);
    until(|| rig.chain.state().assignment(key).state() == AssignmentState::Settled).await;
    let both = rig.chain.state().extra.transactions.into_iter().find(|t| t.iter().any(|m| m.starts_with("MsgCommit")));
    assert_eq!(both.unwrap(), [format!("MsgCommitResult {}", key.job), format!("MsgRevealResult {}", key.job)]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_at_once_share_transactions() {
    let rig = Rig::new();
    let worker = rig.start(Script::default()).await;
    let module = rig.upload_file(&worker, b"x").await;
    // Offered in one block, as a draw does.
    rig.chain.update(|s| s.extra.away = true);
    let keys: Vec<_> = (0..6).map(|_| rig.chain.submit("gantry1renter", spec(&module, &worker.endpoint))).collect();
    rig.chain.update(|s| s.extra.away = false);
    until(|| {
        let mut state = rig.chain.state();
        keys.iter().all(|key| state.assignment(*key).state() == AssignmentState::Settled)
    })
    .await;
    let state = rig.chain.state();
    let transactions = state.extra.transactions.iter().filter(|t| t.iter().any(|m| m.contains(' '))).count();
    assert!(transactions < keys.len() * 4, "{transactions} transactions for {} jobs", keys.len());
    assert_eq!(worker.script.runs(), keys.len());
    assert_eq!(state.extra.refused, Vec::<String>::new(), "nothing is said twice");
    worker.stop().await;
}

/// What is reported when a job cannot be run.
async fn failure_of(
    prepare: impl AsyncFnOnce(&Rig, &rig::Running) -> gantry_proto::gantry::job::v1::JobSpec,
) -> Reason {
    let rig = Rig::new();
    let worker = rig.start_with(WasmExecutor::new(None).unwrap()).await;
    let job = prepare(&rig, &worker).await;
    let key = rig.chain.submit("gantry1renter", job);
    until(|| rig.chain.state().assignment(key).state() == AssignmentState::Failed).await;
    // It goes on working.
    let module = wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start")))"#).unwrap();
    let next = rig.chain.submit("gantry1renter", spec(&rig.upload_file(&worker, &module).await, &worker.endpoint));
    until(|| rig.chain.state().assignment(next).state() == AssignmentState::Settled).await;
    worker.stop().await;
    assert_eq!(rig.record(key).unwrap().phase, Phase::Done);

    rig.chain.state().assignment(key).end.clone().unwrap().reason()
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_nobody_has_is_reported() {
    let reason = failure_of(async |_, worker| {
        let nowhere = Cid::of(gantry_content::Codec::Raw, b"nobody has this");
        spec(&nowhere, &worker.endpoint)
    })
    .await;
    assert_eq!(reason, Reason::ContentUnavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_nobody_has_is_reported() {
    let reason = failure_of(async |rig, worker| {
        let mut job = spec(&rig.upload_file(worker, b"\0asm").await, &worker.endpoint);
        let nowhere = Cid::of(gantry_content::Codec::Raw, b"nobody has this either").to_string();
        job.inputs = vec![Input { path: "x".into(), source: Some(InputSource::Cid(nowhere)) }];
        job
    })
    .await;
    assert_eq!(reason, Reason::ContentUnavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_module_is_reported() {
    let reason =
        failure_of(async |rig, worker| spec(&rig.upload_file(worker, b"not wasm").await, &worker.endpoint)).await;
    assert_eq!(reason, Reason::InvalidModule);
    let reason =
        failure_of(async |rig, worker| spec(&rig.upload(worker, &[("a", b"a folder")]).await, &worker.endpoint)).await;
    assert_eq!(reason, Reason::InvalidModule);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_larger_than_the_job_says_is_reported() {
    let reason = failure_of(async |rig, worker| {
        let mut job = spec(&rig.upload_file(worker, b"more than four bytes").await, &worker.endpoint);
        job.image.as_mut().unwrap().size_bytes = 4;
        job
    })
    .await;
    assert_eq!(reason, Reason::InvalidModule);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_nest_too_deep_are_no_result() {
    let deep = r#"(module (memory (export "memory") 1) (func $f (call $f)) (func (export "_start") (call $f)))"#;
    let module = wat::parse_str(deep).unwrap();
    let reason = failure_of(async |rig, worker| spec(&rig.upload_file(worker, &module).await, &worker.endpoint)).await;
    assert_eq!(reason, Reason::NoResult);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_too_large_for_the_machine_is_declined() {
    let reason = failure_of(async |rig, worker| {
        let mut job = spec(&rig.upload_file(worker, b"x").await, &worker.endpoint);
        job.limits.as_mut().unwrap().output_bytes = 1 << 50;
        job
    })
    .await;
    assert_eq!(reason, Reason::WorkerDeclined);
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_of_programs_are_results() {
    let wasm = |body: &str| {
        let text = format!(
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
               (memory (export "memory") 1) (func (export "_start") {body}))"#
        );
        wat::parse_str(text).unwrap()
    };
    let rig = Rig::new();
    let worker = rig.start_with(WasmExecutor::new(None).unwrap()).await;
    let cases: [(&str, &[&str], (ExitKind, u32)); 5] = [
        ("", &[], (ExitKind::Exit, 0)),
        ("(call $exit (i32.const 3))", &["missing"], (ExitKind::Exit, 3)),
        ("unreachable", &[], (ExitKind::Trap, 8)),
        ("(loop (br 0))", &[], (ExitKind::OutOfFuel, 0)),
        // Ended well, by its own account, and left out what it had to make.
        ("", &["missing"], (ExitKind::Exit, MISSING_OUTPUT)),
    ];
    for (body, outputs, expected) in cases {
        let mut job = spec(&rig.upload_file(&worker, &wasm(body)).await, &worker.endpoint);
        job.outputs = outputs.iter().map(|&o| o.to_owned()).collect();
        let key = rig.chain.submit(&rig::signer(1).info.address, job);
        until(|| rig.chain.state().assignment(key).state() == AssignmentState::Settled).await;
        let reveal = rig.chain.state().submission(key).unwrap().reveal.clone().unwrap();
        assert_eq!((reveal.exit_kind(), reveal.exit_code), expected, "{body}");
        let (log, _) = worker.logs(key, 0, Some(rig::signer(1))).await.unwrap();
        let told = String::from_utf8(log).unwrap().contains("without its output missing");
        assert_eq!(told, expected.1 == MISSING_OUTPUT);
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_cancelled_is_let_go() {
    let rig = Rig::new();
    let worker = rig.start_with(WasmExecutor::new(None).unwrap()).await;
    let module =
        wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))"#).unwrap();
    let mut job = spec(&rig.upload_file(&worker, &module).await, &worker.endpoint);
    job.limits.as_mut().unwrap().fuel = u64::MAX;
    let key = rig.chain.submit("gantry1renter", job);
    until(|| rig.chain.state().assignment(key).state() == AssignmentState::Running).await;
    assert_eq!(worker.info().await.running, 1);
    rig.chain.cancel(key);
    rig::until_async(async || worker.info().await.running == 0).await;
    worker.stop().await;
    let record = rig.record(key).unwrap();
    assert_eq!((record.phase, record.execution), (Phase::Done, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_goes_away_holds_nothing_up_for_good() {
    let rig = Rig::new();
    rig.chain.update(|s| s.extra.hold = true);
    let worker = rig.start(Script { delay: Duration::from_millis(200), ..Script::default() }).await;
    let key = rig.chain.submit("gantry1renter", spec(&rig.upload_file(&worker, b"x").await, &worker.endpoint));
    until(|| rig.chain.state().assignment(key).state() == AssignmentState::Running).await;
    rig.chain.update(|s| s.extra.away = true);
    until(|| worker.script.runs() == 1).await;
    rig.chain.update(|s| {
        s.extra.away = false;
        s.extra.hold = false;
    });
    until(|| rig.chain.state().assignment(key).state() == AssignmentState::Settled).await;
    assert_eq!(rig.chain.state().count("MsgCommitResult"), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_registers_once_and_keeps_its_word_up_to_date() {
    let rig = Rig::new();
    let worker = rig.start(Script::default()).await;
    until(|| rig.chain.state().extra.height > 70).await;
    worker.stop().await;
    let state = rig.chain.state();
    assert_eq!(state.extra.transactions[0], ["MsgRegisterProvider", "MsgSetOffer", "MsgHeartbeat"]);
    let beats = state.count("MsgHeartbeat") as u64;
    assert!(beats >= state.extra.height / 20, "{beats} heartbeats in {} blocks", state.extra.height);
    assert_eq!(state.extra.refused, Vec::<String>::new());

    // Another port: the endpoint on chain follows. The offer is as it should be.
    let worker = rig.start(Script::default()).await;
    until(|| rig.chain.state().providers.providers[0].endpoints == [&*worker.endpoint]).await;
    let state = rig.chain.state();
    assert_eq!(state.count("MsgRegisterProvider"), 1);
    assert_eq!(state.count("MsgSetOffer"), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_stay_within_limits_and_expire() {
    let rig = Rig::new();
    let worker = rig.start(Script::default()).await;
    let large = rig.home_store.clone();
    // Three different chunks: equal ones would be one block.
    let bytes: Vec<u8> = (0..3u8).flat_map(|n| vec![n; 1 << 20]).collect();
    let root = gantry_content::import_bytes(&large, bytes).unwrap();
    let target = gantry_content::Source::new(&worker.endpoint);
    let refused = push(&large, &root.root, &target, &rig::options(), |_| ()).await;
    assert!(refused.is_err(), "larger than an upload may be");
    let small = rig.upload_file(&worker, b"small").await;
    rig.fetch(&worker, &small, None).await.expect("there");
    worker.stop().await;
    let store = rig.blocks().await;
    let pins = store.pins().unwrap();
    assert!(pins.iter().any(|(root, tag)| *root == small && tag.starts_with("upload/")), "{pins:?}");
    drop(store);

    // Long after, the pin is gone.
    rig.chain.update(|s| s.extra.height += 1_000_000);
    let worker = rig.start(Script::default()).await;
    until(|| rig.chain.state().extra.height > 1_000_100).await;
    worker.stop().await;
    let store = rig.blocks().await;
    assert_eq!(store.pins().unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_and_logs_are_forgotten_in_time() {
    let rig = Rig::new();
    let worker = rig.start(Script::default()).await;
    let key = rig.chain.submit("gantry1renter", spec(&rig.upload_file(&worker, b"x").await, &worker.endpoint));
    until(|| rig.chain.state().assignment(key).state() == AssignmentState::Settled).await;
    let output = rig.expected_output(&[("done", b"x")]);
    rig.until_fetched(&worker, &output).await;
    rig.chain.update(|s| s.extra.height += rig::KEEP_BLOCKS + 100);
    rig::until_async(async || {
        worker.logs(key, 0, Some(rig::signer(1))).await.is_err_and(|e| e.code() == Code::NotFound)
    })
    .await;
    worker.stop().await;
    assert_eq!(rig.record(key), None);
    assert!(!rig.home().join("logs").join(format!("{}.log", key.slug())).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_and_health_answer() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let rig = Rig::new();
    let worker = rig.start(Script::default()).await;
    let service = "gantry.worker.v1.Worker".to_owned();
    let health = HealthClient::new(worker.channel().await).check(HealthCheckRequest { service }).await;
    assert_eq!(health.unwrap().into_inner().status, 1);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = ServerReflectionClient::new(worker.channel().await)
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) = answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list");
    };
    let names: Vec<_> = list.service.iter().map(|s| s.name.as_str()).collect();
    for wanted in ["gantry.worker.v1.Worker", "gantry.content.v1.Blocks", "grpc.health.v1.Health"] {
        assert!(names.contains(&wanted), "{names:?}");
    }
    worker.stop().await;
}

#[cfg(feature = "demo")]
#[tokio::test(flavor = "multi_thread")]
async fn a_cheat_lies_once_and_colluders_agree() {
    use gantry_worker::Misbehave;
    let run = async |misbehave, jobs| {
        let rig = Rig::new();
        let worker = rig.start_as(Script::default(), misbehave).await;
        let module = rig.upload_file(&worker, b"x").await;
        let mut outputs = Vec::new();
        for _ in 0..jobs {
            let key = rig.chain.submit("gantry1renter", spec(&module, &worker.endpoint));
            until(|| rig.chain.state().assignment(key).state() == AssignmentState::Settled).await;
            outputs.push(rig.chain.state().submission(key).unwrap().reveal.clone().unwrap().output_cid);
        }
        worker.stop().await;
        (outputs, rig.expected_output(&[("done", b"x")]).to_string())
    };
    let (once, truth) = run(Misbehave::Once, 3).await;
    assert_ne!(once[0], truth);
    assert_eq!(once[1..], [truth.clone(), truth.clone()]);
    let (always, _) = run(Misbehave::Always, 2).await;
    let (others, _) = run(Misbehave::Always, 1).await;
    assert!(always.iter().chain(&others).all(|lie| *lie == once[0]), "lies must agree");
    assert_eq!(run(Misbehave::Never, 1).await.0, [truth]);
}
