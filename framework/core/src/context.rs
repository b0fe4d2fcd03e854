//! Contexts: what a phase may see and do, as a type.

use gantry_store::{KvIter, KvRead, KvWrite, Order, StoreError, StoreName};

use crate::{
    Event,
    gas::{GasMeter, KV_GAS},
};

/// Block time: what the header says, never a machine's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Seconds since the Unix epoch.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanos: i32,
}

impl Time {
    /// Milliseconds since the Unix epoch, floored; 0 before it.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        let ms = i128::from(self.seconds) * 1000 + i128::from(self.nanos) / 1_000_000;
        u64::try_from(ms).unwrap_or(0)
    }
}

/// The inputs of a block that state transitions may use. Its hash is deliberately absent: a proposal is executed
/// before it has one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockInfo {
    /// Chain id.
    pub chain_id: String,
    /// Height of this block.
    pub height: u64,
    /// Time in this block's header.
    pub time: Time,
    /// Consensus address of the proposer.
    pub proposer: Vec<u8>,
    /// App hash after the previous block: what this block's header carries.
    pub previous_app_hash: [u8; 32],
}

/// What every writing context offers to keepers: state, the block, and a place for events.
pub trait Ctx: KvWrite {
    /// The block.
    fn block(&self) -> &BlockInfo;
    /// Adds an event. Events of a failed message are dropped with its writes.
    fn emit(&mut self, event: Event);
    /// Adds an event that is built only where events are kept: not for the mempool, which checks a transaction again and
    /// again.
    fn emit_with(&mut self, event: &dyn Fn() -> Event) {
        self.emit(event());
    }
}

macro_rules! plain_state {
    ($ctx:ident) => {
        impl KvRead for $ctx<'_> {
            fn get(&self, store: StoreName, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
                self.state.get(store, key)
            }

            fn has(&self, store: StoreName, key: &[u8]) -> Result<bool, StoreError> {
                self.state.has(store, key)
            }

            fn scan<'s>(
                &'s self,
                store: StoreName,
                start: Option<&[u8]>,
                end: Option<&[u8]>,
                order: Order,
            ) -> Result<KvIter<'s>, StoreError> {
                self.state.scan(store, start, end, order)
            }
        }
    };
}

macro_rules! writing_ctx {
    ($(#[$doc:meta])* $ctx:ident) => {
        $(#[$doc])*
        pub struct $ctx<'a> {
            state: &'a mut dyn KvWrite,
            block: &'a BlockInfo,
            events: Vec<Event>,
        }

        impl<'a> $ctx<'a> {
            /// A context over a layer of state.
            pub fn new(state: &'a mut dyn KvWrite, block: &'a BlockInfo) -> Self {
                Self { state, block, events: Vec::new() }
            }

            /// Ends the phase and hands over its events.
            #[must_use]
            pub fn into_events(self) -> Vec<Event> {
                self.events
            }
        }

        plain_state!($ctx);

        impl KvWrite for $ctx<'_> {
            fn set(&mut self, store: StoreName, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
                self.state.set(store, key, value)
            }

            fn remove(&mut self, store: StoreName, key: &[u8]) -> Result<(), StoreError> {
                self.state.remove(store, key)
            }
        }

        impl Ctx for $ctx<'_> {
            fn block(&self) -> &BlockInfo {
                self.block
            }

            fn emit(&mut self, event: Event) {
                self.events.push(event);
            }
        }
    };
}

writing_ctx! {
    /// Genesis.
    InitCtx
}
writing_ctx! {
    /// Begin and end of a block: unmetered, so each step states its own bound.
    BlockCtx
}

/// Why a transaction runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecMode {
    /// First look, before the mempool takes it.
    Check,
    /// Another look after a block; signatures are not verified again.
    Recheck,
    /// Gas estimation: fees are deducted, signatures may be empty.
    Simulate,
    /// In a block.
    Finalize,
}

/// One transaction: every access to state costs gas.
pub struct TxCtx<'a> {
    state: &'a mut dyn KvWrite,
    block: &'a BlockInfo,
    gas: &'a GasMeter,
    mode: ExecMode,
    events: Vec<Event>,
}

impl<'a> TxCtx<'a> {
    /// A context over a layer of state.
    pub fn new(state: &'a mut dyn KvWrite, block: &'a BlockInfo, gas: &'a GasMeter, mode: ExecMode) -> Self {
        Self { state, block, gas, mode, events: Vec::new() }
    }

    /// The transaction's meter.
    #[must_use]
    pub fn gas(&self) -> &GasMeter {
        self.gas
    }

    /// Why this runs.
    #[must_use]
    pub fn mode(&self) -> ExecMode {
        self.mode
    }

    /// Whether anybody will see the events.
    fn keeps_events(&self) -> bool {
        matches!(self.mode, ExecMode::Finalize | ExecMode::Simulate)
    }

    /// Takes the events emitted so far. CheckTx keeps none.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}

impl KvRead for TxCtx<'_> {
    fn get(&self, store: StoreName, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.gas.charge(KV_GAS.read_flat, "ReadFlat")?;
        let value = self.state.get(store, key)?;
        self.gas.charge_bytes(KV_GAS.read_per_byte, key.len(), "ReadPerByte")?;
        self.gas.charge_bytes(KV_GAS.read_per_byte, value.as_ref().map_or(0, Vec::len), "ReadPerByte")?;
        Ok(value)
    }

    fn has(&self, store: StoreName, key: &[u8]) -> Result<bool, StoreError> {
        self.gas.charge(KV_GAS.has_flat, "Has")?;
        self.state.has(store, key)
    }

