//! kill -9 at each step of a block, then what a restart finds: the same chain as without the crash.

use std::{
    env,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use gantry_abci::{
    AbciApp, Engine, Options, Queries,
    server::{Address, Server},
    testing::{TestChain, init_chain},
};
use gantry_store::{Store, StoreOptions};
use tendermint_proto::v0_38::abci::{RequestFinalizeBlock, request::Value as Request};

use crate::{
    blocks::script,
    support::{Probe, app_state, definition, die},
};

/// Tells a child what to do: a folder and a point of death.
const CHILD: &str = "GANTRY_TEST_CRASH";

/// The height at which children die; the script has five.
const HEIGHT: u64 = 3;

fn open(path: &Path, probe: &Probe) -> TestChain {
    let definition = definition(probe);
    let options = StoreOptions { cache_bytes: 1 << 20, ..StoreOptions::default() };
    let store = Store::open(path, &definition.stores(), options).unwrap();
    TestChain::on(store, definition, &app_state())
}

/// Goes on with the script where the chain is; gives the app hash of each height that it made.
fn play(chain: &mut TestChain, mut between: impl FnMut(&str, u64)) -> Vec<Vec<u8>> {
    let done = usize::try_from(chain.height()).unwrap();
    script()
        .into_iter()
        .skip(done)
        .map(|txs| {
            let height = chain.height() + 1;
            chain.finalize(txs);
            between("finalized", height);
            between("committing", height);
            chain.commit();
            between("committed", height);
            chain.last().app_hash.to_vec()
        })
        .collect()
}

/// Not a test of its own: what a child process does.
#[test]
fn child() {
    let Ok(order) = env::var(CHILD) else { return };
    let (point, path) = order.split_once(':').unwrap();
    let mut probe = Probe::default();
    match point {
        "first" => probe.die_at_end = 1,
        "begin" => probe.die_at_begin = HEIGHT,
        "end" => probe.die_at_end = HEIGHT,
        _ => {}
    }
    let mut chain = open(Path::new(path), &probe);
    play(&mut chain, |step, height| {
        if height != HEIGHT {
            return;
        }
        if step == "committing"
            && let Some(micros) = point.strip_prefix("committing+")
        {
            let wait = Duration::from_micros(micros.parse().unwrap());
            thread::spawn(move || {
                #[expect(clippy::disallowed_methods, reason = "the moment of death is what is tried out")]
                thread::sleep(wait);
                die()
            });
        } else if step == point {
            die();
        }
    });
    // A death in the middle of a commit may come after it.
    loop {
        thread::park();
    }
}

fn run_child(point: &str, path: &Path) -> std::process::ExitStatus {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--nocapture"])
        .env(CHILD, format!("{point}:{}", path.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
}

#[test]
fn a_chain_goes_on_after_kill_9_at_any_step() {
    let expected = play(&mut TestChain::new(definition(&Probe::default()), &app_state()), |_, _| {});
    let during: Vec<String> = [0, 50, 200, 500, 1000, 3000].iter().map(|us| format!("committing+{us}")).collect();
    let points =
        ["first", "begin", "end", "finalized", "committed"].into_iter().chain(during.iter().map(String::as_str));
    for point in points {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let status = run_child(point, &path);
        assert_eq!(status.signal(), Some(libc::SIGKILL), "{point}: {status}");

        let mut chain = open(&path, &Probe::default());
        let found = chain.height();
        let possible = match point {
            "first" => 0..=0,
            "begin" | "end" | "finalized" => HEIGHT - 1..=HEIGHT - 1,
            "committed" => HEIGHT..=HEIGHT,
            _ => HEIGHT - 1..=5,
        };
        assert!(possible.contains(&found), "{point}: height {found}");
        let rest = play(&mut chain, |_, _| {});
        assert_eq!(rest, expected[usize::try_from(found).unwrap()..], "{point}");
    }
}

/// Not a test of its own: a server whose engine panics outside any transaction.
#[test]
fn panicking_child() {
    let Ok(path) = env::var("GANTRY_TEST_PANIC") else { return };
    let definition = definition(&Probe { panic_at: 1, ..Probe::default() });
    let store = Store::temporary(&definition.stores()).unwrap();
    let engine = Engine::new(definition, store, Options::default()).unwrap();
    let queries = Queries::new(engine, []);
    gantry_abci::call(&queries, Request::InitChain(init_chain(&app_state()))).unwrap();
    let server = Server::start(&Address::Unix(path.clone().into()), AbciApp::new(queries, |_| {})).unwrap();
    let block = Request::FinalizeBlock(RequestFinalizeBlock { height: 1, ..RequestFinalizeBlock::default() });
    let request = tendermint_proto::v0_38::abci::Request { value: Some(block) };
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let bytes = prost::Message::encode_length_delimited_to_vec(&request);
    std::io::Write::write_all(&mut stream, &bytes).unwrap();
    let answered = std::io::Read::read(&mut stream, &mut [0]);
    server.stop();
    panic!("the process lives: {answered:?}");
}

#[test]
fn a_panic_outside_transactions_aborts_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", "crash::panicking_child", "--nocapture"])
        .env("GANTRY_TEST_PANIC", folder.path().join("abci.sock"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(libc::SIGABRT), "{status}");
}
