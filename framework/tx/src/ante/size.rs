//! Every byte costs gas. A simulation without signatures is charged for those to come.

use gantry_core::{ExecMode, Result, TxCtx};

use super::AnteInput;

/// Bytes that the SDK reckons for a signature to come: its Amino form with a key (106), and 6.
const SIMULATED_SIGNATURE: u64 = 112;

pub(super) fn step(ctx: &mut TxCtx<'_>, input: &AnteInput<'_>) -> Result<()> {
    let cost = input.rt.state.params(ctx)?.tx_size_cost_per_byte;
    ctx.gas().charge_bytes(cost, input.tx.size, "txSize")?;
    if ctx.mode() == ExecMode::Simulate {
        for _ in input.tx.signatures.iter().filter(|signature| signature.is_empty()) {
            ctx.gas().charge(cost.saturating_mul(SIMULATED_SIGNATURE), "txSize")?;
        }
    }
    Ok(())
}
