//! The thread that makes snapshots while blocks go on.

use super::{Archive, Source, SyncError};
use crate::Store;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

/// Makes a snapshot every so many heights and keeps the newest ones. No block waits for it. Dropping it ends the one at
/// hand, of which nothing stays.
#[derive(Debug)]
pub struct Snapshotter {
    interval: u64,
    /// `None` once stopping.
    sources: Option<SyncSender<Source>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Snapshotter {
    /// Starts the thread. `interval` is in heights, and 0 makes none; `keep` is the number of snapshots, and 0 keeps all.
    #[must_use]
    pub fn start(archive: Arc<Archive>, interval: u64, keep: usize) -> Self {
        // One may wait while one is made; it pins a state, so there are no more.
        let (sources, queue) = sync_channel::<Source>(1);
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("snapshotter".into()).spawn({
            let stop = Arc::clone(&stop);
            move || {
                step_back();
                for source in queue {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    one(&archive, &source, keep, &|| !stop.load(Ordering::Relaxed));
                }
            }
        });
        let thread = thread.expect("the process can start a thread");
        Self { interval, sources: Some(sources), stop, thread: Some(thread) }
    }

    /// To be called after each commit; takes the state of this height if it is time.
    pub fn committed(&self, store: &Store) {
        let height = store.height();
        if self.interval == 0 || !height.is_multiple_of(self.interval) {
            return;
        }
        let Some(sources) = &self.sources else { return };
        match store.source_at(height) {
            Ok(source) => match sources.try_send(source) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => {
                    tracing::warn!(height, "no snapshot: the one before takes longer than snapshot-interval");
                }
                // The state is as well as without it.
                Err(TrySendError::Disconnected(_)) => {
                    tracing::error!(
                        height,
                        "no snapshot: the thread that makes them has panicked; start the node anew"
                    );
                }
            },
            Err(error) => tracing::error!(height, %error, "no snapshot"),
        }
    }
}

impl Drop for Snapshotter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.sources = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there was reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// Lets every other thread go first: a snapshot has time.
fn step_back() {
    // SAFETY: takes and touches no memory. On Linux this changes the calling thread alone; if it fails nothing does.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 10) };
}

fn one(archive: &Archive, source: &Source, keep: usize, go_on: &dyn Fn() -> bool) {
    let (height, start) = (source.height(), Instant::now());
    match archive.make(source, go_on) {
        Ok(info) => {
            tracing::info!(height, chunks = info.chunks, seconds = start.elapsed().as_secs_f32(), "snapshot made");
            if let Err(error) = archive.prune(keep) {
                tracing::error!(%error, "old snapshots cannot be deleted");
            }
        }
        Err(SyncError::Stopped) => {}
        // Nothing of it is left, and the next one is made when its time comes.
        Err(error) => tracing::error!(height, %error, "no snapshot"),
    }
}
