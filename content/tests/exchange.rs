//! Blocks between machines: honest ones, and all the others.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::result_large_err, reason = "tonic's Status is the error of every handler")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use gantry_content::unixfs::{Entry, FileNode, Node, Part};
use gantry_content::{
    Access, Block, BlockStore, BlocksService, Caller, Cid, Codec, ContentError, DagLimits, FetchError, HashMismatch,
    PartError, Profile, Progress, PushError, ServiceLimits, Source, SourceError, StoreError, TransferOptions,
    UploadGrant, fetch, import_with_profile, push,
};
use gantry_proto::gantry::content::v1::blocks_client::BlocksClient;
use gantry_proto::gantry::content::v1::blocks_server::{Blocks, BlocksServer};
use gantry_proto::gantry::content::v1::{
    BlockPart, GetBlocksRequest, GetBlocksResponse, HasRequest, HasResponse, PutBlocksHeader, PutBlocksRequest,
    PutBlocksResponse, StatRequest, StatResponse, put_blocks_request::Message,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::server::Router;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};

const PROFILE: Profile = Profile { chunk_bytes: 700_000, max_links: 4 };

struct Peer {
    _tmp: tempfile::TempDir,
    store: BlockStore,
}

impl Peer {
    fn with_quota(quota: Option<u64>) -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let store = BlockStore::open(tmp.path(), quota).unwrap();
        Self { _tmp: tmp, store }
    }

    fn new() -> Self {
        Self::with_quota(None)
    }

    /// A file of blocks that no file of another length has; gives its root and the bytes of its blocks.
    fn file(&self, len: u32) -> (Cid, u64) {
        let byte = |n: u32| ((n ^ len).wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0];
        let data: Vec<u8> = (0..len).map(byte).collect();
        let imported = import_with_profile(&self.store, &data[..], PROFILE).unwrap();
        self.store.pin(&imported.root, "test").unwrap();
        (imported.root, self.size(&imported.root))
    }

    fn size(&self, root: &Cid) -> u64 {
        let mut total = 0;
        self.store.walk(root, &DagLimits::NONE, |_, size| total += u64::from(size)).unwrap();
        total
    }

    fn put(&self, node: &Node) -> Cid {
        let block = Block::new(Codec::DagPb, node.encode().unwrap()).unwrap();
        self.store.put(&block).unwrap();
        block.cid()
    }

    async fn serve(&self, access: impl Access, limits: ServiceLimits) -> Source {
        let service = BlocksService::new(self.store.clone(), access, limits).into_server();
        serve(tonic::transport::Server::builder().add_service(service)).await
    }

    async fn serve_all(&self) -> Source {
        self.serve(|_: &Caller<'_>, _: &Cid| true, ServiceLimits::default()).await
    }
}

async fn serve(router: Router) -> Source {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    Source::new(format!("http://{address}"))
}

async fn client(source: &Source) -> BlocksClient<Channel> {
    BlocksClient::new(Endpoint::from_shared(source.endpoint.clone()).unwrap().connect().await.unwrap())
}

fn options() -> TransferOptions {
    TransferOptions { stall: Duration::from_secs(2), requests: 3, batch: 2, ..TransferOptions::default() }
}

async fn get(peer: &Peer, root: &Cid, sources: &[Source]) -> Result<Progress, FetchError> {
    fetch(&peer.store, root, sources, &options(), |_| ()).await.map(|f| f.progress)
}

/// What a peer does instead of answering.
type Act = fn(Vec<Cid>) -> BoxStream<'static, Result<GetBlocksResponse, Status>>;

/// Answers the first `honest` requests from a store, and then acts up.
struct Hostile {
    store: BlockStore,
    honest: AtomicU32,
    act: Act,
}

fn answer(block: &Block) -> GetBlocksResponse {
    let size = u32::try_from(block.bytes().len()).unwrap();
    let (cid, data) = (block.cid().to_bytes().to_vec(), block.bytes().to_vec());
    GetBlocksResponse { cid, missing: false, size, offset: 0, data }
}

#[tonic::async_trait]
impl Blocks for Hostile {
    type GetBlocksStream = BoxStream<'static, Result<GetBlocksResponse, Status>>;

