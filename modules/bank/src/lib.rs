//! Coins: balances, supply, transfers. Rows are those of the Cosmos SDK 0.50, but that no stored value is empty.
//!
//! Invariants:
//! - The supply of a denom is the sum of its balances, plus the fees that a block has taken and not yet credited.
//! - No balance or supply row holds zero, and none can go below it: amounts are unsigned and checked.
//! - A balance has exactly one row in the index by denom.

mod errors;
mod events;
mod genesis;
mod handler;
mod invariants;
pub mod keeper;
mod metadata;
mod query;
mod state;

pub use errors::BankError;
pub use genesis::Bank;
pub use handler::{MultiSend, Send};
pub use invariants::check_supply;
pub use state::STORE;

/// The module account that fees go to at the end of a block.
pub const FEE_COLLECTOR: &str = "fee_collector";
