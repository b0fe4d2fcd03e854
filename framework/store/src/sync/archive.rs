//! The folder of snapshots: `HEIGHT/FORMAT/` with `metadata` and the chunks `0`, `1`, and so on.

use super::make::{self, METADATA_FILE, chunk_file};
use super::{CHUNK_BYTES, FORMAT, Metadata, Source, SyncError};
use crate::Store;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What a folder is called while it is filled or emptied: `FORMAT` and this.
const UNFINISHED: &str = ".unfinished";

/// Where a snapshot that comes from peers is gathered.
const RESTORING: &str = "restoring";

/// A finished snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The height of its state.
    pub height: u64,
    /// Its format.
    pub format: u32,
    /// The number of its chunks.
    pub chunks: u32,
    /// SHA-256 of its metadata.
    pub hash: [u8; 32],
    /// Its metadata, encoded.
    pub metadata: Vec<u8>,
}

impl Info {
    fn of(metadata: Vec<u8>) -> Result<Self, SyncError> {
        let read = Metadata::read(&metadata)?;
        let hash = Sha256::digest(&metadata).into();
        Ok(Self { height: read.height, format: read.format, chunks: read.chunks(), hash, metadata })
    }

    /// Whether this says of a snapshot what its metadata says.
    #[must_use]
    pub fn describes(&self, metadata: &Metadata) -> bool {
        let hash: [u8; 32] = Sha256::digest(&self.metadata).into();
        (self.height, self.format, self.chunks, self.hash)
            == (metadata.height, metadata.format, metadata.chunks(), hash)
    }
}

/// The finished snapshots of a node. One process at a time may have it open.
///
/// A snapshot is there whole or not at all: it gets its name when all of it is on disk, and loses it before any of it goes.
#[derive(Debug)]
pub struct Archive {
    dir: PathBuf,
    finished: RwLock<BTreeMap<u64, Info>>,
    chunk_bytes: usize,
}

impl Archive {
    /// Opens a folder, which need not exist, and removes what was never finished there.
    ///
    /// # Errors
    /// [`SyncError::File`]. A snapshot that cannot be read is left out, and one that is none is removed, with a line in the
    /// log.
    pub fn open(dir: &Path) -> Result<Self, SyncError> {
        Self::clear(dir)?;
        let mut finished = BTreeMap::new();
        for height in entries(dir)? {
            let Some(at) = number::<u64>(&height) else { continue };
            let folder = height.join(FORMAT.to_string());
            if !folder.is_dir() {
                continue;
            }
            let info = read_info(&folder).and_then(|info| match info.height {
                height if height == at => Ok(info),
                _ => Err(SyncError::Metadata("of another height")),
            });
            match info {
                Ok(info) => drop(finished.insert(at, info)),
                // It would stand in the way of one of this height.
                Err(error @ SyncError::Metadata(_)) => {
                    tracing::warn!(path = %folder.display(), %error, "removed: no snapshot");
                    fs::remove_dir_all(&folder).map_err(|error| SyncError::file(&folder, &error))?;
                    let _ = fs::remove_dir(&height);
                }
                Err(error) => tracing::warn!(path = %folder.display(), %error, "a snapshot is unreadable"),
            }
        }
        Ok(Self { dir: dir.to_owned(), finished: RwLock::new(finished), chunk_bytes: CHUNK_BYTES })
    }

    /// Removes what was never finished in a folder, which need not exist: as the next one to open it would, but that may lack
    /// the room which this takes.
    ///
    /// # Errors
    /// [`SyncError::File`].
    pub fn clear(dir: &Path) -> Result<(), SyncError> {
        for height in entries(dir)?.iter().filter(|path| number::<u64>(path).is_some()) {
            for format in entries(height)?.iter().filter(|path| path.to_string_lossy().ends_with(UNFINISHED)) {
                fs::remove_dir_all(format).map_err(|error| SyncError::file(format, &error))?;
            }
            // What is empty now goes.
            let _ = fs::remove_dir(height);
        }
        Ok(())
    }

    /// The same with chunks of another size, which tests need to have many.
    #[cfg(test)]
    pub(super) fn with_chunk_bytes(self, chunk_bytes: usize) -> Self {
        Self { chunk_bytes, ..self }
    }

    /// All snapshots, the newest first.
    pub fn list(&self) -> Vec<Info> {
        self.finished.read().values().rev().cloned().collect()
    }

    /// One snapshot.
    pub fn find(&self, height: u64, format: u32) -> Option<Info> {
        self.finished.read().get(&height).filter(|info| info.format == format).cloned()
    }

