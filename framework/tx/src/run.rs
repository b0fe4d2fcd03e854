//! Runs a transaction: a result for all bytes, whatever they do.

use std::{
    borrow::Borrow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use cosmos_sdk_proto::cosmos::base::abci::v1beta1::TxMsgData;
use gantry_core::{BlockInfo, DynMsg, Error, Event, ExecMode, Fatal, GasMeter, MsgRouter, Result, TxCtx, attr, sdk};
use gantry_store::{Changes, KvRead, Overlay};
use prost::Message;

use crate::{
    ante::{ANTE, AnteInput},
    checked::CheckedTx,
    price::MinGasPrices,
    result::TxResult,
    state::AnteState,
};

/// What transactions run with.
#[derive(Clone, Copy)]
pub struct Runtime<'a> {
    /// Handlers of all messages.
    pub router: &'a MsgRouter,
    /// Accounts and fees.
    pub state: &'a dyn AnteState,
    /// What CheckTx asks for gas.
    pub min_gas_prices: &'a MinGasPrices,
}

impl std::fmt::Debug for Runtime<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("min_gas_prices", self.min_gas_prices).finish_non_exhaustive()
    }
}

/// Transactions of the largest gas limit that a block has gas for.
const TX_PART: u64 = 10;

/// Gas of a block: each transaction adds what it used, up to its limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockGas {
    limit: Option<u64>,
    used: u64,
}

impl BlockGas {
    /// A block's gas; `limit` is the consensus parameter, `None` where that is -1 or 0.
    #[must_use]
    pub fn new(limit: Option<u64>) -> Self {
        Self { limit, used: 0 }
    }

    /// The limit.
    #[must_use]
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// What one transaction may want: a tenth. Gas that is wanted takes the place of other transactions, but is paid for
    /// only where the fee is, and that can be gone by then.
    #[must_use]
    pub fn tx_limit(&self) -> Option<u64> {
        self.limit.map(|limit| limit / TX_PART)
    }

    /// Gas used by the block so far.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used
    }

    fn is_spent(&self) -> bool {
        self.limit.is_some_and(|limit| self.used >= limit)
    }

    /// Adds a transaction; false if the block has run out.
    fn add(&mut self, gas: u64) -> bool {
        self.used = self.used.saturating_add(gas);
        self.limit.is_none_or(|limit| self.used <= limit)
    }
}

/// Runs a transaction over `state`.
///
/// Two layers: the ante's (fee, sequence) is kept once it passed; the messages' is dropped with its events when one of
/// them fails, panics or exceeds the block's gas. Messages run in a block only; a simulation is [`simulate`], on one state.
///
/// # Errors
/// A broken state: the block must not be committed. Everything that is the transaction's fault is a result.
pub fn run<B: KvRead>(
    rt: &Runtime<'_>,
    tx: &Result<impl Borrow<CheckedTx>>,
    state: &mut Overlay<B>,
    block: &BlockInfo,
    mode: ExecMode,
    block_gas: &mut BlockGas,
) -> Result<TxResult, Fatal> {
    let mut result = TxResult::default();
    if mode == ExecMode::Simulate {
        return simulate(rt, tx, |lend| lend(&*state, block, block_gas), &*state);
    }
    let in_block = mode == ExecMode::Finalize;
    if in_block && block_gas.is_spent() {
        return refuse(result, Error::user(sdk::CODESPACE, 11, "no block gas left to run tx: out of gas"));
    }
    let tx = match tx {
        Ok(tx) => tx.borrow(),
        Err(error) => return refuse(result, error.clone()),
    };

    let gas = GasMeter::new(tx.fee.gas_limit);
    result.gas_wanted = gas.limit();
    let outcome = run_metered(rt, tx, state, block, mode, &gas, block_gas.tx_limit(), &mut result);
    result.gas_used = gas.used();
    let fits = !in_block || block_gas.add(gas.used().min(gas.limit()));
    match outcome {
        Ok(None) => Ok(result),
        Ok(Some(messages)) if fits => {
            state.apply(result.take(messages));
            Ok(result)
        }
        Ok(Some(_)) => refuse(result, sdk::out_of_gas("block gas meter", gas.limit(), gas.used())),
        Err(error) => refuse(result, error),
    }
}

/// Lends the mempool's state to what it is given.
pub type Lend<'a> = &'a mut dyn FnMut(&dyn KvRead, &BlockInfo, &BlockGas);

