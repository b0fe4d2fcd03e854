use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// Ports under Linux's default range for outgoing connections (32768 and up): what a node listens on must still be free
/// when it is started again, while its neighbours and a load generator connect and disconnect.
const RANGE: std::ops::Range<u16> = 12_000..32_000;
/// Ports tried for each one wanted.
const TRIES: usize = 200;

/// Ports on loopback that are free now. All are held until all are found, so they differ.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = free_listener()?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// A listener on a free port of loopback. Random, so that networks beside each other do not try the same.
pub(crate) fn free_listener() -> Result<TcpListener> {
    let tried = || TcpListener::bind((Ipv4Addr::LOCALHOST, rand::random_range(RANGE))).ok();
    std::iter::repeat_with(tried).take(TRIES).flatten().next().context("no free port on loopback")
}
