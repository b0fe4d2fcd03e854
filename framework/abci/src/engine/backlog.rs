//! What waits in the mempool. CometBFT hands out transactions in the order in which they came, a block's worth at a time, so
//! what must be served soon may not have much before it: one who comes with bulk to a full mempool is sent away earlier
//! than one who comes to the market, and one with a duty is never.

use std::collections::BTreeSet;

use gantry_core::{Error, Result, sdk};
use gantry_tx::CheckedTx;

use super::{
    lanes::Kind,
    room::{Lane, Room},
};

/// Blocks' worth of transactions that may wait; bulk has its part of each.
const BLOCKS: u64 = 5;

/// Transactions that may wait when bulk comes, and when the market comes: fewer than the places of CometBFT's mempool
/// (`mempool.size` of `init`, 50,000), which a flood of small ones fills before it is a block's worth of gas.
const BULK_TXS: u64 = 45_000;
const MARKET_TXS: u64 = 47_500;

/// Counts what this node's mempool holds; an operator's matter, as are minimum prices.
#[derive(Debug)]
pub(crate) struct Backlog {
    block: Room,
    left: Room,
    txs: u64,
    duties: BTreeSet<Vec<u8>>,
}

impl Backlog {
    /// Nothing waits; `block` is an empty block.
    pub(crate) fn new(block: Room) -> Self {
        Self { block, left: block.times(BLOCKS), txs: 0, duties: BTreeSet::new() }
    }

    /// Refuses a newcomer that no block could hold, and one for which there is no room: sdk/20.
    pub(crate) fn admit(&self, kind: &Kind, tx: &CheckedTx) -> Result<()> {
        let lane = self.lane(kind);
        let most = match lane {
            Lane::System => return Ok(()),
            Lane::Market => MARKET_TXS,
            Lane::Bulk => BULK_TXS,
        };
        // Gas that no transaction may have is for the ante to refuse.
        let fits = self.left.holds(lane, tx) || !self.block.holds(lane, tx);
        if self.txs >= most || !fits {
            return Err(Error::user(sdk::CODESPACE, 20, "mempool is full: too much waits for the next blocks"));
        }
        Ok(())
    }

    /// Refuses what no block could hold.
    pub(crate) fn require_size(&self, tx: &CheckedTx) -> Result<()> {
        self.block.require_size(tx)
    }

    /// Counts one that waits.
    pub(crate) fn add(&mut self, kind: Kind, tx: &CheckedTx) {
        self.left.subtract(self.lane(&kind), tx);
        self.txs = self.txs.saturating_add(1);
        if let Kind::Duty(name) = kind {
            self.duties.insert(name);
        }
    }

    fn lane(&self, kind: &Kind) -> Lane {
        match kind {
            Kind::Duty(name) if !self.duties.contains(name) => Lane::System,
            Kind::Duty(_) | Kind::Market => Lane::Market,
            Kind::Bulk => Lane::Bulk,
        }
    }
}

#[cfg(test)]
mod tests {
    use cosmos_sdk_proto::Any;
    use cosmos_sdk_proto::cosmos::{
        bank::v1beta1::{MsgSend, MsgSendResponse},
        tx::v1beta1::{AuthInfo, Fee, SignerInfo, TxBody, TxRaw},
    };
    use gantry_core::{Address, Handler, MsgRoute, MsgRouter, TxCtx};
    use gantry_tx::Limits;
    use prost::Message;

    use super::*;
    use crate::engine::room::Space;

    struct Send;

    impl Handler for Send {
        type Msg = MsgSend;
        type Response = MsgSendResponse;
        fn signers(_: &MsgSend) -> Result<Vec<Address>> {
            Ok(vec![Address::module("somebody")])
        }
        fn execute(_: &mut TxCtx<'_>, _: &MsgSend) -> Result<MsgSendResponse> {
            Ok(MsgSendResponse {})
        }
    }

    fn tx() -> CheckedTx {
        let body = TxBody { messages: vec![Any::from_msg(&MsgSend::default()).unwrap()], ..TxBody::default() };
        let fee = Some(Fee { gas_limit: 1, ..Fee::default() });
        let auth_info = AuthInfo { signer_infos: vec![SignerInfo::default()], fee, ..AuthInfo::default() };
        let raw = TxRaw {
            body_bytes: body.encode_to_vec(),
            auth_info_bytes: auth_info.encode_to_vec(),
            signatures: vec![vec![]],
        };
        let router = MsgRouter::new([MsgRoute::of::<Send>("bank")]);
        gantry_tx::decode(&raw.encode_to_vec(), &Limits::default(), &router).unwrap()
    }

    #[test]
    fn small_ones_leave_places_free() {
        let tx = tx();
        // The benchmark's limits: none on gas.
        let mut backlog = Backlog::new(Room::new(Space { bytes: 21 << 20, gas: None }, 80));
        let mut waits = |kind: Kind| {
            let mut count = 0;
            while count < 100_000 && backlog.admit(&kind, &tx).is_ok() {
                backlog.add(kind.clone(), &tx);
                count += 1;
            }
            count
        };
        assert_eq!(waits(Kind::Bulk), 45_000);
        assert_eq!(waits(Kind::Market), 2_500);
        assert_eq!(waits(Kind::Duty(vec![1])), 1, "the next one is the market's");
        assert_eq!(waits(Kind::Duty(vec![2])), 1);
    }
}
