use std::{
    io::{BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use gantry_abci::{
    AbciApp, Engine, Options, Queries,
    server::{Address, MAX_MESSAGE_BYTES, Server},
    testing::init_chain,
};
use gantry_store::Store;
use prost::Message;
use tendermint_proto::v0_38::abci::{
    Request, RequestApplySnapshotChunk, RequestCheckTx, RequestCommit, RequestEcho, RequestExtendVote,
    RequestFinalizeBlock, RequestFlush, RequestInfo, RequestListSnapshots, RequestLoadSnapshotChunk,
    RequestOfferSnapshot, RequestPrepareProposal, RequestProcessProposal, RequestQuery, RequestVerifyVoteExtension,
    Response, request::Value as Ask, response::Value as Answer,
};

use crate::support::{Probe, app_state, definition};

fn serve(address: &Address) -> Server {
    let definition = definition(&Probe::default());
    let store = Store::temporary(&definition.stores()).unwrap();
    let engine = Engine::new(definition, store, Options::default()).unwrap();
    Server::start(address, AbciApp::new(Queries::new(engine, []), |_| {})).unwrap()
}

/// CometBFT's socket client, in few lines: requests and a Flush in one write, answers in order.
struct Client<S> {
    writer: S,
    reader: BufReader<S>,
}

impl Client<UnixStream> {
    fn unix(server: &Server) -> Self {
        let Address::Unix(path) = server.address() else { panic!("a Unix socket") };
        let writer = UnixStream::connect(path).unwrap();
        Self { reader: BufReader::new(writer.try_clone().unwrap()), writer }
    }
}

impl<S: Read + Write> Client<S> {
    fn send(&mut self, requests: impl IntoIterator<Item = Ask>) {
        let mut bytes = Vec::new();
        for value in requests {
            bytes.extend(Request { value: Some(value) }.encode_length_delimited_to_vec());
        }
        self.writer.write_all(&bytes).unwrap();
    }

    fn receive(&mut self) -> Answer {
        let mut length = 0_usize;
        for shift in (0..).step_by(7) {
            let mut byte = [0];
            self.reader.read_exact(&mut byte).unwrap();
            length |= usize::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes).unwrap();
        Response::decode(bytes.as_slice()).unwrap().value.unwrap()
    }

    fn ask(&mut self, request: Ask) -> Answer {
        self.send([request, Ask::Flush(RequestFlush {})]);
        let answer = self.receive();
        assert!(matches!(self.receive(), Answer::Flush(_)));
        answer
    }
}

#[test]
fn every_method_is_answered_by_its_own_response() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(&Address::Unix(folder.path().join("abci.sock")));
    let mut client = Client::unix(&server);
    macro_rules! asks {
        ($($name:ident($request:expr)),* $(,)?) => {$(
            let answer = client.ask(Ask::$name($request));
            assert!(matches!(answer, Answer::$name(_)), "{answer:?}");
        )*};
    }
    let block = |height| RequestFinalizeBlock { height, ..RequestFinalizeBlock::default() };
    asks! {
        Echo(RequestEcho { message: "hello".into() }),
        Info(RequestInfo::default()),
        InitChain(init_chain(&app_state())),
        CheckTx(RequestCheckTx::default()),
        PrepareProposal(RequestPrepareProposal { height: 1, ..RequestPrepareProposal::default() }),
        ProcessProposal(RequestProcessProposal { height: 1, ..RequestProcessProposal::default() }),
        ExtendVote(RequestExtendVote { height: 1, ..RequestExtendVote::default() }),
        VerifyVoteExtension(RequestVerifyVoteExtension { height: 1, ..RequestVerifyVoteExtension::default() }),
        FinalizeBlock(block(1)),
        Commit(RequestCommit {}),
        FinalizeBlock(block(2)),
        Commit(RequestCommit {}),
        Query(RequestQuery { path: "/app/version".into(), ..RequestQuery::default() }),
        ListSnapshots(RequestListSnapshots {}),
        OfferSnapshot(RequestOfferSnapshot::default()),
        LoadSnapshotChunk(RequestLoadSnapshotChunk::default()),
        ApplySnapshotChunk(RequestApplySnapshotChunk::default()),
    }
    let Answer::Info(info) = client.ask(Ask::Info(RequestInfo::default())) else { panic!("Info") };
    assert_eq!((info.last_block_height, info.last_block_app_hash.len()), (2, 32));
    server.stop();
}

#[test]
fn answers_come_in_order_and_leave_with_the_flush() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(&Address::Unix(folder.path().join("abci.sock")));
    let mut client = Client::unix(&server);
    client.send((0..50).map(|i| Ask::Echo(RequestEcho { message: i.to_string() })));
    client.writer.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let early = client.reader.read(&mut [0]);
    assert!(early.is_err(), "nothing leaves before a Flush: {early:?}");
    client.writer.set_read_timeout(None).unwrap();
    client.send([Ask::Flush(RequestFlush {})]);
    for i in 0..50 {
        let Answer::Echo(echo) = client.receive() else { panic!("Echo") };
        assert_eq!(echo.message, i.to_string());
    }
    assert!(matches!(client.receive(), Answer::Flush(_)));
    server.stop();
}

