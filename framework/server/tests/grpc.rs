//! The gRPC server over a router of two routes, asked by a raw client.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread::ThreadId,
};

use bytes::Bytes;
use gantry_core::{Code, Status};
use gantry_server::{Answer, HEIGHT_HEADER, Queries, serve};
use parking_lot::Mutex;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tonic::{
    Request,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::{v1, v1alpha};

mod raw;

const BALANCE: &str = "/cosmos.bank.v1beta1.Query/Balance";
const NODE_INFO: &str = "/cosmos.base.tendermint.v1beta1.Service/GetNodeInfo";

/// Echoes what was asked, at height 7.
#[derive(Default)]
struct Echo {
    threads: Mutex<Vec<ThreadId>>,
    /// What a slow query waits for.
    gate: Mutex<Option<mpsc::Receiver<()>>>,
}

impl Queries for Echo {
    fn knows(&self, path: &str) -> bool {
        self.paths().contains(&path)
    }

    fn paths(&self) -> Vec<&'static str> {
        vec![BALANCE, NODE_INFO]
    }

    fn query(&self, path: &str, height: u64, request: &[u8]) -> Result<Answer, Status> {
        self.threads.lock().push(std::thread::current().id());
        match request {
            b"absent" => Err(Status::not_found("account x not found")),
            b"panic" => panic!("asked to panic"),
            b"slow" => {
                self.gate.lock().take().unwrap().recv().unwrap();
                Ok(Answer { height: 7, bytes: b"slow".to_vec() })
            }
            _ => Ok(Answer { height: 7, bytes: [path.as_bytes(), height.to_string().as_bytes(), request].concat() }),
        }
    }
}

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    echo: Arc<Echo>,
}

async fn start() -> (Running, Channel) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let echo = Arc::new(Echo::default());
    let queries = Arc::clone(&echo);
    let served = tokio::spawn(async move {
        let stopped = async { stopped.await.unwrap() };
        serve(listener, queries, stopped).await.unwrap();
    });
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    (Running { address, stop, served, echo }, channel)
}

async fn call(
    channel: &Channel,
    path: &'static str,
    height: Option<&str>,
    message: &'static [u8],
) -> Result<tonic::Response<Bytes>, tonic::Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let mut request = Request::new(Bytes::from_static(message));
    if let Some(height) = height {
        request.metadata_mut().insert(HEIGHT_HEADER, height.parse().unwrap());
    }
    client.unary(request, PathAndQuery::from_static(path), raw::Codec).await
}

#[tokio::test]
async fn bytes_and_heights_pass_through() {
    let (running, channel) = start().await;
    let answer = call(&channel, BALANCE, None, b"abc").await.unwrap();
    assert_eq!(answer.metadata().get(HEIGHT_HEADER).unwrap(), "7");
    assert_eq!(answer.into_inner(), format!("{BALANCE}0abc"));
    let answer = call(&channel, NODE_INFO, Some("5"), b"").await.unwrap();
    assert_eq!(answer.into_inner(), format!("{NODE_INFO}5"));
    assert!(!running.echo.threads.lock().contains(&std::thread::current().id()), "not on the runtime's thread");
}

#[tokio::test]
async fn errors_keep_code_and_words() {
    let (_running, channel) = start().await;
    let code = |answer: Result<tonic::Response<Bytes>, tonic::Status>| {
        let status = answer.unwrap_err();
        (status.code(), status.message().to_owned())
    };
    let absent = code(call(&channel, BALANCE, None, b"absent").await);
    assert_eq!(absent, (tonic::Code::NotFound, "account x not found".to_owned()));
    for bad in ["-1", "x", "18446744073709551616"] {
        assert_eq!(code(call(&channel, BALANCE, Some(bad), b"").await).0, tonic::Code::InvalidArgument, "{bad}");
    }
    let (unknown, words) = code(call(&channel, "/cosmos.bank.v1beta1.Query/Nothing", None, b"").await);
    assert_eq!(unknown, tonic::Code::Unimplemented);
    assert_eq!(words, "unknown method Nothing for service cosmos.bank.v1beta1.Query");
    assert_eq!(code(call(&channel, "/no.Such/Service", None, b"").await).0, tonic::Code::Unimplemented);
    // A query that panics costs its caller alone.
    assert_eq!(code(call(&channel, BALANCE, None, b"panic").await).0, tonic::Code::Internal);
    call(&channel, BALANCE, None, b"").await.unwrap();
    // All codes of queries have one of gRPC's.
    assert_eq!(Code::Unavailable as i32, tonic::Code::Unavailable as i32);
}

#[tokio::test]
async fn an_oversized_request_is_refused() {
    static LARGE: [u8; 11 << 20] = [0; 11 << 20];
    let (_running, channel) = start().await;
    let refused = call(&channel, BALANCE, None, &LARGE).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::OutOfRange, "{refused}");
    call(&channel, BALANCE, None, b"").await.unwrap();
}

#[tokio::test]
async fn stopping_answers_what_is_open() {
    let (running, channel) = start().await;
    let (open, gate) = mpsc::channel();
    *running.echo.gate.lock() = Some(gate);
    let slow = tokio::spawn(async move { call(&channel, BALANCE, None, b"slow").await });
    // The call has arrived once the router has seen it.
    while running.echo.threads.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    running.stop.send(()).unwrap();
    open.send(()).unwrap();
    assert_eq!(slow.await.unwrap().unwrap().into_inner(), "slow");
    running.served.await.unwrap();
    assert!(Endpoint::from_shared(format!("http://{}", running.address)).unwrap().connect().await.is_err());
}

