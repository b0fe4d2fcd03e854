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
use rayon::prelude::*;

use super::{
    Parts, chain,
    room::{Lane, Room, Space},
};
use crate::stop::Stop;

/// What a transaction is by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A duty with a deadline, by its name: a delay would punish who did nothing wrong. A block serves the first
    /// transaction of a name so; the others are the market's.
    Duty(Vec<u8>),
    /// What the application is for.
    Market,
    /// Everything else.
    Bulk,
}

/// How an application sorts its transactions. Consensus: all validators must run the same.
#[derive(Clone, Copy, Debug)]
pub struct Lanes {
    /// What a transaction is by itself in the block of a height, on the state before it.
    pub kind_of: fn(&dyn KvRead, u64, &CheckedTx) -> Result<Kind>,
    /// The part of a block's bytes and gas that bulk may fill, in percent: at least what one transaction may have.
    pub bulk_percent: u64,
}

impl Lanes {
    /// One lane for all.
    pub const ONE: Self = Self { kind_of: |_, _, _| Ok(Kind::Bulk), bulk_percent: 100 };
}

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
    kind: Kind,
}

impl Rules<'_> {
    /// Builds a block of at most `max_bytes` of what the mempool offers: system, market, bulk, each in the mempool's order.
    /// One that does not fit is passed over, and with it what its signers sent behind it, which could not succeed, and
    /// who claims the same duty, who would become the first. So is what no honest node proposes, and what comes twice.
    pub(crate) fn select(&self, mempool: &[Bytes], max_bytes: u64) -> Result<Vec<Bytes>, Stop> {
        let block = Space::of_block(&chain::params(self.state)?);
        let mut room = self.parts.room(block);
        room.all.bytes = room.all.bytes.min(max_bytes);
        let mut seen = Space { bytes: 0, gas: block.gas.map(|_| 0) };
        let mut known = BTreeSet::new();
        let mut sorter = Sorter::default();
        let mut lanes: BTreeMap<Lane, Vec<(&Bytes, Entry)>> = BTreeMap::new();
        for chunk in mempool.chunks(CHUNK) {
            if seen.exceeds(&room.all, LOOK_FOR) {
                break;
            }
            for (bytes, entry) in chunk.iter().zip(self.entries(chunk)?) {
                let Some(entry) = entry.filter(|entry| known.insert(*entry.tx.hash())) else { continue };
                seen.add(&entry.tx);
                lanes.entry(sorter.lane(&entry)).or_default().push((bytes, entry));
            }
        }

        let mut taken = Vec::new();
        let mut passed_over: BTreeSet<&Address> = BTreeSet::new();
        let mut missed: BTreeSet<&[u8]> = BTreeSet::new();
        for (lane, txs) in &lanes {
            for (bytes, Entry { tx, kind }) in txs {
                let duty = if let Kind::Duty(name) = kind { Some(name.as_slice()) } else { None };
                let out_of_order = tx.signers().iter().any(|signer| passed_over.contains(signer))
                    || duty.is_some_and(|name| missed.contains(name));
                if out_of_order || !room.take(*lane, tx) {
                    passed_over.extend(tx.signers());
                    missed.extend(duty);
                } else {
                    taken.push(Bytes::clone(bytes));
                }
            }
        }
        Ok(taken)
    }

    /// Whether a block may hold these transactions in this order; if not, why. Whatever [`Rules::select`] builds, it may.
    pub(crate) fn judge(&self, txs: &[Bytes]) -> Result<Result<(), &'static str>, Stop> {
        let mut room = self.parts.room(Space::of_block(&chain::params(self.state)?));
        let mut sorter = Sorter::default();
        let mut last = Lane::System;
        for entry in self.entries(txs)? {
            let Some(entry) = entry else { return Ok(Err("a transaction that no node would take")) };
            let lane = sorter.lane(&entry);
            if lane < last {
                return Ok(Err("lanes out of order"));
            }
            if !room.take(lane, &entry.tx) {
                return Ok(Err("more bytes or gas than a block, its bulk or a transaction may have"));
            }
            last = lane;
        }
        Ok(Ok(()))
    }

    /// Decodes in parallel; `None` where no honest node proposes it: that is a matter of the bytes alone.
    fn entries(&self, txs: &[Bytes]) -> Result<Vec<Option<Entry>>, Stop> {
        let entry = |bytes: &Bytes| {
            let Ok(tx) = self.parts.decode_to_keep(bytes) else { return Ok(None) };
            let kind = self.parts.kind_of(self.state, self.height, &tx)?;
            Ok(Some(Entry { tx, kind }))
        };
        txs.par_iter().map(entry).collect()
    }
}

impl Parts {
    /// What a transaction is by itself. A panic on what a user wrote must not stop every validator: it is bulk.
    pub(super) fn kind_of(&self, state: &dyn KvRead, height: u64, tx: &CheckedTx) -> Result<Kind> {
        let kind_of = self.definition.lanes.kind_of;
        catch_unwind(AssertUnwindSafe(|| kind_of(state, height, tx))).unwrap_or(Ok(Kind::Bulk))
    }

    /// An empty block of this space.
    pub(super) fn room(&self, block: Space) -> Room {
        Room::new(block, self.definition.lanes.bulk_percent)
    }
}

/// Keeps what an order demands: a transaction is in no lane before that of an earlier one of its signers, or their
/// sequences would not fit; and the first of a duty's name alone is served as one, or who fails at it could do so with
/// the whole block, again and again.
#[derive(Default)]
struct Sorter {
    signers: BTreeMap<Address, Lane>,
    duties: BTreeSet<Vec<u8>>,
}

impl Sorter {
    fn lane(&mut self, Entry { tx, kind }: &Entry) -> Lane {
        let own = match kind {
            Kind::Duty(name) if !self.duties.contains(name) => Lane::System,
            Kind::Duty(_) | Kind::Market => Lane::Market,
            Kind::Bulk => Lane::Bulk,
        };
        let last = tx.signers().iter().filter_map(|signer| self.signers.get(signer));
        let lane = last.fold(own, |lane, last| lane.max(*last));
        for signer in tx.signers() {
            self.signers.insert(signer.clone(), lane);
        }
        if let (Lane::System, Kind::Duty(name)) = (lane, kind) {
            self.duties.insert(name.clone());
        }
        lane
    }
}
