//! What can go wrong with content on this machine. Failures of the network are [`crate::FetchError`], [`crate::PushError`].

use std::io;
use std::path::PathBuf;

use crate::cid::Cid;
use crate::unixfs::NodeError;

/// A failure of the block store itself.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process (or another handle in this one) has the store open.
    #[error("block store {0} is in use by another process")]
    Locked(PathBuf),
    /// The block would not fit, even after garbage collection.
    #[error("block store is full: {used} of {quota} bytes used and pinned or in use, {need} more needed")]
    QuotaExceeded {
        /// Bytes stored.
        used: u64,
        /// Most bytes that may be stored.
        quota: u64,
        /// Bytes that were to be added.
        need: u64,
    },
    /// Stored bytes no longer hash to their CID; the block has been dropped, so that it can be fetched again.
    #[error("block {0} was damaged on disk and has been dropped")]
    Corrupt(Cid),
    /// Reading or writing files failed.
    #[error("block store: {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The index failed.
    #[error("block store index: {0}")]
    Index(#[from] redb::Error),
}

impl StoreError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// A failure to import, read, resolve or export content.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// A block that is needed is not in the store.
    #[error("block {0} is not in the store")]
    Missing(Cid),
    /// A block, or something to be made one, breaks the rules of nodes.
    #[error("{what}: {source}")]
    Node {
        /// A CID or a path.
        what: String,
        /// The rule.
        source: NodeError,
    },
    /// A directory where a file is needed.
    #[error("{0} is not a file")]
    NotAFile(Cid),
    /// A file where a directory is needed.
    #[error("{0} is not a directory")]
    NotADirectory(Cid),
    /// A path names no entry.
    #[error("{dir} has no entry {name:?}")]
    NoEntry {
        /// The directory.
        dir: Cid,
        /// The name sought.
        name: String,
    },
    /// A path that is not `CID` or `CID/NAME/NAME...`.
    #[error("bad content path: {0}")]
    BadPath(String),
    /// A part of a file is not as large as its parent says.
    #[error("{cid} holds {actual} bytes where its parent says {declared}")]
    SizeLie {
        /// The part.
        cid: Cid,
        /// What the parent says.
        declared: u64,
        /// What it holds.
        actual: u64,
    },
    /// More bytes than the caller allows.
    #[error("content is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// More blocks, or files and directories, than the caller allows.
    #[error("content has more than {limit} items")]
    TooMany {
        /// The limit.
        limit: u64,
    },
    /// Deeper than the caller allows.
    #[error("content is deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: u32,
    },
    /// Neither a file nor a directory, or a name that is not UTF-8.
    #[error("cannot import {path}: {why}")]
    Unsupported {
        /// The path on disk.
        path: PathBuf,
        /// What it is.
        why: &'static str,
    },
    /// Reading or writing outside the store failed.
    #[error("{path}: {source}")]
    Io {
        /// The path on disk.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The block store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ContentError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn node(what: impl ToString) -> impl FnOnce(NodeError) -> Self {
        let what = what.to_string();
        move |source| Self::Node { what, source }
    }
}
