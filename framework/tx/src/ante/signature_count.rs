//! Signatures are bounded by a parameter.

use gantry_core::{Result, TxCtx, sdk};

use super::AnteInput;

pub(super) fn step(ctx: &mut TxCtx<'_>, input: &AnteInput<'_>) -> Result<()> {
    let limit = input.rt.state.params(ctx)?.tx_sig_limit;
    let count = input.tx.signer_infos.len();
    if count as u64 > limit {
        return Err(sdk::too_many_signatures(format!("signatures: {count}, limit: {limit}")));
    }
    Ok(())
}
