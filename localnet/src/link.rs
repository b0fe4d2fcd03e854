//! Cables between nodes: each dials another through a small TCP proxy of ours, which can be cut. Network namespaces would
//! be truer, but need root and are not to be had in most containers; this works everywhere.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::ports::free_listener;

/// The state of what connects a node with all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cable {
    /// Bytes pass.
    #[default]
    Plugged,
    /// Nothing passes and nobody is told, as when a cable is pulled: connections live until somebody's patience ends, and
    /// what was sent arrives when it is plugged in again before that (TCP sends it again).
    Pulled,
    /// Connections are closed, new ones end at once.
    Cut,
}

/// One end of a link: what its owner set the cable to.
pub(crate) type End = watch::Receiver<Cable>;

/// Starts a proxy to `target`, open while both ends are; the port it listens on. It ends with the `tasks`.
pub(crate) fn start(tasks: &mut JoinSet<()>, target: SocketAddr, ends: [End; 2]) -> Result<u16> {
    let listener = free_listener()?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let listener = TcpListener::from_std(listener)?;
    tasks.spawn(serve(listener, target, ends));
    Ok(port)
}

async fn serve(listener: TcpListener, target: SocketAddr, ends: [End; 2]) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An accept that fails is the dialler's trouble: it tries again.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connect(stream, target, ends.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connect(near: TcpStream, target: SocketAddr, ends: [End; 2]) {
    if passable(&mut ends.clone()).await.is_err() {
        return;
    }
    // The node there may be down: then this end closes too, as a refused connection would.
    let Ok(far) = TcpStream::connect(target).await else { return };
    if near.set_nodelay(true).and_then(|()| far.set_nodelay(true)).is_err() {
        return;
    }
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let mut watched = ends.clone();
    tokio::select! {
        _ = pump(near_read, far_write, ends.clone()) => {}
        _ = pump(far_read, near_write, ends) => {}
        () = cut(&mut watched) => {}
    }
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut ends: [End; 2],
) -> Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer).await?;
        passable(&mut ends).await?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
    }
}

/// Waits until both ends are plugged; fails when one is cut.
async fn passable(ends: &mut [End; 2]) -> Result<()> {
    loop {
        let states = ends.each_mut().map(|end| *end.borrow_and_update());
        anyhow::ensure!(!states.contains(&Cable::Cut), "cut");
        if states == [Cable::Plugged; 2] {
            return Ok(());
        }
        changed(ends).await?;
    }
}

/// Waits until one end is cut, or its owner is gone.
async fn cut(ends: &mut [End; 2]) {
    while !ends.each_mut().map(|end| *end.borrow_and_update()).contains(&Cable::Cut) {
        if changed(ends).await.is_err() {
            return;
        }
    }
}

async fn changed([a, b]: &mut [End; 2]) -> Result<()> {
    tokio::select! {
        changed = a.changed() => changed?,
        changed = b.changed() => changed?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A proxy to an echo, and a connection through it.
    async fn echo() -> (JoinSet<()>, [watch::Sender<Cable>; 2], u16) {
        let mut tasks = JoinSet::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap();
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        let ends = [Cable::Plugged; 2].map(|state| watch::channel(state).0);
        let port = start(&mut tasks, target, ends.each_ref().map(watch::Sender::subscribe)).unwrap();
        (tasks, ends, port)
    }

    async fn answers(stream: &mut TcpStream) -> std::io::Result<u8> {
        stream.write_u8(7).await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn bytes_pass_wait_and_end_as_the_cable_says() {
        let (_tasks, ends, port) = echo().await;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        assert_eq!(answers(&mut stream).await.unwrap(), 7);

        // A pulled cable keeps what was sent until it is back.
        ends[1].send_replace(Cable::Pulled);
        let waiting = tokio::spawn(async move {
            let answer = answers(&mut stream).await;
            (stream, answer)
        });
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert!(!waiting.is_finished());
        ends[1].send_replace(Cable::Plugged);
        let (mut stream, answer) = waiting.await.unwrap();
        assert_eq!(answer.unwrap(), 7);

        // A cut closes what is open, and lets nobody in until it is mended.
        ends[0].send_replace(Cable::Cut);
        assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
        let mut refused = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        assert!(answers(&mut refused).await.is_err());
        ends[0].send_replace(Cable::Plugged);
        let mut again = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        assert_eq!(answers(&mut again).await.unwrap(), 7);
    }
}
