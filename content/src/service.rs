//! The serving side of the block exchange.
#![expect(clippy::result_large_err, reason = "tonic's Status is the error of every handler")]

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gantry_proto::gantry::content::v1::blocks_server::{Blocks, BlocksServer};
use gantry_proto::gantry::content::v1::{
    GetBlocksRequest, GetBlocksResponse, HasRequest, HasResponse, PutBlocksRequest, PutBlocksResponse, StatRequest,
    StatResponse, put_blocks_request::Message,
};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use crate::cid::{Cid, Codec};
use crate::error::{ContentError, StoreError};
use crate::parts::{Assembly, MAX_MESSAGE_BYTES, split};
use crate::store::{Block, BlockStore, DagLimits, Lease};
use crate::unixfs::{MAX_BLOCK_BYTES, Node};

/// Blocks received are stored in batches of about this many bytes.
const BATCH_BYTES: usize = 8 << 20;
/// Most missing CIDs told in an answer to an upload.
const MAX_MISSING: usize = 256;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// Where the connection comes from.
    pub peer: Option<SocketAddr>,
    /// What the caller says of itself, tokens among it. Nothing here has been checked.
    pub metadata: &'a MetadataMap,
}

/// An upload that is welcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadGrant {
    /// The tag under which the root is pinned once complete.
    pub tag: String,
    /// How large the DAG may be; no more bytes than this are received.
    pub limits: DagLimits,
}

/// Decides who may see and store what. A closure over (caller, CID) is an `Access` that takes no uploads.
pub trait Access: Send + Sync + 'static {
    /// Whether `caller` may have this block. If not, the answer is the one for a block that is not there: a result
    /// withheld until its verdict does not even show that it exists. Called for every block, so it must be quick.
    fn may_read(&self, caller: &Caller<'_>, cid: &Cid) -> bool;

    /// Whether `caller` may upload the DAG under `root`, or why not.
    fn may_upload(&self, caller: &Caller<'_>, root: &Cid) -> Result<UploadGrant, String> {
        let _ = (caller, root);
        Err("uploads are not accepted here".to_owned())
    }
}

impl<F: Fn(&Caller<'_>, &Cid) -> bool + Send + Sync + 'static> Access for F {
    fn may_read(&self, caller: &Caller<'_>, cid: &Cid) -> bool {
        self(caller, cid)
    }
}

/// What one server gives at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceLimits {
    /// CIDs in one request.
    pub max_cids: u32,
    /// Downloads and uploads at once.
    pub max_transfers: u32,
    /// Of these, from one address.
    pub max_transfers_per_peer: u32,
    /// A transfer whose peer neither sends nor takes anything for this long ends.
    pub stall: Duration,
    /// Bytes of blocks sent per second, over all transfers.
    pub bytes_per_second: Option<u64>,
}

impl Default for ServiceLimits {
    fn default() -> Self {
        Self {
            max_cids: 256,
            max_transfers: 256,
            max_transfers_per_peer: 32,
            stall: Duration::from_secs(30),
            bytes_per_second: None,
        }
    }
}

/// `gantry.content.v1.Blocks` over a [`BlockStore`].
#[derive(Debug)]
pub struct BlocksService<A> {
    store: BlockStore,
    access: Arc<A>,
    limits: ServiceLimits,
    transfers: Transfers,
    pace: Arc<Pace>,
}

impl<A: Access> BlocksService<A> {
    /// Serves `store` as `access` allows.
    pub fn new(store: BlockStore, access: A, limits: ServiceLimits) -> Self {
        Self { store, access: Arc::new(access), limits, transfers: Transfers::default(), pace: Arc::default() }
    }

    /// As a service for [`tonic::transport::Server::add_service`].
    pub fn into_server(self) -> BlocksServer<Self> {
        BlocksServer::new(self).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// The CIDs of a request, and for each whether this caller may know of it.
    fn admit<T>(&self, request: &Request<T>, cids: &[Vec<u8>]) -> Result<Vec<(Cid, bool)>, Status> {
        if cids.len() > self.limits.max_cids as usize {
            return Err(Status::invalid_argument(format!("more than {} CIDs in one request", self.limits.max_cids)));
        }
        let caller = caller(request);
        let parse = |bytes: &Vec<u8>| Cid::from_bytes(bytes).map_err(|e| Status::invalid_argument(e.to_string()));
        cids.iter().map(|b| parse(b).map(|cid| (cid, self.access.may_read(&caller, &cid)))).collect()
    }
}

fn caller<T>(request: &Request<T>) -> Caller<'_> {
    Caller { peer: request.remote_addr(), metadata: request.metadata() }
}

