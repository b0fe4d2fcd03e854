//! Gas: the SDK's key-value schedule and a meter that cannot be exceeded.

use std::cell::Cell;

use gantry_store::StoreError;

/// Costs of state access, in gas (`store/types/gas.go`, `KVGasConfig`).
#[derive(Clone, Copy, Debug)]
pub struct GasConfig {
    /// `has`
    pub has_flat: u64,
    /// `delete`
    pub delete_flat: u64,
    /// `get`
    pub read_flat: u64,
    /// For each byte of key and value read.
    pub read_per_byte: u64,
    /// `set`
    pub write_flat: u64,
    /// For each byte of key and value written.
    pub write_per_byte: u64,
    /// Each step of an iterator.
    pub iter_next_flat: u64,
}

/// The schedule of the SDK.
pub const KV_GAS: GasConfig = GasConfig {
    has_flat: 1000,
    delete_flat: 1000,
    read_flat: 1000,
    read_per_byte: 3,
    write_flat: 2000,
    write_per_byte: 30,
    iter_next_flat: 30,
};

/// Counts gas against a limit. Reads are metered through shared references, hence the cell.
#[derive(Debug)]
pub struct GasMeter {
    limit: u64,
    used: Cell<u64>,
}

impl GasMeter {
    /// A meter with a limit.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { limit, used: Cell::new(0) }
    }

    /// A meter that only counts (simulation, genesis transactions).
    #[must_use]
    pub fn unlimited() -> Self {
        Self::new(u64::MAX)
    }

    /// The limit.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Gas used so far; may exceed the limit by the step that ran out, as the SDK reports it.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.get()
    }

    /// Charges an amount. On exhaustion the amount stays counted and the error names the place.
    pub fn charge(&self, amount: u64, descriptor: &'static str) -> Result<(), StoreError> {
        let used = self.used.get().saturating_add(amount);
        self.used.set(used);
        if used > self.limit {
            return Err(StoreError::OutOfGas { descriptor, wanted: self.limit, used });
        }
        Ok(())
    }

    /// Charges `each` for every one of `count` bytes.
    pub fn charge_bytes(&self, each: u64, count: usize, descriptor: &'static str) -> Result<(), StoreError> {
        self.charge(each.saturating_mul(u64::try_from(count).unwrap_or(u64::MAX)), descriptor)
    }
}
