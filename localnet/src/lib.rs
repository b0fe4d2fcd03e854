//! Networks of real processes on one machine: `gantryd` with its CometBFT, workers, and the `gantry` command, as a user
//! would start them. The demo shows one; the tests break parts of them.
//!
//! - [`Net`]: validators and full nodes, each a [`Node`] that can be killed, paused, taken off the network, joined later.
//! - [`Localnet`]: one validator and workers, a market.
//!
//! Everything lies in one folder, everything listens on loopback, and nothing outlives its owner.

mod link;
mod market;
mod net;
mod node;
mod ports;
mod process;
mod wait;
mod worker;

pub use link::Cable;
pub use market::{Localnet, Options};
pub use net::{Net, NetOptions, START_LIMIT, Sync};
pub use node::Node;
pub use ports::free_ports;
pub use process::{Process, binary, run};
pub use wait::until;
pub use worker::{Misbehave, Worker, WorkerOptions};
