use gantry_core::ExecMode;
use tendermint_proto::v0_38::abci::{CheckTxType, ExecTxResult, RequestCheckTx, ResponseCheckTx};

use crate::{engine::Engine, stop::Stop};

/// Whether a transaction may enter the mempool, or stay in it after a block. Runs on the check state alone.
pub(crate) fn check_tx(engine: &Engine, request: RequestCheckTx) -> Result<ResponseCheckTx, Stop> {
    let RequestCheckTx { tx, r#type } = request;
    let mode = match CheckTxType::try_from(r#type) {
        Ok(CheckTxType::Recheck) => ExecMode::Recheck,
        Ok(CheckTxType::New) | Err(_) => ExecMode::Check,
    };
    let result = engine.check_transaction(&tx, mode)?;
    let ExecTxResult { code, data, log, info, gas_wanted, gas_used, events, codespace } = result.into_abci();
    Ok(ResponseCheckTx { code, data, log, info, gas_wanted, gas_used, events, codespace })
}
