//! Lanes: what a block serves first. One set of rules for who proposes and who judges.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;
use gantry_core::{Address, Result};
use gantry_store::KvRead;
use gantry_tx::CheckedTx;
use prost::length_delimiter_len;
use rayon::prelude::*;
use tendermint_proto::v0_38::types::ConsensusParams;

use super::{Parts, chain};
use crate::stop::Stop;

/// The lanes in their order within a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Duties with a deadline: a delay would punish who did nothing wrong.
    System,
    /// What the application is for.
    Market,
    /// Everything else.
    Bulk,
}

/// How an application sorts its transactions. Consensus: all validators must run the same.
#[derive(Clone, Copy, Debug)]
pub struct Lanes {
    /// The lane that a transaction has by itself in the block of a height, on the state before it.
    pub lane_of: fn(&dyn KvRead, u64, &CheckedTx) -> Result<Lane>,
    /// The part of a block's bytes and gas that bulk may fill, in percent.
    pub bulk_percent: u64,
}

impl Lanes {
    /// One lane for all.
    pub const ONE: Self = Self { lane_of: |_, _, _| Ok(Lane::Bulk), bulk_percent: 100 };
}

/// Bytes of a block where the parameter does not limit them (CometBFT's `MaxBlockSizeBytes`).
const MAX_BLOCK_BYTES: u64 = 100 << 20;

/// How many times what fits a block a proposer looks at; CometBFT offers about as much as fits, unless its limit is off.
const LOOK_FOR: u64 = 4;

/// Transactions decoded together, before a proposer looks whether it has seen enough.
const CHUNK: usize = 4096;

/// What the judgement of a proposal depends on, besides its transactions.
pub(crate) struct Rules<'a> {
    pub(crate) parts: &'a Parts,
    /// The committed state, or what InitChain wrote.
    pub(crate) state: &'a (dyn KvRead + Sync),
    /// Height of the block.
    pub(crate) height: u64,
}

/// A transaction that may stand in a block.
struct Entry {
    tx: Arc<CheckedTx>,
    own: Lane,
}

