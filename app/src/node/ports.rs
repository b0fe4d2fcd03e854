//! Ports of the node: read from the configuration, and waited for.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// Reads `tcp://HOST:PORT` or `HOST:PORT`.
pub(super) fn parse(laddr: &str) -> Result<SocketAddr> {
    let text = laddr.strip_prefix("tcp://").unwrap_or(laddr);
    text.to_socket_addrs()
        .with_context(|| format!("{laddr:?} is not tcp://HOST:PORT"))?
        .next()
        .with_context(|| format!("{laddr:?} names no address"))
}

/// The URL under which a local client reaches a listener.
pub(super) fn local_url(laddr: &str) -> Result<String> {
    let mut address = parse(laddr)?;
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    Ok(format!("http://{address}"))
}

/// Waits until every port can be bound, as after a node that was killed a moment ago.
///
/// # Errors
/// When one is still taken after `patience`.
#[expect(clippy::disallowed_methods, reason = "a port that another process frees can only be tried again")]
pub(super) fn wait_until_free(ports: &[(&str, SocketAddr)], patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    for (what, address) in ports {
        while let Err(error) = TcpListener::bind(address) {
            if Instant::now() >= deadline {
                bail!("{what} cannot listen on {address}: {error}");
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_clears_is_waited_for_and_one_that_stays_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = wait_until_free(&[("RPC", address)], Duration::ZERO).unwrap_err();
        assert!(error.to_string().starts_with(&format!("RPC cannot listen on {address}")), "{error}");
        let freed = thread::spawn(move || drop(taken));
        wait_until_free(&[("RPC", address)], Duration::from_secs(10)).unwrap();
        freed.join().unwrap();
    }

    #[test]
    fn wildcards_are_reached_on_the_loopback() {
        assert_eq!(local_url("tcp://0.0.0.0:26657").unwrap(), "http://127.0.0.1:26657");
        assert_eq!(local_url("tcp://127.0.0.1:1").unwrap(), "http://127.0.0.1:1");
        assert!(local_url("nonsense").is_err());
    }
}
