//! Verifying a signature costs gas.

use gantry_core::{ExecMode, Result, TxCtx, sdk};

use super::AnteInput;

pub(super) fn step(ctx: &mut TxCtx<'_>, input: &AnteInput<'_>) -> Result<()> {
    let cost = input.rt.state.params(ctx)?.sig_verify_cost_secp256k1;
    for i in 0..input.tx.signers.len() {
        let account = input.signer_account(ctx, i)?;
        if account.pub_key.is_none() && ctx.mode() != ExecMode::Simulate {
            return Err(sdk::invalid_pubkey("unrecognized public key type: <nil>"));
        }
        ctx.gas().charge(cost, "ante verify: secp256k1")?;
    }
    Ok(())
}
