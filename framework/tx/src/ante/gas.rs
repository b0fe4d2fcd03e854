//! A transaction may not ask for more gas than a block has.

use gantry_core::{Result, TxCtx, sdk};

use super::AnteInput;

pub(super) fn step(_: &mut TxCtx<'_>, input: &AnteInput<'_>) -> Result<()> {
    let gas = input.tx.fee.gas_limit;
    match input.block_max_gas {
        Some(max) if gas > max => {
            Err(sdk::invalid_gas_limit(format!("tx gas limit {gas} exceeds block max gas {max}")))
        }
        _ => Ok(()),
    }
}
