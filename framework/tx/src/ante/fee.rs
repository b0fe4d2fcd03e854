//! Takes the fee: it stays taken whatever the messages do. Minimum prices are an operator's, so CheckTx alone asks.

use gantry_core::{Ctx, Error, Event, ExecMode, Result, TxCtx, attr, sdk};

use super::AnteInput;

/// What the operator asks.
pub(super) fn price(ctx: &mut TxCtx<'_>, input: &AnteInput<'_>) -> Result<()> {
    let fee = &input.tx.fee;
    match ctx.mode() {
        ExecMode::Check | ExecMode::Recheck => input.rt.min_gas_prices.require(&fee.amount, fee.gas_limit),
        ExecMode::Simulate | ExecMode::Finalize => Ok(()),
    }
}

pub(super) fn step(ctx: &mut TxCtx<'_>, input: &AnteInput<'_>) -> Result<()> {
    price(ctx, input)?;
    let fee = &input.tx.fee;
    if fee.granter.is_some() {
        return Err(sdk::invalid_request("fee grants are not enabled"));
    }
    if input.rt.state.account(ctx, &fee.payer)?.is_none() {
        return Err(sdk::unknown_address(format!("fee payer address: {} does not exist", fee.payer)));
    }
    if !fee.amount.is_empty() {
        input.rt.state.take_fee(ctx, &fee.payer, &fee.amount).map_err(|error| match error {
            // The SDK wraps this error in itself.
            Error::User(e) if e.codespace == sdk::CODESPACE && e.code == 5 => sdk::insufficient_funds(e.log),
            other => other,
        })?;
    }
    ctx.emit_with(&|| Event::new("tx", [attr("fee", &fee.amount), attr("fee_payer", &fee.payer)]));
    Ok(())
}
