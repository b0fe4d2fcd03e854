//! Accounts: addresses with a number, a sequence and a key. Rows are those of the Cosmos SDK 0.50, byte for byte.
//!
//! Invariants:
//! - An account's number is unique, and the next number is above all numbers in use.
//! - An account's key, once set, hashes to its address and never changes; its sequence only grows.
//! - The accounts of modules exist from genesis on, so nobody can occupy their addresses first.

mod genesis;
pub mod keeper;
mod params;
mod query;
mod row;
mod state;
mod types;

pub use genesis::Auth;
pub use params::{default_params, validate_params};
pub use state::STORE;
pub use types::{Account, ModuleAccountSpec};
