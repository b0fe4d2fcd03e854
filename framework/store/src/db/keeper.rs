//! The background thread that saves trees and drops what has left every window.

use super::Shared;
use super::forest::Forest;
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
        // The newest tree from which every height of the window can be replayed, and all after it, are kept.
        let window_from = height.saturating_sub(options.proof_window);
        let keep_from = saved.iter().rposition(|saved| *saved <= window_from).unwrap_or(0);
        for old in &saved[..keep_from] {
            batch.drop_tree(*old);
        }
        if saved[keep_from] <= window_from {
            batch.drop_changes(saved[keep_from]);
        }
        let rebuild = shared.rebuild.lock();
        batch.write_synced()?;
        drop(rebuild);
        fail::point("save: complete");
    }

    let mut retention = rocks.retention.lock();
    let pinned = retention.pins.keys().next().copied().unwrap_or(height);
    let from = height.saturating_sub(options.keep_recent.max(options.proof_window)).min(pinned);
    if from < retention.from.saturating_add(options.prune_interval) {
        return Ok(());
    }
    retention.from = from;
    drop(retention);
    rocks.drop_versions_below(from)?;
    fail::point("versions dropped");
    Ok(())
}
