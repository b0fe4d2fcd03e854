use crate::{KvRead, KvWrite, StoreError, StoreName, ValueCodec};
use std::marker::PhantomData;

/// One value at one key.
#[derive(Debug)]
pub struct Item<V> {
    store: StoreName,
    key: &'static [u8],
    value: PhantomData<fn() -> V>,
}

impl<V> Item<V> {
    /// The item at `key` of `store`.
    pub const fn new(store: StoreName, key: &'static [u8]) -> Self {
        Self { store, key, value: PhantomData }
    }

    /// The key of the row, as proofs name it.
    pub const fn raw_key(&self) -> &'static [u8] {
        self.key
    }

    /// Whether it was written.
    pub fn has(&self, s: &(impl KvRead + ?Sized)) -> Result<bool, StoreError> {
        s.has(self.store, self.key)
    }

    /// Removes it.
    pub fn remove(&self, s: &mut (impl KvWrite + ?Sized)) -> Result<(), StoreError> {
        s.remove(self.store, self.key)
    }
}

impl<V: ValueCodec> Item<V> {
    /// The value, if written.
    pub fn get(&self, s: &(impl KvRead + ?Sized)) -> Result<Option<V>, StoreError> {
        s.get(self.store, self.key)?.map(|bytes| V::decode(&bytes)).transpose()
    }

    /// The value, or its default if never written.
    pub fn get_or_default(&self, s: &(impl KvRead + ?Sized)) -> Result<V, StoreError>
    where
        V: Default,
    {
        Ok(self.get(s)?.unwrap_or_default())
    }

    /// Writes the value.
    pub fn set(&self, s: &mut (impl KvWrite + ?Sized), value: &V) -> Result<(), StoreError> {
        s.set(self.store, self.key.to_vec(), value.encode())
    }
}

/// A counter that hands out each number once; stored as the SDK's `collections.Sequence` (the next number, big endian).
#[derive(Debug)]
pub struct Sequence {
    next: Item<u64>,
    start: u64,
}

impl Sequence {
    /// A sequence whose first number is `start`.
    pub const fn new(store: StoreName, key: &'static [u8], start: u64) -> Self {
        Self { next: Item::new(store, key), start }
    }

    /// The number that [`next`](Self::next) will hand out.
    pub fn peek(&self, s: &(impl KvRead + ?Sized)) -> Result<u64, StoreError> {
        Ok(self.next.get(s)?.unwrap_or(self.start))
    }

    /// Hands out the next number.
    pub fn next(&self, s: &mut (impl KvWrite + ?Sized)) -> Result<u64, StoreError> {
        let number = self.peek(s)?;
        let next = number.checked_add(1).ok_or(StoreError::SequenceExhausted(self.next.store.as_str()))?;
        self.set(s, next)?;
        Ok(number)
    }

    /// Makes `next` the number handed out next (for genesis).
    pub fn set(&self, s: &mut (impl KvWrite + ?Sized), next: u64) -> Result<(), StoreError> {
        self.next.set(s, &next)
    }
}
