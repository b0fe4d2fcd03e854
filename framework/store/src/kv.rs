//! The two traits that everything above reads and writes through.

use crate::StoreError;
use std::fmt;
use std::sync::Arc;

/// A module store's name ("bank"); each has its own commitment tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreName(&'static str);

impl StoreName {
    /// Names a store; ASCII, 1 to 255 bytes, checked at compile time when used in a constant.
    pub const fn new(name: &'static str) -> Self {
        assert!(!name.is_empty() && name.len() <= 255 && name.is_ascii(), "a store name is 1 to 255 ASCII bytes");
        Self(name)
    }

    /// The name as it stands in proofs.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Debug for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The direction of a scan, by the bytes of the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

/// Rows read lazily.
pub type Rows<'a, T> = Box<dyn Iterator<Item = Result<T, StoreError>> + 'a>;

/// Keys and values of a scan.
pub type KvIter<'a> = Rows<'a, (Vec<u8>, Vec<u8>)>;

/// Reads of the state. Object safe.
pub trait KvRead {
    /// The value at `key`.
    fn get(&self, store: StoreName, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Whether `key` holds a value.
    fn has(&self, store: StoreName, key: &[u8]) -> Result<bool, StoreError> {
        Ok(self.get(store, key)?.is_some())
    }

    /// The rows with `start <= key < end`; `None` is unbounded. A start at or after the end gives no rows.
    fn scan<'a>(
        &'a self,
        store: StoreName,
        start: Option<&[u8]>,
        end: Option<&[u8]>,
        order: Order,
    ) -> Result<KvIter<'a>, StoreError>;
}

/// Writes over a state. Object safe.
pub trait KvWrite: KvRead {
    /// Sets a row. A set of an equal value is a write like any other: it changes the app hash.
    ///
    /// # Errors
    /// [`StoreError::EmptyValue`] and [`StoreError::EmptyKey`], because ICS-23 can prove neither.
    fn set(&mut self, store: StoreName, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError>;

    /// Removes a row; removing an absent one changes nothing.
    fn remove(&mut self, store: StoreName, key: &[u8]) -> Result<(), StoreError>;
}

macro_rules! delegate_read {
    ($($ty:ty),*) => {$(
        impl<T: KvRead + ?Sized> KvRead for $ty {
            fn get(&self, store: StoreName, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
                (**self).get(store, key)
            }
            fn has(&self, store: StoreName, key: &[u8]) -> Result<bool, StoreError> {
                (**self).has(store, key)
            }
            fn scan<'a>(
                &'a self,
                store: StoreName,
                start: Option<&[u8]>,
                end: Option<&[u8]>,
                order: Order,
            ) -> Result<KvIter<'a>, StoreError> {
                (**self).scan(store, start, end, order)
            }
        }
    )*};
}
delegate_read!(&T, &mut T, Box<T>, Arc<T>);

macro_rules! delegate_write {
    ($($ty:ty),*) => {$(
        impl<T: KvWrite + ?Sized> KvWrite for $ty {
            fn set(&mut self, store: StoreName, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
                (**self).set(store, key, value)
            }
            fn remove(&mut self, store: StoreName, key: &[u8]) -> Result<(), StoreError> {
                (**self).remove(store, key)
            }
        }
    )*};
}
delegate_write!(&mut T, Box<T>);