    async fn get_blocks(&self, request: Request<GetBlocksRequest>) -> Result<Response<Self::GetBlocksStream>, Status> {
        let cids: Vec<_> = request.get_ref().cids.iter().map(|c| Cid::from_bytes(c).unwrap()).collect();
        let spent = self.honest.try_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_err();
        if spent {
            return Ok(Response::new((self.act)(cids)));
        }
        let block = |cid: Cid| Block::verify(cid, self.store.get(&cid).unwrap().unwrap()).unwrap();
        let answers: Vec<_> = cids.into_iter().map(|cid| Ok(answer(&block(cid)))).collect();
        Ok(Response::new(futures::stream::iter(answers).boxed()))
    }

    async fn has(&self, _: Request<HasRequest>) -> Result<Response<HasResponse>, Status> {
        Ok(Response::new(HasResponse { has: vec![true; 5000] }))
    }

    async fn put_blocks(&self, _: Request<Streaming<PutBlocksRequest>>) -> Result<Response<PutBlocksResponse>, Status> {
        futures::future::pending().await
    }

    async fn stat(&self, _: Request<StatRequest>) -> Result<Response<StatResponse>, Status> {
        Ok(Response::new(StatResponse::default()))
    }
}

async fn hostile(store: &BlockStore, honest: u32, act: Act) -> Source {
    let service = Hostile { store: store.clone(), honest: AtomicU32::new(honest), act };
    let service = BlocksServer::new(service).max_encoding_message_size(64 << 20);
    serve(tonic::transport::Server::builder().add_service(service)).await
}

fn once(answer: GetBlocksResponse) -> BoxStream<'static, Result<GetBlocksResponse, Status>> {
    futures::stream::iter([Ok(answer)]).boxed()
}

