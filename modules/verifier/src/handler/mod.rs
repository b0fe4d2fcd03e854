//! One file per message.

mod commit;
mod reveal;

use gantry_core::{MsgRoute, Result};
use gantry_proto::digest::Hash;

pub use self::{commit::CommitResult, reveal::RevealResult};
use crate::errors::VerifierError;

/// All of them.
pub(crate) fn routes(module: &'static str) -> Vec<MsgRoute> {
    vec![MsgRoute::of::<CommitResult>(module), MsgRoute::of::<RevealResult>(module)]
}

/// A field that must be a hash.
fn hash(what: &'static str, bytes: &[u8]) -> Result<Hash> {
    Hash::try_from(bytes).map_err(|_| VerifierError::NotAHash { what, have: bytes.len() as u64 }.into())
}
