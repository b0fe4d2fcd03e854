//! What can go wrong below the modules.

/// Every failure of a read, a write, a codec or the database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A metered context ran out of gas; the store itself never returns this, the gas meter above it does.
    #[error("out of gas in location: {descriptor}; gasWanted: {wanted}, gasUsed: {used}")]
    OutOfGas {
        /// What was being charged, in the SDK's words ("ReadFlat").
        descriptor: &'static str,
        /// The limit of the transaction, in gas.
        wanted: u64,
        /// Gas used with the charge that failed.
        used: u64,
    },
    /// Stored bytes that cannot be what was written: a bug or a damaged disk.
    #[error("corrupt state: {0}")]
    Corrupt(String),
    /// The database or the file system failed.
    #[error("database: {0}")]
    Io(String),
    /// A background thread has ended, of which the panic hook told: the process must stop.
    #[error("the thread {0} has panicked")]
    Panicked(&'static str),
    /// A past height outside the window that is kept.
    #[error("height {height} is not available: heights {oldest} to {latest} are kept")]
    HeightUnavailable {
        /// The height asked for.
        height: u64,
        /// The oldest height that could be served.
        oldest: u64,
        /// The last committed height.
        latest: u64,
    },
    /// A store that was not declared when the database was opened.
    #[error("no such store: {0}")]
    UnknownStore(String),
    /// An empty value: ICS-23 can prove neither it nor the absence of its neighbours.
    #[error("an empty value cannot be stored (store {store}, key {key:02x?})")]
    EmptyValue {
        /// The store written to.
        store: &'static str,
        /// The key written to.
        key: Vec<u8>,
    },
    /// An empty key, which ICS-23 cannot prove.
    #[error("an empty key cannot be stored (store {0})")]
    EmptyKey(&'static str),
    /// A key part that has no encoding (longer than 255 bytes, or a string holding NUL).
    #[error("key cannot be encoded: {0}")]
    Key(&'static str),
    /// A unique index already holds this value for another key.
    #[error("unique index {prefix:02x?} of store {store} already holds this value")]
    NotUnique {
        /// The store of the index.
        store: &'static str,
        /// The prefix of the index.
        prefix: &'static [u8],
    },
    /// A sequence reached the end of its range.
    #[error("sequence exhausted (store {0})")]
    SequenceExhausted(&'static str),
    /// A page request that makes no sense; the text is the SDK's.
    #[error("{0}")]
    PageRequest(&'static str),
    /// A block prepared for a height that does not follow the last committed one.
    #[error("height {got} does not follow the committed height {committed}")]
    WrongHeight {
        /// The height asked for.
        got: u64,
        /// The last committed height.
        committed: u64,
    },
    /// A candidate that was prepared on another base than the last commit.
    #[error("candidate of height {0} was prepared on a base that is no longer the last commit")]
    StaleCandidate(u64),
}

impl From<rocksdb::Error> for StoreError {
    fn from(error: rocksdb::Error) -> Self {
        match error.kind() {
            rocksdb::ErrorKind::Corruption => Self::Corrupt(error.into_string()),
            _ => Self::Io(error.into_string()),
        }
    }
}
