//! The narrow seam between transactions and the modules that keep accounts and coins.

use cosmos_sdk_proto::cosmos::auth::v1beta1::Params;
use gantry_core::{Address, Coins, Ctx, PubKey, Result};
use gantry_store::KvRead;

/// What the ante must know of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnteAccount {
    /// Signatures cover it.
    pub number: u64,
    /// The sequence that the next transaction must carry.
    pub sequence: u64,
    /// Known from the first transaction on.
    pub pub_key: Option<PubKey>,
}

/// Accounts and fees. The application implements it over its auth and bank modules, in a few lines.
pub trait AnteState: Send + Sync {
    /// Parameters of auth.
    fn params(&self, s: &dyn KvRead) -> Result<Params>;
    /// An account.
    fn account(&self, s: &dyn KvRead, address: &Address) -> Result<Option<AnteAccount>>;
    /// Sets the key of an account that has none.
    fn set_pub_key(&self, ctx: &mut dyn Ctx, address: &Address, key: &PubKey) -> Result<()>;
    /// Counts a signed transaction.
    fn increment_sequence(&self, ctx: &mut dyn Ctx, address: &Address) -> Result<()>;
    /// Takes a fee from its payer, with the SDK's events; whoever runs the block credits the sum at its end.
    fn take_fee(&self, ctx: &mut dyn Ctx, payer: &Address, fee: &Coins) -> Result<()>;
}
