//! What is to run, who runs it, and how far it is: jobs, their assignments, graphs, the market clock, and the draws of
//! workers. README.md is the module's page.
//!
//! Invariants:
//! - a job's stored state is a pure function of its attempt's assignments and of how it ended ([`table::derive`])
//! - what [`table`] does not list cannot happen to a job or an assignment
//! - live assignments, and only they, hold bond and a place; an ended job holds no money
//! - work per block is bounded; what is left over is done in later blocks

mod clock;
mod draws;
mod errors;
mod genesis;
pub mod handler;
mod inputs;
mod invariants;
pub mod keeper;
mod module;
pub mod params;
mod query;
pub mod settle;
pub mod spec;
pub mod state;
pub mod table;
mod types;

pub use clock::MAX_STEP_MS;
pub use errors::JobError;
pub use module::{JobModule, MatchingModule};
pub use state::STORE;
pub use types::{Assignment, AssignmentKey, End, Job, Policy, Terms, cost};
