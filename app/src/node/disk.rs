//! Room on the file systems that the node writes to. A disk that is really full stops CometBFT in the middle of its work,
//! without ending it; so the node ends in order while there is still some room.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::mpsc::Sender,
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use nix::sys::statvfs::statvfs;

use super::{home::Home, start::Event};

/// Pause between two looks: a node writes a few dozen megabytes in it at the very most.
const INTERVAL: Duration = Duration::from_secs(1);

/// The folders that a node writes to, and how many bytes their file systems must have left.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    folders: Vec<PathBuf>,
    least: u64,
}

impl Disk {
    pub(super) fn new(home: &Home, least: u64) -> Self {
        // Operators put databases on disks of their own.
        let names = ["", "application.db", "blockstore.db", "state.db", "tx_index.db", "cs.wal"];
        Self { folders: names.iter().map(|name| home.data_dir().join(name)).collect(), least }
    }

    /// Fails when one of the file systems has too little room.
    ///
    /// # Errors
    /// Which one, how much it has, and what to do.
    pub(super) fn check(&self) -> Result<()> {
        for folder in self.folders.iter().filter(|folder| folder.is_dir()) {
            // What cannot be asked is left to those who write.
            let Ok(room) = statvfs(folder) else { continue };
            let free = room.blocks_available().saturating_mul(room.fragment_size());
            ensure!(
                free >= self.least,
                "the file system of {} (mounted at {}) has {} MiB left and needs {}; nothing that was committed is lost: \
                 make room and start again (min-free-bytes in app.toml is the limit)",
                folder.display(),
                mount_point(folder).display(),
                free >> 20,
                self.least >> 20
            );
        }
        Ok(())
    }

    /// The same, in the words of a write that failed.
    pub(super) fn explain(&self, failure: &str) -> anyhow::Error {
        match self.check() {
            Err(full) => anyhow!("{failure}; {full}"),
            Ok(()) => anyhow!(
                "{failure}; the disk is full, read-only or failing: nothing that was committed is lost, mend it and start again"
            ),
        }
    }

    /// Looks from time to time until something is wrong.
    pub(super) fn watch(self, events: Sender<Event>) -> Result<()> {
        thread::Builder::new().name("disk".into()).spawn(move || {
            loop {
                thread::park_timeout(INTERVAL);
                if let Err(full) = self.check() {
                    // Nobody listens any more when the node has stopped.
                    let _ = events.send(Event::Disk(full.to_string()));
                    return;
                }
            }
        })?;
        Ok(())
    }
}

/// The topmost folder above that is on the same device.
fn mount_point(folder: &Path) -> PathBuf {
    let device = |path: &Path| path.metadata().ok().map(|metadata| metadata.dev());
    let Ok(folder) = folder.canonicalize() else { return folder.to_owned() };
    let own = device(&folder);
    folder.ancestors().take_while(|path| device(path) == own).last().unwrap_or(&folder).to_owned()
}
