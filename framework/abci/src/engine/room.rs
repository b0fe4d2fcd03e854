//! Room in a block, and in the mempool: counted in bytes and gas, with a part that bulk may fill.

use gantry_core::{Result, sdk};
use gantry_tx::{BlockGas, CheckedTx};
use prost::length_delimiter_len;
use tendermint_proto::v0_38::types::ConsensusParams;

use super::chain;

/// The lanes in their order within a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// Duties with a deadline.
    System,
    /// What the application is for.
    Market,
    /// Everything else.
    Bulk,
}

/// Bytes of a block where the parameter does not limit them (CometBFT's `MaxBlockSizeBytes`).
const MAX_BLOCK_BYTES: u64 = 100 << 20;

/// Bytes, and gas where it is limited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Space {
    pub(crate) bytes: u64,
    pub(crate) gas: Option<u64>,
}

impl Space {
    /// What the parameters let a block hold.
    pub(crate) fn of_block(params: &ConsensusParams) -> Self {
        let max_bytes = params.block.as_ref().and_then(|block| u64::try_from(block.max_bytes).ok());
        let bytes = max_bytes.filter(|bytes| *bytes > 0).unwrap_or(MAX_BLOCK_BYTES);
        Self { bytes, gas: chain::max_gas(params) }
    }

    fn map(self, f: impl Fn(u64) -> u64) -> Self {
        Self { bytes: f(self.bytes), gas: self.gas.map(f) }
    }

    /// Whether this is more than so many times another.
    pub(super) fn exceeds(&self, other: &Self, times: u64) -> bool {
        let gas = self.gas.zip(other.gas);
        self.bytes / times > other.bytes || gas.is_some_and(|(gas, other)| gas / times > other)
    }

    /// Counts a transaction.
    pub(super) fn add(&mut self, tx: &CheckedTx) {
        self.bytes = self.bytes.saturating_add(size_in_block(tx));
        self.gas = self.gas.map(|gas| gas.saturating_add(tx.fee().gas_limit));
    }

    fn holds(&self, tx: &CheckedTx) -> bool {
        size_in_block(tx) <= self.bytes && self.gas.is_none_or(|gas| tx.fee().gas_limit <= gas)
    }

    fn subtract(&mut self, tx: &CheckedTx) {
        self.bytes = self.bytes.saturating_sub(size_in_block(tx));
        self.gas = self.gas.map(|gas| gas.saturating_sub(tx.fee().gas_limit));
    }
}

/// What is left of a block or of several.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(super) all: Space,
    bulk: Space,
    /// Gas that one transaction may have.
    tx_gas: Option<u64>,
}

impl Room {
    /// An empty block.
    pub(super) fn new(block: Space, bulk_percent: u64) -> Self {
        let part = |all: u64| if bulk_percent >= 100 { all } else { all / 100 * bulk_percent };
        Self { all: block, bulk: block.map(part), tx_gas: BlockGas::new(block.gas).tx_limit() }
    }

    /// Several of them.
    pub(super) fn times(self, blocks: u64) -> Self {
        let times = |one: u64| one.saturating_mul(blocks);
        Self { all: self.all.map(times), bulk: self.bulk.map(times), ..self }
    }

    /// Whether there is room for a transaction.
    pub(super) fn holds(&self, lane: Lane, tx: &CheckedTx) -> bool {
        let allowed = self.tx_gas.is_none_or(|gas| tx.fee().gas_limit <= gas);
        allowed && self.all.holds(tx) && (lane != Lane::Bulk || self.bulk.holds(tx))
    }

    /// Takes the place of a transaction, if there is as much.
    pub(super) fn take(&mut self, lane: Lane, tx: &CheckedTx) -> bool {
        let holds = self.holds(lane, tx);
        if holds {
            self.subtract(lane, tx);
        }
        holds
    }

    /// Takes the place of a transaction, or what there is of it.
    pub(super) fn subtract(&mut self, lane: Lane, tx: &CheckedTx) {
        self.all.subtract(tx);
        if lane == Lane::Bulk {
            self.bulk.subtract(tx);
        }
    }

    /// Refuses a transaction that an empty block could not hold, whatever lane it came to be in: it would wait at the head
    /// of the mempool for ever, and what is behind it as well. Its gas is for the ante to refuse.
    pub(super) fn require_size(&self, tx: &CheckedTx) -> Result<()> {
        let (size, most) = (size_in_block(tx), self.bulk.bytes);
        if size > most {
            return Err(sdk::tx_too_large(format!("{size} bytes in a block, which may hold {most} of its kind")));
        }
        Ok(())
    }
}

/// Bytes of a transaction as a field of the block's data, which is how CometBFT counts them (`ComputeProtoSizeForTxs`).
fn size_in_block(tx: &CheckedTx) -> u64 {
    (1 + length_delimiter_len(tx.size()) + tx.size()) as u64
}
