//! `MsgUpdateProvider`: another moniker, other endpoints, other operators.

use gantry_core::{Address, Handler, Result, TxCtx};
use gantry_event::{MarketEvent, emit};
use gantry_proto::gantry::provider::v1::{MsgUpdateProvider, MsgUpdateProviderResponse};

use super::Profile;
use crate::keeper::{assign_addresses, params, require_owner, save};

/// Replaces what an owner says of its provider.
pub(crate) struct UpdateProvider;

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
