//! The mempool's view: the committed state plus what the transactions in the mempool would do to accounts.

use gantry_core::BlockInfo;
use gantry_store::{Changes, Overlay, Snapshot};

use super::{backlog::Backlog, room::Room};

/// The check state. Each CheckTx that passes leaves its fee and sequence here; Commit starts it anew.
#[derive(Debug)]
pub(crate) struct CheckState {
    pub(crate) state: Overlay<Snapshot>,
    /// What InitChain wrote, until the first commit.
    genesis: Option<Changes>,
    /// The block that would come next, with the time of the last one.
    pub(crate) block: BlockInfo,
    /// Gas of a block.
    pub(crate) max_gas: Option<u64>,
    /// What waits.
    pub(crate) backlog: Backlog,
}

impl CheckState {
    /// The state after `last`, with `genesis` on it while nothing is committed; `room` is that of an empty block.
    pub(crate) fn new(base: Snapshot, genesis: Option<Changes>, next: BlockInfo, room: Room) -> Self {
        let (max_gas, backlog) = (room.all.gas, Backlog::new(room));
        let mut check = Self { state: Overlay::new(base), genesis, block: next, max_gas, backlog };
        check.state = check.committed();
        check
    }

    /// The state without what waits.
    pub(crate) fn committed(&self) -> Overlay<Snapshot> {
        let mut state = Overlay::new(self.state.base().clone());
        if let Some(genesis) = &self.genesis {
            state.apply(genesis.clone());
        }
        state
    }
}
