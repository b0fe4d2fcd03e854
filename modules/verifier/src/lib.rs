//! Commitments, reveals and verdicts: the only thing that releases a job's money. README.md is the module's page.
//!
//! Invariants:
//! - nobody reveals while another may still commit, and nobody commits once someone may reveal
//! - a verdict is given once all reveals are in or their window is over, never earlier: a wrong result that comes late
//!   is judged like one that comes first
//! - only a digest with a strict majority of all replicas pays anyone; without one nobody is slashed for a mismatch
//! - what is slashed goes to the pool account, never to the renter or to another replica
//!
//! Limit: k colluding owners among the drawn replicas get a wrong result accepted.

mod errors;
mod genesis;
pub mod handler;
mod invariants;
pub mod keeper;
mod module;
pub mod params;
mod query;
pub mod state;

pub use errors::VerifierError;
pub use module::VerifierModule;
pub use state::STORE;
