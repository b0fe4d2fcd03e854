//! `MsgMultiSend`: coins from one signer to several recipients, all or nothing.

use cosmos_sdk_proto::cosmos::bank::v1beta1::{MsgMultiSend, MsgMultiSendResponse};
use gantry_auth::keeper as auth;
use gantry_core::{Address, Coins, Ctx, Handler, Result, TxCtx, sdk};

use crate::{errors::BankError, events, keeper};

/// Handles `MsgMultiSend`.
#[derive(Clone, Copy, Debug)]
pub struct MultiSend;

struct Checked {
    from: Address,
    total: Coins,
    outputs: Vec<(Address, Coins)>,
}

impl Checked {
    fn of(msg: &MsgMultiSend) -> Result<Self> {
        let input = match msg.inputs.as_slice() {
            [] => return Err(BankError::NoInputs.into()),
            [input] => input,
            _ => return Err(BankError::MultipleSenders.into()),
        };
        if msg.outputs.is_empty() {
            return Err(BankError::NoOutputs.into());
        }
        let from = Address::parse(&input.address).map_err(|e| e.context("invalid input address"))?;
        let total = positive(&input.coins)?;
        let mut sum = Coins::new();
        let mut outputs = Vec::new();
        for output in &msg.outputs {
            let to = Address::parse(&output.address).map_err(|e| e.context("invalid output address"))?;
            let coins = positive(&output.coins)?;
            coins.iter().try_for_each(|coin| sum.add(&coin))?;
            outputs.push((to, coins));
        }
        if sum != total {
            return Err(BankError::InputOutputMismatch.into());
        }
        Ok(Self { from, total, outputs })
    }
}

fn positive(coins: &[cosmos_sdk_proto::cosmos::base::v1beta1::Coin]) -> Result<Coins> {
    let coins = Coins::from_proto(coins)?;
    if coins.is_empty() { Err(sdk::invalid_coins("")) } else { Ok(coins) }
}

impl Handler for MultiSend {
    type Msg = MsgMultiSend;
    type Response = MsgMultiSendResponse;

    fn signers(msg: &MsgMultiSend) -> Result<Vec<Address>> {
        msg.inputs.iter().map(|input| Address::parse(&input.address)).collect()
    }

    fn check(msg: &MsgMultiSend) -> Result<()> {
        Checked::of(msg).map(drop)
    }

    fn execute(ctx: &mut TxCtx<'_>, msg: &MsgMultiSend) -> Result<MsgMultiSendResponse> {
        let Checked { from, total, outputs } = Checked::of(msg)?;
        keeper::require_send_enabled(ctx, &total)?;
        for (to, _) in &outputs {
            keeper::require_open_recipient(ctx, to)?;
        }
        keeper::spend(ctx, &from, &total)?;
        ctx.emit(events::sender(&from));
        for (to, coins) in &outputs {
            keeper::receive(ctx, to, coins)?;
            ctx.emit(events::transfer(&from, to, coins));
            if !auth::has_account(ctx, to)? {
                auth::ensure_account(ctx, to)?;
            }
        }
        Ok(MsgMultiSendResponse {})
    }
}