impl Rules<'_> {
    /// Builds a block of at most `max_bytes` of what the mempool offers: system, market, bulk, each in the mempool's order.
    /// One that does not fit is passed over, and with it what its signers sent behind it, which could not succeed. So is
    /// what no honest node proposes, and what comes twice.
    pub(crate) fn select(&self, mempool: &[Bytes], max_bytes: u64) -> Result<Vec<Bytes>, Stop> {
        let params = chain::params(self.state)?;
        let mut room = self.room(&params);
        room.bytes = room.bytes.min(max_bytes);
        let mut known = BTreeSet::new();
        let mut sorter = Sorter::default();
        let mut lanes: BTreeMap<Lane, Vec<(&Bytes, Arc<CheckedTx>)>> = BTreeMap::new();
        let (mut bytes_seen, mut gas_seen) = (0u64, 0u64);
        for chunk in mempool.chunks(CHUNK) {
            if bytes_seen / LOOK_FOR > room.bytes || gas_seen / LOOK_FOR > room.gas {
                break;
            }
            for (bytes, entry) in chunk.iter().zip(self.entries(chunk)?) {
                let Some(Entry { tx, own }) = entry.filter(|entry| known.insert(*entry.tx.hash())) else { continue };
                bytes_seen += size_in_block(&tx);
                gas_seen = gas_seen.saturating_add(tx.fee().gas_limit);
                lanes.entry(sorter.lane(&tx, own)).or_default().push((bytes, tx));
            }
        }

        let mut taken = Vec::new();
        let mut passed_over: BTreeSet<&Address> = BTreeSet::new();
        for (lane, txs) in &lanes {
            for (bytes, tx) in txs {
                if tx.signers().iter().any(|signer| passed_over.contains(signer)) || !room.take(*lane, tx) {
                    passed_over.extend(tx.signers());
                } else {
                    taken.push(Bytes::clone(bytes));
                }
            }
        }
        Ok(taken)
    }

    /// Whether a block may hold these transactions in this order; if not, why. Whatever [`Rules::select`] builds, it may.
    pub(crate) fn judge(&self, txs: &[Bytes]) -> Result<Result<(), &'static str>, Stop> {
        let mut room = self.room(&chain::params(self.state)?);
        let mut sorter = Sorter::default();
        let mut last = Lane::System;
        for entry in self.entries(txs)? {
            let Some(Entry { tx, own }) = entry else { return Ok(Err("a transaction that no node would take")) };
            let lane = sorter.lane(&tx, own);
            if lane < last {
                return Ok(Err("lanes out of order"));
            }
            if !room.take(lane, &tx) {
                return Ok(Err("more bytes or gas than a block or its bulk may have"));
            }
            last = lane;
        }
        Ok(Ok(()))
    }

    /// Decodes in parallel; `None` where no honest node proposes it: that is a matter of the bytes alone.
    fn entries(&self, txs: &[Bytes]) -> Result<Vec<Option<Entry>>, Stop> {
        let lane_of = self.parts.definition.lanes.lane_of;
        let entry = |bytes: &Bytes| {
            let Ok(tx) = self.parts.decode_to_keep(bytes) else { return Ok(None) };
            // A panic on what a user wrote must not stop every validator.
            let own =
                catch_unwind(AssertUnwindSafe(|| lane_of(self.state, self.height, &tx))).unwrap_or(Ok(Lane::Bulk))?;
            Ok(Some(Entry { tx, own }))
        };
        txs.par_iter().map(entry).collect()
    }

    fn room(&self, params: &ConsensusParams) -> Room {
        let max_bytes = params.block.as_ref().and_then(|block| u64::try_from(block.max_bytes).ok());
        let bytes = max_bytes.filter(|bytes| *bytes > 0).unwrap_or(MAX_BLOCK_BYTES);
        let gas = chain::max_gas(params).unwrap_or(u64::MAX);
        let percent = self.parts.definition.lanes.bulk_percent;
        let part = |all: u64| if percent >= 100 { all } else { all / 100 * percent };
        Room { bytes, gas, bulk_bytes: part(bytes), bulk_gas: part(gas) }
    }
}

/// What still fits a block.
struct Room {
    bytes: u64,
    gas: u64,
    bulk_bytes: u64,
    bulk_gas: u64,
}

impl Room {
    /// Takes the place of a transaction, if there is as much.
    fn take(&mut self, lane: Lane, tx: &CheckedTx) -> bool {
        let (bytes, gas) = (size_in_block(tx), tx.fee().gas_limit);
        let bulk = lane == Lane::Bulk;
        let fits = bytes <= self.bytes && gas <= self.gas;
        if !fits || (bulk && (bytes > self.bulk_bytes || gas > self.bulk_gas)) {
            return false;
        }
        self.bytes -= bytes;
        self.gas -= gas;
        if bulk {
            self.bulk_bytes -= bytes;
            self.bulk_gas -= gas;
        }
        true
    }
}

/// Keeps the order of each signer: a transaction is in no lane before that of an earlier one of its signers, or their
/// sequences would not fit.
#[derive(Default)]
struct Sorter(BTreeMap<Address, Lane>);

impl Sorter {
    fn lane(&mut self, tx: &CheckedTx, own: Lane) -> Lane {
        let lane = tx.signers().iter().filter_map(|signer| self.0.get(signer)).fold(own, |lane, last| lane.max(*last));
        for signer in tx.signers() {
            self.0.insert(signer.clone(), lane);
        }
        lane
    }
}

/// Bytes of a transaction as a field of the block's data, which is how CometBFT counts them (`ComputeProtoSizeForTxs`).
fn size_in_block(tx: &CheckedTx) -> u64 {
    (1 + length_delimiter_len(tx.size()) + tx.size()) as u64
}
