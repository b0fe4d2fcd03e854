//! A chain in a test: the engine driven by a consensus of one that never fails, over a store in memory.
//!
//! ```ignore
//! let mut chain = TestChain::new(definition(), app_state);
//! let results = chain.deliver([tx]);
//! assert_eq!(results[0].code, 0);
//! let balance: QueryBalanceResponse = chain.query("/cosmos.bank.v1beta1.Query/Balance", &request)?;
//! ```
#![expect(clippy::missing_panics_doc, reason = "a helper of tests panics where a test would")]

use bytes::Bytes;
use gantry_core::Status;
use gantry_store::Store;
use prost::Message;
use serde_json::Value;
use tendermint_proto::{
    google::protobuf::Timestamp,
    v0_38::{
        abci::{
            ExecTxResult, RequestCheckTx, RequestCommit, RequestFinalizeBlock, RequestInfo, RequestInitChain,
            RequestPrepareProposal, RequestProcessProposal, RequestQuery, ResponseCheckTx, ResponseFinalizeBlock,
            ResponseInfo, ResponseQuery, request::Value as Request, response::Value as Response,
        },
        types::{BlockParams, ConsensusParams},
    },
};

use crate::{Definition, Engine, Options, Queries, Stop, call};

/// Chain id of a [`TestChain`].
pub const CHAIN_ID: &str = "gantry-test-1";
/// Time of genesis, in Unix seconds.
pub const GENESIS_TIME: i64 = 1_767_225_600;
/// Gas of a block.
pub const MAX_GAS: i64 = 100_000_000;
/// Address of the one proposer.
pub const PROPOSER: [u8; 20] = [7; 20];

/// An engine with one block after another. Every block is a second after the one before.
#[derive(Clone, Debug)]
pub struct TestChain {
    queries: Queries,
    next: u64,
    time: i64,
    last: ResponseFinalizeBlock,
}

impl TestChain {
    /// A chain after InitChain, before its first block.
    #[must_use]
    pub fn new(definition: Definition, app_state: &Value) -> Self {
        let store = Store::temporary(&definition.stores()).expect("a store in memory opens");
        Self::on(store, definition, app_state)
    }

    /// The same on a given store: a chain that has blocks goes on where it was.
    #[must_use]
    pub fn on(store: Store, definition: Definition, app_state: &Value) -> Self {
        Self::with(store, definition, app_state, Options::default())
    }

    /// The same with an operator's options.
    #[must_use]
    pub fn with(store: Store, definition: Definition, app_state: &Value, options: Options) -> Self {
        let engine = Engine::new(definition, store, options).expect("the state can be read");
        let mut chain =
            Self { queries: Queries::new(engine, []), next: 1, time: 0, last: ResponseFinalizeBlock::default() };
        let height = u64::try_from(chain.info().last_block_height).expect("a height");
        chain.next = height + 1;
        chain.time = GENESIS_TIME + i64::try_from(height).expect("a height");
        if height == 0 {
            chain.init_chain(app_state);
        }
        chain
    }

    /// InitChain, again if a test wants.
    pub fn init_chain(&mut self, app_state: &Value) {
        self.call(Request::InitChain(init_chain(app_state))).expect("genesis is valid");
    }

    /// One block of these transactions; what each became. All invariants hold after it.
    pub fn deliver<T: Into<Bytes>>(&mut self, txs: impl IntoIterator<Item = T>) -> Vec<ExecTxResult> {
        self.finalize(txs);
        self.commit();
        self.queries.engine().check_invariants().expect("invariants hold");
        self.last.tx_results.clone()
    }

    /// One block as a proposer and a validator make it of a mempool: what was taken, and what each became.
    pub fn propose<T: Into<Bytes>>(&mut self, mempool: impl IntoIterator<Item = T>) -> (Vec<Bytes>, Vec<ExecTxResult>) {
        let txs = self.prepare(mempool, 1 << 20);
        assert!(self.process(txs.clone()), "what was prepared is accepted");
        let results = self.deliver(txs.clone());
        (txs, results)
    }

    /// Blocks without transactions.
    pub fn advance(&mut self, blocks: u64) {
        for _ in 0..blocks {
            self.deliver(Vec::<Bytes>::new());
        }
    }

    /// Moves the time of the next block ahead.
    pub fn skip_seconds(&mut self, seconds: i64) {
        self.time += seconds;
    }

    /// PrepareProposal.
    pub fn prepare<T: Into<Bytes>>(&self, mempool: impl IntoIterator<Item = T>, max_tx_bytes: i64) -> Vec<Bytes> {
        let request = RequestPrepareProposal {
            max_tx_bytes,
            txs: mempool.into_iter().map(Into::into).collect(),
            height: self.abci_height(),
            time: self.next_time(),
            proposer_address: PROPOSER.to_vec().into(),
            ..RequestPrepareProposal::default()
        };
        match self.call(Request::PrepareProposal(request)) {
            Ok(Response::PrepareProposal(response)) => response.txs,
            other => panic!("{other:?}"),
        }
    }

