//! The money of jobs. Every unit is in exactly one place: locked, accrued, released, refunded or fee.
//!
//! Invariants, with `held` the balance of the module account [`ACCOUNT`]:
//! - of each escrow, and of the running totals of each denom:
//!   `deposited = locked + accrued + released + refunded + fee`
//! - of each denom: `held = locked + accrued`
//! - the totals are the sums of the escrows
//!
//! The first two are checked after every block, the last is a full scan. There are no messages: modules that decide over
//! jobs move the money through [`keeper`].

mod errors;
mod genesis;
mod invariants;
pub mod keeper;
mod module;
mod params;
mod query;
mod state;
mod types;

#[cfg(test)]
mod testing;

pub use errors::EscrowError;
pub use keeper::{ACCOUNT, FEE_ACCOUNT, Released};
pub use module::EscrowModule;
pub use params::{MAX_FEE_PPM, default_params, validate_params};
pub use state::STORE;
pub use types::{Buckets, Escrow, Totals};
