//! The asking side of the block exchange.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use gantry_proto::gantry::content::v1::blocks_client::BlocksClient;
use gantry_proto::gantry::content::v1::{
    BlockPart, GetBlocksRequest, HasRequest, PutBlocksHeader, PutBlocksRequest, StatRequest,
    put_blocks_request::Message,
};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::cid::{Cid, Codec};
use crate::error::{ContentError, StoreError};
use crate::parts::{Assembly, MAX_MESSAGE_BYTES, PartError, split};
use crate::store::{Block, BlockStore, DagLimits, Lease};
use crate::unixfs::{Node, NodeError};

/// Blocks received are stored in batches of about this many bytes.
const BATCH_BYTES: u64 = 8 << 20;
/// A transfer that moves fewer bytes than this within the stall timeout, and completes no block, has stalled: one byte
/// now and then is no progress.
const PROGRESS_BYTES: u64 = 16 << 10;
/// Flow-control windows, so that a long link stays full.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// An upload asks anew what is missing this many times: blocks may be collected at the other end meanwhile.
const PUSH_ROUNDS: u32 = 4;

/// Where content can be had.
#[derive(Clone, Debug)]
pub struct Source {
    /// `http://host:port`.
    pub endpoint: String,
    /// Sent with every request: tokens that show who asks.
    pub metadata: MetadataMap,
}

impl Source {
    /// A source that needs no token.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self { endpoint: endpoint.into(), metadata: MetadataMap::new() }
    }
}

/// How to transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferOptions {
    /// How large the DAG may be; blocks that are already here count too.
    pub limits: DagLimits,
    /// A source is given up when it makes no progress for this long. There is no limit on the whole transfer.
    pub stall: Duration,
    /// Time to connect.
    pub connect: Duration,
    /// Requests in flight to one source.
    pub requests: usize,
    /// CIDs per request.
    pub batch: usize,
}

impl Default for TransferOptions {
    fn default() -> Self {
        Self {
            limits: DagLimits::default(),
            stall: Duration::from_secs(20),
            connect: Duration::from_secs(5),
            requests: 4,
            batch: 16,
        }
    }
}

/// How far a transfer is, in distinct blocks of the DAG. `bytes` goes back when a source fails within a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes transferred.
    pub bytes: u64,
    /// Blocks transferred.
    pub blocks: u64,
    /// Bytes that needed no transfer.
    pub bytes_present: u64,
    /// Blocks that needed no transfer.
    pub blocks_present: u64,
    /// Bytes of the whole, as the DAG's maker says: good for a progress bar only.
    pub bytes_declared: Option<u64>,
}

/// Content that is now in the store, held until this is dropped: pin it before.
#[derive(Debug)]
pub struct Fetched {
    /// What was transferred.
    pub progress: Progress,
    /// Keeps the blocks.
    pub lease: Arc<Lease>,
}

/// Why one source gave nothing (more).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No connection.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// It does not have the block, or does not give it to us.
    #[error("does not have it")]
    NotFound,
    /// No progress for this long.
    #[error("stalled for {0:?}")]
    Stalled(Duration),
    /// It broke the rules of the exchange: wrong bytes, too many of them, parts out of order.
    #[error("misbehaved: {0}")]
    Misbehaved(#[from] PartError),
    /// It answered with an error.
    #[error("refused: {0:?}: {1}")]
    Refused(tonic::Code, String),
}

impl From<Status> for SourceError {
    fn from(status: Status) -> Self {
        // What a broken connection looks like from inside a stream.
        if status.code() == tonic::Code::Unavailable {
            return Self::Unreachable(status.message().to_owned());
        }
        Self::Refused(status.code(), status.message().to_owned())
    }
}

/// A source and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The source.
    pub endpoint: String,
    /// Why it did not help.
    pub why: SourceError,
}

/// Sources and reasons in one line.
struct AllTried<'a>(&'a [Tried]);

