//! Gantry's worker: follows the assignments of its provider on a chain, stages their content, runs their programs,
//! commits to what they give and reveals it, and serves outputs and logs.
//!
//! - [`reconcile`]: from what the chain wants and what was done to what is due; pure.
//! - [`journal`]: what was done, on disk, written before the effect that depends on it.
//! - [`work`]: the loop around both.
//! - [`executor`], [`result`]: running programs, and what is committed of a run.
//! - [`ChainPort`]: what a worker asks of a chain.
//!
//! See the README for the architecture and the security model.

pub mod executor;
pub mod journal;
pub mod reconcile;
pub mod result;

mod chain;
#[cfg(feature = "demo")]
mod cheat;
mod engine;
mod gate;
mod key;
mod logs;
mod options;
mod outbox;
mod registration;
mod renters;
mod run;
mod serve;
mod stage;

pub use chain::{ChainPort, Clock, NodePort, PortError};
pub use engine::work;
pub use gate::UploadPolicy;
pub use key::Key;
#[cfg(feature = "demo")]
pub use options::Misbehave;
pub use options::{BadCoin, Coin, Options};
pub use run::MISSING_OUTPUT;
