//! What happens before the messages: a list of named steps, in the SDK's order. The checks that need no state come
//! earlier, at the door ([`crate::decode`]).

mod extension;
mod fee;
mod gas;
mod memo;
mod pubkey;
mod sequence;
mod signature;
mod signature_count;
mod signature_gas;
mod size;
mod timeout;

use gantry_core::{Result, TxCtx, sdk};
use gantry_store::KvRead;

use crate::{checked::CheckedTx, run::Runtime, state::AnteAccount};

/// A step: looks at the transaction and the state, and may write.
pub type AnteStep = fn(&mut TxCtx<'_>, &AnteInput<'_>) -> Result<()>;

/// The steps, by name, in order. The first error ends the transaction without a trace.
pub const ANTE: &[(&str, AnteStep)] = &[
    ("gas", gas::step),
    ("extension options", extension::step),
    ("timeout height", timeout::step),
    ("memo", memo::step),
    ("gas for size", size::step),
    ("fee", fee::step),
    ("public keys", pubkey::step),
    ("signature count", signature_count::step),
    ("gas for signatures", signature_gas::step),
    ("signatures", signature::step),
    ("sequences", sequence::step),
];

/// The steps that look at no account. Each is a step of [`ANTE`] or the beginning of one.
pub(crate) const WITHOUT_ACCOUNTS: &[AnteStep] =
    &[gas::step, extension::step, timeout::step, memo::step, size::step, fee::price, signature_count::step];

/// What a step sees besides the state.
#[derive(Clone, Copy, Debug)]
pub struct AnteInput<'a> {
    /// The transaction.
    pub tx: &'a CheckedTx,
    /// What it runs with.
    pub rt: &'a Runtime<'a>,
    /// Gas that a transaction may want.
    pub max_gas: Option<u64>,
}

impl AnteInput<'_> {
    /// The account of signer `i`, which must exist: sdk/9.
    fn signer_account(&self, s: &dyn KvRead, i: usize) -> Result<AnteAccount> {
        let signer = &self.tx.signers[i];
        let account = self.rt.state.account(s, signer)?;
        account.ok_or_else(|| sdk::unknown_address(format!("account {signer} does not exist")))
    }
}
