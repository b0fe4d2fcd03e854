//! The engine: a store, modules and transactions under ABCI's calls.
//!
//! Three parts with a lock each, so that no connection waits for another: consensus (phases, candidates), the check state
//! of the mempool, and the last committed state that queries read. Locks are taken in that order, and the snapshot that the
//! node is joining with before all of them.

mod backlog;
mod block;
mod candidates;
pub(crate) mod chain;
mod check;
mod definition;
mod export;
mod inputs;
mod lanes;
mod room;
mod sync;
mod txs;

use std::sync::Arc;

use bytes::Bytes;
use gantry_core::{BlockInfo, Error, Invariant, Module, MsgRouter, QueryRoute, sdk};
use gantry_store::{Changes, ProofOp, Snapshot, Store, StoreError, StoreName};
use gantry_tx::{MinGasPrices, TxCache};
use parking_lot::{Mutex, RwLock};
use tendermint_proto::{
    google::protobuf::Timestamp,
    v0_38::abci::{CommitInfo, Misbehavior},
};

pub use definition::{Definition, Order};
pub use export::Exported;
pub(crate) use inputs::without_extensions;
pub use lanes::{Kind, Lanes};
pub use sync::SnapshotOptions;

pub(crate) use self::{block::Executed, candidates::Candidates, check::CheckState, inputs::BlockInputs, room::Space};
use crate::{
    phase::Phase,
    stop::{Halt, Stop},
};
pub(crate) use sync::{Applied, Offer, to_abci};

/// What an operator may set; none of it enters consensus.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Prices under which CheckTx refuses a transaction; any one of them is enough.
    pub min_gas_prices: MinGasPrices,
    /// The last height that is executed; 0 is none.
    pub halt_height: u64,
    /// State-sync snapshots; without them the node has none and joins with none.
    pub snapshots: Option<SnapshotOptions>,
    /// Blocks that CometBFT keeps at least; 0 is all.
    pub min_retain_blocks: u64,
}

/// The application behind ABCI. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    parts: Arc<Parts>,
    consensus: Mutex<Consensus>,
    check: Mutex<CheckState>,
    latest: RwLock<Arc<View>>,
    sync: Option<sync::StateSync>,
}

/// What never changes while the node runs.
pub(crate) struct Parts {
    pub(crate) definition: Definition,
    pub(crate) messages: MsgRouter,
    pub(crate) store: Store,
    pub(crate) txs: TxCache,
    pub(crate) options: Options,
    init_genesis: Vec<usize>,
    begin_block: Vec<usize>,
    end_block: Vec<usize>,
    invariants: Vec<Invariant>,
}

/// The state of the height being decided.
pub(crate) struct Consensus {
    pub(crate) phase: Phase,
    pub(crate) genesis: Option<Genesis>,
    pub(crate) candidates: Candidates,
    pub(crate) executed: Option<Executed>,
}

/// What InitChain left for the first block.
pub(crate) struct Genesis {
    pub(crate) changes: Changes,
    /// As the block before the first.
    pub(crate) block: BlockInfo,
    pub(crate) space: Space,
}

/// A committed state and the block that made it.
#[derive(Clone, Debug)]
pub struct View {
    /// The state.
    pub state: Snapshot,
    /// The block that made it; height 0 and no chain id before the first commit.
    pub block: BlockInfo,
    /// The app hash of this state: what the next block's header carries.
    pub app_hash: [u8; 32],
    /// What the next block may hold.
    pub(crate) space: Space,
}

/// A value and what proves it.
type Proven = (Option<Vec<u8>>, Vec<ProofOp>);

/// SHA-256 of nothing: the app hash before the first block, as in the SDK.
pub const EMPTY_APP_HASH: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

impl Engine {
    /// An engine over an open store, at the height that was last committed.
    ///
    /// # Errors
    /// When the state or the folder of snapshots cannot be read.
    ///
    /// # Panics
    /// When the definition's wiring is wrong: a list of a phase that does not name each module once, or two handlers
    /// for one message.
    pub fn new(definition: Definition, store: Store, options: Options) -> Result<Self, Stop> {
        let order = definition.order;
        let joined = store.height() > 0;
        let sync = options.snapshots.as_ref().map(|options| sync::StateSync::open(options, joined)).transpose();
        let sync = sync.map_err(|error| Stop::fatal(error.to_string()))?;
        let parts = Arc::new(Parts {
            init_genesis: definition.positions("init_genesis", order.init_genesis),
            begin_block: definition.positions("begin_block", order.begin_block),
            end_block: definition.positions("end_block", order.end_block),
            messages: MsgRouter::new(
                definition
                    .modules
                    .iter()
                    .flat_map(|m| m.messages())
                    .chain(definition.messages.iter().map(|route| route())),
            ),
            invariants: definition.modules.iter().flat_map(|m| m.invariants()).collect(),
            txs: TxCache::default(),
            options,
            definition,
            store,
        });
        let view = Arc::new(parts.latest_view()?);
        let next = next_block(&view.block, view.app_hash);
        let check = CheckState::new(view.state.clone(), None, next, parts.room(view.space));
        Ok(Self(Arc::new(Inner {
            consensus: Mutex::new(Consensus {
                phase: Phase::at_start(view.block.height),
                genesis: None,
                candidates: Candidates::default(),
                executed: None,
            }),
            check: Mutex::new(check),
            latest: RwLock::new(view),
            sync,
            parts,
        })))
    }