impl fmt::Display for AllTried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no sources given");
        }
        for (n, tried) in self.0.iter().enumerate() {
            write!(f, "{}{}: {}", if n == 0 { "" } else { "; " }, tried.endpoint, tried.why)?;
        }
        Ok(())
    }
}

/// Why content could not be fetched. What has arrived stays in the store, so a later attempt resumes.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No source gave this block.
    #[error("block {cid} cannot be had: {}", AllTried(.tried))]
    NotFound {
        /// The first block that is missing.
        cid: Cid,
        /// Every source, and why it did not help.
        tried: Vec<Tried>,
    },
    /// The DAG is larger than the limit.
    #[error("content is larger than the limit of {limit} bytes")]
    TooLarge {
        /// In bytes of blocks.
        limit: u64,
    },
    /// The DAG has more blocks than the limit.
    #[error("content has more than {limit} blocks")]
    TooManyBlocks {
        /// In blocks.
        limit: u64,
    },
    /// The DAG is deeper than the limit.
    #[error("content is deeper than {limit} levels of blocks")]
    TooDeep {
        /// In levels.
        limit: u32,
    },
    /// A block has the right hash but is no node that we accept: no source can help.
    #[error("block {cid}: {source}")]
    BadNode {
        /// The block.
        cid: Cid,
        /// The rule it breaks.
        source: NodeError,
    },
    /// The block store failed, or is full.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why content could not be uploaded.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The other end failed or refused.
    #[error("{0}")]
    Target(#[from] SourceError),
    /// It still lacks blocks after several rounds.
    #[error("the other end keeps losing blocks: is its store too full?")]
    Incomplete,
    /// The content is not all here.
    #[error(transparent)]
    Content(#[from] ContentError),
}

/// Runs disk work off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down: nobody will poll again.
            Err(_) => std::future::pending().await,
        },
    }
}

async fn connect(source: &Source, options: &TransferOptions) -> Result<BlocksClient<Channel>, SourceError> {
    let unreachable = |e: &dyn std::error::Error| {
        // The outer error only says "transport error".
        SourceError::Unreachable(e.source().map_or_else(|| e.to_string(), ToString::to_string))
    };
    let endpoint = Endpoint::from_shared(source.endpoint.clone()).map_err(|e| unreachable(&e))?;
    let endpoint = endpoint
        .connect_timeout(options.connect)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .tcp_nodelay(true);
    // The connector's own limit covers TCP alone; a peer may also accept and then say nothing.
    let channel = timeout(options.connect, endpoint.connect()).await;
    let channel =
        channel.map_err(|_| SourceError::Unreachable("no answer".to_owned()))?.map_err(|e| unreachable(&e))?;
    Ok(BlocksClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES))
}

fn request<T>(source: &Source, message: T) -> Request<T> {
    let mut request = Request::new(message);
    *request.metadata_mut() = source.metadata.clone();
    request
}

