//! Content of the market: what jobs run on and what they give, named by what it is.
//!
//! - [`Cid`]: the one kind of content id, CIDv1 with sha2-256.
//! - [`BlockStore`]: blocks on disk, pinned, leased, collected, under a quota.
//! - [`import_path`], [`import_bytes`], [`export`], [`FileReader`], [`ls`], [`resolve`], [`cat`]: files and directories
//!   in the pinned UnixFS profile, with the same CIDs as Kubo's.
//! - [`BlocksService`], [`fetch`], [`push`]: blocks between machines over gRPC, each verified on arrival.
//!
//! See the README for formats, limits and invariants.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use gantry_content::{BlockStore, ContentPath, TreeLimits, cat, import_path, resolve};
//!
//! let tmp = tempfile::tempdir()?;
//! std::fs::create_dir(tmp.path().join("scene"))?;
//! std::fs::write(tmp.path().join("scene/camera.txt"), "0 1 2")?;
//!
//! let store = BlockStore::open(tmp.path().join("store"), Some(1 << 30))?;
//! let imported = import_path(&store, &tmp.path().join("scene"), &TreeLimits::default())?;
//! store.pin(&imported.root, "job/42")?;
//!
//! let path: ContentPath = format!("{}/camera.txt", imported.root).parse()?;
//! assert_eq!(cat(&store, &resolve(&store, &path)?, 1024)?, b"0 1 2");
//! # Ok(())
//! # }
//! ```

#![expect(clippy::disallowed_types, reason = "nothing here is consensus, and no result depends on the order of a set")]

pub mod unixfs;

mod cid;
mod client;
mod error;
mod import;
mod parts;
mod read;
mod service;
mod store;

pub use cid::{CID_BYTES, Cid, CidError, Codec};
pub use client::{FetchError, Fetched, Progress, PushError, Source, SourceError, TransferOptions, Tried, fetch, push};
pub use error::{ContentError, StoreError};
pub use import::{
    Imported, Profile, TreeLimits, cid_of_path, cid_of_reader, cids_of_path, import_bytes, import_path, import_reader,
    import_with_profile,
};
pub use parts::PartError;
pub use read::{ContentPath, FileReader, Stat, cat, export, ls, resolve, stat};
pub use service::{Access, BlocksService, Caller, ServiceLimits, UploadGrant};
pub use store::{Block, BlockStore, CheckReport, DagLimits, GcReport, HashMismatch, INLINE_BYTES, Lease, Usage};
