//! The background threads: one saves trees and drops what has left every window, one frees memory.
//!
//! Trees that were saved are mapped from their file, brought up to the last height by its change logs, and put down in
//! `Shared::moved`. The next block goes on with them, and what was in memory of the trees before can go. A block that was
//! prepared before is done again on them, when it is committed: once for each time that the trees are saved.

use super::Shared;
use super::forest::{self, Forest};
use super::rocks::Batch;
use crate::{StoreError, fail};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

/// The trees are saved, however few heights have passed, once so many rows were changed, or a quarter of all if these are
/// more: it bounds what a start has to apply again, and what the nodes made since take in memory.
const SAVE_ROWS: u64 = 500_000;

/// Heights between two lines in the log about memory.
const REPORT_INTERVAL: u64 = 1000;

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

    /// Fails when the thread has ended by itself, which only a panic makes it do: without it memory and disk would fill.
    pub(super) fn alive(&self) -> Result<(), StoreError> {
        match &self.thread {
            Some(thread) if thread.is_finished() => Err(StoreError::Panicked("store-keeper")),
            _ => Ok(()),
        }
    }

    pub(super) fn committed(&self, forest: Arc<Forest>) {
        if let Some(jobs) = &self.jobs {
            // Full: the next block will do. That it is gone, the next commit finds.
            let _ = jobs.try_send(Job::Committed(forest));
        }
    }

    /// Has the thread panic.
    #[cfg(test)]
    pub(super) fn kill(&self) {
        let nobody = sync_channel(1).0;
        self.jobs.as_ref().unwrap().send(Job::Settle(nobody)).unwrap();
        while self.alive().is_ok() {
            std::thread::yield_now();
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

/// The thread that frees what blocks no longer need, so that none of them waits for it.
pub(super) struct Discard(Sender<Box<dyn Send>>);

impl Discard {
    /// The thread ends by itself, when there is nobody left to give it anything.
    pub(super) fn start() -> Self {
        let (sender, queue) = channel::<Box<dyn Send>>();
        let thread =
            std::thread::Builder::new().name("store-discard".into()).spawn(move || queue.iter().for_each(drop));
        thread.expect("the process can start a thread");
        Self(sender)
    }

    pub(super) fn later(&self, value: impl Send + 'static) {
        // Were the thread gone, the value would be dropped here.
        let _ = self.0.send(Box::new(value));
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
    // The trees that were saved last, until blocks stand on them.
    let mut moving = None;
    let mut reported = shared.tip().forest.height / REPORT_INTERVAL;
    for job in queue {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        match job {
            // Nothing here is needed for the state to be right: a failure costs time at the next start, and is retried.
            Job::Committed(forest) => {
                if let Err(error) = keep(shared, &forest, &mut moving, stop) {
                    tracing::error!(height = forest.height, %error, "saving the trees failed");
                }
                // Here, because it counts every node in memory.
                if forest.height / REPORT_INTERVAL > reported {
                    reported = forest.height / REPORT_INTERVAL;
                    tracing::info!(height = forest.height, memory = %shared.memory(), "state");
                }
            }
            #[cfg(test)]
            Job::Settle(done) => done.send(()).unwrap(),
        }
    }
}

fn keep(
    shared: &Shared,
    forest: &Forest,
    moving: &mut Option<Arc<Forest>>,
    stop: &AtomicBool,
) -> Result<(), StoreError> {
    let (rocks, options, height) = (&shared.rocks, &shared.options, forest.height);
    let mut saved = rocks.saved_trees()?;
    let last = saved.last().copied().unwrap_or(0).max(shared.tip().first);
    let many = forest.since_base >= SAVE_ROWS.max(forest.rows() / 4);
    let due = height >= last.saturating_add(options.tree_interval) || many && height > last;
    if due && rocks.trees().is_some() {
        fail::point("save: begin");
        if !forest.save(rocks, &|| !stop.load(Ordering::Relaxed))? {
            return Ok(());
        }
        // What cannot be read back must not count.
        let mapped = shared.background.install(|| forest.read_back(rocks))?;
        let mut batch = rocks.batch();
        batch.tree_saved(height);
        saved.push(height);
        drop_trees(&mut batch, &saved, height.saturating_sub(options.proof_window));
        let rebuild = shared.rebuild.lock();
        batch.write_synced()?;
        fail::point("save: marked");
        forest::drop_files(rocks, &rocks.saved_trees()?)?;
        drop(rebuild);
        fail::point("save: complete");
        *moving = Some(Arc::new(mapped));
    }
    move_on(shared, moving)?;
    drop_versions(shared, height, options.prune_interval)
}

/// Brings the trees on the newest file up to the last height, until blocks stand on them.
fn move_on(shared: &Shared, moving: &mut Option<Arc<Forest>>) -> Result<(), StoreError> {
    let Some(mut trees) = moving.take() else { return Ok(()) };
    loop {
        let tip = shared.tip();
        if tip.forest.base >= trees.base {
            *shared.moved.lock() = None;
            shared.discard.later(shared.history.write().take_whole(shared.options.history_rows));
            return Ok(());
        }
        let replay = || Forest::replay(&shared.rocks, Arc::clone(&trees), tip.forest.height, drop);
        trees = shared.background.install(replay)?;
        *shared.moved.lock() = Some(Arc::clone(&trees));
        if shared.tip().forest.height == trees.height {
            break;
        }
    }
    *moving = Some(trees);
    Ok(())
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
    forest::drop_files(rocks, &rocks.saved_trees()?)?;
    drop(rebuild);
    fail::point("prune: trees dropped");
    drop_versions(shared, height, 0)?;
    rocks.compact()
}
