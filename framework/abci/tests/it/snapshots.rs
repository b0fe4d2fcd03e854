//! State sync as CometBFT drives it: one node makes snapshots, another joins with one and goes on.

use std::{
    path::Path,
    sync::{LazyLock, atomic::Ordering},
};

use bytes::Bytes;
use gantry_abci::{
    Engine, Options, Queries, SnapshotOptions, call,
    testing::{GENESIS_TIME, PROPOSER, TestChain},
};
use gantry_store::{Store, StoreOptions};
use tempfile::TempDir;
use tendermint_proto::{
    google::protobuf::Timestamp,
    v0_38::abci::{
        RequestApplySnapshotChunk, RequestCommit, RequestFinalizeBlock, RequestInfo, RequestListSnapshots,
        RequestLoadSnapshotChunk, RequestOfferSnapshot, ResponseApplySnapshotChunk, ResponseInfo, Snapshot,
        request::Value as Request, response::Value as Response, response_apply_snapshot_chunk::Result as Applied,
        response_offer_snapshot::Result as Offered,
    },
};

use crate::support::{Probe, app_state, definition, users};

fn options(dir: &Path, interval: u64) -> Options {
    let snapshots = SnapshotOptions { dir: dir.join("snapshots"), interval, keep_recent: 2 };
    Options { snapshots: Some(snapshots), ..Options::default() }
}

fn list(queries: &Queries) -> Vec<Snapshot> {
    match call(queries, Request::ListSnapshots(RequestListSnapshots {})).unwrap() {
        Response::ListSnapshots(response) => response.snapshots,
        other => panic!("{other:?}"),
    }
}

fn load(queries: &Queries, snapshot: &Snapshot, chunk: u32) -> Bytes {
    let Snapshot { height, format, .. } = *snapshot;
    match call(queries, Request::LoadSnapshotChunk(RequestLoadSnapshotChunk { height, format, chunk })).unwrap() {
        Response::LoadSnapshotChunk(response) => response.chunk,
        other => panic!("{other:?}"),
    }
}

/// A chain of eight blocks with a snapshot of height 6, its chunks, and the app hashes of all heights.
struct Served {
    snapshot: Snapshot,
    older: Snapshot,
    chunks: Vec<Bytes>,
    app_hashes: Vec<Vec<u8>>,
}

fn transfers(height: u64) -> Vec<Vec<u8>> {
    let users = users();
    vec![users[0].send(users[1].address(), u128::from(height), height - 1)]
}

static SERVED: LazyLock<Served> = LazyLock::new(|| {
    let dir = TempDir::new().unwrap();
    let definition = definition(&Probe::default());
    let store = Store::temporary(&definition.stores()).unwrap();
    let mut chain = TestChain::with(store, definition, &app_state(), options(dir.path(), 3));
    assert!(list(chain.queries()).is_empty());
    let mut app_hashes = vec![Vec::new()];
    for height in 1..=8 {
        chain.deliver(transfers(height));
        app_hashes.push(chain.last().app_hash.to_vec());
        let due = height - height % 3;
        while due > 0 && list(chain.queries()).first().is_none_or(|newest| newest.height != due) {
            std::thread::yield_now();
        }
    }
    let snapshots = list(chain.queries());
    assert_eq!(snapshots.iter().map(|s| s.height).collect::<Vec<_>>(), [6, 3]);
    let snapshot = snapshots[0].clone();
    let chunks = (0..snapshot.chunks).map(|index| load(chain.queries(), &snapshot, index)).collect();
    assert!(load(chain.queries(), &snapshot, snapshot.chunks).is_empty());
    assert!(load(chain.queries(), &Snapshot { height: 5, ..snapshot.clone() }, 0).is_empty());
    Served { snapshot, older: snapshots[1].clone(), chunks, app_hashes }
});

struct Joiner {
    queries: Queries,
    probe: Probe,
    _dir: TempDir,
}

impl Joiner {
    fn new() -> Self {
        let (probe, dir) = (Probe::default(), TempDir::new().unwrap());
        let definition = definition(&probe);
        let store = Store::temporary(&definition.stores()).unwrap();
        let engine = Engine::new(definition, store, options(dir.path(), 0)).unwrap();
        Self { queries: Queries::new(engine, []), probe, _dir: dir }
    }

    fn offer(&self, snapshot: Option<Snapshot>, app_hash: &[u8]) -> Offered {
        let request = RequestOfferSnapshot { snapshot, app_hash: Bytes::copy_from_slice(app_hash) };
        match call(&self.queries, Request::OfferSnapshot(request)).unwrap() {
            Response::OfferSnapshot(response) => response.result(),
            other => panic!("{other:?}"),
        }
    }

    fn apply(&self, index: u32, chunk: &Bytes) -> ResponseApplySnapshotChunk {
        let request = RequestApplySnapshotChunk { index, chunk: chunk.clone(), sender: format!("peer {index}") };
        match call(&self.queries, Request::ApplySnapshotChunk(request)).unwrap() {
            Response::ApplySnapshotChunk(response) => response,
            other => panic!("{other:?}"),
        }
    }