/// Brings the whole DAG under `root` into `store`.
///
/// Walks it level by level; asks for the blocks that are not here, several requests at a time; checks each block's hash
/// before it is stored. Sources are tried in order: one that fails or misbehaves is not asked again, one that lacks a
/// block is still asked for others. `progress` is called after every part.
pub async fn fetch(
    store: &BlockStore,
    root: &Cid,
    sources: &[Source],
    options: &TransferOptions,
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<Fetched, FetchError> {
    let fetch = Fetch {
        lease: Arc::new(store.new_lease()),
        options,
        progress: Mutex::new(Progress::default()),
        report: &progress,
    };
    let mut sources: Vec<Asked<'_>> = sources.iter().map(Asked::new).collect();
    let (mut level, mut seen, mut depth) = (vec![*root], HashSet::from([*root]), 0);
    while !level.is_empty() {
        let limits = options.limits;
        if depth > limits.max_depth {
            return Err(FetchError::TooDeep { limit: limits.max_depth });
        }
        let missing = fetch.take_present(&level).await?;
        fetch.get_all(missing, &mut sources).await?;
        let nodes: Vec<Cid> = level.into_iter().filter(|c| c.codec() == Codec::DagPb).collect();
        level = Vec::new();
        for cid in nodes {
            let node = fetch.node(cid).await?;
            if depth == 0 {
                fetch.update(|p| p.bytes_declared = Some(declared(&node, p.bytes + p.bytes_present)));
            }
            level.extend(node.links().filter(|c| seen.insert(*c)));
            // After every node: a level may name far more blocks than memory has room for.
            if seen.len() as u64 > limits.max_blocks {
                return Err(FetchError::TooManyBlocks { limit: limits.max_blocks });
            }
        }
        depth += 1;
    }
    let progress = fetch.update(|p| p.bytes_declared = Some(p.bytes + p.bytes_present));
    Ok(Fetched { progress, lease: fetch.lease })
}

fn declared(root: &Node, own: u64) -> u64 {
    match root {
        Node::File(file) => file.parts.iter().fold(own, |sum, p| sum.saturating_add(p.tsize)),
        Node::Directory(entries) => entries.iter().fold(own, |sum, e| sum.saturating_add(e.tsize)),
    }
}

/// A source during a fetch.
struct Asked<'a> {
    source: &'a Source,
    client: Option<BlocksClient<Channel>>,
    /// Once set, it is not asked again.
    failed: Option<SourceError>,
    lacks: HashSet<Cid>,
}

impl<'a> Asked<'a> {
    fn new(source: &'a Source) -> Self {
        Self { source, client: None, failed: None, lacks: HashSet::new() }
    }
}

/// Why a request ended early.
enum Stop {
    /// The next source may do better.
    Source(SourceError),
    /// No source can.
    Fetch(FetchError),
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<PartError> for Stop {
    fn from(error: PartError) -> Self {
        Self::Source(error.into())
    }
}

/// Blocks of one request that are counted as progress but not stored yet.
#[derive(Default)]
struct Unstored {
    blocks: Vec<Block>,
    /// Of the blocks, and of the parts of the next one.
    bytes: u64,
}

/// One fetch at work.
struct Fetch<'a> {
    lease: Arc<Lease>,
    options: &'a TransferOptions,
    progress: Mutex<Progress>,
    report: &'a (dyn Fn(Progress) + Send + Sync),
}

