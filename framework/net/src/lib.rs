//! Connections of strangers, counted: each takes a file descriptor, which databases and journals need too.

use std::{
    collections::BTreeMap,
    io::{self, IoSlice},
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::{Sleep, sleep},
};
use tokio_stream::{Stream, StreamExt, wrappers::TcpListenerStream};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Connections at once: half of the file descriptors that a process usually has.
const MOST: usize = 512;
/// Of these, from one address.
const MOST_OF_ONE: usize = 256;
/// Longest that a connection may say nothing at its start.
const SILENCE: Duration = Duration::from_secs(10);

/// Pause after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections for [`tonic::transport::server::Router::serve_with_incoming`], and closes at once those that are
/// too many: 512 in all, 256 from one address. Answers go out without delay (`TCP_NODELAY`).
///
/// Gives no errors: tonic would stop serving for good, and one that cannot be accepted (no file descriptors are left,
/// say) is no reason for that.
pub fn incoming(listener: TcpListener) -> impl Stream<Item = io::Result<Connection>> {
    let open = Open::default();
    patient(TcpListenerStream::new(listener)).filter_map(move |stream| Connection::new(stream, &open).map(Ok))
}

/// What is accepted; after an error, only after a pause.
fn patient<T>(accepted: impl Stream<Item = io::Result<T>>) -> impl Stream<Item = T> {
    let paused = accepted.then(async |accepted| {
        if let Err(error) = &accepted {
            tracing::warn!(%error, "a connection cannot be accepted");
            sleep(PAUSE).await;
        }
        accepted
    });
    paused.filter_map(Result::ok)
}

/// How many connections there are from each address.
#[derive(Clone, Debug, Default)]
struct Open(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

impl Open {
    fn counts(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, peer: IpAddr) -> Option<Slot> {
        let mut counts = self.counts();
        let own = counts.get(&peer).copied().unwrap_or(0);
        if own >= MOST_OF_ONE || counts.values().sum::<usize>() >= MOST {
            return None;
        }
        counts.insert(peer, own + 1);
        Some(Slot { open: self.clone(), peer })
    }
}

#[derive(Debug)]
struct Slot {
    open: Open,
    peer: IpAddr,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.open.counts();
        if let Some(own) = counts.get_mut(&self.peer) {
            *own -= 1;
            if *own == 0 {
                counts.remove(&self.peer);
            }
        }
    }
}

/// A connection that counts until it is dropped.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Runs until the first byte has come.
    silence: Option<Pin<Box<Sleep>>>,
    _slot: Slot,
}

impl Connection {
    /// `None` when there are too many, or when it is gone already.
    fn new(stream: TcpStream, open: &Open) -> Option<Self> {
        let slot = open.take(stream.peer_addr().ok()?.ip())?;
        // Without it an answer of several writes waits for the client's acknowledgement of each, 40 ms at a time.
        stream.set_nodelay(true).ok()?;
        Some(Self { stream, silence: Some(Box::pin(sleep(SILENCE))), _slot: slot })
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(done) = Pin::new(&mut self.stream).poll_read(cx, buf) {
            self.silence = None;
            return Poll::Ready(done);
        }
        let Some(silence) = &mut self.silence else { return Poll::Pending };
        ready!(silence.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn one_address_cannot_have_all_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut incoming = std::pin::pin!(incoming(listener));
        let (mut clients, mut served) = (Vec::new(), Vec::new());
        for _ in 0..MOST_OF_ONE {
            clients.push(TcpStream::connect(address).await.unwrap());
            served.push(incoming.next().await.unwrap().unwrap());
        }
        let mut refused = TcpStream::connect(address).await.unwrap();
        let mut byte = [0];
        tokio::select! {
            _ = incoming.next() => panic!("one too many"),
            end = refused.read(&mut byte) => assert!(matches!(end, Ok(0) | Err(_))),
        }
        // One that ends makes room.
        served.pop();
        clients.push(TcpStream::connect(address).await.unwrap());
        assert!(incoming.next().await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn what_cannot_be_accepted_ends_nothing() {
        let accepted = [Ok(1), Err(io::Error::from_raw_os_error(24)), Ok(2)];
        let served: Vec<i32> = patient(tokio_stream::iter(accepted)).collect().await;
        assert_eq!(served, [1, 2]);
    }

    #[tokio::test]
    async fn who_says_nothing_is_dropped() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut incoming = std::pin::pin!(incoming(listener));
        let mut connection = incoming.next().await.unwrap().unwrap();
        connection.silence = Some(Box::pin(sleep(Duration::ZERO)));
        let end = connection.read(&mut [0]).await;
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