    /// A chunk as it travels; `None` if there is no such chunk.
    ///
    /// # Errors
    /// [`SyncError::File`].
    pub fn chunk(&self, height: u64, format: u32, index: u32) -> Result<Option<Vec<u8>>, SyncError> {
        if self.find(height, format).is_none_or(|info| index >= info.chunks) {
            return Ok(None);
        }
        let path = chunk_file(&self.folder(height, format), index);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            // Deleted since it was found.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SyncError::file(&path, &error)),
        }
    }

    /// Makes a snapshot. Whatever goes wrong, nothing of it stays. `go_on` is asked all the time.
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if `go_on` said so; what else can happen to files and database.
    pub fn make(&self, source: &Source, go_on: &dyn Fn() -> bool) -> Result<Info, SyncError> {
        self.fill(source.height(), |folder| {
            make::make(source, folder, self.chunk_bytes, go_on)?;
            crate::fail::point("snapshot: all chunks");
            Ok(())
        })
    }

    /// Takes in a snapshot that was made elsewhere, with its encoded metadata, after a check of every chunk.
    ///
    /// # Errors
    /// Those of the check, and of `chunk`, which reads the chunks in their order.
    pub fn take_in(
        &self,
        metadata: &[u8],
        chunk: &mut dyn FnMut(u32) -> Result<Vec<u8>, SyncError>,
    ) -> Result<Info, SyncError> {
        let read = Metadata::read(metadata)?;
        self.fill(read.height, |folder| {
            for index in 0..read.chunks() {
                let chunk = chunk(index)?;
                read.check_chunk(index, &chunk)?;
                make::write(&chunk_file(folder, index), &chunk)?;
            }
            make::write(&folder.join(METADATA_FILE), metadata)
        })
    }

    /// Adds a snapshot that `put` writes into a folder, unless there is one of this height.
    fn fill(&self, height: u64, put: impl FnOnce(&Path) -> Result<(), SyncError>) -> Result<Info, SyncError> {
        if let Some(info) = self.find(height, FORMAT) {
            return Ok(info);
        }
        let folder = self.folder(height, FORMAT);
        let unfinished = folder.with_added_extension(&UNFINISHED[1..]);
        let made = create(&unfinished).and_then(|()| {
            put(&unfinished)?;
            sync(&unfinished)?;
            rename(&unfinished, &folder)?;
            crate::fail::point("snapshot: finished");
            read_info(&folder)
        });
        match made {
            Ok(info) => {
                self.finished.write().insert(height, info.clone());
                Ok(info)
            }
            Err(error) => {
                // The reason why it failed is worth more than the reason why its rest cannot be removed.
                let _ = fs::remove_dir_all(&unfinished);
                let _ = fs::remove_dir(self.dir.join(height.to_string()));
                Err(error)
            }
        }
    }

    /// Deletes a snapshot; false if there is none.
    ///
    /// # Errors
    /// [`SyncError::File`].
    pub fn delete(&self, height: u64, format: u32) -> Result<bool, SyncError> {
        if self.find(height, format).is_none() {
            return Ok(false);
        }
        self.finished.write().remove(&height);
        let folder = self.folder(height, format);
        let unfinished = folder.with_added_extension(&UNFINISHED[1..]);
        rename(&folder, &unfinished)?;
        fs::remove_dir_all(&unfinished).map_err(|error| SyncError::file(&unfinished, &error))?;
        // Fails, as it should, if there is another format.
        let _ = fs::remove_dir(self.dir.join(height.to_string()));
        Ok(true)
    }

    /// Deletes all but the newest `keep`; 0 keeps all.
    ///
    /// # Errors
    /// [`SyncError::File`].
    pub fn prune(&self, keep: usize) -> Result<(), SyncError> {
        if keep == 0 {
            return Ok(());
        }
        for info in self.list().into_iter().skip(keep) {
            self.delete(info.height, info.format)?;
        }
        Ok(())
    }

    /// Makes an empty store of a snapshot that is here, after a check of every chunk. What it is checked against is the
    /// app hash in its own metadata: nobody else vouches for it.
    ///
    /// # Errors
    /// As [`Restore`](super::Restore).
    pub fn restore(&self, store: &Store, height: u64, format: u32) -> Result<(), SyncError> {
        let missing = || SyncError::NotFound { height, format };
        let metadata = Metadata::read(&self.find(height, format).ok_or_else(missing)?.metadata)?;
        let chunk = |index| self.chunk(height, format, index)?.ok_or_else(missing);
        for index in 0..metadata.chunks() {
            metadata.check_chunk(index, &chunk(index)?)?;
        }
        store.restore(&metadata, &chunk)
    }

    pub(super) fn restoring(&self) -> PathBuf {
        self.dir.join(RESTORING)
    }

    fn folder(&self, height: u64, format: u32) -> PathBuf {
        self.dir.join(height.to_string()).join(format.to_string())
    }
}

fn read_info(folder: &Path) -> Result<Info, SyncError> {
    let path = folder.join(METADATA_FILE);
    Info::of(fs::read(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => SyncError::Metadata("there is none"),
        _ => SyncError::file(&path, &error),
    })?)
}

/// An empty folder, whatever was there before.
pub(super) fn create(dir: &Path) -> Result<(), SyncError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(dir),
    }
    .map_err(|error| SyncError::file(dir, &error))
}

/// Waits until the names in a folder are on disk.
fn sync(dir: &Path) -> Result<(), SyncError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| SyncError::file(dir, &error))
}

/// Renames a folder beside itself, and waits until that is on disk.
fn rename(from: &Path, to: &Path) -> Result<(), SyncError> {
    fs::rename(from, to).map_err(|error| SyncError::file(to, &error))?;
    let parent = to.parent().unwrap_or(to);
    sync(parent)?;
    parent.parent().map_or(Ok(()), sync)
}

/// What lies in a folder; nothing if there is none.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, SyncError> {
    let read = match fs::read_dir(dir) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        read => read.and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect()),
    };
    read.map_err(|error| SyncError::file(dir, &error))
}

/// The number that a path ends with, if it is written as we write it.
fn number<N: std::str::FromStr + ToString>(path: &Path) -> Option<N> {
    let name = path.file_name()?.to_str()?;
    name.parse().ok().filter(|number: &N| number.to_string() == name)
}
