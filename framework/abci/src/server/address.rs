//! Where the server listens, in CometBFT's notation for `proxy_app`.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

/// Where the application listens: `unix:///path/to.sock` or `tcp://127.0.0.1:26658`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket: the default, because TCP costs more per call.
    Unix(PathBuf),
    /// TCP, always with `TCP_NODELAY`.
    Tcp(SocketAddr),
}

/// Longest path of a Unix socket, without the closing NUL (`sun_path`).
pub const MAX_SOCKET_PATH_BYTES: usize = 107;

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix://") {
            if path.is_empty() || path.len() > MAX_SOCKET_PATH_BYTES {
                return Err(format!(
                    "the path of a Unix socket has 1 to {MAX_SOCKET_PATH_BYTES} bytes, {path:?} has {}",
                    path.len()
                ));
            }
            return Ok(Self::Unix(path.into()));
        }
        let address = text.strip_prefix("tcp://").unwrap_or(text);
        address
            .parse()
            .map(Self::Tcp)
            .map_err(|error| format!("{text:?} is neither unix://PATH nor tcp://IP:PORT: {error}"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_cometbft_writes_them() {
        for text in ["unix:///home/g/.gantry/abci.sock", "tcp://127.0.0.1:26658", "tcp://[::1]:1"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert!("unix://".parse::<Address>().is_err());
        assert!(format!("unix:///{}", "x".repeat(107)).parse::<Address>().is_err());
        assert!("tcp://localhost".parse::<Address>().is_err());
    }
}
