use tendermint_proto::v0_38::abci::{RequestInfo, ResponseInfo};

use crate::{engine::Engine, stop::Stop};

/// Version of the state machine in block headers. It equals `version.app` of the consensus parameters in genesis.
pub(crate) const APP_PROTOCOL_VERSION: u64 = 0;

/// What was last committed: CometBFT replays from there. Also answered to anybody who calls `abci_info`.
pub(crate) fn info(engine: &Engine, request: RequestInfo) -> Result<ResponseInfo, Stop> {
    // CometBFT's versions decide nothing here: the socket protocol has one version.
    let RequestInfo { version: _, block_version: _, p2p_version: _, abci_version: _ } = request;
    let definition = engine.definition();
    let latest = engine.latest();
    let height = latest.block.height;
    Ok(ResponseInfo {
        data: definition.name.to_owned(),
        version: definition.version.to_owned(),
        app_version: APP_PROTOCOL_VERSION,
        last_block_height: i64::try_from(height)
            .map_err(|_| Stop::fatal(format!("height {height} is over what ABCI can say")))?,
        // Before the first block there is none to compare.
        last_block_app_hash: if height == 0 { bytes::Bytes::new() } else { latest.app_hash.to_vec().into() },
    })
}
