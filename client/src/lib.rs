//! How programs talk to a Gantry chain: typed queries over gRPC, transactions that are confirmed or fail with a reason,
//! and the `gantry` command line on top of them.
//!
//! [`Chain`] reads; [`Sender`] signs and sends for one key and survives what a client of CometBFT must expect: a
//! sequence that moved, a full mempool, a node that restarts between broadcast and block.

pub mod access;

mod chain;
mod error;
mod sender;

pub use chain::{Chain, Endpoints, GasPrice};
pub use error::ClientError;
pub use sender::{Committed, Sender};