impl Fetch<'_> {
    fn update(&self, change: impl FnOnce(&mut Progress)) -> Progress {
        let now = {
            let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut progress);
            *progress
        };
        (self.report)(now);
        now
    }

    fn check_size(&self, progress: &Progress, more: u64) -> Result<(), FetchError> {
        let limit = self.options.limits.max_bytes;
        let total = progress.bytes.saturating_add(progress.bytes_present).saturating_add(more);
        if total > limit { Err(FetchError::TooLarge { limit }) } else { Ok(()) }
    }

    /// Counts what is here already; gives the rest.
    async fn take_present(&self, cids: &[Cid]) -> Result<Vec<Cid>, FetchError> {
        let (missing, bytes) = self.split_present(cids.to_vec()).await?;
        let blocks = (cids.len() - missing.len()) as u64;
        let progress = self.update(|p| {
            p.bytes_present += bytes;
            p.blocks_present += blocks;
        });
        self.check_size(&progress, 0)?;
        Ok(missing)
    }

    /// Those that are not here, and the bytes of those that are.
    async fn split_present(&self, cids: Vec<Cid>) -> Result<(Vec<Cid>, u64), StoreError> {
        let lease = Arc::clone(&self.lease);
        blocking(move || {
            let (mut missing, mut bytes) = (Vec::new(), 0u64);
            for cid in cids {
                match lease.size(&cid)? {
                    Some(size) => bytes = bytes.saturating_add(size.into()),
                    None => missing.push(cid),
                }
            }
            Ok((missing, bytes))
        })
        .await
    }

    async fn node(&self, cid: Cid) -> Result<Node, FetchError> {
        let lease = Arc::clone(&self.lease);
        let block = blocking(move || lease.store().get(&cid)).await?;
        // Held, so only damage on disk can take it away, and that is an error of its own.
        let block = block.ok_or(StoreError::Corrupt(cid))?;
        Node::decode(cid.codec(), &block).map_err(|source| FetchError::BadNode { cid, source })
    }

    /// Gets every one of these blocks, from whichever source has it.
    async fn get_all(&self, mut missing: Vec<Cid>, sources: &mut [Asked<'_>]) -> Result<(), FetchError> {
        while let Some(first) = missing.first() {
            let useful = |s: &Asked<'_>| s.failed.is_none() && missing.iter().any(|c| !s.lacks.contains(c));
            let Some(asked) = sources.iter_mut().find(|s| useful(s)) else {
                let why = |s: &Asked<'_>| s.failed.clone().unwrap_or(SourceError::NotFound);
                let tried = sources.iter().map(|s| Tried { endpoint: s.source.endpoint.clone(), why: why(s) });
                return Err(FetchError::NotFound { cid: *first, tried: tried.collect() });
            };
            let wanted = missing.iter().copied().filter(|c| !asked.lacks.contains(c)).collect();
            match self.get_from(asked, wanted).await {
                Ok(()) => {}
                Err(Stop::Source(why)) => {
                    tracing::warn!(endpoint = asked.source.endpoint, %why, "source failed");
                    asked.failed = Some(why);
                }
                Err(Stop::Fetch(error)) => return Err(error),
            }
            missing = self.split_present(missing).await?.0;
        }
        Ok(())
    }

    /// Gets what this source has of `wanted`, and notes what it lacks.
    async fn get_from(&self, asked: &mut Asked<'_>, wanted: Vec<Cid>) -> Result<(), Stop> {
        let client = match &asked.client {
            Some(client) => client.clone(),
            None => asked.client.insert(connect(asked.source, self.options).await?).clone(),
        };
        let source = asked.source;
        // After a failure no request begins, but those under way end by themselves: what they bring is stored.
        let failure: Mutex<Option<Stop>> = Mutex::default();
        let failed = || failure.lock().unwrap_or_else(PoisonError::into_inner);
        let batches = wanted.chunks(self.options.batch.max(1)).map(<[Cid]>::to_vec);
        let requests = futures::stream::iter(batches).map(async |batch| {
            if failed().is_some() {
                return Vec::new();
            }
            self.get_batch(client.clone(), source, batch).await.unwrap_or_else(|stop| {
                failed().get_or_insert(stop);
                Vec::new()
            })
        });
        let mut answers = requests.buffer_unordered(self.options.requests.max(1));
        while let Some(lacking) = answers.next().await {
            asked.lacks.extend(lacking);
        }
        drop(answers);
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(stop) => Err(stop),
            None => Ok(()),
        }
    }

    /// One request. Gives the CIDs that the source lacks.
    async fn get_batch(
        &self,
        client: BlocksClient<Channel>,
        source: &Source,
        batch: Vec<Cid>,
    ) -> Result<Vec<Cid>, Stop> {
        let mut unstored = Unstored::default();
        let result = self.receive(client, source, batch, &mut unstored).await;
        // What came before a failure is good, and need not come again; of the block that broke off nothing stays.
        self.store(&mut unstored).await?;
        if unstored.bytes > 0 {
            self.update(|p| p.bytes -= unstored.bytes);
        }
        result
    }

    async fn store(&self, unstored: &mut Unstored) -> Result<(), Stop> {
        let blocks = std::mem::take(&mut unstored.blocks);
        unstored.bytes -= blocks.iter().map(|b| b.bytes().len() as u64).sum::<u64>();
        let lease = Arc::clone(&self.lease);
        blocking(move || lease.put(&blocks)).await.map_err(|e| Stop::Fetch(e.into()))
    }

    async fn receive(
        &self,
        mut client: BlocksClient<Channel>,
        source: &Source,
        batch: Vec<Cid>,
        unstored: &mut Unstored,
    ) -> Result<Vec<Cid>, Stop> {
        let stall = self.options.stall;
        let stalled = |_| SourceError::Stalled(stall);
        let cids = batch.iter().map(|c| c.to_bytes().to_vec()).collect();
        let call = client.get_blocks(request(source, GetBlocksRequest { cids }));
        let mut stream = timeout(stall, call).await.map_err(stalled)?.map_err(SourceError::from)?.into_inner();

        let (mut assembly, mut lacking) = (Assembly::default(), Vec::new());
        let (mut deadline, mut since) = (Instant::now() + stall, 0);
        let mut batch = batch.into_iter();
        let mut current = None;
        loop {
            let next = timeout_at(deadline, stream.message()).await.map_err(stalled)?.map_err(SourceError::from)?;
            let Some(part) = next else { break };
            // Answers come in the order asked.
            let wanted = match current.take().or_else(|| batch.next()) {
                Some(cid) if cid.to_bytes()[..] == part.cid[..] => cid,
                _ => return Err(PartError::Protocol("sent a block that was not asked for").into()),
            };
            if part.missing {
                if assembly.pending().is_some() {
                    return Err(PartError::Protocol("broke off a block").into());
                }
                lacking.push(wanted);
                (deadline, since) = (Instant::now() + stall, 0);
                continue;
            }
            let (size, bytes) = (part.size, part.data.len() as u64);
            // Before the block is taken: with what others have counted, no block that completes passes the limit.
            let now = *self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            self.check_size(&now, size.saturating_sub(part.offset).into()).map_err(Stop::Fetch)?;
            let part = BlockPart { cid: part.cid, size, offset: part.offset, data: part.data };
            let complete = assembly.push(part)?;
            unstored.bytes += bytes;
            since += bytes;
            self.update(|p| {
                p.bytes += bytes;
                p.blocks += u64::from(complete.is_some());
            });
            current = complete.is_none().then_some(wanted);
            if complete.is_some() || since >= PROGRESS_BYTES {
                (deadline, since) = (Instant::now() + stall, 0);
            }
            unstored.blocks.extend(complete);
            if current.is_none() && unstored.bytes >= BATCH_BYTES {
                self.store(unstored).await?;
                deadline = Instant::now() + stall;
            }
        }
        if current.is_some() || batch.next().is_some() {
            return Err(PartError::Protocol("ended before everything was answered").into());
        }
        Ok(lacking)
    }
}

