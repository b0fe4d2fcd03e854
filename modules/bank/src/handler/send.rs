//! `MsgSend`: coins from the signer to one recipient.

use cosmos_sdk_proto::cosmos::bank::v1beta1::{MsgSend, MsgSendResponse};
use gantry_core::{Address, Coins, Handler, Result, TxCtx, sdk};

use crate::keeper;

/// Handles `MsgSend`.
#[derive(Clone, Copy, Debug)]
pub struct Send;

struct Checked {
    from: Address,
    to: Address,
    amount: Coins,
}

impl Checked {
    fn of(msg: &MsgSend) -> Result<Self> {
        let from = Address::parse(&msg.from_address).map_err(|e| e.context("invalid from address"))?;
        let to = Address::parse(&msg.to_address).map_err(|e| e.context("invalid to address"))?;
        let amount = Coins::from_proto(&msg.amount)?;
        if amount.is_empty() {
            return Err(sdk::invalid_coins(""));
        }
        Ok(Self { from, to, amount })
    }
}

impl Handler for Send {
    type Msg = MsgSend;
    type Response = MsgSendResponse;

    fn signers(msg: &MsgSend) -> Result<Vec<Address>> {
        Ok(vec![Address::parse(&msg.from_address)?])
    }

    fn check(msg: &MsgSend) -> Result<()> {
        Checked::of(msg).map(drop)
    }

    fn execute(ctx: &mut TxCtx<'_>, msg: &MsgSend) -> Result<MsgSendResponse> {
        let Checked { from, to, amount } = Checked::of(msg)?;
        keeper::require_send_enabled(ctx, &amount)?;
        keeper::require_open_recipient(ctx, &to)?;
        keeper::send(ctx, &from, &to, &amount)?;
        Ok(MsgSendResponse {})
    }
}