    /// The definition it runs.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.0.parts.definition
    }

    /// The query routes of all modules.
    #[must_use]
    pub fn module_queries(&self) -> Vec<QueryRoute> {
        self.definition().modules.iter().flat_map(|m| m.queries()).collect()
    }

    /// The routes of all messages.
    #[must_use]
    pub fn messages(&self) -> &MsgRouter {
        &self.0.parts.messages
    }

    /// What the operator set.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.0.parts.options
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.parts.store
    }

    /// The last committed state.
    #[must_use]
    pub fn latest(&self) -> Arc<View> {
        Arc::clone(&self.0.latest.read())
    }

    /// The state at a height; 0 is the latest.
    ///
    /// # Errors
    /// sdk/26 for a height to come or before the first block, sdk/18 for one that was pruned.
    pub fn view(&self, height: u64) -> Result<Arc<View>, Error> {
        let latest = self.latest();
        let last = latest.block.height;
        match self.committed(height, last)? {
            height if height == last => Ok(latest),
            height => self.0.parts.past_view(height, last).map(Arc::new),
        }
    }

    /// The value of a row at a height, 0 being the latest, with the proof of it or of its absence; and the height. The window
    /// of proofs is its own: a state that cannot be read any more may be proven.
    ///
    /// # Errors
    /// As [`Engine::view`]; sdk/18 for the first height, and sdk/6 where there was no such store yet.
    pub(crate) fn prove(&self, height: u64, store: StoreName, key: &[u8]) -> Result<(u64, Proven), Error> {
        let last = self.latest().block.height;
        let height = self.committed(height, last)?;
        if height == 1 {
            return Err(sdk::invalid_request(
                "cannot query with proof when height <= 1; please provide a valid height",
            ));
        }
        match self.store().prove(height, store.as_str(), key) {
            Ok(proven) => Ok((height, proven)),
            Err(error @ StoreError::UnknownStore(_)) => {
                Err(sdk::unknown_request(format!("{error} at height {height}")))
            }
            Err(error) => Err(past_error(error, height, last)),
        }
    }

    /// A height up to the `last`; 0 is that.
    fn committed(&self, height: u64, last: u64) -> Result<u64, Error> {
        if last == 0 {
            let name = self.definition().name;
            return Err(sdk::invalid_height(format!("{name} is not ready; please wait for first block")));
        }
        if height > last {
            return Err(sdk::invalid_height(format!(
                "cannot query with height in the future; please provide a valid height: {height} > {last}"
            )));
        }
        Ok(if height == 0 { last } else { height })
    }

    /// Forgets what was executed ahead of a decision. For the supervisor, when CometBFT has gone.
    pub fn drop_candidates(&self) {
        self.0.consensus.lock().candidates.clear();
    }

    /// Every invariant of every module, also those that are too slow for each block, on the last committed state.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn check_invariants(&self) -> Result<(), Error> {
        let latest = self.latest();
        for invariant in &self.0.parts.invariants {
            (invariant.check)(&latest.state).map_err(|error| error.context(invariant.name))?;
        }
        Ok(())
    }

    pub(crate) fn parts(&self) -> &Arc<Parts> {
        &self.0.parts
    }

    pub(crate) fn consensus(&self) -> parking_lot::MutexGuard<'_, Consensus> {
        self.0.consensus.lock()
    }

    pub(crate) fn check(&self) -> parking_lot::MutexGuard<'_, CheckState> {
        self.0.check.lock()
    }

    /// Makes a state the latest, for queries and for the mempool.
    pub(crate) fn publish(&self, view: View) {
        let next = next_block(&view.block, view.app_hash);
        let check = CheckState::new(view.state.clone(), None, next, self.parts().room(view.space));
        *self.0.check.lock() = check;
        *self.0.latest.write() = Arc::new(view);
    }

    /// Starts to execute a proposal.
    pub(crate) fn speculate(&self, consensus: &mut Consensus, inputs: BlockInputs) {
        let parts = Arc::clone(&self.0.parts);
        let base = self.latest().state.clone();
        let genesis = consensus.genesis.as_ref().map(|genesis| genesis.changes.clone());
        consensus.candidates.start(inputs.key(), move || block::execute(&parts, base, genesis, &inputs));
    }

    /// Executes a block here and now, or takes the result that a proposal left.
    pub(crate) fn executed(&self, consensus: &mut Consensus, inputs: &BlockInputs) -> Result<Executed, Stop> {
        if let Some(result) = consensus.candidates.take(inputs.key()) {
            return result;
        }
        let genesis = consensus.genesis.as_ref().map(|genesis| genesis.changes.clone());
        block::execute(&self.0.parts, self.latest().state.clone(), genesis, inputs)
    }

    /// The inputs of the block being decided: what the request says, after the last committed block or genesis.
    pub(crate) fn inputs(
        &self,
        consensus: &Consensus,
        time: Option<Timestamp>,
        proposer: &[u8],
        txs: Vec<Bytes>,
        last_commit: CommitInfo,
        misbehavior: Vec<Misbehavior>,
    ) -> BlockInputs {
        let next = match &consensus.genesis {
            Some(genesis) => next_block(&genesis.block, EMPTY_APP_HASH),
            None => {
                let latest = self.latest();
                next_block(&latest.block, latest.app_hash)
            }
        };
        let block = BlockInfo { time: chain::time(time), proposer: proposer.to_vec(), ..next };
        BlockInputs { block, txs, last_commit, misbehavior }
    }

    /// Refuses to go past the configured last height.
    pub(crate) fn halted(&self, height: u64) -> Result<(), Stop> {
        match self.0.parts.options.halt_height {
            0 => Ok(()),
            halt if height <= halt => Ok(()),
            halt => Err(Stop::Planned(Halt::AtHeight(halt))),
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("definition", self.definition()).finish_non_exhaustive()
    }
}