/// Uploads the DAG under `root`, all of which must be in `store`, and has it pinned at `target`.
///
/// Only the blocks that `target` lacks are sent.
pub async fn push(
    store: &BlockStore,
    root: &Cid,
    target: &Source,
    options: &TransferOptions,
    report: impl Fn(Progress) + Send + Sync,
) -> Result<Progress, PushError> {
    let (cids, _lease) = {
        let (store, root, limits) = (store.clone(), *root, options.limits);
        blocking(move || {
            let lease = store.lease(&root, &limits)?;
            let mut cids = Vec::new();
            store.walk(&root, &limits, |cid, size| cids.push((cid, size)))?;
            Ok::<_, ContentError>((cids, lease))
        })
        .await?
    };
    let mut client = connect(target, options).await?;
    let total = cids.iter().map(|(_, size)| u64::from(*size)).sum::<u64>();
    let mut progress = Progress { bytes_declared: Some(total), ..Progress::default() };

    for round in 0..PUSH_ROUNDS {
        // Asked anew each time: an answer names some missing blocks only, and more may lie below them.
        let missing = ask_missing(&mut client, target, options, &cids).await?;
        if round == 0 {
            progress.bytes_present = total - missing.iter().map(|(_, size)| u64::from(*size)).sum::<u64>();
            progress.blocks_present = (cids.len() - missing.len()) as u64;
            report(progress);
        }
        let missing = missing.into_iter().map(|(cid, _)| cid).collect();
        let (messages, stream) = mpsc::channel(2);
        let (steps, sent) = mpsc::channel(2);
        tokio::spawn(feed(store.clone(), *root, missing, messages, steps));
        let stream = request(target, ReceiverStream::new(stream));
        let complete = upload(&mut client, stream, sent, options.stall, |sent| {
            progress.bytes += sent.bytes;
            progress.blocks += u64::from(sent.ends_block);
            report(progress);
        });
        if complete.await? {
            return Ok(progress);
        }
    }
    Err(PushError::Incomplete)
}