fn part(cid: &Cid, size: u32, offset: u32, data: Vec<u8>) -> GetBlocksResponse {
    GetBlocksResponse { cid: cid.to_bytes().to_vec(), missing: false, size, offset, data }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_travels_and_stays() {
    let (home, worker) = (Peer::new(), Peer::new());
    let (file, _) = home.file(9_000_000);
    let leaf = import_with_profile(&home.store, &b"small"[..], PROFILE).unwrap().root;
    let empty = import_with_profile(&home.store, &b""[..], PROFILE).unwrap().root;
    let entry = |name: &str, cid| Entry { name: name.to_owned(), cid, tsize: 1 };
    let inner = home.put(&Node::Directory(vec![entry("again", file), entry("small", leaf)]));
    let root = home.put(&Node::Directory(vec![entry("empty", empty), entry("file", file), entry("inner", inner)]));
    let size = home.size(&root);
    let source = home.serve_all().await;

    let seen = Mutex::new(Vec::new());
    let options = options();
    let fetched = fetch(&worker.store, &root, std::slice::from_ref(&source), &options, |p| {
        seen.lock().unwrap().push(p.bytes);
    });
    let fetched = fetched.await.unwrap();
    assert_eq!((fetched.progress.bytes, fetched.progress.bytes_present), (size, 0));
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted() && seen.len() > 30, "progress within blocks, never backwards");
    fetched.lease.pin(&root, "job").unwrap();
    drop(fetched);
    worker.store.gc(0).unwrap();
    let out = worker._tmp.path().join("out");
    gantry_content::export(&worker.store, &root, &out, &gantry_content::TreeLimits::default()).unwrap();
    assert_eq!(std::fs::metadata(out.join("inner/again")).unwrap().len(), 9_000_000);

    // What is here needs nobody.
    let again = get(&worker, &root, &[]).await.unwrap();
    assert_eq!((again.bytes, again.bytes_present), (0, size));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_named_with_all_that_was_tried() {
    let (empty, worker) = (Peer::new(), Peer::new());
    let cid = Cid::of(Codec::Raw, b"nowhere");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute = Source::new(format!("http://{}", listener.local_addr().unwrap()));
    let sources = [empty.serve_all().await, Source::new("http://127.0.0.1:1"), Source::new("not a uri"), mute];
    let connect = Duration::from_millis(300);
    let error =
        fetch(&worker.store, &cid, &sources, &TransferOptions { connect, ..options() }, |_| ()).await.unwrap_err();
    let text = error.to_string();
    let FetchError::NotFound { cid: named, tried } = error else { panic!("{text}") };
    assert_eq!(named, cid);
    assert_eq!(tried[0].why, SourceError::NotFound);
    assert!(tried[1..3].iter().all(|t| matches!(t.why, SourceError::Unreachable(_))), "{text}");
    // The listener takes the connection and never speaks.
    assert!(matches!(tried[3].why, SourceError::Unreachable(_) | SourceError::Stalled(_)), "{text}");
    assert!(text.contains(&cid.to_string()) && text.contains("127.0.0.1:1"), "{text}");
    assert!(get(&worker, &cid, &[]).await.unwrap_err().to_string().contains("no sources"));
}

/// Each way to misbehave is named; the next source completes the fetch; what came before is not asked for again.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_sources_are_dropped() {
    let home = Peer::new();
    let (root, size) = home.file(5_000_000);
    let stalled = SourceError::Stalled(options().stall);
    let protocol = |text| SourceError::Misbehaved(PartError::Protocol(text));
    let acts: Vec<(&str, Act, SourceError)> = vec![
        (
            "wrong bytes",
            |cids| once(part(&cids[0], 5, 0, b"wrong".to_vec())),
            SourceError::Misbehaved(PartError::Hash(HashMismatch(root))),
        ),
        (
            "too large a block",
            |cids| once(part(&cids[0], u32::MAX, 0, vec![0; 9])),
            SourceError::Misbehaved(PartError::Oversized(u64::from(u32::MAX))),
        ),
        (
            "more than announced",
            |cids| once(part(&cids[0], 5, 0, vec![0; 9])),
            protocol("sent more bytes than announced"),
        ),
        (
            "another block",
            |_| once(part(&Cid::of(Codec::Raw, b"x"), 1, 0, b"x".to_vec())),
            protocol("sent a block that was not asked for"),
        ),
        ("no CID", |_| once(GetBlocksResponse::default()), protocol("sent a block that was not asked for")),
        ("out of order", |cids| once(part(&cids[0], 9, 4, vec![0; 5])), protocol("sent a part out of order")),
        ("nothing", |_| futures::stream::empty().boxed(), protocol("ended before everything was answered")),
        (
            "half a block",
            |cids| once(part(&cids[0], 9, 0, vec![0; 5])),
            protocol("ended before everything was answered"),
        ),
        (
            "a block broken off",
            |cids| {
                let missing =
                    GetBlocksResponse { cid: cids[0].to_bytes().to_vec(), missing: true, ..Default::default() };
                futures::stream::iter([Ok(part(&cids[0], 9, 0, vec![0; 5])), Ok(missing)]).boxed()
            },
            protocol("broke off a block"),
        ),
        (
            "empty parts for ever",
            |cids| futures::stream::repeat(Ok(part(&cids[0], 9, 0, Vec::new()))).boxed(),
            protocol("sent an empty part"),
        ),
        (
            "an error",
            |_| futures::stream::iter([Err(Status::internal("boom"))]).boxed(),
            SourceError::Refused(Code::Internal, "boom".to_owned()),
        ),
        ("silence", |_| futures::stream::pending().boxed(), stalled.clone()),
        (
            "a byte now and then, for ever",
            |cids| {
                let trickle = futures::stream::unfold(0u32, move |n| {
                    let part = part(&cids[0], 2_000_000, n, vec![0]);
                    async move {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        Some((Ok(part), n + 1))
                    }
                });
                trickle.boxed()
            },
            stalled,
        ),
    ];
    let good = home.serve_all().await;
    let case = async |name, act, expected: SourceError, honest| {
        let worker = Peer::new();
        let bad = hostile(&home.store, honest, act).await;
        let error = get(&worker, &root, std::slice::from_ref(&bad)).await.unwrap_err();
        let FetchError::NotFound { tried, .. } = &error else { panic!("{name}: {error}") };
        match (&tried[0].why, &expected) {
            // Which block it is depends on how many honest answers came before.
            (SourceError::Misbehaved(PartError::Hash(_)), SourceError::Misbehaved(PartError::Hash(_))) => {}
            (why, expected) => assert_eq!(why, expected, "{name}"),
        }
        let kept = worker.store.usage().unwrap().bytes;
        assert_eq!(kept > 0, honest > 0, "{name}: honest answers are kept");
        assert!(worker.store.check().unwrap().damaged.is_empty());
        let rest = get(&worker, &root, &[bad, good.clone()]).await.unwrap();
        assert_eq!((rest.bytes_present, rest.bytes + rest.bytes_present), (kept, size), "{name}");
    };
    // At once, and after a few honest answers.
    let cases = acts.into_iter().flat_map(|(name, act, expected)| [0, 3].map(|n| case(name, act, expected.clone(), n)));
    let all = futures::future::join_all(cases);
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("no peer can hang a fetch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_too_large_to_decode_is_an_error() {
    let (home, worker) = (Peer::new(), Peer::new());
    let bad = hostile(&home.store, 0, |cids| once(part(&cids[0], 9, 0, vec![0; 40 << 20]))).await;
    let error = get(&worker, &Cid::of(Codec::Raw, b"x"), &[bad]).await.unwrap_err();
    assert!(
        matches!(&error, FetchError::NotFound { tried, .. } if matches!(tried[0].why, SourceError::Refused(..))),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_halves_make_a_whole() {
    let (home, left, right, worker) = (Peer::new(), Peer::new(), Peer::new(), Peer::new());
    let (root, size) = home.file(5_000_000);
    let mut n = 0;
    home.store
        .walk(&root, &DagLimits::NONE, |cid, _| {
            n += 1;
            let half = if n % 2 == 0 { &left } else { &right };
            half.store.put(&Block::verify(cid, home.store.get(&cid).unwrap().unwrap()).unwrap()).unwrap();
        })
        .unwrap();
    let sources = [left.serve_all().await, right.serve_all().await];
    assert_eq!(get(&worker, &root, &sources).await.unwrap().bytes, size);
}

#[tokio::test(flavor = "multi_thread")]
async fn fetches_are_bounded() {
    let home = Peer::new();
    let (root, size) = home.file(5_000_000);
    let source = [home.serve_all().await];
    let worker = Peer::new();
    let limited =
        async |limits| fetch(&worker.store, &root, &source, &TransferOptions { limits, ..options() }, |_| ()).await;
    let limits = DagLimits { max_bytes: size, max_blocks: 11, max_depth: 2 };
    assert!(matches!(limited(DagLimits { max_bytes: size - 1, ..limits }).await, Err(FetchError::TooLarge { .. })));
    assert!(worker.store.usage().unwrap().bytes < size);
    assert!(matches!(limited(DagLimits { max_blocks: 10, ..limits }).await, Err(FetchError::TooManyBlocks { .. })));
    assert!(matches!(limited(DagLimits { max_depth: 1, ..limits }).await, Err(FetchError::TooDeep { .. })));
    limited(limits).await.unwrap();
    // Already stored content is measured by the same limits.
    assert!(matches!(limited(DagLimits { max_bytes: size - 1, ..limits }).await, Err(FetchError::TooLarge { .. })));

    let full = Peer::with_quota(Some(size - 1));
    assert!(matches!(get(&full, &root, &source).await, Err(FetchError::Store(StoreError::QuotaExceeded { .. }))));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_nodes_end_a_fetch() {
    let (home, worker) = (Peer::new(), Peer::new());
    let junk = Block::new(Codec::DagPb, &b"junk"[..]).unwrap();
    home.store.put(&junk).unwrap();
    let part = Part { cid: junk.cid(), size: 1, tsize: 1 };
    let root = home.put(&Node::File(FileNode { data: Bytes::new(), parts: vec![part] }));
    let error = get(&worker, &root, &[home.serve_all().await]).await.unwrap_err();
    assert!(matches!(error, FetchError::BadNode { cid, .. } if cid == junk.cid()));
}

#[tokio::test(flavor = "multi_thread")]
async fn withheld_blocks_look_as_if_they_were_not_there() {
    let home = Peer::new();
    let (root, _) = home.file(100);
    let renter_only = move |caller: &Caller<'_>, cid: &Cid| {
        assert!(caller.peer.is_some());
        *cid != root || caller.metadata.get("token").is_some_and(|t| t == "renter")
    };
    let stranger = home.serve(renter_only, ServiceLimits::default()).await;
    let mut renter = stranger.clone();
    renter.metadata.insert("token", "renter".parse().unwrap());

    let worker = Peer::new();
    let error = get(&worker, &root, std::slice::from_ref(&stranger)).await.unwrap_err();
    assert!(matches!(&error, FetchError::NotFound { tried, .. } if tried[0].why == SourceError::NotFound));
    let mut client = client(&stranger).await;
    let ask = HasRequest { cids: vec![root.to_bytes().to_vec()] };
    assert_eq!(client.has(ask).await.unwrap().into_inner().has, [false]);
    get(&worker, &root, &[renter]).await.unwrap();
}

/// Takes uploads of up to 4 MB from whoever says the word.
struct Home;

impl Access for Home {
    fn may_read(&self, _: &Caller<'_>, _: &Cid) -> bool {
        true
    }

    fn may_upload(&self, caller: &Caller<'_>, _: &Cid) -> Result<UploadGrant, String> {
        match caller.metadata.get("token") {
            Some(token) if token == "renter" => {
                let limits = DagLimits { max_bytes: 4_000_000, ..DagLimits::default() };
                Ok(UploadGrant { tag: "upload/renter".to_owned(), limits })
            }
            _ => Err("who are you?".to_owned()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_stored_and_pinned() {
    let (renter, home) = (Peer::new(), Peer::with_quota(Some(6_000_000)));
    let (root, size) = renter.file(3_000_000);
    let stranger = home.serve(Home, ServiceLimits { max_cids: 3, ..ServiceLimits::default() }).await;
    let mut target = stranger.clone();
    target.metadata.insert("token", "renter".parse().unwrap());
    let send = async |root: Cid, to: &Source| push(&renter.store, &root, to, &options(), |_| ()).await;

    let refused = send(root, &stranger).await.unwrap_err().to_string();
    assert!(refused.contains("who are you?"), "{refused}");
    assert_eq!(home.store.usage().unwrap().blocks, 0);

    assert_eq!(send(root, &target).await.unwrap().bytes, size);
    assert_eq!(home.store.pins().unwrap(), [(root, "upload/renter".to_owned())]);
    home.store.gc(0).unwrap();
    assert_eq!(home.size(&root), size);
    // What is there is not sent again.
    let again = send(root, &target).await.unwrap();
    assert_eq!((again.bytes, again.bytes_present), (0, size));

    // More than granted; then more than fits beside what is pinned.
    let (large, _) = renter.file(4_100_000);
    let refused = send(large, &target).await.unwrap_err();
    assert!(matches!(refused, PushError::Target(SourceError::Refused(Code::ResourceExhausted, _))), "{refused}");
    let (medium, _) = renter.file(3_900_000);
    let refused = send(medium, &target).await.unwrap_err();
    assert!(
        matches!(&refused, PushError::Target(SourceError::Refused(Code::ResourceExhausted, m)) if m.contains("full")),
        "{refused}"
    );
    assert_eq!(home.store.pins().unwrap().len(), 1);
    assert_eq!(home.size(&root), size);

    let nowhere = Cid::of(Codec::Raw, b"not here");
    assert!(matches!(send(nowhere, &target).await, Err(PushError::Content(ContentError::Missing(c))) if c == nowhere));
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_do_not_hang() {
    let (renter, home) = (Peer::new(), Peer::new());
    let (root, _) = renter.file(3_000_000);
    let bad = hostile(&home.store, 0, |_| futures::stream::empty().boxed()).await;
    let error = push(&renter.store, &root, &bad, &options(), |_| ()).await.unwrap_err();
    assert!(matches!(error, PushError::Target(SourceError::Misbehaved(_))), "answers for 5000 blocks: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_uploads_are_refused() {
    let home = Peer::new();
    let limits = ServiceLimits { stall: Duration::from_millis(200), ..ServiceLimits::default() };
    let source = home.serve(Home, limits).await;
    let mut client = client(&source).await;
    let block = Block::new(Codec::Raw, vec![7; 100]).unwrap();
    let header = Message::Header(PutBlocksHeader { root: block.cid().to_bytes().to_vec() });
    let good = BlockPart { cid: block.cid().to_bytes().to_vec(), size: 100, offset: 0, data: vec![7; 100] };
    let wrong = BlockPart { data: vec![8; 100], ..good.clone() };
    let half = BlockPart { data: vec![7; 50], ..good.clone() };
    let cases: Vec<(Vec<Option<Message>>, Code)> = vec![
        (vec![], Code::InvalidArgument),
        (vec![None], Code::InvalidArgument),
        (vec![Some(Message::Part(good.clone()))], Code::InvalidArgument),
        (vec![Some(Message::Header(PutBlocksHeader { root: vec![1, 2, 3] }))], Code::InvalidArgument),
        (vec![Some(header.clone()), Some(header.clone())], Code::InvalidArgument),
        (vec![Some(header.clone()), Some(Message::Part(wrong))], Code::InvalidArgument),
        (vec![Some(header.clone()), Some(Message::Part(half))], Code::InvalidArgument),
    ];
    let upload = |messages: Vec<Option<Message>>, end: bool| {
        let messages = futures::stream::iter(messages.into_iter().map(|message| PutBlocksRequest { message }));
        let rest = if end { futures::stream::empty().boxed() } else { futures::stream::pending().boxed() };
        let mut request = Request::new(messages.chain(rest));
        request.metadata_mut().insert("token", "renter".parse().unwrap());
        request
    };
    for (messages, code) in cases {
        let status = client.put_blocks(upload(messages.clone(), true)).await.unwrap_err();
        assert_eq!(status.code(), code, "{messages:?}: {status}");
    }
    let status = client.put_blocks(upload(vec![Some(header.clone())], false)).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "a silent uploader");
    // An incomplete DAG is told, and not pinned.
    let answer = client.put_blocks(upload(vec![Some(header.clone())], true)).await.unwrap().into_inner();
    assert_eq!(answer.missing, [block.cid().to_bytes().to_vec()]);
    assert!(home.store.pins().unwrap().is_empty());
    let answer = client.put_blocks(upload(vec![Some(header), Some(Message::Part(good))], true)).await.unwrap();
    assert!(answer.into_inner().missing.is_empty());
    assert_eq!(home.store.pins().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_bound_what_they_give() {
    let home = Peer::new();
    let (root, size) = home.file(3_000_000);
    let mut cids = Vec::new();
    home.store.walk(&root, &DagLimits::NONE, |cid, _| cids.push(cid.to_bytes().to_vec())).unwrap();
    let limits = ServiceLimits {
        max_cids: 10,
        max_transfers_per_peer: 1,
        stall: Duration::from_secs(1),
        bytes_per_second: Some(10_000_000),
        ..ServiceLimits::default()
    };
    let source = home.serve(|_: &Caller<'_>, _: &Cid| true, limits).await;
    let mut client = client(&source).await;

    let many = GetBlocksRequest { cids: vec![cids[0].clone(); 11] };
    assert_eq!(client.get_blocks(many).await.unwrap_err().code(), Code::InvalidArgument);
    let bad = HasRequest { cids: vec![vec![0; 36]] };
    assert_eq!(client.has(bad).await.unwrap_err().code(), Code::InvalidArgument);

    // A reader that takes nothing holds its place only until the stall timeout.
    let held = client.get_blocks(GetBlocksRequest { cids: cids.clone() }).await.unwrap();
    let one = GetBlocksRequest { cids: vec![cids[0].clone()] };
    assert_eq!(client.get_blocks(one.clone()).await.unwrap_err().code(), Code::ResourceExhausted);
    let freed = async {
        while client.get_blocks(one.clone()).await.is_err() {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(Duration::from_secs(10), freed).await.expect("the slot comes free");
    drop(held);

    let worker = Peer::new();
    let started = Instant::now();
    let one_at_a_time = TransferOptions { requests: 1, batch: 10, ..options() };
    loop {
        // The slot of the request above may still be closing.
        match fetch(&worker.store, &root, std::slice::from_ref(&source), &one_at_a_time, |_| ()).await {
            Ok(_) => break,
            Err(FetchError::NotFound { .. }) if started.elapsed() < Duration::from_secs(10) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(started.elapsed().as_secs_f64() > size as f64 / 10e6 * 0.7, "paced to 10 MB/s");
}

#[tokio::test(flavor = "multi_thread")]
async fn fetches_of_the_same_content_share_a_store() {
    let (home, worker) = (Peer::new(), Arc::new(Peer::new()));
    let (root, size) = home.file(8_000_000);
    let source = home.serve_all().await;
    let fetches = (0..4).map(|_| {
        let (worker, source) = (Arc::clone(&worker), source.clone());
        tokio::spawn(async move { get(&worker, &root, &[source]).await.unwrap() })
    });
    for progress in futures::future::join_all(fetches).await {
        assert!(progress.unwrap().bytes <= size);
    }
    assert_eq!(worker.store.usage().unwrap().bytes, size);
}