/// The block after `last`, for checks: its time is not known yet.
pub(crate) fn next_block(last: &BlockInfo, app_hash: [u8; 32]) -> BlockInfo {
    BlockInfo {
        chain_id: last.chain_id.clone(),
        height: last.height + 1,
        time: last.time,
        proposer: Vec::new(),
        previous_app_hash: app_hash,
    }
}

impl Parts {
    pub(crate) fn init_genesis(&self) -> impl Iterator<Item = &dyn Module> {
        self.in_order(&self.init_genesis)
    }

    pub(crate) fn begin_block(&self) -> impl Iterator<Item = &dyn Module> {
        self.in_order(&self.begin_block)
    }

    pub(crate) fn end_block(&self) -> impl Iterator<Item = &dyn Module> {
        self.in_order(&self.end_block)
    }

    pub(crate) fn invariants(&self) -> &[Invariant] {
        &self.invariants
    }

    fn in_order<'a>(&'a self, order: &'a [usize]) -> impl Iterator<Item = &'a dyn Module> {
        order.iter().map(|at| self.definition.modules[*at].as_ref())
    }

    /// The last committed state, with what the store remembers of its block.
    pub(crate) fn latest_view(&self) -> Result<View, Stop> {
        let state = self.store.snapshot();
        let block = chain::block(&state)?.unwrap_or_default();
        if block.height != self.store.height() {
            return Err(Stop::fatal(format!(
                "the store is at height {} and says that block {} made it",
                self.store.height(),
                block.height
            )));
        }
        let space = Space::of_block(&chain::params(&state)?);
        Ok(View { state, block, app_hash: self.store.app_hash(), space })
    }

    /// A committed state before the last one.
    fn past_view(&self, height: u64, last: u64) -> Result<View, Error> {
        let read = || -> Result<View, StoreError> {
            let state = self.store.snapshot_at(height)?;
            let block = chain::block(&state)?.unwrap_or_default();
            let space = Space::of_block(&chain::params(&state)?);
            // What the block after it carries.
            let next = self.store.snapshot_at(height + 1)?;
            let app_hash = chain::block(&next)?.unwrap_or_default().previous_app_hash;
            Ok(View { state, block, app_hash, space })
        };
        read().map_err(|error| past_error(error, height, last))
    }
}

/// What is said of a height that is not kept.
fn past_error(error: StoreError, height: u64, last: u64) -> Error {
    match error {
        StoreError::HeightUnavailable { .. } => {
            sdk::invalid_request(format!("failed to load state at height {height}; {error} (latest height: {last})"))
        }
        other => other.into(),
    }
}