    fn scan<'s>(
        &'s self,
        store: StoreName,
        start: Option<&[u8]>,
        end: Option<&[u8]>,
        order: Order,
    ) -> Result<KvIter<'s>, StoreError> {
        Ok(Box::new(MeteredIter {
            inner: self.state.scan(store, start, end, order)?.peekable(),
            gas: self.gas,
            seeked: false,
        }))
    }
}

/// Charges as the SDK's `gaskv` iterator: on creation for the first row, then on every step for the row left behind.
struct MeteredIter<'a> {
    inner: std::iter::Peekable<KvIter<'a>>,
    gas: &'a GasMeter,
    seeked: bool,
}

impl MeteredIter<'_> {
    fn charge_current(&mut self) -> Result<(), StoreError> {
        if let Some(Ok((key, value))) = self.inner.peek() {
            self.gas.charge_bytes(KV_GAS.read_per_byte, key.len(), "ValuePerByte")?;
            self.gas.charge_bytes(KV_GAS.read_per_byte, value.len(), "ValuePerByte")?;
        }
        self.gas.charge(KV_GAS.iter_next_flat, "IterNextFlat")
    }
}

impl Iterator for MeteredIter<'_> {
    type Item = Result<(Vec<u8>, Vec<u8>), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.seeked {
            self.seeked = true;
            if let Err(e) = self.charge_current() {
                return Some(Err(e));
            }
        }
        self.inner.peek()?;
        if let Err(e) = self.charge_current() {
            return Some(Err(e));
        }
        self.inner.next()
    }
}

impl KvWrite for TxCtx<'_> {
    fn set(&mut self, store: StoreName, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        self.gas.charge(KV_GAS.write_flat, "WriteFlat")?;
        self.gas.charge_bytes(KV_GAS.write_per_byte, key.len(), "WritePerByte")?;
        self.gas.charge_bytes(KV_GAS.write_per_byte, value.len(), "WritePerByte")?;
        self.state.set(store, key, value)
    }

    fn remove(&mut self, store: StoreName, key: &[u8]) -> Result<(), StoreError> {
        self.gas.charge(KV_GAS.delete_flat, "Delete")?;
        self.state.remove(store, key)
    }
}

impl Ctx for TxCtx<'_> {
    fn block(&self) -> &BlockInfo {
        self.block
    }

    fn emit(&mut self, event: Event) {
        if self.keeps_events() {
            self.events.push(event);
        }
    }

    fn emit_with(&mut self, event: &dyn Fn() -> Event) {
        if self.keeps_events() {
            self.events.push(event());
        }
    }
}

/// Queries: a committed state, read only.
pub struct QueryCtx<'a> {
    state: &'a dyn KvRead,
    block: &'a BlockInfo,
}

impl<'a> QueryCtx<'a> {
    /// A context over a snapshot; `block` is the block that made it.
    pub fn new(state: &'a dyn KvRead, block: &'a BlockInfo) -> Self {
        Self { state, block }
    }

    /// The block that made this state.
    #[must_use]
    pub fn block(&self) -> &BlockInfo {
        self.block
    }
}

plain_state!(QueryCtx);

/// The state before genesis: nothing in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Empty;

impl KvRead for Empty {
    fn get(&self, _store: StoreName, _key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    fn scan<'s>(
        &'s self,
        _store: StoreName,
        _start: Option<&[u8]>,
        _end: Option<&[u8]>,
        _order: Order,
    ) -> Result<KvIter<'s>, StoreError> {
        Ok(Box::new(std::iter::empty()))
    }
}

#[cfg(test)]
mod tests {
    use gantry_store::Overlay;

    use super::*;

    const STORE: StoreName = StoreName::new("test");

    /// Figures worked out from the SDK's `store/gaskv`.
    #[test]
    fn access_costs_what_the_sdk_charges() {
        let block = BlockInfo::default();
        let gas = GasMeter::new(1_000_000);
        let mut state = Overlay::new(Empty);
        let mut ctx = TxCtx::new(&mut state, &block, &gas, ExecMode::Finalize);
        let mut spent = 0;
        let mut step = |gas: &GasMeter| {
            let delta = gas.used() - spent;
            spent = gas.used();
            delta
        };

        ctx.set(STORE, b"k1".to_vec(), b"value".to_vec()).expect("set");
        assert_eq!(step(&gas), 2000 + 30 * 2 + 30 * 5);
        ctx.get(STORE, b"k1").expect("get");
        assert_eq!(step(&gas), 1000 + 3 * 2 + 3 * 5);
        ctx.get(STORE, b"absent").expect("get");
        assert_eq!(step(&gas), 1000 + 3 * 6);
        ctx.has(STORE, b"k1").expect("has");
        assert_eq!(step(&gas), 1000);
        let rows = ctx.scan(STORE, None, None, Order::Ascending).expect("scan").count();
        assert_eq!(rows, 1);
        // The SDK charges the first row when the iterator is made and again when it moves past it.
        assert_eq!(step(&gas), 2 * (3 * 7 + 30));
        ctx.remove(STORE, b"k1").expect("remove");
        assert_eq!(step(&gas), 1000);
    }

    #[test]
    fn gas_runs_out_with_the_sdks_words_and_before_the_write() {
        let block = BlockInfo::default();
        let gas = GasMeter::new(2050);
        let mut state = Overlay::new(Empty);
        let mut ctx = TxCtx::new(&mut state, &block, &gas, ExecMode::Finalize);
        let error = ctx.set(STORE, b"k".to_vec(), b"value".to_vec()).expect_err("out of gas");
        assert_eq!(
            crate::Error::from(error).to_string(),
            "out of gas in location: WritePerByte; gasWanted: 2050, gasUsed: 2180: out of gas"
        );
        assert_eq!(state.get(STORE, b"k").expect("get"), None);
    }
}