/// Those of `cids` that the target does not have.
async fn ask_missing(
    client: &mut BlocksClient<Channel>,
    target: &Source,
    options: &TransferOptions,
    cids: &[(Cid, u32)],
) -> Result<Vec<(Cid, u32)>, SourceError> {
    let stalled = |_| SourceError::Stalled(options.stall);
    let stat = timeout(options.stall, client.stat(request(target, StatRequest {}))).await.map_err(stalled)??;
    let at_once = (stat.into_inner().max_cids as usize).clamp(1, 4096);
    let mut missing = Vec::new();
    for some in cids.chunks(at_once) {
        let ask = HasRequest { cids: some.iter().map(|(cid, _)| cid.to_bytes().to_vec()).collect() };
        let has = timeout(options.stall, client.has(request(target, ask))).await.map_err(stalled)??.into_inner().has;
        if has.len() != some.len() {
            return Err(PartError::Protocol("answered for another number of blocks").into());
        }
        missing.extend(some.iter().zip(has).filter(|(_, has)| !has).map(|(cid, _)| *cid));
    }
    Ok(missing)
}

/// One upload: sends `missing`, and tells whether the DAG is now complete and pinned.
async fn upload(
    client: &mut BlocksClient<Channel>,
    request: Request<ReceiverStream<PutBlocksRequest>>,
    mut sent: mpsc::Receiver<Result<Sent, ContentError>>,
    stall: Duration,
    mut on_sent: impl FnMut(Sent),
) -> Result<bool, PushError> {
    let mut answer = std::pin::pin!(client.put_blocks(request));
    let mut deadline = Instant::now() + stall;
    let mut sending = true;
    loop {
        tokio::select! {
            biased;
            next = sent.recv(), if sending => match next {
                Some(step) => {
                    on_sent(step?);
                    deadline = Instant::now() + stall;
                }
                None => sending = false,
            },
            answer = &mut answer => {
                return Ok(answer.map_err(SourceError::from)?.into_inner().missing.is_empty());
            }
            () = sleep_until(deadline) => return Err(SourceError::Stalled(stall).into()),
        }
    }
}

/// A part that was handed to the connection.
struct Sent {
    bytes: u64,
    ends_block: bool,
}

/// Reads blocks and feeds them to an upload, until all are sent or nobody takes them.
async fn feed(
    store: BlockStore,
    root: Cid,
    cids: Vec<Cid>,
    messages: mpsc::Sender<PutBlocksRequest>,
    sent: mpsc::Sender<Result<Sent, ContentError>>,
) {
    let header = Message::Header(PutBlocksHeader { root: root.to_bytes().to_vec() });
    if messages.send(PutBlocksRequest { message: Some(header) }).await.is_err() {
        return;
    }
    for cid in cids {
        let store = store.clone();
        let block = blocking(move || store.get(&cid)).await;
        let block = match block.map_err(ContentError::from).and_then(|b| b.ok_or(ContentError::Missing(cid))) {
            Ok(block) => block,
            Err(error) => {
                let _ = sent.send(Err(error)).await;
                return;
            }
        };
        for part in split(cid, block) {
            let bytes = part.data.len() as u64;
            let step = Sent { bytes, ends_block: u64::from(part.offset) + bytes == u64::from(part.size) };
            let message = PutBlocksRequest { message: Some(Message::Part(part)) };
            if messages.send(message).await.is_err() || sent.send(Ok(step)).await.is_err() {
                return;
            }
        }
    }
}
