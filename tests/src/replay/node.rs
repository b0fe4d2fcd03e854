use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use gantry_abci::{Engine, Options, Queries, call};

use gantry_store::{KvRead, Store, StoreOptions};
use tendermint_proto::v0_38::abci::{
    RequestCommit, RequestFinalizeBlock, RequestInitChain, RequestPrepareProposal, RequestProcessProposal,
    ResponseFinalizeBlock, request::Value as Request, response::Value as Response,
};

use super::{Outcome, Recording};

/// How a decided block comes to the application. None of it may matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// FinalizeBlock out of the blue, as in block sync and in replays.
    Decided,
    /// We propose it: PrepareProposal, ProcessProposal, FinalizeBlock.
    Proposed,
    /// Another proposes it: ProcessProposal, FinalizeBlock.
    Judged,
    /// Rounds with other proposals fail before it, ours among them.
    Rounds,
    /// FinalizeBlock twice, because CometBFT came back without its answer.
    Again,
    /// Another of these each height.
    Mixed,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Decided, Self::Proposed, Self::Judged, Self::Rounds, Self::Again, Self::Mixed];

    /// The way with this name, in lower case.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|way| way.name() == name);
        found.with_context(|| format!("{name} is none of {:?}", Self::ALL.map(|way| way.name())))
    }

    /// Its name, in lower case.
    #[must_use]
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    fn at(self, height: i64) -> Self {
        const OTHERS: i64 = Way::ALL.len() as i64 - 1;
        match self {
            Self::Mixed => Self::ALL[usize::try_from(height % OTHERS).unwrap_or_default()],
            way => way,
        }
    }
}

/// The application of a node, without CometBFT.
#[derive(Debug)]
pub struct Node {
    queries: Queries,
}

/// Small windows and frequent saves, so that everything of the store happens within a short chain.
fn small() -> StoreOptions {
    StoreOptions {
        keep_recent: 10,
        proof_window: 12,
        tree_interval: 7,
        cache_bytes: 4 << 20,
        ..StoreOptions::default()
    }
}

impl Node {
    /// A node with its state in a folder.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        Self::on(Store::open(path, &gantryd::modules::definition().stores(), small())?)
    }

    /// A node with its state in memory.
    ///
    /// # Errors
    /// Never so far.
    pub fn temporary() -> Result<Self> {
        Self::on(Store::temporary(&gantryd::modules::definition().stores())?)
    }

    fn on(store: Store) -> Result<Self> {
        let engine = Engine::new(gantryd::modules::definition(), store, Options::default())?;
        Ok(Self { queries: Queries::new(engine, []) })
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        self.queries.engine()
    }

    /// The last committed state.
    #[must_use]
    pub fn state(&self) -> impl KvRead + use<> {
        self.engine().latest().state.clone()
    }

    /// The last committed height and its app hash.
    #[must_use]
    pub fn tip(&self) -> (i64, Vec<u8>) {
        let latest = self.engine().latest();
        (i64::try_from(latest.block.height).unwrap_or(i64::MAX), latest.app_hash.to_vec())
    }

    /// Plays what of a recording is not committed yet, as CometBFT's handshake does. Calls `done` after each block;
    /// stops when it says so.
    ///
    /// # Errors
    /// When the application refuses a call.
    pub fn play(
        &self,
        recording: &Recording,
        way: Way,
        mut done: impl FnMut(&RequestFinalizeBlock, Outcome) -> bool,
    ) -> Result<()> {
        let (tip, _) = self.tip();
        if tip == 0 {
            self.start(&recording.genesis)?;
        }
        for block in recording.blocks.iter().filter(|block| block.height > tip) {
            let answer = self.finalize(block, way)?;
            self.commit()?;
            if !done(block, Outcome::of(block, &answer)) {
                break;
            }
        }
        Ok(())
    }

    /// InitChain.
    ///
    /// # Errors
    /// When genesis is refused.
    pub fn start(&self, genesis: &RequestInitChain) -> Result<()> {
        self.call(Request::InitChain(genesis.clone())).map(drop)
    }

    /// A decided block up to its answer.
    ///
    /// # Errors
    /// When the application refuses a call.
    pub fn finalize(&self, block: &RequestFinalizeBlock, way: Way) -> Result<ResponseFinalizeBlock> {
        match way.at(block.height) {
            Way::Decided | Way::Mixed => {}
            Way::Proposed => {
                self.prepare(block, block.time)?;
                self.process(block, block.time)?;
            }
            Way::Judged => self.process(block, block.time)?,
            Way::Rounds => {
                let mut other = block.clone();
                other.txs.pop();
                self.process(&other, block.time)?;
                other.txs = block.txs.iter().rev().cloned().collect();
                self.process(&other, block.time)?;
                self.prepare(block, block.time)?;
                // Another time makes another block of the same transactions.
                let later = block
                    .time
                    .map(|time| tendermint_proto::google::protobuf::Timestamp { seconds: time.seconds + 1, ..time });
                self.process(block, later)?;
                self.process(block, block.time)?;
            }
            Way::Again => {
                self.call(Request::FinalizeBlock(block.clone()))?;
            }
        }
        match self.call(Request::FinalizeBlock(block.clone()))? {
            Response::FinalizeBlock(answer) => Ok(answer),
            other => bail!("{other:?}"),
        }
    }

    /// Commit.
    ///
    /// # Errors
    /// When the application refuses it.
    pub fn commit(&self) -> Result<()> {
        self.call(Request::Commit(RequestCommit {})).map(drop)
    }

    fn prepare(&self, block: &RequestFinalizeBlock, time: Time) -> Result<()> {
        let request = RequestPrepareProposal {
            max_tx_bytes: 1 << 20,
            txs: block.txs.clone(),
            height: block.height,
            time,
            proposer_address: block.proposer_address.clone(),
            ..RequestPrepareProposal::default()
        };
        self.call(Request::PrepareProposal(request)).map(drop)
    }

    /// The verdict does not matter here: no honest node proposes some of the blocks that are played.
    fn process(&self, block: &RequestFinalizeBlock, time: Time) -> Result<()> {
        let request = RequestProcessProposal {
            txs: block.txs.clone(),
            proposed_last_commit: block.decided_last_commit.clone(),
            misbehavior: block.misbehavior.clone(),
            hash: block.hash.clone(),
            height: block.height,
            time,
            next_validators_hash: block.next_validators_hash.clone(),
            proposer_address: block.proposer_address.clone(),
        };
        self.call(Request::ProcessProposal(request)).map(drop)
    }

    fn call(&self, request: Request) -> Result<Response> {
        call(&self.queries, request).map_err(|stop| anyhow!("the node would stop: {stop}"))
    }
}

type Time = Option<tendermint_proto::google::protobuf::Timestamp>;
