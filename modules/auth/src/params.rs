//! Parameters: the SDK's, with its defaults.

use cosmos_sdk_proto::cosmos::auth::v1beta1::Params;
use gantry_core::{Result, sdk};

/// What a fresh chain starts with: memo 256 bytes, 7 signatures, 10 gas per byte, 590 and 1000 gas per signature.
#[must_use]
pub fn default_params() -> Params {
    Params {
        max_memo_characters: 256,
        tx_sig_limit: 7,
        tx_size_cost_per_byte: 10,
        sig_verify_cost_ed25519: 590,
        sig_verify_cost_secp256k1: 1000,
    }
}

/// No parameter may be zero.
pub fn validate_params(params: &Params) -> Result<()> {
    [
        (params.tx_sig_limit, "tx signature limit"),
        (params.sig_verify_cost_ed25519, "ED25519 signature verification cost"),
        (params.sig_verify_cost_secp256k1, "SECK256k1 signature verification cost"),
        (params.max_memo_characters, "max memo characters"),
        (params.tx_size_cost_per_byte, "tx size cost per byte"),
    ]
    .into_iter()
    .try_for_each(|(value, name)| {
        if value == 0 {
            return Err(sdk::invalid_request(format!("invalid {name}: {value}")));
        }
        Ok(())
    })
}
