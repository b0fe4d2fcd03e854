//! A snapshot on its way into an empty store.

use super::archive::create;
use super::make::{METADATA_FILE, chunk_file, write};
use super::{Archive, Metadata, SyncError};
use crate::Store;
use prost::Message;
use std::fs;
use std::path::PathBuf;

/// Gathers the chunks of one snapshot in a folder of the archive. A chunk is kept when it is proven, in any order; what a
/// former process has kept of the same snapshot counts.
#[derive(Debug)]
pub struct Restore {
    metadata: Metadata,
    dir: PathBuf,
    /// Which chunks are kept.
    kept: Vec<bool>,
}

impl Restore {
    /// Begins, or goes on, with the snapshot that `metadata` describes. The caller trusts its
    /// [`app_hash`](Metadata::app_hash). Any other snapshot that was begun is forgotten.
    ///
    /// # Errors
    /// [`SyncError::File`].
    pub fn begin(archive: &Archive, metadata: Metadata) -> Result<Self, SyncError> {
        let (dir, encoded) = (archive.restoring(), metadata.encode_to_vec());
        let chunks = metadata.chunks();
        let same = fs::read(dir.join(METADATA_FILE)).is_ok_and(|begun| begun == encoded);
        if !same {
            create(&dir)?;
            write(&dir.join(METADATA_FILE), &encoded)?;
        }
        // A file that is torn or rotten is as good as none.
        let kept = |index| {
            let chunk = if same { fs::read(chunk_file(&dir, index)).ok() } else { None };
            chunk.is_some_and(|chunk| metadata.check_chunk(index, &chunk).is_ok())
        };
        Ok(Self { kept: (0..chunks).map(kept).collect(), metadata, dir })
    }

    /// Forgets a snapshot that was begun and is not wanted any more.
    ///
    /// # Errors
    /// [`SyncError::File`].
    pub fn forget(archive: &Archive) -> Result<(), SyncError> {
        match fs::remove_dir_all(archive.restoring()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(SyncError::file(&archive.restoring(), &error))
            }
            _ => Ok(()),
        }
    }

    /// What is restored.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Checks a chunk and keeps it.
    ///
    /// # Errors
    /// [`SyncError::NotTheChunk`]: another sender may have it. [`SyncError::Forged`]: the snapshot is worth nothing.
    /// [`SyncError::File`].
    pub fn add(&mut self, index: u32, chunk: &[u8]) -> Result<(), SyncError> {
        match self.kept.get(index as usize) {
            Some(true) => return Ok(()),
            Some(false) => {}
            None => return Err(SyncError::NotTheChunk { index, what: "there are not so many" }),
        }
        self.metadata.check_chunk(index, chunk)?;
        write(&chunk_file(&self.dir, index), chunk)?;
        self.kept[index as usize] = true;
        crate::fail::point("restore: chunk kept");
        Ok(())
    }

    /// Whether all chunks are kept.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.kept.iter().all(|kept| *kept)
    }

    /// Makes an empty store be at the height of the snapshot, all at once.
    ///
    /// # Errors
    /// [`SyncError::NotEmpty`]; [`SyncError::NotTheChunk`] if a chunk is missing or a file has rotten. After any other
    /// the process must stop: the next start finds an empty store.
    pub fn finish(self, store: &Store) -> Result<(), SyncError> {
        if let Some(missing) = self.kept.iter().position(|kept| !kept) {
            let index = u32::try_from(missing).unwrap_or(u32::MAX);
            return Err(SyncError::NotTheChunk { index, what: "it is missing" });
        }
        store.restore(&self.metadata, &|index| {
            let path = chunk_file(&self.dir, index);
            fs::read(&path).map_err(|error| SyncError::file(&path, &error))
        })?;
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            tracing::warn!(path = %self.dir.display(), %error, "what was restored cannot be removed");
        }
        Ok(())
    }
}
