//! `MsgUnbond`: bond on its way back, slashable until it is there.

use gantry_core::{Address, Ctx, Handler, Result, TxCtx, sdk};
use gantry_event::{MarketEvent, emit};
use gantry_proto::gantry::provider::v1::{MsgUnbond, MsgUnbondResponse};

use super::bond::positive;
use crate::{
    ProviderError, Unbonding,
    keeper::{MAX_UNBONDINGS, check_bond, coin, free_bond, params, require_owner, save, save_unbonding, unbondings},
};

/// Starts to withdraw free bond.
pub(crate) struct Unbond;

impl Handler for Unbond {
    type Msg = MsgUnbond;
    type Response = MsgUnbondResponse;

    fn signers(msg: &Self::Msg) -> Result<Vec<Address>> {
        Ok(vec![Address::parse(&msg.owner)?])
    }

    fn check(msg: &Self::Msg) -> Result<()> {
        positive(msg.amount.as_ref()).map(drop)
    }

    fn execute(ctx: &mut TxCtx<'_>, msg: &Self::Msg) -> Result<Self::Response> {
        let mut provider = require_owner(ctx, &Address::parse(&msg.owner)?)?;
        let amount = positive(msg.amount.as_ref())?;
        let params = params(ctx)?;
        check_bond(&params, &amount)?;
        let free = free_bond(&provider);
        if amount.amount() > free {
            return Err(
                ProviderError::InsufficientFreeBond { provider_id: provider.id, free, asked: amount.amount() }.into()
            );
        }
        let release_height = ctx
            .block()
            .height
            .checked_add(params.unbonding_blocks)
            .ok_or_else(|| sdk::logic("the release height overflows"))?;

        // Withdrawals of one block are one: they are paid out together.
        let pending = unbondings(ctx, provider.id)?;
        let same = pending.iter().find(|u| u.release_height == release_height);
        if same.is_none() && pending.len() >= MAX_UNBONDINGS {
            return Err(ProviderError::TooManyUnbondings(MAX_UNBONDINGS).into());
        }
        let total = same
            .map_or(0, |u| u.amount.amount())
            .checked_add(amount.amount())
            .ok_or_else(|| sdk::invalid_coins("the unbonding overflows"))?;
        let unbonding = Unbonding { provider_id: provider.id, amount: coin(&provider, total), release_height };
        save_unbonding(ctx, unbonding)?;
        provider.bond = coin(&provider, provider.bond.amount().saturating_sub(amount.amount()));
        emit(ctx, MarketEvent::UnbondStarted { provider: provider.id, amount: &amount, release_height });
        save(ctx, provider)?;
        Ok(MsgUnbondResponse { release_height })
    }
}
