//! Transactions: the one place where the engine meets [`gantry_tx`].

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;
use gantry_core::{Coins, Error, ExecMode, Result, sdk};
use gantry_store::{Overlay, Snapshot};
use gantry_tx::{BlockGas, CheckedTx, Lend, Limits, Runtime, TxResult, run, simulate};
use rayon::prelude::*;
use tendermint_proto::v0_38::abci::ExecTxResult;

use super::{CheckState, Consensus, Engine, Genesis, Parts, chain, inputs::BlockInputs, lanes::Rules, next_block};
use crate::{queries::Simulation, stop::Stop};

/// Runs the transactions of a block in order. Gives one result for each, whatever its bytes, and the fees taken.
pub(super) fn run_block(
    parts: &Parts,
    state: &mut Overlay<Snapshot>,
    inputs: &BlockInputs,
) -> Result<(Vec<ExecTxResult>, Coins), Stop> {
    let txs = parts.decode_all(&inputs.txs);
    let runtime = parts.runtime();
    let mut gas = BlockGas::new(chain::max_gas(&chain::params(state)?));
    txs.par_iter().flatten().for_each(|tx| {
        runtime.verify_ahead(tx, &*state, &inputs.block, ExecMode::Finalize, &gas);
    });

    let mut fees = Coins::new();
    let mut results = Vec::with_capacity(txs.len());
    for tx in &txs {
        let result = run(&runtime, tx, state, &inputs.block, ExecMode::Finalize, &mut gas)?;
        result.add_fee_to(&mut fees)?;
        results.push(result.into_abci());
    }
    Ok((results, fees))
}

impl Parts {
    /// Decodes a transaction. A panic, as in a message's own check, is that transaction's failure: otherwise one of them
    /// could halt every validator at every replay.
    fn decode(&self, bytes: &[u8]) -> Result<Arc<CheckedTx>> {
        catch_unwind(AssertUnwindSafe(|| self.txs.decode(bytes, &Limits::default(), &self.messages)))
            .unwrap_or_else(|_| Err(sdk::panic()))
    }

    /// Decodes the transactions of a proposal or a block in parallel, and remembers them for what follows.
    fn decode_all(&self, txs: &[Bytes]) -> Vec<Result<Arc<CheckedTx>>> {
        txs.par_iter().map(|bytes| self.decode_to_keep(bytes)).collect()
    }

    /// Decodes a transaction that will come again.
    pub(super) fn decode_to_keep(&self, bytes: &[u8]) -> Result<Arc<CheckedTx>> {
        self.decode(bytes).inspect(|tx| self.txs.keep(tx))
    }

    fn runtime(&self) -> Runtime<'_> {
        Runtime {
            router: &self.messages,
            state: self.definition.ante.as_ref(),
            min_gas_prices: &self.options.min_gas_prices,
        }
    }
}

impl CheckState {
    /// The ante, for a transaction that a block could hold and that there is room for; then it waits here, too.
    fn run(&mut self, parts: &Parts, tx: Result<&Arc<CheckedTx>, &Error>, mode: ExecMode) -> Result<TxResult, Stop> {
        let Self { state, block, max_gas, backlog, .. } = self;
        let mut kind = None;
        let tx = tx.map_err(Error::clone).and_then(|tx| {
            let new = parts.kind_of(state, block.height, tx)?;
            backlog.require_size(tx)?;
            if mode == ExecMode::Check {
                backlog.admit(&new, tx)?;
            }
            kind = Some(new);
            Ok(tx.as_ref())
        });
        let result = run(&parts.runtime(), &tx, state, block, mode, &mut BlockGas::new(*max_gas))?;
        if let (Ok(tx), Some(kind), true) = (tx, kind, result.is_ok()) {
            backlog.add(kind, tx);
        }
        Ok(result)
    }
}

impl Engine {
    /// CheckTx: the ante on the check state.
    pub(crate) fn check_transaction(&self, tx: &[u8], mode: ExecMode) -> Result<TxResult, Stop> {
        let parts = self.parts();
        let tx = parts.decode(tx);
        if let (Ok(tx), ExecMode::Check) = (&tx, mode) {
            self.verify_ahead(tx);
        }
        let result = self.check().run(parts, tx.as_ref(), mode)?;
        if let (Ok(tx), true) = (&tx, result.is_ok()) {
            parts.txs.keep(tx);
        }
        Ok(result)
    }

    /// Decodes transactions that CheckTx will be asked about next and verifies their signatures, in parallel.
    pub(crate) fn check_ahead(&self, txs: Vec<&Bytes>) {
        if txs.len() > 1 {
            let decoded = txs.into_par_iter().filter_map(|bytes| self.parts().decode(bytes).ok());
            self.parts().txs.expect(decoded.inspect(|tx| self.verify_ahead(tx)).collect());
        }
    }

    /// Asks the curve outside of every lock, with the accounts of the last committed state.
    fn verify_ahead(&self, tx: &CheckedTx) {
        let latest = self.latest();
        let gas = BlockGas::new(latest.space.gas);
        self.parts().runtime().verify_ahead(tx, &latest.state, &latest.block, ExecMode::Check, &gas);
    }

    /// Runs a transaction whose ante sees what the mempool holds; keeps nothing.
    ///
    /// # Errors
    /// A broken state. What the transaction does wrong is in the result.
    pub fn simulate(&self, tx: &[u8]) -> Result<Simulation> {
        let parts = self.parts();
        let tx = parts.decode(tx);
        let check = self.check();
        let committed = check.committed();
        // The ante alone holds the lock that CheckTx and Commit need: messages may take long.
        let mempool = move |lend: Lend<'_>| lend(&check.state, &check.block, &BlockGas::new(check.max_gas));
        simulate(&parts.runtime(), &tx, mempool, committed).map(Simulation::new).map_err(Error::Fatal)
    }

    /// Hands out the rules for a proposal of the height being decided.
    pub(crate) fn with_rules<T>(&self, consensus: &Consensus, height: u64, judge: impl FnOnce(&Rules<'_>) -> T) -> T {
        let mut state = Overlay::new(self.latest().state.clone());
        if let Some(genesis) = &consensus.genesis {
            state.apply(genesis.changes.clone());
        }
        judge(&Rules { parts: self.parts(), state: &state, height })
    }

    /// Starts the check state over what InitChain wrote, because the mempool opens before the first block.
    pub(crate) fn check_from(&self, genesis: &Genesis) {
        let base = self.latest().state.clone();
        let next = next_block(&genesis.block, super::EMPTY_APP_HASH);
        *self.check() = CheckState::new(base, Some(genesis.changes.clone()), next, self.parts().room(genesis.space));
    }
}
