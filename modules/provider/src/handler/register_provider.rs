//! `MsgRegisterProvider`: a new provider and its first bond.

use gantry_core::{Address, Coin, Ctx, Handler, Result, TxCtx};
use gantry_event::{MarketEvent, emit};
use gantry_proto::gantry::provider::v1::{MsgRegisterProvider, MsgRegisterProviderResponse, ProviderStatus};

use super::Profile;
use crate::{
    Provider, ProviderError,
    keeper::{assign_addresses, check_bond, params, save, take_in},
    params::min_bond,
    state::IDS,
};

/// Registers a provider.
pub(crate) struct RegisterProvider;

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
