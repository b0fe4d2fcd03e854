//! What every module of the state machine builds on: addresses, coins, errors with the SDK's codes, events, gas,
//! one context type per phase, and the [`Module`] trait with its message and query routes.
//!
//! Nothing here does I/O, reads a clock or spawns a thread. A handler sees the chain through a context alone:
//!
//! | context | phase | gas | writes |
//! |---|---|---|---|
//! | [`InitCtx`] | genesis | no | yes |
//! | [`BlockCtx`] | begin and end of a block | no | yes |
//! | [`TxCtx`] | one transaction | the SDK's schedule | yes |
//! | [`QueryCtx`] | queries | no | no |

mod address;
mod bech32;
mod coin;
mod context;
mod error;
mod event;
mod gas;
mod genesis;
mod module;
mod pubkey;
mod query;

pub use address::{ADDRESS_PREFIX, Address, COIN_TYPE, CONSENSUS_PREFIX, OPERATOR_PREFIX};
pub use coin::{BASE_DENOM, Coin, Coins, DISPLAY_DENOM, validate_denom};
pub use context::{BlockCtx, BlockInfo, Ctx, Empty, ExecMode, InitCtx, QueryCtx, Time, TxCtx};
pub use error::{Error, Fatal, ModuleError, Result, UserError, sdk};
pub use event::{Event, attr};
pub use gas::{GasConfig, GasMeter, KV_GAS};
pub use genesis::{genesis_from_json, genesis_to_json};
pub use module::{DynMsg, Handler, Invariant, Module, MsgRoute, MsgRouter};
pub use pubkey::PubKey;
pub use query::{Code, QueryRoute, QueryRouter, Status, page_request, page_response};