/// Runs a transaction for its gas; it needs no key, signature or gas limit, and nothing is kept. Its ante runs on the
/// mempool's state, while `mempool` lends it; its messages, which may take long, on the `committed` one and what the ante did.
///
/// # Errors
/// As [`run`].
pub fn simulate(
    rt: &Runtime<'_>,
    tx: &Result<impl Borrow<CheckedTx>>,
    mempool: impl FnOnce(Lend<'_>),
    committed: impl KvRead,
) -> Result<TxResult, Fatal> {
    let mut result = TxResult::default();
    let tx = match tx {
        Ok(tx) => tx.borrow(),
        Err(error) => return refuse(result, error.clone()),
    };
    let gas = GasMeter::unlimited();
    result.gas_wanted = gas.limit();
    let mut after_ante = Err(Error::fatal("the mempool lent no state"));
    mempool(&mut |state, block, block_gas| {
        let ran = run_ante(rt, tx, state, block, ExecMode::Simulate, &gas, block_gas.tx_limit());
        after_ante = ran.map(|ran| (ran, block.clone()));
    });
    let outcome = after_ante.and_then(|((changes, events), block)| {
        result.events = events;
        let mut state = Overlay::new(committed);
        state.apply(changes);
        catch(|| run_messages(rt.router, &tx.messages, &state, &block, &gas, ExecMode::Simulate))
    });
    result.gas_used = gas.used();
    match outcome {
        Ok(messages) => {
            result.take(messages);
            Ok(result)
        }
        Err(error) => refuse(result, error),
    }
}

impl TxResult {
    /// Adds what the messages say, and hands out what they wrote.
    fn take(&mut self, messages: Ran) -> Changes {
        self.events.extend(messages.events);
        self.data = messages.data;
        messages.changes
    }
}

/// What the messages of a transaction did.
struct Ran {
    changes: Changes,
    events: Vec<Event>,
    data: Vec<u8>,
}

#[expect(clippy::too_many_arguments, reason = "the two halves of one function, split at the meter")]
fn run_metered<B: KvRead>(
    rt: &Runtime<'_>,
    tx: &CheckedTx,
    state: &mut Overlay<B>,
    block: &BlockInfo,
    mode: ExecMode,
    gas: &GasMeter,
    max_gas: Option<u64>,
    result: &mut TxResult,
) -> Result<Option<Ran>> {
    let (after_ante, events) = run_ante(rt, tx, &*state, block, mode, gas, max_gas)?;
    result.events = events;
    state.apply(after_ante);
    result.fee_collected = tx.fee.amount.clone();
    if mode != ExecMode::Finalize {
        return Ok(None);
    }
    catch(|| run_messages(rt.router, &tx.messages, &*state, block, gas, mode)).map(Some)
}

/// What the ante writes and tells.
fn run_ante(
    rt: &Runtime<'_>,
    tx: &CheckedTx,
    state: &dyn KvRead,
    block: &BlockInfo,
    mode: ExecMode,
    gas: &GasMeter,
    max_gas: Option<u64>,
) -> Result<(Changes, Vec<Event>)> {
    let input = AnteInput { tx, rt, max_gas };
    let mut layer = Overlay::new(state);
    let events = catch(|| {
        let mut ctx = TxCtx::new(&mut layer, block, gas, mode);
        ANTE.iter().try_for_each(|(_, step)| step(&mut ctx, &input))?;
        Ok(ctx.take_events())
    })?;
    Ok((layer.into_changes(), events))
}

fn run_messages(
    router: &MsgRouter,
    messages: &[Box<dyn DynMsg>],
    state: &dyn KvRead,
    block: &BlockInfo,
    gas: &GasMeter,
    mode: ExecMode,
) -> Result<Ran> {
    let mut layer = Overlay::new(state);
    let mut events = Vec::new();
    let mut responses = TxMsgData::default();
    for (i, message) in messages.iter().enumerate() {
        let mut ctx = TxCtx::new(&mut layer, block, gas, mode);
        let response = message.execute(&mut ctx).map_err(|error| match error {
            // Wallets look for the location at the start of the text, where the SDK has it.
            Error::User(e) if e.codespace == sdk::CODESPACE && e.code == 11 => Error::User(e),
            other => other.context(format_args!("failed to execute message; message index: {i}")),
        })?;
        let own = ctx.take_events();
        let leading = leading_event(router, message.as_ref(), &own)?;
        for mut event in std::iter::once(leading).chain(own) {
            event.attributes.push(attr("msg_index", i));
            events.push(event);
        }
        responses.msg_responses.push(response);
    }
    Ok(Ran { changes: layer.into_changes(), events, data: responses.encode_to_vec() })
}

/// The `message` event that comes before those of a message.
fn leading_event(router: &MsgRouter, message: &dyn DynMsg, own: &[Event]) -> Result<Event> {
    let type_url = message.type_url();
    let mut attributes = vec![attr("action", type_url)];
    if let Some(signer) = message.signers()?.first() {
        attributes.push(attr("sender", signer));
    }
    let names_module = own.iter().flat_map(|event| &event.attributes).any(|(key, _)| key == "module");
    if let Some(module) = router.module_of(type_url).filter(|_| !names_module) {
        attributes.push(attr("module", module));
    }
    Ok(Event::new("message", attributes))
}

/// Turns a panic into sdk/111222 with a constant text. What it interrupted is dropped by the caller.
fn catch<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| Err(sdk::panic()))
}

fn refuse(mut result: TxResult, error: Error) -> Result<TxResult, Fatal> {
    match error {
        Error::User(error) => {
            result.fail(error);
            Ok(result)
        }
        Error::Fatal(fatal) => Err(fatal),
    }
}
