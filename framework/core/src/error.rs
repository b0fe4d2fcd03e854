//! Errors at the edge of the state machine: a user's mistake (a code in the ecosystem's own numbers and words) or a
//! broken invariant, which stops the node before it commits.

use std::fmt;

use gantry_store::StoreError;

/// Result of everything in the state machine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in the state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The transaction or query is at fault; answered with a code.
    User(UserError),
    /// The state is at fault: nothing may be committed any more.
    Fatal(Fatal),
}

/// A coded error, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserError {
    /// The module that defines the code; `sdk` for the shared ones.
    pub codespace: &'static str,
    /// Never 0; enters consensus, so it never changes.
    pub code: u32,
    /// For people; does not enter consensus.
    pub log: String,
}

/// A broken invariant or an unreadable state. The node aborts before Commit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fatal: {0}")]
pub struct Fatal(pub String);

impl Error {
    /// A coded error.
    pub fn user(codespace: &'static str, code: u32, log: impl Into<String>) -> Self {
        Self::User(UserError { codespace, code, log: log.into() })
    }

    /// A broken invariant.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::Fatal(Fatal(message.into()))
    }

    /// Puts words before the log, as the SDK's `Wrap` does; fatal errors keep theirs.
    #[must_use]
    pub fn context(self, words: impl fmt::Display) -> Self {
        match self {
            Self::User(mut e) => {
                e.log = format!("{words}: {}", e.log);
                Self::User(e)
            }
            Self::Fatal(f) => Self::Fatal(Fatal(format!("{words}: {}", f.0))),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(e) => f.write_str(&e.log),
            Self::Fatal(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

/// A module's error enum: a codespace and a frozen code for each variant.
pub trait ModuleError: std::error::Error {
    /// The module's codespace.
    const CODESPACE: &'static str;

    /// The variant's code: above 1, never reused.
    fn code(&self) -> u32;
}

impl<E: ModuleError> From<E> for Error {
    fn from(error: E) -> Self {
        Self::user(E::CODESPACE, error.code(), error.to_string())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::OutOfGas { descriptor, wanted, used } => sdk::out_of_gas(descriptor, wanted, used),
            StoreError::HeightUnavailable { .. } => sdk::invalid_height(error),
            StoreError::PageRequest(_) | StoreError::Key(_) => sdk::invalid_request(error),
            other => Self::fatal(other.to_string()),
        }
    }
}

/// The Cosmos SDK's shared codes (`types/errors/errors.go`), with its texts after the caller's words.
pub mod sdk {
    use super::Error;

    /// The shared codespace.
    pub const CODESPACE: &str = "sdk";

    macro_rules! codes {
        ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(words: impl std::fmt::Display) -> Error {
                    Error::user(CODESPACE, $code, format!(concat!("{}: ", $text), words))
                }
            )*
        };
    }

    codes! {
        /// sdk/2
        tx_decode = 2, "tx parse error";
        /// sdk/3
        invalid_sequence = 3, "invalid sequence";
        /// sdk/4
        unauthorized = 4, "unauthorized";
        /// sdk/5
        insufficient_funds = 5, "insufficient funds";
        /// sdk/6
        unknown_request = 6, "unknown request";
        /// sdk/7
        invalid_address = 7, "invalid address";
        /// sdk/8
        invalid_pubkey = 8, "invalid pubkey";
        /// sdk/9
        unknown_address = 9, "unknown address";
        /// sdk/10
        invalid_coins = 10, "invalid coins";
        /// sdk/12
        memo_too_large = 12, "memo too large";
        /// sdk/13
        insufficient_fee = 13, "insufficient fee";
        /// sdk/14
        too_many_signatures = 14, "maximum number of signatures exceeded";
        /// sdk/15
        no_signatures = 15, "no signatures supplied";
        /// sdk/18
        invalid_request = 18, "invalid request";
        /// sdk/21
        tx_too_large = 21, "tx too large";
        /// sdk/22
        key_not_found = 22, "key not found";
        /// sdk/26
        invalid_height = 26, "invalid height";
        /// sdk/28
        invalid_chain_id = 28, "invalid chain-id";
        /// sdk/29
        invalid_type = 29, "invalid type";
        /// sdk/30
        tx_timeout_height = 30, "tx timeout height";
        /// sdk/31
        unknown_extension_options = 31, "unknown extension options";
        /// sdk/32
        wrong_sequence = 32, "incorrect account sequence";
        /// sdk/34
        unpack_any = 34, "failed unpacking protobuf message from Any";
        /// sdk/35
        logic = 35, "internal logic error";
        /// sdk/37
        not_supported = 37, "feature not supported";
        /// sdk/38
        not_found = 38, "not found";
        /// sdk/41
        invalid_gas_limit = 41, "invalid gas limit";
    }

    /// sdk/11, in the words that wallets parse.
    #[must_use]
    pub fn out_of_gas(location: &str, wanted: u64, used: u64) -> Error {
        Error::user(
            CODESPACE,
            11,
            format!("out of gas in location: {location}; gasWanted: {wanted}, gasUsed: {used}: out of gas"),
        )
    }

    /// sdk/111222: a panic was caught inside a transaction. The text is constant, because what a panic says may differ
    /// between machines.
    #[must_use]
    pub fn panic() -> Error {
        Error::user(CODESPACE, 111_222, "panic in transaction execution: panic")
    }
}
