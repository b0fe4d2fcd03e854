//! Sequences must be the next ones, and signatures good. Neither a simulation nor a recheck asks the curve.

use cosmos_sdk_proto::cosmos::tx::signing::v1beta1::SignMode as ProtoSignMode;
use gantry_core::{Ctx, ExecMode, Result, TxCtx, sdk};

use super::AnteInput;
use crate::checked::SignMode;

pub(super) fn step(ctx: &mut TxCtx<'_>, input: &AnteInput<'_>) -> Result<()> {
    let verify = matches!(ctx.mode(), ExecMode::Check | ExecMode::Finalize);
    for (i, info) in input.tx.signer_infos.iter().enumerate() {
        let account = input.signer_account(ctx, i)?;
        if info.sequence != account.sequence {
            return Err(sdk::wrong_sequence(format!(
                "account sequence mismatch, expected {}, got {}",
                account.sequence, info.sequence
            )));
        }
        if !verify {
            continue;
        }
        let key = account.pub_key.ok_or_else(|| sdk::invalid_pubkey("pubkey on account is not set"))?;
        let chain_id = &ctx.block().chain_id;
        let number = account.number;
        let why = match info.mode {
            SignMode::DIRECT => {
                if input.tx.is_signed(i, chain_id, number, &key) {
                    continue;
                }
                "unable to verify single signer signature".to_owned()
            }
            SignMode::AMINO_JSON => {
                return Err(sdk::unauthorized(format!(
                    "signature verification failed; please verify account number ({number}), sequence ({}) and chain-id ({chain_id})",
                    account.sequence
                )));
            }
            SignMode::Single(mode) => {
                let name = ProtoSignMode::try_from(mode).map_or_else(|_| mode.to_string(), |m| m.as_str_name().into());
                format!("unsupported sign mode {name}")
            }
            SignMode::Multi => "expected multisig.PubKey, got *secp256k1.PubKey".to_owned(),
            SignMode::Absent => "unexpected SignatureData <nil>".to_owned(),
        };
        return Err(sdk::unauthorized(format!(
            "signature verification failed; please verify account number ({number}) and chain-id ({chain_id}): ({why})"
        )));
    }
    Ok(())
}
