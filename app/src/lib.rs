//! gantryd: the node of a Gantry chain.
//!
//! - [`modules`]: which modules there are and in which order they work.
//! - [`node`]: the process, its home, and CometBFT beside it.
//! - `services`: what a node answers about itself and about transactions.
//! - [`cli`]: the command line.

mod ante_state;
pub mod cli;
mod lanes;
pub mod modules;
pub mod node;
mod services;
#[cfg(feature = "test-panic")]
mod test_panic;
mod tx_response;
