//! A worker in this process with a model of the chain, and a renter's tools.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use gantry_client::access::{AccessToken, Scope};
use gantry_content::{
    BlockStore, Cid, FetchError, Source, TransferOptions, TreeLimits, cid_of_path, fetch, import_path, push,
};
use gantry_keyring::{ACCOUNT_PREFIX, PrivateKey, Signer};
use gantry_proto::gantry::{
    job::v1::{Image, JobKind, JobSpec, Limits, Resources, Runtime, Timeouts},
    verifier::v1::{Attested, Quorum, VerificationPolicy, verification_policy::Kind},
    worker::v1::{InfoRequest, InfoResponse, LogsRequest, worker_client::WorkerClient},
};
use gantry_worker::{
    ChainPort, Key, Options, UploadPolicy,
    executor::{Cancel, Executor, ExitKind, LogSink, NoResult, Outcome, RunSpec, Stream, Usage},
    journal::{Journal, Record},
    work,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, metadata::MetadataMap, transport::Channel};

use crate::{FileChain, chain::CHAIN_ID};

pub(crate) const KEEP_BLOCKS: u64 = 100_000;
const LIMIT: Duration = Duration::from_secs(60);

/// A key of our own making.
pub(crate) fn signer(byte: u8) -> Signer {
    Signer::new("key", PrivateKey::from_bytes(&[byte; 32]).unwrap(), ACCOUNT_PREFIX).unwrap()
}

/// Waits for a condition.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    until_async(async || condition()).await;
}

/// Waits for a condition.
pub(crate) async fn until_async(mut condition: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.expect("in time");
}

pub(crate) fn options() -> TransferOptions {
    TransferOptions { stall: Duration::from_secs(5), ..TransferOptions::default() }
}

/// A job that one of two of two runs.
pub(crate) fn spec(module: &Cid, home: &str) -> JobSpec {
    JobSpec {
        name: "job".into(),
        kind: JobKind::Batch.into(),
        runtime: Runtime::Wasm.into(),
        image: Some(Image { root_cid: module.to_string(), size_bytes: 1 << 20 }),
        sources: vec![home.to_owned()],
        resources: Some(Resources::default()),
        limits: Some(Limits {
            memory_bytes: 1 << 20,
            fuel: 1_000_000,
            output_bytes: 1 << 20,
            output_files: 10,
            log_bytes: 1 << 20,
        }),
        timeouts: Some(Timeouts { queue_seconds: 600, staging_seconds: 600, execution_seconds: 600 }),
        policy: Some(VerificationPolicy { kind: Some(Kind::Quorum(Quorum { k: 2, n: 3 })) }),
        ..JobSpec::default()
    }
}

pub(crate) fn attested(spec: JobSpec) -> JobSpec {
    JobSpec { policy: Some(VerificationPolicy { kind: Some(Kind::Attested(Attested {})) }), ..spec }
}

/// Stands in for programs: copies `/in` to `/out`, adds what the module said as `done`, and counts itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub delay: Duration,
    pub finished: Arc<AtomicUsize>,
}

impl Script {
    pub(crate) fn runs(&self) -> usize {
        self.finished.load(Ordering::SeqCst)
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let dest = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &dest);
        } else {
            fs::copy(entry.path(), dest).unwrap();
        }
    }
}

#[async_trait]
impl Executor for Script {
    async fn run(&self, spec: RunSpec, log: Arc<dyn LogSink>, cancel: Cancel) -> Result<Outcome, NoResult> {
        log.write(Stream::Out, b"running\n");
        tokio::select! {
            () = tokio::time::sleep(self.delay) => {}
            () = cancel.cancelled() => return Err(NoResult::Cancelled),
        }
        copy(&spec.input_dir, &spec.output_dir);
        fs::write(spec.output_dir.join("done"), fs::read(&spec.program).unwrap()).unwrap();
        self.finished.fetch_add(1, Ordering::SeqCst);
        Ok(Outcome { exit: ExitKind::Exit(0), usage: Usage::default() })
    }
}

/// A worker's folder, its chain, and a renter's store.
pub(crate) struct Rig {
    pub chain: FileChain,
    pub home_store: BlockStore,
    dir: tempfile::TempDir,
}

pub(crate) fn worker_options(home: PathBuf, endpoint: &str) -> Options {
    Options {
        home,
        moniker: "tester".into(),
        bond: "100ugantry".parse().unwrap(),
        ask: "5ugantry".parse().unwrap(),
        capacity: 8,
        quota: 64 << 20,
        public_endpoint: endpoint.to_owned(),
        uploads: UploadPolicy { max_bytes: 2 << 20, keep_blocks: 10_000 },
        keep_blocks: KEEP_BLOCKS,
        poll: Duration::from_millis(10),
        patience: Duration::from_millis(500),
        #[cfg(feature = "demo")]
        misbehave: gantry_worker::Misbehave::Never,
    }
}

impl Rig {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home_store = BlockStore::open(dir.path().join("renter"), None).unwrap();
        Self { chain: FileChain::new(dir.path()), home_store, dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("worker")
    }

    pub(crate) async fn start(&self, script: Script) -> Running {
        self.launch(Arc::new(script.clone()), script, |_| ()).await
    }

