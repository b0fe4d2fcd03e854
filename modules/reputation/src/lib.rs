//! How a provider has done, from outcomes on chain alone: a score of 0 to 1000.
//!
//! `score = 400 uptime + 200 response + 300 completion + 100 (1 - disputes lost) - penalty`, in integers. Each part is a
//! share of good outcomes among all, in which an outcome weighs less with every later one of its kind (`decay_ppm`).
//!
//! Invariants: a record's good outcomes never exceed all of its kind; the score lies in 0..=1000; it never falls with a
//! good outcome and never rises with a bad one.

mod errors;
mod genesis;
mod invariants;
pub mod keeper;
mod module;
mod outcome;
mod params;
mod query;
mod state;

pub use errors::ReputationError;
pub use keeper::Score;
pub use module::ReputationModule;
pub use outcome::{MAX_MISSED_EPOCHS, Outcome};
pub use params::{default_params, validate_params};
pub use state::STORE;
