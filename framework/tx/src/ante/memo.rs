//! Memos are bounded, in bytes.

use gantry_core::{Result, TxCtx, sdk};

use super::AnteInput;

pub(super) fn step(ctx: &mut TxCtx<'_>, input: &AnteInput<'_>) -> Result<()> {
    let length = input.tx.memo.len() as u64;
    if length == 0 {
        return Ok(());
    }
    let max = input.rt.state.params(ctx)?.max_memo_characters;
    if length > max {
        return Err(sdk::memo_too_large(format!(
            "maximum number of characters is {max} but received {length} characters"
        )));
    }
    Ok(())
}