    pub(crate) async fn start_with(&self, executor: impl Executor + 'static) -> Running {
        self.launch(Arc::new(executor), Script::default(), |_| ()).await
    }

    #[cfg(feature = "demo")]
    pub(crate) async fn start_as(&self, script: Script, misbehave: gantry_worker::Misbehave) -> Running {
        self.launch(Arc::new(script.clone()), script, |options| options.misbehave = misbehave).await
    }

    async fn launch(&self, executor: Arc<dyn Executor>, script: Script, tune: impl FnOnce(&mut Options)) -> Running {
        // Another one of this process may have been here before.
        drop(self.blocks().await);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mut options = worker_options(self.home(), &endpoint);
        tune(&mut options);
        let stop = CancellationToken::new();
        let port: Arc<dyn ChainPort> = Arc::new(self.chain.clone());
        let address = signer(9).info.address;
        let task = tokio::spawn(work(options, port, address, executor, listener, stop.clone()));
        let running = Running { endpoint, script, stop, task };
        until_async(async || running.try_info().await.is_ok_and(|info| info.height > 0)).await;
        running
    }

    /// Uploads a folder of files.
    pub(crate) async fn upload(&self, worker: &Running, files: &[(&str, &[u8])]) -> Cid {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), files);
        self.push(worker, dir.path()).await
    }

    pub(crate) async fn upload_file(&self, worker: &Running, bytes: &[u8]) -> Cid {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), bytes).unwrap();
        self.push(worker, &dir.path().join("file")).await
    }

    async fn push(&self, worker: &Running, path: &Path) -> Cid {
        let imported = import_path(&self.home_store, path, &TreeLimits::default()).unwrap();
        push(&self.home_store, &imported.root, &Source::new(&worker.endpoint), &options(), |_| ()).await.unwrap();
        imported.root
    }

    /// The CID that a folder of files has.
    pub(crate) fn expected_output(&self, files: &[(&str, &[u8])]) -> Cid {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), files);
        cid_of_path(dir.path(), &TreeLimits::default()).unwrap()
    }

    /// Fetches into an empty store, as a stranger or with a signature for a job.
    pub(crate) async fn fetch(
        &self,
        worker: &Running,
        cid: &Cid,
        by: Option<(&Signer, Key)>,
    ) -> Result<(), FetchError> {
        let dir = tempfile::tempdir().unwrap();
        let store = BlockStore::open(dir.path(), None).unwrap();
        let mut source = Source::new(&worker.endpoint);
        if let Some((signer, key)) = by {
            token(signer, key.job).attach(&mut source.metadata);
        }
        fetch(&store, cid, &[source], &options(), |_| ()).await.map(drop)
    }

    pub(crate) async fn until_fetched(&self, worker: &Running, cid: &Cid) {
        until_async(async || self.fetch(worker, cid, None).await.is_ok()).await;
    }

    /// The worker's blocks, once it has stopped and its last connection has let go of them.
    pub(crate) async fn blocks(&self) -> BlockStore {
        let mut store = None;
        until(|| {
            store = BlockStore::open(self.home().join("blocks"), None).ok();
            store.is_some()
        })
        .await;
        store.expect("opened")
    }

    /// The journal's row, once the worker has stopped.
    pub(crate) fn record(&self, key: Key) -> Option<Record> {
        let journal = Journal::open(&self.home().join("journal.redb")).unwrap();
        journal.all().unwrap().into_iter().find(|r| r.key == key)
    }
}

fn write(dir: &Path, files: &[(&str, &[u8])]) {
    for (path, bytes) in files {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "tokens expire by the clock on the wall")]
fn token(signer: &Signer, job: u64) -> AccessToken {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    AccessToken::sign(signer, &Scope { chain_id: CHAIN_ID, job, provider: 1 }, now + 60)
}

/// A worker at work.
pub(crate) struct Running {
    pub endpoint: String,
    pub script: Script,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(self.endpoint.clone()).unwrap().connect().await.unwrap()
    }

    async fn try_info(&self) -> Result<InfoResponse, Status> {
        let channel = Channel::from_shared(self.endpoint.clone()).unwrap().connect_lazy();
        Ok(WorkerClient::new(channel).info(InfoRequest {}).await?.into_inner())
    }

    pub(crate) async fn info(&self) -> InfoResponse {
        self.try_info().await.unwrap()
    }

    /// The log from an offset to its end, and whether the end was said to be one.
    pub(crate) async fn logs(&self, key: Key, offset: u64, by: Option<Signer>) -> Result<(Vec<u8>, bool), Status> {
        let mut request = Request::new(LogsRequest { job_id: key.job, attempt: 0, offset, follow: true });
        let mut metadata = MetadataMap::new();
        if let Some(signer) = by {
            token(&signer, key.job).attach(&mut metadata);
        }
        *request.metadata_mut() = metadata;
        let mut stream = WorkerClient::new(self.channel().await).logs(request).await?.into_inner();
        let (mut log, mut end) = (Vec::new(), false);
        while let Some(piece) = stream.message().await? {
            assert_eq!(piece.offset, offset + log.len() as u64);
            log.extend(piece.data);
            end |= piece.end;
        }
        Ok((log, end))
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.task).await.expect("stops in time").unwrap().unwrap();
    }
}
