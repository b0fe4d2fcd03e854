//! `MsgBond`: more bond.

use gantry_core::{Address, Coin, Ctx, Handler, Result, TxCtx, sdk};
use gantry_event::{MarketEvent, emit};
use gantry_proto::gantry::provider::v1::{MsgBond, MsgBondResponse};

use crate::keeper::{check_bond, coin, params, require_owner, save, take_in};

/// Adds to a bond.
pub(crate) struct Bond;

/// A positive amount; its denom is checked with the parameters.
pub(super) fn positive(amount: Option<&cosmos_sdk_proto::cosmos::base::v1beta1::Coin>) -> Result<Coin> {
    let amount = Coin::from_field(amount, "amount")?;
    if amount.is_zero() {
        return Err(sdk::invalid_coins("amount must be positive"));
    }
    Ok(amount)
}

impl Handler for Bond {
    type Msg = MsgBond;
    type Response = MsgBondResponse;

    fn signers(msg: &Self::Msg) -> Result<Vec<Address>> {
        Ok(vec![Address::parse(&msg.owner)?])
    }

    fn check(msg: &Self::Msg) -> Result<()> {
        positive(msg.amount.as_ref()).map(drop)
    }

    fn execute(ctx: &mut TxCtx<'_>, msg: &Self::Msg) -> Result<Self::Response> {
        let mut provider = require_owner(ctx, &Address::parse(&msg.owner)?)?;
        let amount = positive(msg.amount.as_ref())?;
        check_bond(&params(ctx)?, &amount)?;
        take_in(ctx, &provider.owner, &amount)?;
        let bond = provider
            .bond
            .amount()
            .checked_add(amount.amount())
            .ok_or_else(|| sdk::invalid_coins("the bond overflows"))?;
        provider.bond = coin(&provider, bond);
        // More bond weighs more in a draw, so it counts only for seeds that are not known yet.
        provider.admitted_height = ctx.block().height;
        emit(ctx, MarketEvent::Bonded { provider: provider.id, amount: &amount });
        save(ctx, provider)?;
        Ok(MsgBondResponse {})
    }
}
