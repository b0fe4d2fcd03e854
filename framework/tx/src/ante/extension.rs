//! No critical extension option is known; non-critical ones are ignored.

use gantry_core::{Error, Result, TxCtx, sdk};

use super::AnteInput;

pub(super) fn step(_: &mut TxCtx<'_>, input: &AnteInput<'_>) -> Result<()> {
    if input.tx.has_extension_options {
        return Err(Error::user(sdk::CODESPACE, 31, "unknown extension options"));
    }
    Ok(())
}
