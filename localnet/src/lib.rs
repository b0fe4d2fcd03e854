//! A network of real processes on one machine: `gantryd` with its CometBFT, workers, and the `gantry` command, as a user
//! would start them. The demo shows it; the tests kill parts of it.
//!
//! Everything lies in one folder, everything listens on loopback, and nothing outlives the [`Localnet`].

mod net;
mod ports;
mod process;
mod wait;
mod worker;

pub use net::{Localnet, Options};
pub use ports::free_ports;
pub use process::{Process, binary, run};
pub use wait::until;
pub use worker::{Misbehave, Worker, WorkerOptions};
