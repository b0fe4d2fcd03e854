//! `MsgUpdateProvider`: another moniker, other endpoints, other operators.

use gantry_core::{Address, Handler, Result, TxCtx};
use gantry_event::{MarketEvent, emit};
use gantry_proto::gantry::provider::v1::{MsgUpdateProvider, MsgUpdateProviderResponse};

use super::Profile;
use crate::keeper::{assign_addresses, params, require_owner, save};

/// Replaces what an owner says of its provider.
#[derive(Clone, Copy, Debug)]
pub struct UpdateProvider;

impl Handler for UpdateProvider {
    type Msg = MsgUpdateProvider;
    type Response = MsgUpdateProviderResponse;

    fn signers(msg: &Self::Msg) -> Result<Vec<Address>> {
        Ok(vec![Address::parse(&msg.owner)?])
    }

    fn check(msg: &Self::Msg) -> Result<()> {
        Profile::parse(&msg.owner, &msg.moniker, &msg.endpoints, &msg.operators).map(drop)
    }

    fn execute(ctx: &mut TxCtx<'_>, msg: &Self::Msg) -> Result<Self::Response> {
        let mut provider = require_owner(ctx, &Address::parse(&msg.owner)?)?;
        let profile = Profile::parse(&msg.owner, &msg.moniker, &msg.endpoints, &msg.operators)?;
        profile.check_limits(&params(ctx)?)?;
        // The owner's own address stays: it is in neither list.
        assign_addresses(ctx, provider.id, &provider.operators, &profile.operators)?;
        provider.operators = profile.operators;
        provider.moniker = profile.moniker;
        provider.endpoints = profile.endpoints;
        emit(ctx, MarketEvent::ProviderUpdated { provider: provider.id });
        save(ctx, provider)?;
        Ok(MsgUpdateProviderResponse {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        keeper,
        testing::{Chain, MIN_BOND, address, code},
    };

    fn message(n: u8, operators: &[u8]) -> MsgUpdateProvider {
        MsgUpdateProvider {
            owner: address(n).to_string(),
            moniker: "renamed".to_owned(),
            endpoints: vec![],
            operators: operators.iter().map(|n| address(*n).to_string()).collect(),
        }
    }

    #[test]
    fn operators_are_replaced_and_the_old_ones_are_free_again() {
        let mut chain = Chain::new();
        let id = chain.register(1, MIN_BOND).unwrap();
        chain.register(2, MIN_BOND).unwrap();
        chain.run::<UpdateProvider>(&message(1, &[11, 12])).unwrap();
        assert_eq!(chain.provider(id).moniker, "renamed");
        assert_eq!(code(keeper::require_operator(&chain.state, &address(10))), 4);
        for key in [1, 11, 12] {
            assert_eq!(keeper::require_operator(&chain.state, &address(key)).unwrap().id, id);
        }
        chain.run::<UpdateProvider>(&message(2, &[10])).unwrap();
        // One that is kept and one that belongs to another.
        assert_eq!(code(chain.run::<UpdateProvider>(&message(1, &[11, 10]))), 6);
        assert_eq!(chain.provider(id).operators, [address(11), address(12)]);
    }

    #[test]
    fn only_the_owner_may() {
        let mut chain = Chain::new();
        chain.register(1, MIN_BOND).unwrap();
        assert_eq!(code(chain.run::<UpdateProvider>(&message(10, &[]))), 5);
        assert_eq!(code(chain.run::<UpdateProvider>(&message(9, &[]))), 5);
    }
}