#[tokio::test]
async fn reflection_lists_what_is_served_and_describes_it_in_both_versions() {
    let (_running, channel) = start().await;
    let served = [
        "cosmos.bank.v1beta1.Query",
        "cosmos.base.tendermint.v1beta1.Service",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ];
    macro_rules! check {
        ($version:ident) => {{
            use $version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
            };
            let mut client = ServerReflectionClient::new(channel.clone());
            let mut ask = vec![MessageRequest::ListServices(String::new())];
            ask.extend(served.map(|name| MessageRequest::FileContainingSymbol(name.to_owned())));
            ask.extend(
                ["gogoproto/gogo.proto", "cosmos/msg/v1/msg.proto", "google/api/annotations.proto"]
                    .map(|file| MessageRequest::FileByFilename(file.to_owned())),
            );
            let requests = ask
                .into_iter()
                .map(|request| ServerReflectionRequest { host: String::new(), message_request: Some(request) });
            let mut answers = client
                .server_reflection_info(tokio_stream::iter(requests.collect::<Vec<_>>()))
                .await
                .unwrap()
                .into_inner();
            let mut files = 0;
            while let Some(answer) = answers.message().await.unwrap() {
                match answer.message_response.unwrap() {
                    MessageResponse::ListServicesResponse(list) => {
                        let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
                        names.sort();
                        assert_eq!(names, served);
                    }
                    MessageResponse::FileDescriptorResponse(_) => files += 1,
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(files, served.len() + 3);
        }};
    }
    check!(v1);
    check!(v1alpha);
}

#[tokio::test]
async fn reflection_finds_parts_and_extensions_and_goes_on_after_what_is_missing() {
    use v1::{
        ExtensionRequest, ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let (_running, channel) = start().await;
    let symbol = |name: &str| MessageRequest::FileContainingSymbol(name.to_owned());
    let extension = |number| {
        let containing_type = "google.protobuf.MessageOptions".to_owned();
        MessageRequest::FileContainingExtension(ExtensionRequest { containing_type, extension_number: number })
    };
    // cosmos.msg.v1.signer
    let signer = 11_110_000;
    let options = MessageRequest::AllExtensionNumbersOfType("google.protobuf.MessageOptions".to_owned());
    let cases = [
        (symbol("cosmos.bank.v1beta1.Query.Balance"), Some("cosmos/bank/v1beta1/query.proto")),
        (symbol("cosmos.bank.v1beta1.MsgSend.from_address"), Some("cosmos/bank/v1beta1/tx.proto")),
        (symbol("cosmos.tx.v1beta1.ModeInfo.Single"), Some("cosmos/tx/v1beta1/tx.proto")),
        (symbol("cosmos.tx.v1beta1.ModeInfo.sum"), Some("cosmos/tx/v1beta1/tx.proto")),
        (symbol("cosmos.tx.v1beta1.BROADCAST_MODE_SYNC"), Some("cosmos/tx/v1beta1/service.proto")),
        (symbol("cosmos.msg.v1.signer"), Some("cosmos/msg/v1/msg.proto")),
        (extension(signer), Some("cosmos/msg/v1/msg.proto")),
        (extension(1), None),
        (extension(-1), None),
        (symbol("cosmos.bank.v1beta1.MsgPrint"), None),
        (symbol("cosmos.bank.v1beta1.MsgSend.nothing"), None),
        (symbol(""), None),
        (symbol("."), None),
        (MessageRequest::FileByFilename("no/such.proto".to_owned()), None),
        (options, None),
    ];
    let requests = cases
        .clone()
        .map(|(request, _)| ServerReflectionRequest { host: "here".to_owned(), message_request: Some(request) });
    let mut client = ServerReflectionClient::new(channel);
    let mut answers = client.server_reflection_info(tokio_stream::iter(requests.to_vec())).await.unwrap().into_inner();
    for (request, file) in cases {
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(answer.original_request.unwrap().message_request, Some(request.clone()));
        match (answer.message_response.unwrap(), file) {
            (MessageResponse::FileDescriptorResponse(found), Some(file)) => {
                // The name is the first field: tag, length, text.
                let found = &found.file_descriptor_proto[0];
                assert_eq!(&found[2..2 + usize::from(found[1])], file.as_bytes(), "{request:?}");
            }
            (MessageResponse::ErrorResponse(error), None) => assert_eq!(error.error_code, 5, "{request:?}"),
            (MessageResponse::AllExtensionNumbersResponse(all), None) => {
                assert!(all.extension_number.contains(&signer), "{all:?}");
            }
            (other, _) => panic!("{request:?}: {other:?}"),
        }
    }
    assert!(answers.message().await.unwrap().is_none());
}

#[tokio::test]
async fn health_knows_the_served_services() {
    let (_running, channel) = start().await;
    let mut health = HealthClient::new(channel);
    for service in ["", "cosmos.bank.v1beta1.Query"] {
        let answer = health.check(HealthCheckRequest { service: service.to_owned() }).await.unwrap();
        assert_eq!(answer.into_inner().status, 1, "{service:?} is serving");
    }
    let unknown = health.check(HealthCheckRequest { service: "no.Such".to_owned() }).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
}