    fn info(&self) -> ResponseInfo {
        match call(&self.queries, Request::Info(RequestInfo::default())).unwrap() {
            Response::Info(response) => response,
            other => panic!("{other:?}"),
        }
    }

    /// The next block of the chain; its app hash.
    fn follow(&self, height: u64) -> Vec<u8> {
        let time = Timestamp { seconds: GENESIS_TIME + i64::try_from(height).unwrap(), nanos: 0 };
        let request = RequestFinalizeBlock {
            txs: transfers(height).into_iter().map(Bytes::from).collect(),
            hash: vec![1; 32].into(),
            height: i64::try_from(height).unwrap(),
            time: Some(time),
            proposer_address: PROPOSER.to_vec().into(),
            ..RequestFinalizeBlock::default()
        };
        let Response::FinalizeBlock(response) = call(&self.queries, Request::FinalizeBlock(request)).unwrap() else {
            panic!("not an answer to FinalizeBlock");
        };
        assert!(response.tx_results.iter().all(|result| result.code == 0), "{:?}", response.tx_results);
        call(&self.queries, Request::Commit(RequestCommit {})).unwrap();
        response.app_hash.to_vec()
    }
}

#[test]
fn a_joiner_has_the_state_and_goes_on_like_the_chain() {
    let Served { snapshot, chunks, app_hashes, .. } = &*SERVED;
    let joiner = Joiner::new();
    assert_eq!(joiner.offer(Some(snapshot.clone()), &app_hashes[6]), Offered::Accept);
    // The last first, and each twice.
    for index in (0..snapshot.chunks).rev() {
        assert_eq!(joiner.info().last_block_height, 0);
        for _ in 0..2 {
            assert_eq!(joiner.apply(index, &chunks[index as usize]).result(), Applied::Accept);
        }
    }
    let info = joiner.info();
    assert_eq!((info.last_block_height, info.last_block_app_hash.to_vec()), (6, app_hashes[6].clone()));
    assert_eq!(info.app_version, 0);
    joiner.queries.engine().check_invariants().unwrap();
    let view = joiner.queries.engine().latest();
    assert_eq!((view.block.height, view.block.chain_id.as_str()), (6, gantry_abci::testing::CHAIN_ID));

    // CometBFT has lost its own part before it was written: the same snapshot is as good as applied.
    assert_eq!(joiner.offer(Some(snapshot.clone()), &app_hashes[6]), Offered::Accept);
    for index in 0..snapshot.chunks {
        assert_eq!(joiner.apply(index, &Bytes::new()).result(), Applied::Accept);
    }
    assert_eq!(joiner.follow(7), app_hashes[7]);
    assert_eq!(joiner.follow(8), app_hashes[8]);
    assert_eq!(joiner.probe.executions.load(Ordering::SeqCst), 2);
    // Not over a chain that went on.
    assert_eq!(joiner.offer(Some(snapshot.clone()), &app_hashes[6]), Offered::Abort);
    joiner.queries.engine().view(5).unwrap_err();
    joiner.queries.engine().view(6).unwrap();
}

#[test]
fn a_restored_state_is_dropped_when_cometbft_joins_anew_with_another() {
    let Served { snapshot, older, chunks, app_hashes } = &*SERVED;
    let joiner = Joiner::new();
    assert_eq!(joiner.offer(Some(snapshot.clone()), &app_hashes[6]), Offered::Accept);
    for index in 0..snapshot.chunks {
        assert_eq!(joiner.apply(index, &chunks[index as usize]).result(), Applied::Accept);
    }
    // Not because somebody offers nonsense.
    assert_eq!(joiner.offer(Some(older.clone()), &app_hashes[4]), Offered::Reject);
    let app_hash = app_hashes[3].clone().into();
    let request = Request::OfferSnapshot(RequestOfferSnapshot { snapshot: Some(older.clone()), app_hash });
    let stop = call(&joiner.queries, request).unwrap_err();
    assert!(stop.to_string().contains("start the node again"), "{stop}");
}

