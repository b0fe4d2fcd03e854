//! `MsgRegisterProvider`: a new provider and its first bond.

use gantry_core::{Address, Coin, Ctx, Handler, Result, TxCtx};
use gantry_event::{MarketEvent, emit};
use gantry_proto::gantry::provider::v1::{MsgRegisterProvider, MsgRegisterProviderResponse, ProviderStatus};

use super::Profile;
use crate::{
    Provider, ProviderError,
    keeper::{assign_addresses, check_bond, params, reclaim_address, save, take_in},
    params::min_bond,
    state::IDS,
};

/// Registers a provider.
#[derive(Clone, Copy, Debug)]
pub struct RegisterProvider;

impl Handler for RegisterProvider {
    type Msg = MsgRegisterProvider;
    type Response = MsgRegisterProviderResponse;

    fn signers(msg: &Self::Msg) -> Result<Vec<Address>> {
        Ok(vec![Address::parse(&msg.owner)?])
    }

    fn check(msg: &Self::Msg) -> Result<()> {
        Profile::parse(&msg.owner, &msg.moniker, &msg.endpoints, &msg.operators)?;
        Coin::from_field(msg.bond.as_ref(), "bond").map(drop)
    }

    fn execute(ctx: &mut TxCtx<'_>, msg: &Self::Msg) -> Result<Self::Response> {
        let owner = Address::parse(&msg.owner)?;
        let profile = Profile::parse(&msg.owner, &msg.moniker, &msg.endpoints, &msg.operators)?;
        let bond = Coin::from_field(msg.bond.as_ref(), "bond")?;
        let params = params(ctx)?;
        profile.check_limits(&params)?;
        check_bond(&params, &bond)?;
        let min = min_bond(&params)?;
        if bond.amount() < min.amount() {
            return Err(ProviderError::BondTooLow { min, got: bond }.into());
        }

        reclaim_address(ctx, &owner)?;
        let id = IDS.next(ctx)?;
        let addresses: Vec<Address> = std::iter::once(&owner).chain(&profile.operators).cloned().collect();
        assign_addresses(ctx, id, &[], &addresses)?;
        take_in(ctx, &owner, &bond)?;
        let height = ctx.block().height;
        let provider = Provider {
            id,
            owner,
            operators: profile.operators,
            moniker: profile.moniker,
            endpoints: profile.endpoints,
            bond,
            reserved: 0,
            status: ProviderStatus::Active,
            registered_height: height,
            last_heartbeat_height: 0,
            slashed: 0,
            next_offer_id: 1,
            admitted_height: height,
        };
        emit(ctx, MarketEvent::ProviderRegistered { provider: id, owner: &provider.owner });
        save(ctx, provider)?;
        Ok(MsgRegisterProviderResponse { provider_id: id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        keeper,
        testing::{Chain, FUNDS, MIN_BOND, address, code, coins},
    };
    use gantry_core::Error;

    fn message() -> MsgRegisterProvider {
        MsgRegisterProvider {
            owner: address(1).to_string(),
            moniker: "alpha".to_owned(),
            endpoints: vec!["http://127.0.0.1:7070".to_owned()],
            operators: vec![address(10).to_string()],
            bond: coins(MIN_BOND),
        }
    }

    #[test]
    fn the_bond_is_locked_and_both_keys_act_for_the_provider() {
        let mut chain = Chain::new();
        chain.height = 5;
        let id = chain.run::<RegisterProvider>(&message()).unwrap().provider_id;
        assert_eq!(id, 1);
        assert_eq!(chain.balance(&address(1)), FUNDS - MIN_BOND);
        assert_eq!(chain.module_balance("provider_bond"), MIN_BOND);
        for key in [address(1), address(10)] {
            assert_eq!(keeper::require_operator(&chain.state, &key).unwrap().id, id);
        }
        assert_eq!(code(keeper::require_operator(&chain.state, &address(2))), 4);
        let provider = chain.provider(id);
        assert_eq!((provider.status, provider.registered_height), (ProviderStatus::Active, 5));
        assert_eq!(provider.last_heartbeat_height, 0);
        assert_eq!(chain.events.last().unwrap().attributes[0].1, "registered");
    }

    #[test]
    fn an_address_belongs_to_one_provider() {
        let mut chain = Chain::new();
        chain.register(1, MIN_BOND).unwrap();
        // The owner again, its owner and its operator as operators.
        let other = MsgRegisterProvider { owner: address(2).to_string(), ..message() };
        let taken_owner = MsgRegisterProvider { operators: vec![address(1).to_string()], ..other.clone() };
        for msg in [message(), taken_owner, other] {
            assert_eq!(code(chain.run::<RegisterProvider>(&msg)), 6);
        }
        assert_eq!(chain.register(2, MIN_BOND).unwrap(), 2);
    }

    #[test]
    fn nobody_is_kept_out_by_being_named_as_an_operator() {
        let mut chain = Chain::new();
        // 1 names 2, without asking.
        let squat = MsgRegisterProvider { operators: vec![address(2).to_string()], ..message() };
        let squatter = chain.run::<RegisterProvider>(&squat).unwrap().provider_id;
        let id = chain.register(2, MIN_BOND).unwrap();
        assert_eq!(keeper::require_operator(&chain.state, &address(2)).unwrap().id, id);
        assert!(chain.provider(squatter).operators.is_empty());
        // One who registers gets nothing but his own address.
        assert_eq!(code(chain.register(2, MIN_BOND)), 6);
        assert_eq!(keeper::require_operator(&chain.state, &address(1)).unwrap().id, squatter);
    }

    #[test]
    fn a_bad_bond_is_refused() {
        let mut chain = Chain::new();
        let mut try_bond = |bond| chain.run::<RegisterProvider>(&MsgRegisterProvider { bond, ..message() });
        assert_eq!(code(try_bond(coins(MIN_BOND - 1))), 9);
        assert_eq!(code(try_bond(Some(Coin::new("uatom", MIN_BOND).unwrap().to_proto()))), 8);
        let refused = [try_bond(None), try_bond(coins(FUNDS + 1))].map(|r| match r.unwrap_err() {
            Error::User(e) => (e.codespace, e.code),
            fatal => panic!("{fatal}"),
        });
        assert_eq!(refused, [("sdk", 10), ("sdk", 5)]);
        assert_eq!(chain.balance(&address(1)), FUNDS);
    }

    #[test]
    fn bad_profiles_are_refused() {
        let mut chain = Chain::new();
        let texts = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let operators = |list: &[u8]| list.iter().map(|n| address(*n).to_string()).collect::<Vec<_>>();
        for msg in [
            MsgRegisterProvider { moniker: String::new(), ..message() },
            MsgRegisterProvider { moniker: "x".repeat(65), ..message() },
            MsgRegisterProvider { moniker: " x".to_owned(), ..message() },
            MsgRegisterProvider { moniker: "a\nb".to_owned(), ..message() },
            MsgRegisterProvider { endpoints: texts(&["gopher://x"]), ..message() },
            MsgRegisterProvider { endpoints: texts(&["http://a", "http://a"]), ..message() },
            MsgRegisterProvider { endpoints: texts(&["http://a", "http://b", "http://c"]), ..message() },
            MsgRegisterProvider { operators: operators(&[10, 10]), ..message() },
            MsgRegisterProvider { operators: operators(&[1]), ..message() },
            MsgRegisterProvider { operators: operators(&[10, 11, 12]), ..message() },
        ] {
            assert_eq!(code(chain.run::<RegisterProvider>(&msg)), 7, "{msg:?}");
        }
        let bad_address = MsgRegisterProvider { operators: texts(&["cosmos1xyz"]), ..message() };
        chain.run::<RegisterProvider>(&bad_address).unwrap_err();
    }
}
