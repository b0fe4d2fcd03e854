//! Transactions: from untrusted bytes to a result.
//!
//! ```text
//! bytes -> decode (strict) -> CheckedTx -> ANTE (named steps) -> messages -> TxResult, for all bytes
//! ```
//!
//! Codes and texts are the Cosmos SDK's, because wallets and relayers parse them.

pub mod ante;
mod cache;
mod checked;
mod limits;
mod price;
mod raw;
mod result;
mod run;
mod shape;
mod sign;
mod state;
mod strict;
mod verify;
mod wire;

pub use ante::{ANTE, AnteInput, AnteStep};
pub use cache::TxCache;
pub use checked::{CheckedTx, Fee, SignMode, SignerInfo, decode};
pub use limits::Limits;
pub use price::MinGasPrices;
pub use result::TxResult;
pub use run::{BlockGas, Lend, Runtime, run, simulate};
pub use sign::{sign_bytes, verify};
pub use state::{AnteAccount, AnteState};
