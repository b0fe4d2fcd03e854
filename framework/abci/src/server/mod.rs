//! The ABCI socket server: our application behind CometBFT's socket protocol.
//!
//! One thread per connection (CometBFT opens four: consensus, mempool, query, snapshot). Requests that have arrived
//! together are taken together: the application may look ahead at them, and their answers, buffered, leave in one write
//! if a Flush is among them. (CometBFT's flush timer spins, so that there is one after almost every CheckTx; with Nagle on
//! and two writes a call would cost 44 ms.) A panic in a handler aborts the process: a node that is up and deaf is worse
//! than one that is down.

mod address;
mod frame;

pub use address::{Address, MAX_SOCKET_PATH_BYTES};
pub use frame::MAX_MESSAGE_BYTES;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufReader, BufWriter, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tendermint_proto::v0_38::abci::{Request, Response, ResponseException, request, response};

/// Size of the buffers of a connection.
const BUFFER_BYTES: usize = 64 * 1024;

/// The field of a `Response` that holds a `ResponseFinalizeBlock`.
const FINALIZE_BLOCK: u32 = 21;

/// Requests that are taken together at most: what the first answer may wait for.
const MAX_BATCH: usize = 64;

/// Pause after a connection that could not be accepted.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// What the server serves. Cloned for each connection; clones share their state.
pub trait Application: Clone + Send + 'static {
    /// Answers one request with the response of the same name.
    fn answer(&self, request: request::Value) -> response::Value;

    /// The same, for an application that has some answers encoded.
    fn respond(&self, request: request::Value) -> Answer {
        Answer::Value(self.answer(request))
    }

    /// Looks at requests that will be answered next, in this order. For work that changes no answer, only when it comes.
    fn look_ahead(&self, _requests: &[request::Value]) {}
}

/// What is written to the socket.
#[derive(Debug)]
pub enum Answer {
    /// To be encoded.
    Value(response::Value),
    /// An encoded `ResponseFinalizeBlock`.
    FinalizeBlock(Bytes),
}

impl Answer {
    fn write(self, writer: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Value(value) => frame::write(writer, &Response { value: Some(value) }),
            Self::FinalizeBlock(bytes) => frame::write_field(writer, FINALIZE_BLOCK, &bytes),
        }
    }
}

/// A running server. Dropping the handle leaves it running; [`Server::stop`] ends it.
#[derive(Debug)]
pub struct Server {
    address: Address,
    connections: Arc<Mutex<Connections>>,
    acceptor: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Connections {
    stopping: bool,
    next_id: u64,
    open: BTreeMap<u64, Stream>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Binds and serves `app`, cloned for each connection. A stale Unix socket is replaced; the caller holds the lock
    /// on the home folder, so nobody else can be using it.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(address: &Address, app: impl Application) -> io::Result<Self> {
        let listener = Listener::bind(address)?;
        let address = listener.address()?;
        tracing::info!(%address, "ABCI server listens");
        let connections = Arc::new(Mutex::new(Connections::default()));
        let acceptor = {
            let connections = Arc::clone(&connections);
            thread::Builder::new().name("abci-accept".into()).spawn(move || accept(&listener, &connections, &app))?
        };
        Ok(Self { address, connections, acceptor })
    }

    /// Where it listens; with port 0, the port that was chosen.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Ends the server: no new connections, each open one finishes the request at hand, then all threads are joined.
    pub fn stop(self) {
        let threads = {
            let mut connections = self.connections.lock();
            connections.stopping = true;
            for stream in connections.open.values() {
                stream.shutdown_read();
            }
            std::mem::take(&mut connections.threads)
        };
        // Wakes the acceptor, which then sees `stopping`. Failing to connect means it has gone already.
        let woken = Stream::connect(&self.address);
        for thread in threads {
            join(thread);
        }
        if woken.is_ok() {
            join(self.acceptor);
        }
        if let Address::Unix(path) = &self.address {
            // Best effort: the next start replaces it anyway.
            let _ = fs::remove_file(path);
        }
    }
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread of the ABCI server panicked");
        process::abort();
    }
}