#[test]
fn bad_frames_end_their_connection_with_a_reason_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(&Address::Unix(folder.path().join("abci.sock")));
    let mut good = Client::unix(&server);
    let mut oversized = Vec::new();
    prost::encoding::encode_varint(MAX_MESSAGE_BYTES + 1, &mut oversized);
    for bytes in [oversized, vec![2, 0xff, 0xff], vec![0]] {
        let mut bad = Client::unix(&server);
        bad.writer.write_all(&bytes).unwrap();
        assert!(matches!(bad.receive(), Answer::Exception(_)), "{bytes:?}");
        assert_eq!(bad.reader.read(&mut [0]).unwrap(), 0, "closed");
    }
    assert!(matches!(good.ask(Ask::Echo(RequestEcho::default())), Answer::Echo(_)));
    server.stop();
}

#[test]
fn stopping_ends_open_connections_and_frees_the_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("abci.sock");
    let server = serve(&Address::Unix(path.clone()));
    let mut client = Client::unix(&server);
    client.ask(Ask::Echo(RequestEcho::default()));
    let started = Instant::now();
    server.stop();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(client.reader.read(&mut [0]).unwrap(), 0, "closed");
    assert!(!path.exists());
    serve(&Address::Unix(path)).stop();
}

#[test]
fn a_call_over_tcp_waits_for_no_timer() {
    let unix_folder = tempfile::tempdir().unwrap();
    let over_unix = serve(&Address::Unix(unix_folder.path().join("abci.sock")));
    let over_tcp = serve(&Address::Tcp("127.0.0.1:0".parse().unwrap()));
    let Address::Tcp(address) = *over_tcp.address() else { panic!("TCP") };
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut tcp = Client { reader: BufReader::new(stream.try_clone().unwrap()), writer: stream };
    let mut unix = Client::unix(&over_unix);
    let tcp_median = median_round_trip(&mut tcp);
    let unix_median = median_round_trip(&mut unix);
    println!("Echo+Flush, median of 1,000: Unix {unix_median:?}, TCP {tcp_median:?}");
    // Nagle against delayed acknowledgements costs 40 ms; a loaded machine costs far less in the median.
    assert!(tcp_median < Duration::from_millis(20), "{tcp_median:?}");
    assert!(unix_median < Duration::from_millis(20), "{unix_median:?}");
    over_tcp.stop();
    over_unix.stop();
}

fn median_round_trip<S: Read + Write>(client: &mut Client<S>) -> Duration {
    let mut times: Vec<Duration> = (0..1000)
        .map(|_| {
            let started = Instant::now();
            client.ask(Ask::Echo(RequestEcho { message: "x".repeat(100) }));
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}
