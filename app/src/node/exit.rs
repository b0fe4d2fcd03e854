//! Exit codes of `gantryd start`, for whoever supervises it.

/// A clean stop: SIGTERM, SIGINT, or a planned halt.
pub const OK: u8 = 0;
/// Wrong configuration, an unreadable home, a genesis that does not fit.
pub const ERROR: u8 = 1;
/// The home is in use or a port stays taken.
pub const BUSY: u8 = 3;
/// CometBFT ended more often than it is restarted.
pub const COMETBFT_KEEPS_DYING: u8 = 4;
/// No CometBFT binary was found.
pub const COMETBFT_NOT_FOUND: u8 = 5;
/// A file system is full or fails.
pub const DISK: u8 = 6;
// A fatal stop (broken invariant, unreadable state, panic) aborts: SIGABRT, which shells report as 134.

/// An error with the code that the process ends with.
#[derive(Debug)]
pub struct Exit {
    /// One of the codes above.
    pub code: u8,
    /// For people.
    pub error: anyhow::Error,
}

impl Exit {
    /// An error with its code.
    pub fn new(code: u8, error: impl Into<anyhow::Error>) -> Self {
        Self { code, error: error.into() }
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

/// Everything without a code of its own is [`ERROR`].
impl From<anyhow::Error> for Exit {
    fn from(error: anyhow::Error) -> Self {
        Self { code: ERROR, error }
    }
}
