//! Counts the transaction for all its signers, even if its messages fail later: it cannot be replayed.

use gantry_core::{Result, TxCtx};

use super::AnteInput;

pub(super) fn step(ctx: &mut TxCtx<'_>, input: &AnteInput<'_>) -> Result<()> {
    input.tx.signers.iter().try_for_each(|signer| input.rt.state.increment_sequence(ctx, signer))
}
