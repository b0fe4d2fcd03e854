//! State sync: the snapshots that this node has for others, and the one that it is joining with.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use gantry_store::sync::{Archive, Info, Metadata, Restore, Snapshotter, SyncError};
use parking_lot::Mutex;

use super::{Candidates, Engine};
use crate::stop::Stop;

/// Where snapshots lie, and when they are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// The folder.
    pub dir: PathBuf,
    /// Heights between two snapshots; 0 makes none.
    pub interval: u64,
    /// How many are kept; 0 keeps all.
    pub keep_recent: usize,
}

/// What an engine without a folder lacks: it has no snapshots and takes none.
pub(super) struct StateSync {
    archive: Arc<Archive>,
    snapshotter: Snapshotter,
    joining: Mutex<Joining>,
}

/// The snapshot that was accepted last.
#[derive(Debug)]
enum Joining {
    None,
    With(Box<Restore>),
    /// The state is already the one of the snapshot: CometBFT had lost what it knew of it.
    Done,
}

/// What becomes of an offered snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Accept,
    /// There is a state already.
    Abort,
    /// Not this one.
    Reject,
    /// Nobody honest offers this.
    RejectSender,
}

/// What becomes of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    Accept,
    /// Not the chunk: ask another peer for it.
    Retry,
    /// The chunk, and proof that the snapshot is none.
    RejectSnapshot,
    /// No snapshot was accepted.
    Abort,
}

impl StateSync {
    /// `joined`: there is a state, so what was gathered of a snapshot to begin with has done its duty.
    pub(super) fn open(options: &SnapshotOptions, joined: bool) -> Result<Self, SyncError> {
        let archive = Arc::new(Archive::open(&options.dir)?);
        if joined {
            Restore::forget(&archive)?;
        }
        let snapshotter = Snapshotter::start(Arc::clone(&archive), options.interval, options.keep_recent);
        Ok(Self { archive, snapshotter, joining: Mutex::new(Joining::None) })
    }
}

impl Engine {
    /// The snapshots that peers may have, the newest first.
    pub(crate) fn snapshots(&self) -> Vec<Info> {
        self.0.sync.as_ref().map_or_else(Vec::new, |sync| sync.archive.list())
    }

    /// A chunk of one of them. What cannot be read is none: peers are not told of our disk.
    pub(crate) fn snapshot_chunk(&self, height: u64, format: u32, index: u32) -> Option<Vec<u8>> {
        let chunk = self.0.sync.as_ref()?.archive.chunk(height, format, index);
        chunk.unwrap_or_else(|error| {
            tracing::error!(height, index, %error, "a chunk of a snapshot cannot be read");
            None
        })
    }

    /// To be called after each commit.
    pub(crate) fn snapshot_if_due(&self) {
        if let Some(sync) = &self.0.sync {
            sync.snapshotter.committed(&self.parts().store);
        }
    }

    /// How many heights the oldest snapshot may lie back, while the next one is made.
    pub(crate) fn oldest_snapshot_age(&self) -> u64 {
        match &self.options().snapshots {
            None | Some(SnapshotOptions { interval: 0, .. }) => 0,
            Some(SnapshotOptions { keep_recent: 0, .. }) => u64::MAX,
            Some(SnapshotOptions { interval, keep_recent, .. }) => interval.saturating_mul(*keep_recent as u64 + 1),
        }
    }

