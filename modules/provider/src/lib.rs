//! Who offers compute: a bonded owner (cold key), its operators (hot keys), the hardware classes and the offers.
//!
//! Invariants, with `held` the balance of the module account [`keeper::ACCOUNT`]:
//! - `held = sum of bonds + sum of unbondings`, after every block against a running total, by full scan in tests
//! - `reserved <= bond` of each provider: assignments in flight are always backed
//! - `in_use <= capacity` of each offer that was not withdrawn
//! - an address owns or operates at most one provider
//! - a provider is active exactly if its bond reaches the minimum

mod abci;
mod errors;
mod genesis;
mod handler;
mod invariants;
pub mod keeper;
mod module;
mod params;
mod query;
mod state;
mod types;

#[cfg(test)]
mod testing;

pub use errors::ProviderError;
pub use handler::{Bond, Heartbeat, RegisterProvider, RemoveOffer, SetOffer, Unbond, UpdateProvider};
pub use module::ProviderModule;
pub use params::{default_params, validate_params};
pub use state::STORE;
pub use types::{Offer, Provider, ProviderStatus, Unbonding};