fn accept<A: Application>(listener: &Listener, connections: &Arc<Mutex<Connections>>, app: &A) {
    loop {
        let stream = match listener.accept() {
            Ok(stream) => stream,
            Err(error) => {
                // Out of descriptors, or a connection that died in the queue: neither ends the server. The first one stays
                // in the queue, so to ask again at once would be a busy loop.
                tracing::warn!(%error, "ABCI connection not accepted");
                thread::park_timeout(AFTER_REFUSAL);
                continue;
            }
        };
        let mut state = connections.lock();
        if state.stopping {
            return;
        }
        let id = state.next_id;
        state.next_id += 1;
        let spawned = stream.try_clone().and_then(|kept| {
            let app = app.clone();
            let connections = Arc::clone(connections);
            let thread = thread::Builder::new().name(format!("abci-{id}")).spawn(move || {
                match serve(stream, &app) {
                    Ok(()) => tracing::debug!(id, "ABCI connection closed"),
                    Err(error) => tracing::warn!(id, %error, "ABCI connection ended"),
                }
                connections.lock().open.remove(&id);
            })?;
            Ok((kept, thread))
        });
        match spawned {
            Ok((kept, thread)) => {
                state.open.insert(id, kept);
                state.threads.retain(|thread| !thread.is_finished());
                state.threads.push(thread);
            }
            Err(error) => tracing::warn!(%error, "ABCI connection dropped"),
        }
    }
}

/// Answers requests in order until the peer closes.
fn serve(stream: Stream, app: &impl Application) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, stream.try_clone()?);
    let mut writer = BufWriter::with_capacity(BUFFER_BYTES, stream);
    loop {
        let (requests, end) = read_batch(&mut reader);
        if requests.len() > 1 {
            or_abort("a look ahead", || app.look_ahead(&requests));
        }
        let mut flush = false;
        for request in requests {
            flush |= matches!(request, request::Value::Flush(_));
            let answer = or_abort("an ABCI method", || app.respond(request));
            answer.write(&mut writer)?;
        }
        match end {
            None if flush => writer.flush()?,
            None => {}
            Some(Ok(())) => return writer.flush(),
            Some(Err(error)) => {
                // The client learns why before the connection ends.
                frame::write(&mut writer, &exception(error.to_string()))?;
                writer.flush()?;
                return Err(error);
            }
        }
    }
}

/// Waits for a request, and takes what has arrived behind it. With them, how the connection ends if it does.
fn read_batch(reader: &mut BufReader<Stream>) -> (Vec<request::Value>, Option<io::Result<()>>) {
    let mut requests = Vec::new();
    while requests.is_empty() || (requests.len() < MAX_BATCH && frame::is_whole(reader.buffer())) {
        match frame::read::<Request>(reader) {
            Ok(Some(Request { value: Some(value) })) => requests.push(value),
            Ok(Some(Request { value: None })) => {
                let error = io::Error::new(io::ErrorKind::InvalidData, "a request without a value");
                return (requests, Some(Err(error)));
            }
            Ok(None) => return (requests, Some(Ok(()))),
            Err(error) => return (requests, Some(Err(error))),
        }
    }
    (requests, None)
}

fn exception(error: String) -> Response {
    Response { value: Some(response::Value::Exception(ResponseException { error })) }
}

/// Runs `work`; a panic inside aborts the process after a log line, whatever thread it happens on.
pub(crate) fn or_abort<T>(what: &str, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        tracing::error!("{what} panicked; the process aborts, nothing of this block is committed");
        process::abort()
    })
}

#[derive(Debug)]
enum Listener {
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener),
}

impl Listener {
    fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Unix(path) => {
                match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                Ok(Self::Unix(UnixListener::bind(path)?, path.clone()))
            }
            Address::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address)?)),
        }
    }

    fn address(&self) -> io::Result<Address> {
        Ok(match self {
            Self::Unix(_, path) => Address::Unix(path.clone()),
            Self::Tcp(listener) => Address::Tcp(listener.local_addr()?),
        })
    }

    fn accept(&self) -> io::Result<Stream> {
        Ok(match self {
            Self::Unix(listener, _) => Stream::Unix(listener.accept()?.0),
            Self::Tcp(listener) => Stream::tcp(listener.accept()?.0)?,
        })
    }
}

#[derive(Debug)]
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::Tcp(stream))
    }

    fn connect(address: &Address) -> io::Result<Self> {
        Ok(match address {
            Address::Unix(path) => Self::Unix(UnixStream::connect(path)?),
            Address::Tcp(address) => Self::tcp(TcpStream::connect(address)?)?,
        })
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
        })
    }

    /// The reader sees the end of the stream; what is being answered still leaves.
    fn shutdown_read(&self) {
        // It may have closed already: then there is nothing to do.
        let _ = match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Read),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Read),
        };
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(buffer),
            Self::Tcp(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