    /// ProcessProposal: whether the block is accepted.
    pub fn process<T: Into<Bytes>>(&self, txs: impl IntoIterator<Item = T>) -> bool {
        let request = RequestProcessProposal {
            txs: txs.into_iter().map(Into::into).collect(),
            hash: vec![1; 32].into(),
            height: self.abci_height(),
            time: self.next_time(),
            proposer_address: PROPOSER.to_vec().into(),
            ..RequestProcessProposal::default()
        };
        match self.call(Request::ProcessProposal(request)) {
            Ok(Response::ProcessProposal(response)) => response.status == 1,
            other => panic!("{other:?}"),
        }
    }

    /// FinalizeBlock, without Commit.
    pub fn finalize<T: Into<Bytes>>(&mut self, txs: impl IntoIterator<Item = T>) -> ResponseFinalizeBlock {
        let request = RequestFinalizeBlock {
            txs: txs.into_iter().map(Into::into).collect(),
            hash: vec![1; 32].into(),
            height: self.abci_height(),
            time: self.next_time(),
            proposer_address: PROPOSER.to_vec().into(),
            ..RequestFinalizeBlock::default()
        };
        match self.call(Request::FinalizeBlock(request)) {
            Ok(Response::FinalizeBlock(response)) => self.last = response,
            other => panic!("{other:?}"),
        }
        self.last.clone()
    }

    /// Commit of what was finalized.
    pub fn commit(&mut self) {
        self.call(Request::Commit(RequestCommit {})).expect("the block is committed");
        self.next += 1;
        self.time += 1;
    }

    /// CheckTx of a new transaction.
    pub fn check(&self, tx: impl Into<Bytes>) -> ResponseCheckTx {
        self.check_as(tx, 0)
    }

    /// CheckTx of one that was checked before a block.
    pub fn recheck(&self, tx: impl Into<Bytes>) -> ResponseCheckTx {
        self.check_as(tx, 1)
    }

    fn check_as(&self, tx: impl Into<Bytes>, kind: i32) -> ResponseCheckTx {
        match self.call(Request::CheckTx(RequestCheckTx { tx: tx.into(), r#type: kind })) {
            Ok(Response::CheckTx(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    /// A typed query of the latest state.
    ///
    /// # Errors
    /// The handler's status.
    pub fn query<R: Message + Default>(&self, path: &str, request: &impl Message) -> Result<R, Status> {
        let (_, bytes) = self.queries.answer(path, 0, &request.encode_to_vec())?;
        Ok(R::decode(bytes.as_slice()).expect("the answer is what was asked for"))
    }

    /// A query as CometBFT passes it on.
    pub fn abci_query(&self, path: &str, data: impl Into<Bytes>, height: i64, prove: bool) -> ResponseQuery {
        let request = RequestQuery { data: data.into(), path: path.to_owned(), height, prove };
        match self.call(Request::Query(request)) {
            Ok(Response::Query(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    /// Info.
    pub fn info(&self) -> ResponseInfo {
        match self.call(Request::Info(RequestInfo::default())) {
            Ok(Response::Info(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    /// Any method.
    ///
    /// # Errors
    /// When a node would have to stop.
    pub fn call(&self, request: Request) -> Result<Response, Stop> {
        call(&self.queries, request)
    }

    /// What FinalizeBlock said last.
    #[must_use]
    pub fn last(&self) -> &ResponseFinalizeBlock {
        &self.last
    }

    /// The last committed height.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.next - 1
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        self.queries.engine()
    }

    /// The queries.
    #[must_use]
    pub fn queries(&self) -> &Queries {
        &self.queries
    }

    fn abci_height(&self) -> i64 {
        i64::try_from(self.next).expect("a height")
    }

    fn next_time(&self) -> Option<Timestamp> {
        Some(Timestamp { seconds: self.time + 1, nanos: 0 })
    }
}

/// The InitChain of a [`TestChain`].
#[must_use]
pub fn init_chain(app_state: &Value) -> RequestInitChain {
    RequestInitChain {
        time: Some(Timestamp { seconds: GENESIS_TIME, nanos: 0 }),
        chain_id: CHAIN_ID.to_owned(),
        consensus_params: Some(ConsensusParams {
            block: Some(BlockParams { max_bytes: 4 << 20, max_gas: MAX_GAS }),
            ..ConsensusParams::default()
        }),
        validators: Vec::new(),
        app_state_bytes: app_state.to_string().into(),
        initial_height: 1,
    }
}