#[test]
fn what_is_offered_is_judged() {
    let Served { snapshot, app_hashes, .. } = &*SERVED;
    let joiner = Joiner::new();
    let changed = |change: &dyn Fn(&mut Snapshot)| {
        let mut snapshot = snapshot.clone();
        change(&mut snapshot);
        joiner.offer(Some(snapshot), &app_hashes[6])
    };
    assert_eq!(joiner.offer(None, &app_hashes[6]), Offered::Reject);
    assert_eq!(joiner.offer(Some(snapshot.clone()), &app_hashes[5]), Offered::Reject);
    assert_eq!(joiner.offer(Some(snapshot.clone()), &[]), Offered::Reject);
    assert_eq!(changed(&|s| s.format = 2), Offered::RejectFormat);
    assert_eq!(changed(&|s| s.height = 7), Offered::RejectSender);
    assert_eq!(changed(&|s| s.chunks += 1), Offered::RejectSender);
    assert_eq!(changed(&|s| s.chunks = u32::MAX), Offered::RejectSender);
    assert_eq!(changed(&|s| s.hash = vec![0; 32].into()), Offered::RejectSender);
    assert_eq!(changed(&|s| s.hash = Bytes::new()), Offered::RejectSender);
    assert_eq!(changed(&|s| s.metadata = Bytes::new()), Offered::RejectSender);
    assert_eq!(changed(&|s| s.metadata = vec![0xff; 5 << 20].into()), Offered::RejectSender);
    // Nothing was accepted, so a chunk belongs to nothing.
    assert_eq!(joiner.apply(0, &Bytes::new()).result(), Applied::Abort);

    let (none, dir) = (Probe::default(), TempDir::new().unwrap());
    let mut chain = TestChain::with(
        Store::temporary(&definition(&none).stores()).unwrap(),
        definition(&none),
        &app_state(),
        options(dir.path(), 0),
    );
    chain.deliver(transfers(1));
    let busy = Joiner { queries: chain.queries().clone(), probe: none, _dir: dir };
    assert_eq!(busy.offer(Some(snapshot.clone()), &app_hashes[6]), Offered::Abort);

    // A node without a folder for snapshots has none and takes none.
    let chain = TestChain::new(definition(&Probe::default()), &app_state());
    assert!(list(chain.queries()).is_empty());
    let without = Joiner { queries: chain.queries().clone(), probe: Probe::default(), _dir: TempDir::new().unwrap() };
    assert_eq!(without.offer(Some(snapshot.clone()), &app_hashes[6]), Offered::Reject);
    assert_eq!(without.apply(0, &Bytes::new()).result(), Applied::Abort);
}

#[test]
fn a_bad_chunk_costs_its_sender_and_nothing_else() {
    let Served { snapshot, chunks, app_hashes, .. } = &*SERVED;
    let joiner = Joiner::new();
    assert_eq!(joiner.offer(Some(snapshot.clone()), &app_hashes[6]), Offered::Accept);
    for index in 0..snapshot.chunks {
        let mut bad = chunks[index as usize].to_vec();
        *bad.last_mut().unwrap() ^= 1;
        let response = joiner.apply(index, &bad.into());
        assert_eq!(response.result(), Applied::Retry);
        assert_eq!(response.refetch_chunks, [index]);
        assert_eq!(response.reject_senders, [format!("peer {index}")]);
        assert_eq!(joiner.apply(index, &chunks[(index as usize + 1) % chunks.len()]).result(), Applied::Retry);
        assert_eq!(joiner.apply(snapshot.chunks, &chunks[index as usize]).result(), Applied::Retry);
        // CometBFT came back and offers the same again: what was proven stays.
        assert_eq!(joiner.offer(Some(snapshot.clone()), &app_hashes[6]), Offered::Accept);
        assert_eq!(joiner.apply(index, &chunks[index as usize]).result(), Applied::Accept);
    }
    assert_eq!(joiner.info().last_block_app_hash.to_vec(), app_hashes[6]);
    assert_eq!(joiner.follow(7), app_hashes[7]);
}

#[test]
fn a_chain_can_begin_with_genesis_after_a_join_that_failed() {
    let Served { snapshot, chunks, app_hashes, .. } = &*SERVED;
    let joiner = Joiner::new();
    assert_eq!(joiner.offer(Some(snapshot.clone()), &app_hashes[6]), Offered::Accept);
    assert_eq!(joiner.apply(0, &chunks[0]).result(), Applied::Accept);
    call(&joiner.queries, Request::InitChain(gantry_abci::testing::init_chain(&app_state()))).unwrap();
    assert_eq!(joiner.apply(1, &chunks[1]).result(), Applied::Abort);
    for height in 1..=8 {
        assert_eq!(joiner.follow(height), app_hashes[usize::try_from(height).unwrap()]);
    }
}

#[test]
fn what_was_gathered_goes_once_there_is_a_state() {
    let dir = TempDir::new().unwrap();
    let gathered = dir.path().join("snapshots/restoring/0");
    let start = || {
        std::fs::create_dir_all(gathered.parent().unwrap()).unwrap();
        std::fs::write(&gathered, b"a chunk").unwrap();
        let definition = definition(&Probe::default());
        let store = Store::open(&dir.path().join("db"), &definition.stores(), StoreOptions::default()).unwrap();
        Engine::new(definition, store, options(dir.path(), 0)).unwrap()
    };
    let joiner = Joiner { queries: Queries::new(start(), []), probe: Probe::default(), _dir: TempDir::new().unwrap() };
    assert!(gathered.exists(), "the join may go on with it");
    let Served { snapshot, chunks, app_hashes, .. } = &*SERVED;
    assert_eq!(joiner.offer(Some(snapshot.clone()), &app_hashes[6]), Offered::Accept);
    for index in 0..snapshot.chunks {
        assert_eq!(joiner.apply(index, &chunks[index as usize]).result(), Applied::Accept);
    }
    drop(joiner);
    // As if the process had been killed just before it was removed.
    start();
    assert!(!gathered.exists());
}
