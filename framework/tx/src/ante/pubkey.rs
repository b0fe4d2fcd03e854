//! Learns the keys of accounts that have none, and tells indexers who signed.

use base64::{Engine, prelude::BASE64_STANDARD};
use gantry_core::{Ctx, Event, ExecMode, PubKey, Result, TxCtx, attr, sdk};

use super::AnteInput;

/// Stands for a key that a simulation does not name: the SDK's, so that estimates agree.
const SIMULATED_KEY: [u8; 33] = [
    0x03, 0x5a, 0xd6, 0x81, 0x0a, 0x47, 0xf0, 0x73, 0x55, 0x3f, 0xf3, 0x0d, 0x2f, 0xcc, 0x7e, 0x0d, 0x3b, 0x1c, 0x0b,
    0x74, 0xb6, 0x1a, 0x1a, 0xaa, 0x25, 0x82, 0x34, 0x40, 0x37, 0x15, 0x1e, 0x14, 0x3a,
];

pub(super) fn step(ctx: &mut TxCtx<'_>, input: &AnteInput<'_>) -> Result<()> {
    let simulate = ctx.mode() == ExecMode::Simulate;
    let tx = input.tx;
    for (i, (signer, info)) in tx.signers.iter().zip(&tx.signer_infos).enumerate() {
        let key = match info.pub_key {
            Some(key) => key,
            None if simulate => PubKey::from(SIMULATED_KEY),
            None => continue,
        };
        if !simulate && !tx.keys_match[i] {
            return Err(sdk::invalid_pubkey(format!(
                "pubKey does not match signer address {signer} with signer index: {i}"
            )));
        }
        if input.signer_account(ctx, i)?.pub_key.is_none() {
            input.rt.state.set_pub_key(ctx, signer, &key)?;
        }
    }
    for ((signer, info), signature) in tx.signers.iter().zip(&tx.signer_infos).zip(&tx.signatures) {
        ctx.emit_with(&|| Event::new("tx", [attr("acc_seq", format_args!("{signer}/{}", info.sequence))]));
        ctx.emit_with(&|| Event::new("tx", [attr("signature", BASE64_STANDARD.encode(signature))]));
    }
    Ok(())
}