    /// Judges a snapshot that peers offer. `app_hash` is the one that CometBFT's light client trusts at its height: all
    /// else in `info` may be a lie.
    pub(crate) fn offer(&self, info: &Info, app_hash: &[u8]) -> Result<Offer, Stop> {
        let Some(sync) = &self.0.sync else { return Ok(Offer::Reject) };
        let height = info.height;
        let metadata = match Metadata::read(&info.metadata) {
            Ok(metadata) => metadata,
            Err(error) => {
                tracing::warn!(height, %error, "a snapshot is refused, and its senders");
                return Ok(Offer::RejectSender);
            }
        };
        if !info.describes(&metadata) {
            tracing::warn!(height, "a snapshot whose description is not its own is refused, and its senders");
            return Ok(Offer::RejectSender);
        }
        if metadata.app_hash()[..] != *app_hash {
            tracing::warn!(height, "a snapshot of another state is refused");
            return Ok(Offer::Reject);
        }
        let stores = self.definition().stores();
        if let Some(unknown) = metadata.stores.iter().find(|entry| stores.iter().all(|s| s.as_str() != entry.name)) {
            tracing::warn!(height, store = unknown.name, "a snapshot with a store that is unknown here is refused");
            return Ok(Offer::Reject);
        }
        let mut joining = sync.joining.lock();
        let store = &self.parts().store;
        if store.height() > 0 {
            if (store.height(), &store.app_hash()[..]) == (height, app_hash) {
                tracing::info!(height, "the state is the one of the snapshot already");
                *joining = Joining::Done;
                return Ok(Offer::Accept);
            }
            let state = store.height();
            if store.drop_restored()? {
                // CometBFT was killed before it had written what belongs to the state, and the snapshot is gone.
                return Err(Stop::fatal(format!(
                    "state sync: CometBFT joins anew, so the state of height {state}, from a snapshot, is dropped: \
                     start the node again"
                )));
            }
            tracing::error!(height, state, "state sync needs an empty state: `gantryd unsafe-reset-all` empties it");
            return Ok(Offer::Abort);
        }
        tracing::info!(height, chunks = metadata.chunks(), bytes = metadata.bytes(), "joining with a snapshot");
        let restore = Restore::begin(&sync.archive, metadata).map_err(stop)?;
        *joining = Joining::With(Box::new(restore));
        Ok(Offer::Accept)
    }

    /// Takes a chunk of the accepted snapshot, in any order. The last one makes the state.
    pub(crate) fn apply_chunk(&self, index: u32, chunk: &[u8]) -> Result<Applied, Stop> {
        let Some(sync) = &self.0.sync else { return Ok(Applied::Abort) };
        let mut joining = sync.joining.lock();
        let restore = match &mut *joining {
            Joining::None => return Ok(Applied::Abort),
            Joining::Done => return Ok(Applied::Accept),
            Joining::With(restore) => restore,
        };
        match restore.add(index, chunk) {
            Ok(()) => {}
            Err(error @ SyncError::NotTheChunk { .. }) => {
                tracing::warn!(%error, "fetching it again from another peer");
                return Ok(Applied::Retry);
            }
            Err(error @ SyncError::Forged { .. }) => {
                tracing::warn!(%error, "the snapshot is refused");
                *joining = Joining::None;
                return Ok(Applied::RejectSnapshot);
            }
            Err(error) => return Err(stop(error)),
        }
        if restore.is_complete() {
            let Joining::With(restore) = std::mem::replace(&mut *joining, Joining::Done) else {
                return Ok(Applied::Accept);
            };
            self.join(*restore)?;
        }
        Ok(Applied::Accept)
    }

    /// Puts the state of a snapshot in the place of nothing.
    fn join(&self, restore: Restore) -> Result<(), Stop> {
        let mut consensus = self.consensus();
        let height = restore.metadata().height;
        consensus.phase.restored(height)?;
        restore.finish(&self.parts().store).map_err(stop)?;
        consensus.genesis = None;
        consensus.executed = None;
        consensus.candidates = Candidates::default();
        self.publish(self.parts().latest_view()?);
        tracing::info!(height, "the state is the one of the snapshot");
        Ok(())
    }

    /// CometBFT begins with genesis: what was gathered of a snapshot is of no use.
    pub(crate) fn forget_joining(&self) -> Result<(), Stop> {
        let Some(sync) = &self.0.sync else { return Ok(()) };
        *sync.joining.lock() = Joining::None;
        Restore::forget(&sync.archive).map_err(stop)
    }
}

/// A failure of the disk: the next start finds the state as empty as it was.
fn stop(error: SyncError) -> Stop {
    Stop::fatal(format!("state sync: {error}"))
}

/// What ABCI calls a snapshot.
pub(crate) fn to_abci(info: Info) -> tendermint_proto::v0_38::abci::Snapshot {
    tendermint_proto::v0_38::abci::Snapshot {
        height: info.height,
        format: info.format,
        chunks: info.chunks,
        hash: Bytes::copy_from_slice(&info.hash),
        metadata: info.metadata.into(),
    }
}
