//! How programs talk to a Gantry chain: typed queries over gRPC, transactions that are confirmed or fail with a reason,
//! and the `gantry` command line on top of them.
//!
//! - [`Chain`] reads; [`Sender`] signs and sends for one key and survives what a client of CometBFT must expect: a
//!   sequence that moved, a full mempool, a node that restarts between broadcast and block.
//! - [`JobFile`] reads what is to run, [`Submission`] imports its files, uploads them and submits the jobs.
//! - [`Watcher`] follows jobs, [`follow_logs`] reads what they print, [`fetch_result`] brings what they made.
//! - [`access`]: how a renter shows a worker that it is the renter.

pub mod access;

mod chain;
mod error;
mod jobfile;
mod json;
mod logs;
mod market;
mod results;
mod sender;
mod submit;
mod watch;
mod yaml;

pub use chain::{Chain, Endpoints, GasPrice};
pub use error::ClientError;
pub use jobfile::{JobFile, JobFileError, SCHEMA, Slot, Upload, coin, coins, policy_from_text};
pub use json::to_json;
pub use logs::{LogOptions, LogsError, Missed, follow_logs};
pub use market::{Providers, is_terminal, offers, word};
pub use results::{FetchedResult, ResultError, fetch_result};
pub use sender::{Committed, Sender};
pub use submit::{Homes, Submission, SubmitError, Submitted, homes_for};
pub use watch::{Change, JobView, ReplicaView, Snapshot, Target, Watcher};
