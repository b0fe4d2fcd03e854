//! Why the node has to stop.

use std::fmt;

use gantry_core::{Error, Fatal};
use gantry_store::StoreError;

use crate::phase::OutOfOrder;

/// What an ABCI method says when it cannot answer: the node stops, nothing more is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A stop that was asked for: exit code 0.
    Planned(Halt),
    /// A broken invariant, an unreadable state or a call out of order: the process aborts.
    Fatal(Fatal),
}

/// A planned halt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// `halt-height` of the configuration was reached: that height is committed, the next one is not.
    AtHeight(u64),
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtHeight(height) => write!(f, "halted after height {height}, as configured"),
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
        Self::fatal(error.to_string())
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
