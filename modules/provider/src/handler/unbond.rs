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
#[derive(Clone, Copy, Debug)]
pub struct Unbond;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ProviderStatus, keeper,
        testing::{Chain, FUNDS, MIN_BOND, UNBONDING_BLOCKS, address, code},
    };

    #[test]
    fn bond_comes_back_at_its_height_and_not_before() {
        let mut chain = Chain::new();
        let id = chain.register(1, 3 * MIN_BOND).unwrap();
        chain.height = 10;
        let release = chain.unbond(1, MIN_BOND).unwrap();
        assert_eq!(release, 10 + UNBONDING_BLOCKS);
        assert_eq!(chain.provider(id).bond.amount(), 2 * MIN_BOND);
        chain.advance_to(release);
        assert_eq!(chain.balance(&address(1)), FUNDS - 3 * MIN_BOND);
        chain.advance_to(release + 1);
        assert_eq!(chain.balance(&address(1)), FUNDS - 2 * MIN_BOND);
        assert_eq!(chain.module_balance("provider_bond"), 2 * MIN_BOND);
        assert!(keeper::unbondings(&chain.state, id).unwrap().is_empty());
    }

    #[test]
    fn reserved_bond_stays() {
        let mut chain = Chain::new();
        let id = chain.register(1, MIN_BOND).unwrap();
        chain.keep(|ctx| keeper::reserve_bond(ctx, id, 400)).unwrap();
        assert_eq!(code(chain.unbond(1, 601)), 10);
        chain.unbond(1, 600).unwrap();
        assert_eq!(chain.provider(id).status, ProviderStatus::Underbonded);
        assert_eq!(code(chain.unbond(1, 1)), 10);
        assert_eq!(code(chain.unbond(2, 1)), 5);
        chain.unbond(1, 0).unwrap_err();
    }

    #[test]
    fn withdrawals_of_a_block_are_one_and_their_number_is_bounded() {
        let mut chain = Chain::new();
        let id = chain.register(1, MIN_BOND).unwrap();
        for _ in 0..MAX_UNBONDINGS {
            chain.unbond(1, 2).unwrap();
            chain.unbond(1, 3).unwrap();
            chain.advance_to(chain.height + 1);
        }
        let pending = keeper::unbondings(&chain.state, id).unwrap();
        assert_eq!(pending.len(), MAX_UNBONDINGS);
        assert!(pending.iter().all(|u| u.amount.amount() == 5));
        assert_eq!(code(chain.unbond(1, 1)), 12);
        chain.advance_to(UNBONDING_BLOCKS + 2);
        chain.unbond(1, 1).unwrap();
    }

    #[test]
    fn what_is_unbonding_can_still_be_slashed_oldest_first() {
        let mut chain = Chain::new();
        let id = chain.register(1, MIN_BOND).unwrap();
        chain.unbond(1, 300).unwrap();
        chain.advance_to(2);
        chain.unbond(1, 600).unwrap();
        // 100 are bonded, then 300, then 50 of the 600.
        let slashed = chain.keep(|ctx| keeper::slash(ctx, id, 450, false)).unwrap();
        assert_eq!(slashed.amount(), 450);
        assert_eq!(chain.provider(id).bond.amount(), 0);
        let pending = keeper::unbondings(&chain.state, id).unwrap();
        assert_eq!(pending.iter().map(|u| u.amount.amount()).collect::<Vec<_>>(), [550]);
        // More than there is takes what there is.
        assert_eq!(chain.keep(|ctx| keeper::slash(ctx, id, 10_000, false)).unwrap().amount(), 550);
        assert_eq!(chain.provider(id).slashed, MIN_BOND);
        assert_eq!(chain.module_balance("slash_pool"), MIN_BOND);
        chain.advance_to(2 * UNBONDING_BLOCKS);
        assert_eq!(chain.balance(&address(1)), FUNDS - MIN_BOND);
    }
}
