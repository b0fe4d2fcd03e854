//! Bytes on the ABCI socket: every connection ends, and the server goes on serving.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::LazyLock,
    time::Duration,
};

use gantry_abci::server::{Address, Application, Server};
use prost::Message;
use tempfile::TempDir;
use tendermint_proto::v0_38::abci::{
    Request, RequestEcho, Response, ResponseEcho, ResponseException, request::Value as Asked, response::Value as Answer,
};

use crate::{Target, mutate::Form};

/// Frames, or what else comes over a socket.
pub const TARGET: Target = Target { name: "frames", form: Form::Bytes, run };

/// Answers echoes, and everything else with an exception.
#[derive(Clone)]
struct Echo;

impl Application for Echo {
    fn answer(&self, request: Asked) -> Answer {
        match request {
            Asked::Echo(RequestEcho { message }) => Answer::Echo(ResponseEcho { message }),
            other => Answer::Exception(ResponseException { error: format!("{other:?}").chars().take(9).collect() }),
        }
    }
}

struct Running {
    path: PathBuf,
    _server: Server,
    _folder: TempDir,
}

static SERVER: LazyLock<Running> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("abci.sock");
    let server = Server::start(&Address::Unix(path.clone()), Echo).expect("the server starts");
    Running { path, _server: server, _folder: folder }
});

fn run(bytes: &[u8]) {
    let echo = Request { value: Some(Asked::Echo(RequestEcho { message: "still there".into() })) };
    let flush = Request { value: Some(Asked::Flush(Default::default())) };
    exchange(bytes);
    let answer = exchange(&[echo.encode_length_delimited_to_vec(), flush.encode_length_delimited_to_vec()].concat());
    let answer = Response::decode_length_delimited(answer.as_slice()).expect("an answer");
    assert_eq!(answer.value, Some(Answer::Echo(ResponseEcho { message: "still there".into() })));
}

/// What the server says to these bytes, until it closes.
fn exchange(bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(&SERVER.path).expect("the server accepts");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
    // It may have hung up already.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => answer,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => answer,
        Err(error) => panic!("the server neither answers nor closes: {error}"),
    }
}