#[tonic::async_trait]
impl<A: Access> Blocks for BlocksService<A> {
    type GetBlocksStream = ReceiverStream<Result<GetBlocksResponse, Status>>;

    async fn get_blocks(&self, request: Request<GetBlocksRequest>) -> Result<Response<Self::GetBlocksStream>, Status> {
        let cids = self.admit(&request, &request.get_ref().cids)?;
        let transfer = self.transfers.begin(request.remote_addr(), &self.limits)?;
        let (store, pace, limits) = (self.store.clone(), Arc::clone(&self.pace), self.limits);
        let (sender, receiver) = mpsc::channel(2);
        tokio::spawn(async move {
            let _transfer = transfer;
            // Nothing is left to tell when the caller is gone or does not read.
            let send = async |message| timeout(limits.stall, sender.send(message)).await.is_ok_and(|sent| sent.is_ok());
            for (cid, allowed) in cids {
                let bytes = if allowed { read(&store, cid).await } else { Ok(None) };
                let parts = match bytes {
                    Ok(Some(bytes)) => split(cid, bytes),
                    Ok(None) => {
                        let cid = cid.to_bytes().to_vec();
                        if !send(Ok(GetBlocksResponse { cid, missing: true, ..Default::default() })).await {
                            return;
                        }
                        continue;
                    }
                    Err(status) => {
                        send(Err(status)).await;
                        return;
                    }
                };
                for part in parts {
                    pace.wait(part.data.len(), limits.bytes_per_second).await;
                    let (cid, size, offset, data) = (part.cid, part.size, part.offset, part.data);
                    if !send(Ok(GetBlocksResponse { cid, missing: false, size, offset, data })).await {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn has(&self, request: Request<HasRequest>) -> Result<Response<HasResponse>, Status> {
        let cids = self.admit(&request, &request.get_ref().cids)?;
        let store = self.store.clone();
        let has = move || cids.iter().map(|(cid, allowed)| Ok(*allowed && store.has(cid)?)).collect();
        Ok(Response::new(HasResponse { has: blocking(has).await? }))
    }

    async fn put_blocks(
        &self,
        request: Request<Streaming<PutBlocksRequest>>,
    ) -> Result<Response<PutBlocksResponse>, Status> {
        let _transfer = self.transfers.begin(request.remote_addr(), &self.limits)?;
        let (metadata, peer) = (request.metadata().clone(), request.remote_addr());
        let mut incoming = request.into_inner();
        let Some(Message::Header(header)) = self.next(&mut incoming).await? else {
            return Err(Status::invalid_argument("an upload starts with its header"));
        };
        let root = Cid::from_bytes(&header.root).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let caller = Caller { peer, metadata: &metadata };
        let grant = self.access.may_upload(&caller, &root).map_err(Status::permission_denied)?;

        let lease = Arc::new(self.store.new_lease());
        let (mut assembly, mut batch, mut batch_bytes, mut received) = (Assembly::default(), Vec::new(), 0, 0u64);
        while let Some(message) = self.next(&mut incoming).await? {
            let Message::Part(part) = message else {
                return Err(Status::invalid_argument("a second header"));
            };
            received += part.data.len() as u64;
            if received > grant.limits.max_bytes {
                let limit = grant.limits.max_bytes;
                return Err(Status::resource_exhausted(format!("upload is larger than the {limit} bytes granted")));
            }
            if let Some(block) = assembly.push(part).map_err(|e| Status::invalid_argument(e.to_string()))? {
                // Small blocks cost memory and a row too: count each as at least a KiB.
                batch_bytes += block.bytes().len().max(1 << 10);
                batch.push(block);
                if batch_bytes >= BATCH_BYTES {
                    put(&lease, std::mem::take(&mut batch)).await?;
                    batch_bytes = 0;
                }
            }
        }
        if assembly.pending().is_some() {
            return Err(Status::invalid_argument("the upload ends within a block"));
        }
        put(&lease, batch).await?;
        let missing = blocking(move || {
            let missing = missing_blocks(&lease, &root, &grant.limits)?;
            if missing.is_empty() {
                lease.pin(&root, &grant.tag)?;
            }
            Ok(missing)
        });
        let missing = missing.await?.into_iter().map(|cid| cid.to_bytes().to_vec()).collect();
        Ok(Response::new(PutBlocksResponse { missing, bytes_received: received }))
    }

    async fn stat(&self, _: Request<StatRequest>) -> Result<Response<StatResponse>, Status> {
        let store = self.store.clone();
        let usage = blocking(move || Ok(store.usage()?)).await?;
        Ok(Response::new(StatResponse {
            bytes_used: usage.bytes,
            bytes_quota: usage.quota.unwrap_or(0),
            blocks: usage.blocks,
            max_block_bytes: u32::try_from(MAX_BLOCK_BYTES).expect("2 MiB"),
            max_cids: self.limits.max_cids,
        }))
    }
}

impl<A: Access> BlocksService<A> {
    async fn next(&self, incoming: &mut Streaming<PutBlocksRequest>) -> Result<Option<Message>, Status> {
        let stalled = |_| Status::deadline_exceeded("nothing was sent for too long");
        match timeout(self.limits.stall, incoming.message()).await.map_err(stalled)?? {
            None => Ok(None),
            Some(PutBlocksRequest { message: Some(message) }) => Ok(Some(message)),
            Some(_) => Err(Status::invalid_argument("an empty message")),
        }
    }
}

/// Runs disk work off the async threads, and gives its failure as the status that a caller can act on.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ContentError> + Send + 'static,
) -> Result<T, Status> {
    let result = spawn_blocking(work).await.map_err(|_| Status::internal("the store failed"))?;
    result.map_err(|error| match error {
        ContentError::Store(StoreError::QuotaExceeded { .. })
        | ContentError::TooLarge { .. }
        | ContentError::TooMany { .. }
        | ContentError::TooDeep { .. } => Status::resource_exhausted(error.to_string()),
        ContentError::Node { .. } => Status::invalid_argument(error.to_string()),
        error => {
            // Paths of this machine are nobody's business.
            tracing::error!(%error, "block store failed");
            Status::internal("the store failed")
        }
    })
}

async fn read(store: &BlockStore, cid: Cid) -> Result<Option<Bytes>, Status> {
    let store = store.clone();
    blocking(move || match store.get(&cid) {
        Err(StoreError::Corrupt(_)) => Ok(None),
        other => Ok(other?),
    })
    .await
}

async fn put(lease: &Arc<Lease>, blocks: Vec<Block>) -> Result<(), Status> {
    let lease = Arc::clone(lease);
    blocking(move || Ok(lease.put(&blocks)?)).await
}

/// Blocks of the DAG that are not there, as far as can be seen, at most [`MAX_MISSING`]. Those that are there are held.
fn missing_blocks(lease: &Lease, root: &Cid, limits: &DagLimits) -> Result<Vec<Cid>, ContentError> {
    let (mut todo, mut seen, mut missing) = (vec![*root], HashSet::from([*root]), Vec::new());
    while let Some(cid) = todo.pop() {
        if !lease.has(&cid)? {
            missing.push(cid);
            if missing.len() == MAX_MISSING {
                break;
            }
        } else if cid.codec() == Codec::DagPb {
            let block = lease.store().get(&cid)?.ok_or(ContentError::Missing(cid))?;
            let node = Node::decode(cid.codec(), &block).map_err(ContentError::node(cid))?;
            todo.extend(node.links().filter(|c| seen.insert(*c)));
            if seen.len() as u64 > limits.max_blocks {
                return Err(ContentError::TooMany { limit: limits.max_blocks });
            }
        }
    }
    if missing.is_empty() {
        lease.store().walk(root, limits, |_, _| ())?;
    }
    Ok(missing)
}

/// Counts transfers, in all and by address.
#[derive(Clone, Debug, Default)]
struct Transfers(Arc<Mutex<HashMap<Option<IpAddr>, u32>>>);

impl Transfers {
    fn begin(&self, peer: Option<SocketAddr>, limits: &ServiceLimits) -> Result<Transfer, Status> {
        let peer = peer.map(|p| p.ip());
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: u32 = counts.values().sum();
        let own = counts.entry(peer).or_default();
        if all >= limits.max_transfers || *own >= limits.max_transfers_per_peer {
            if *own == 0 {
                counts.remove(&peer);
            }
            return Err(Status::resource_exhausted("too many transfers at once; try again later"));
        }
        *own += 1;
        Ok(Transfer { of: self.clone(), peer })
    }
}

/// One transfer under way.
struct Transfer {
    of: Transfers,
    peer: Option<IpAddr>,
}

impl Drop for Transfer {
    fn drop(&mut self) {
        let mut counts = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.peer);
            }
        }
    }
}

/// Spreads what all transfers send over time.
#[derive(Debug, Default)]
struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// Waits until `bytes` more may be sent at `rate` bytes per second.
    async fn wait(&self, bytes: usize, rate: Option<u64>) {
        let Some(rate) = rate else { return };
        let cost = Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / rate.max(1));
        let turn = {
            let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = next.unwrap_or_else(Instant::now).max(Instant::now());
            *next = Some(turn + cost);
            turn
        };
        sleep_until(turn).await;
    }
}
