//! The way between CometBFT and the state machine: ABCI 2.0 over a socket, phases, blocks executed once.
//!
//! - [`server`]: our own socket server (Unix or TCP), because the public ones cost 44 ms a call over TCP.
//! - [`phase`]: which call may follow which.
//! - [`Engine`]: store, modules and transactions; [`Queries`]: one router over committed states.
//! - `method`: the ABCI methods, one file each.
//!
//! Invariants:
//! - A block is executed once, whoever proposed it; what names an execution is a digest of all its inputs.
//! - FinalizeBlock writes nothing; Commit is one atomic batch. The store is never ahead of CometBFT.
//! - Every transaction of a decided block gets a result, whatever its bytes.
//! - An error outside a transaction stops the node before Commit, and so does a panic.

mod app;
mod engine;
mod method;
pub mod phase;
mod queries;
pub mod server;
mod stop;
#[cfg(feature = "testing")]
pub mod testing;

pub use app::{AbciApp, call};
pub use engine::{Definition, EMPTY_APP_HASH, Engine, Exported, Kind, Lanes, Options, Order, SnapshotOptions, View};
pub use method::query_engine;
pub use queries::{Queries, Simulation};
pub use stop::{Halt, Stop};
