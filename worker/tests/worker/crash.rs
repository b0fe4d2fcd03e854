//! kill -9, for real: the worker runs in a process of its own, which kills itself at a chosen point; another process
//! takes over its home and has to finish what it began.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use async_trait::async_trait;
use gantry_content::{BlockStore, import_bytes};
use gantry_proto::gantry::job::v1::AssignmentState;
use gantry_worker::{
    executor::{Cancel, Executor, LogSink, NoResult, Outcome, RunSpec},
    journal::Phase,
    work,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    FileChain, Rig, Script,
    chain::{Crash, kill_9},
    rig::{self, spec, until},
};

const DIR: &str = "GANTRY_TEST_DIR";
const POINT: &str = "GANTRY_TEST_CRASH";

/// Kills the process around a run, and leaves a line for each run that began and that ended.
struct Mortal {
    script: Script,
    dir: PathBuf,
    point: String,
}

fn note(dir: &Path, line: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(dir.join("runs")).unwrap();
    writeln!(file, "{line}").unwrap();
}

#[async_trait]
impl Executor for Mortal {
    async fn run(&self, spec: RunSpec, log: Arc<dyn LogSink>, cancel: Cancel) -> Result<Outcome, NoResult> {
        note(&self.dir, "began");
        if self.point == "run:begin" {
            kill_9();
        }
        let outcome = self.script.run(spec, log, cancel).await;
        note(&self.dir, "ended");
        if self.point == "run:end" {
            kill_9();
        }
        outcome
    }
}

/// The worker's process. As a test of its own it has nothing to do.
#[test]
fn worker_process() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    let point = std::env::var(POINT).unwrap_or_default();
    let crash = match point.split_once(':') {
        Some(("before", message)) => Some(Crash::Before(message.to_owned())),
        Some(("after", message)) => Some(Crash::After(message.to_owned())),
        _ => None,
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let options = rig::worker_options(dir.join("worker"), &endpoint);
        let chain = FileChain::new(&dir).crashing(crash);
        let stop = CancellationToken::new();
        let executor = Mortal { script: Script::default(), dir: dir.clone(), point };
        let address = rig::signer(9).info.address;
        work(options, Arc::new(chain), address, Arc::new(executor), listener, stop).await.unwrap();
    });
}

fn process(dir: &Path, point: &str) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::worker_process", "--nocapture"]).env(DIR, dir).env(POINT, point);
    command.stdout(std::process::Stdio::null()).spawn().unwrap()
}

/// Crashes at a point, starts again, and gives the runs that began and ended.
async fn survive(point: &str) -> (usize, usize) {
    let rig = Rig::new();
    let module = {
        // The content is there already: the store is the worker's own.
        let store = BlockStore::open(rig.home().join("blocks"), None).unwrap();
        let imported = import_bytes(&store, &b"x"[..]).unwrap();
        store.pin(&imported.root, "upload/1000000").unwrap();
        imported.root
    };
    let key = rig.chain.submit(&rig::signer(1).info.address, spec(&module, "http://127.0.0.1:1"));

    let mut first = process(rig.dir(), point);
    let died = tokio::task::spawn_blocking(move || first.wait().unwrap()).await.unwrap();
    use std::os::unix::process::ExitStatusExt as _;
    assert_eq!(died.signal(), Some(9), "{point}: the first process is killed");
    let committed = rig.chain.state().submission(key).map(|s| s.commitment.clone());

    let mut second = process(rig.dir(), "");
    until(|| rig.chain.state().assignment(key).state() == AssignmentState::Settled).await;
    // Let it see the end, and write it down.
    let settled = rig.chain.state().extra.height;
    until(|| rig.chain.state().extra.height > settled + 20).await;
    second.kill().unwrap();
    second.wait().unwrap();

    let state = rig.chain.state();
    assert_eq!(state.count("MsgCommitResult"), 1, "{point}");
    assert_eq!(state.count("MsgRevealResult"), 1, "{point}");
    if let Some(committed) = committed {
        assert_eq!(state.submission(key).unwrap().commitment, committed, "{point}: the same commitment");
    }
    let record = rig.record(key).unwrap();
    assert_eq!(record.phase, Phase::Done, "{point}");
    let runs = fs::read_to_string(rig.dir().join("runs")).unwrap();
    let count = |what: &str| runs.lines().filter(|line| *line == what).count();
    assert_eq!(usize::try_from(record.runs).unwrap(), count("began"), "{point}");
    (count("began"), count("ended"))
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_run_it_runs_once() {
    for point in ["before:MsgAcknowledge", "after:MsgAcknowledge"] {
        let (_, ended) = survive(point).await;
        assert_eq!(ended, 1, "{point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_run_it_runs_again() {
    assert_eq!(survive("run:begin").await, (2, 1));
    // The result was lost with the process: nothing of it was known outside.
    assert_eq!(survive("run:end").await, (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_run_it_never_runs_again() {
    for point in ["before:MsgCommitResult", "after:MsgCommitResult"] {
        assert_eq!(survive(point).await, (1, 1), "{point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_around_the_reveal_it_reveals_the_same() {
    for point in ["before:MsgRevealResult", "after:MsgRevealResult"] {
        assert_eq!(survive(point).await, (1, 1), "{point}");
    }
}
