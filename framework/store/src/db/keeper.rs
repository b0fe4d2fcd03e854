//! The background thread that saves trees and drops what has left every window.

use super::Shared;
use super::forest::Forest;
use super::rocks::Batch;
use crate::{StoreError, fail};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

pub(super) struct Keeper {
    /// `None` once stopping.
    jobs: Option<SyncSender<Job>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

enum Job {
    /// A block was committed; these are its trees.
    Committed(Arc<Forest>),
    /// Answers when all before it is done.
    #[cfg(test)]
    Settle(SyncSender<()>),
}

impl Keeper {
    pub(super) fn start(shared: Arc<Shared>) -> Self {
        // One block may wait. While the thread is busy others pass it by: it needs only a recent one.
        let (jobs, queue) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("store-keeper".into()).spawn({
            let stop = Arc::clone(&stop);
            move || run(&shared, &queue, &stop)
        });
        let thread = thread.expect("the process can start a thread");
        Self { jobs: Some(jobs), stop, thread: Some(thread) }
    }

    pub(super) fn committed(&self, forest: Arc<Forest>) {
        if let Some(jobs) = &self.jobs {
            // Full: the next block will do.
            let _ = jobs.try_send(Job::Committed(forest));
        }
    }

    /// Waits until the thread has nothing to do.
    #[cfg(test)]
    pub(super) fn settle(&self) {
        let (done, wait) = sync_channel(1);
        self.jobs.as_ref().unwrap().send(Job::Settle(done)).unwrap();
        wait.recv().unwrap();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there was reported by the panic hook.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, queue: &Receiver<Job>, stop: &AtomicBool) {
    for job in queue {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        match job {
            // Nothing here is needed for the state to be right: a failure costs time at the next start, and is retried.
            Job::Committed(forest) => {
                if let Err(error) = keep(shared, &forest, stop) {
                    tracing::error!(height = forest.height, %error, "saving the trees failed");
                }
            }
            #[cfg(test)]
            Job::Settle(done) => done.send(()).unwrap(),
        }
    }
}

fn keep(shared: &Shared, forest: &Forest, stop: &AtomicBool) -> Result<(), StoreError> {
    let (rocks, options, height) = (&shared.rocks, &shared.options, forest.height);
    let mut saved = rocks.saved_trees()?;
    let last = saved.last().copied().unwrap_or(0).max(shared.tip().first);
    if height >= last.saturating_add(options.tree_interval) {
        fail::point("save: begin");
        if !forest.save(rocks, &|| !stop.load(Ordering::Relaxed))? {
            return Ok(());
        }
        fail::point("save: all parts");
        let mut batch = rocks.batch();
        batch.tree_saved(height);
        saved.push(height);
        drop_trees(&mut batch, &saved, height.saturating_sub(options.proof_window));
        let rebuild = shared.rebuild.lock();
        batch.write_synced()?;
        drop(rebuild);
        fail::point("save: complete");
    }

    drop_versions(shared, height, options.prune_interval)
}

/// Drops the saved trees (at the heights `saved`) and change logs that no proof from height `from` on needs: the newest
/// trees from which all these heights can be replayed stay, and all after them.
fn drop_trees(batch: &mut Batch<'_>, saved: &[u64], from: u64) {
    let Some(kept) = saved.iter().rposition(|saved| *saved <= from) else { return };
    for old in &saved[..kept] {
        batch.drop_tree(*old);
    }
    batch.drop_changes(saved[kept]);
}

/// Lets versions of rows go that neither a window nor an open snapshot can see, once they are of `interval` heights.
fn drop_versions(shared: &Shared, height: u64, interval: u64) -> Result<(), StoreError> {
    let (rocks, options) = (&shared.rocks, &shared.options);
    let mut retention = rocks.retention.lock();
    let pinned = retention.pins.keys().next().copied().unwrap_or(height);
    let from = height.saturating_sub(options.keep_recent.max(options.proof_window)).min(pinned);
    if from < retention.from.saturating_add(interval) {
        return Ok(());
    }
    retention.from = from;
    drop(retention);
    rocks.drop_versions_below(from)?;
    fail::point("versions dropped");
    Ok(())
}

/// Drops at once all that lies outside the windows, and gives the space back to the disk.
pub(super) fn prune(shared: &Shared) -> Result<(), StoreError> {
    let (rocks, height) = (&shared.rocks, shared.tip().forest.height);
    let mut batch = rocks.batch();
    drop_trees(&mut batch, &rocks.saved_trees()?, height.saturating_sub(shared.options.proof_window));
    let rebuild = shared.rebuild.lock();
    batch.write_synced()?;
    drop(rebuild);
    fail::point("prune: trees dropped");
    drop_versions(shared, height, 0)?;
    rocks.compact()
}
