//! `MsgBond`: more bond.

use gantry_core::{Address, Coin, Ctx, Handler, Result, TxCtx, sdk};
use gantry_event::{MarketEvent, emit};
use gantry_proto::gantry::provider::v1::{MsgBond, MsgBondResponse};

use crate::keeper::{check_bond, coin, params, require_owner, save, take_in};

/// Adds to a bond.
#[derive(Clone, Copy, Debug)]
pub struct Bond;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ProviderStatus, keeper,
        testing::{Chain, FUNDS, MIN_BOND, address, code, coins},
    };

    #[test]
    fn more_bond_revives_and_is_seen_two_blocks_later() {
        let mut chain = Chain::new();
        let id = chain.register(1, MIN_BOND).unwrap();
        chain.keep(|ctx| keeper::slash(ctx, id, 1, false)).unwrap();
        assert_eq!(chain.provider(id).status, ProviderStatus::Underbonded);
        chain.height = 9;
        chain.bond(1, 1).unwrap();
        let provider = chain.provider(id);
        assert_eq!(provider.bond, Coin::base(MIN_BOND));
        assert_eq!((provider.status, provider.admitted_height), (ProviderStatus::Active, 9));
    }

    #[test]
    fn bad_amounts_and_strangers_are_refused() {
        let mut chain = Chain::new();
        chain.register(1, MIN_BOND).unwrap();
        chain.bond(1, 0).unwrap_err();
        chain.bond(1, FUNDS).unwrap_err();
        assert_eq!(code(chain.bond(2, 1)), 5);
        // An operator is a hot key: it does not move bond.
        assert_eq!(code(chain.bond(10, 1)), 5);
        let other = Some(Coin::new("uatom", 1).unwrap().to_proto());
        assert_eq!(code(chain.run::<Bond>(&MsgBond { owner: address(1).to_string(), amount: other })), 8);
        chain.run::<Bond>(&MsgBond { owner: address(1).to_string(), amount: None }).unwrap_err();
        let huge = coins(u128::MAX);
        chain.run::<Bond>(&MsgBond { owner: address(1).to_string(), amount: huge }).unwrap_err();
    }
}
