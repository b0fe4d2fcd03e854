//! Why the node has to stop.

use std::fmt;

use gantry_core::{Error, Fatal};
use gantry_store::StoreError;

use crate::phase::OutOfOrder;

/// What an ABCI method says when it cannot answer: the node stops, nothing more is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A stop with nothing wrong in the state: the node ends in order.
    Planned(Halt),
    /// A broken invariant, an unreadable state or a call out of order: the process aborts.
    Fatal(Fatal),
}

/// Why a node stops whose state is well. The call that met it is never answered, so CometBFT comes back with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// `halt-height` of the configuration was reached: that height is committed, the next one is not.
    AtHeight(u64),
    /// The disk does not take what is to be committed, or does not give what is there: full, read-only, broken. Whether the
    /// block is in, only the next start knows.
    Disk(String),
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtHeight(height) => write!(f, "halted after height {height}, as configured"),
            Self::Disk(error) => write!(f, "the state cannot be written or read: {error}"),
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Planned(halt) => halt.fmt(f),
            Self::Fatal(fatal) => fatal.fmt(f),
        }
    }
}

impl std::error::Error for Stop {}

impl Stop {
    /// A fatal stop with its words.
    pub(crate) fn fatal(message: impl Into<String>) -> Self {
        Self::Fatal(Fatal(message.into()))
    }
}

impl From<Fatal> for Stop {
    fn from(fatal: Fatal) -> Self {
        Self::Fatal(fatal)
    }
}

impl From<OutOfOrder> for Stop {
    fn from(error: OutOfOrder) -> Self {
        Self::fatal(format!("call out of order: {error}"))
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Io(error) => Self::Planned(Halt::Disk(error)),
            other => Self::fatal(other.to_string()),
        }
    }
}

/// An error outside a transaction has no user to answer: whatever its kind, the state cannot go on.
impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Fatal(fatal) => Self::Fatal(fatal),
            Error::User(error) => Self::fatal(format!("{}/{}: {}", error.codespace, error.code, error.log)),
        }
    }
}
