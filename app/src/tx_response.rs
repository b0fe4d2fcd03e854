//! The SDK's account of a transaction in a block, which the service and the command line both give.

use base64::{DecodeError, Engine as _, prelude::BASE64_STANDARD as BASE64};
use cosmos_sdk_proto::{
    Any,
    cosmos::{base::abci::v1beta1::TxResponse, tx::v1beta1::Tx},
    tendermint::abci::ExecTxResult,
};
use prost::Name;
use tendermint::Time;
use tendermint_rpc::endpoint::tx;

/// The time of a block in RFC 3339 in whole seconds, as the SDK writes it.
pub(crate) fn timestamp(time: Time) -> String {
    let precise = time.to_rfc3339();
    match precise.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => precise,
    }
}

/// What CometBFT found, in a block of this time. `TxRaw` goes as `Tx`: they have one wire format.
pub(crate) fn tx_response(found: tx::Response, timestamp: String) -> Result<TxResponse, DecodeError> {
    let result: ExecTxResult = found.tx_result.into();
    Ok(TxResponse {
        height: found.height.into(),
        txhash: found.hash.to_string(),
        codespace: result.codespace,
        code: result.code,
        // The RPC client leaves `data` in base64.
        data: hex::encode_upper(BASE64.decode(&result.data)?),
        raw_log: result.log,
        logs: Vec::new(),
        info: result.info,
        gas_wanted: result.gas_wanted,
        gas_used: result.gas_used,
        tx: Some(Any { type_url: Tx::type_url(), value: found.tx }),
        timestamp,
        events: result.events,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_whole_seconds() {
        for (precise, shown) in [
            ("2026-01-02T03:04:05.678901234Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ] {
            assert_eq!(timestamp(Time::parse_from_rfc3339(precise).unwrap()), shown);
        }
    }
}
