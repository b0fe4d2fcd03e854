//! A transaction may say until which height it counts.

use gantry_core::{Ctx, Result, TxCtx, sdk};

use super::AnteInput;

pub(super) fn step(ctx: &mut TxCtx<'_>, input: &AnteInput<'_>) -> Result<()> {
    let (height, timeout) = (ctx.block().height, input.tx.timeout_height);
    if timeout > 0 && height > timeout {
        return Err(sdk::tx_timeout_height(format!("block height: {height}, timeout height: {timeout}")));
    }
    Ok(())
}
