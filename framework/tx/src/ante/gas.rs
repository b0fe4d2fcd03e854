//! A transaction says how much gas it may use: some, and not more than one may have.

use gantry_core::{ExecMode, Result, TxCtx, sdk};

use super::AnteInput;

pub(super) fn step(ctx: &mut TxCtx<'_>, input: &AnteInput<'_>) -> Result<()> {
    let gas = input.tx.fee.gas_limit;
    if gas == 0 && ctx.mode() != ExecMode::Simulate {
        return Err(sdk::invalid_gas_limit("must provide positive gas"));
    }
    match input.max_gas {
        Some(max) if gas > max => Err(sdk::invalid_gas_limit(format!(
            "tx gas limit {gas} exceeds {max}, which is a transaction's part of a block"
        ))),
        _ => Ok(()),
    }
}
