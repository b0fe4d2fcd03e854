//! The engine's own store: what it must know after a restart, in the tree like everything that consensus reads.

use gantry_core::{BlockInfo, Result, Time};
use gantry_store::{Item, KvRead, KvWrite, Proto, StoreError, StoreName};
use tendermint_proto::{
    google::protobuf::Timestamp,
    v0_38::types::{ConsensusParams, Header},
};

/// Named as the SDK's x/consensus.
pub(crate) const STORE: StoreName = StoreName::new("consensus");

/// The consensus parameters, where x/consensus keeps them.
const PARAMS: Item<Proto<ConsensusParams>> = Item::new(STORE, b"Consensus");

/// The inputs of the block that made this state: chain id, height, time, proposer, app hash before it.
const BLOCK: Item<Proto<Header>> = Item::new(STORE, b"Block");

/// Records the consensus parameters.
pub(crate) fn set_params(state: &mut dyn KvWrite, params: &ConsensusParams) -> Result<(), StoreError> {
    PARAMS.set(state, &Proto(params.clone()))
}

/// The consensus parameters; defaults (no limits) in an empty state.
pub(crate) fn params(state: &dyn KvRead) -> Result<ConsensusParams, StoreError> {
    Ok(PARAMS.get(state)?.unwrap_or_default().0)
}

/// Gas that the transactions of one block may want together; `None` is no limit.
pub(crate) fn max_gas(params: &ConsensusParams) -> Option<u64> {
    let max_gas = params.block.as_ref()?.max_gas;
    u64::try_from(max_gas).ok().filter(|gas| *gas > 0)
}

/// Records the block.
pub(crate) fn set_block(state: &mut dyn KvWrite, block: &BlockInfo) -> Result<(), StoreError> {
    let height = i64::try_from(block.height).map_err(|_| StoreError::Corrupt("height".into()))?;
    let header = Header {
        chain_id: block.chain_id.clone(),
        height,
        time: Some(Timestamp { seconds: block.time.seconds, nanos: block.time.nanos }),
        app_hash: block.previous_app_hash.to_vec(),
        proposer_address: block.proposer.clone(),
        ..Header::default()
    };
    BLOCK.set(state, &Proto(header))
}

/// The block that made this state; `None` in an empty one.
pub(crate) fn block(state: &dyn KvRead) -> Result<Option<BlockInfo>, StoreError> {
    let Some(Proto(header)) = BLOCK.get(state)? else { return Ok(None) };
    let corrupt = || StoreError::Corrupt("the record of the last block".into());
    Ok(Some(BlockInfo {
        height: u64::try_from(header.height).map_err(|_| corrupt())?,
        chain_id: header.chain_id,
        time: time(header.time),
        proposer: header.proposer_address,
        previous_app_hash: header.app_hash.try_into().map_err(|_| corrupt())?,
    }))
}

/// A time as ABCI gives it.
pub(crate) fn time(time: Option<Timestamp>) -> Time {
    time.map_or_else(Time::default, |t| Time { seconds: t.seconds, nanos: t.nanos })
}
