//! Accounts and fees as transactions need them: auth and bank.

use cosmos_sdk_proto::cosmos::auth::v1beta1::Params;
use gantry_auth::keeper as auth;
use gantry_bank::keeper as bank;
use gantry_core::{Address, Coins, Ctx, PubKey, Result};
use gantry_store::KvRead;
use gantry_tx::{AnteAccount, AnteState};

/// [`AnteState`] over auth and bank.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accounts;

impl AnteState for Accounts {
    fn params(&self, s: &dyn KvRead) -> Result<Params> {
        auth::params(s)
    }

    fn account(&self, s: &dyn KvRead, address: &Address) -> Result<Option<AnteAccount>> {
        let account = auth::account(s, address)?;
        Ok(account.map(|account| AnteAccount {
            number: account.number,
            sequence: account.sequence,
            pub_key: account.pub_key,
        }))
    }

    fn set_pub_key(&self, ctx: &mut dyn Ctx, address: &Address, key: &PubKey) -> Result<()> {
        auth::set_pub_key(ctx, address, key)
    }

    fn increment_sequence(&self, ctx: &mut dyn Ctx, address: &Address) -> Result<()> {
        auth::increment_sequence(ctx, address)
    }

    fn take_fee(&self, ctx: &mut dyn Ctx, payer: &Address, fee: &Coins) -> Result<()> {
        bank::take_fee(ctx, payer, fee)
    }
}
