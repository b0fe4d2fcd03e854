//! The trees of all stores at one height, and how they come back from disk.

use super::rocks::Rocks;
use super::rows::{ChangeLog, CommitRow};
use crate::commitment::{self, Commitment, Hash, Tree, TreeMemory, multistore_root};
use crate::overlay::StoreChanges;
use crate::{Changes, StoreError, StoreName, fail};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the name of a file ends with while it is written.
const PARTIAL: &str = "partial";

#[derive(Clone, Default)]
pub(crate) struct Forest {
    pub(crate) height: u64,
    /// The number of rows that the block of this height changed; 0 if these trees were loaded.
    pub(super) changed: u64,
    pub(crate) trees: BTreeMap<StoreName, Tree>,
    /// The height of the saved trees that these stand on; 0 for those that are in memory as a whole.
    pub(super) base: u64,
    /// The number of rows changed since then.
    pub(super) since_base: u64,
}

/// The changes of a block to one store, if any.
type ChangesOf<'a> = dyn Fn(StoreName) -> Option<&'a StoreChanges> + Sync + 'a;

impl Forest {
    /// Trees in memory.
    pub(super) fn new(height: u64, trees: BTreeMap<StoreName, Tree>) -> Self {
        Self { height, trees, ..Self::default() }
    }

    /// The stores by ascending name with their roots.
    pub(super) fn roots(&self) -> impl Iterator<Item = (&'static str, Hash)> {
        self.trees.iter().map(|(name, tree)| (name.as_str(), tree.root()))
    }

    /// The number of rows in all stores.
    pub(super) fn rows(&self) -> u64 {
        self.trees.values().map(Commitment::len).sum()
    }

    pub(super) fn memory(&self) -> TreeMemory {
        self.trees.values().map(Tree::memory).sum()
    }

    pub(super) fn app_hash(&self) -> Hash {
        multistore_root(self.roots())
    }

    /// The trees after a block, of the stores `names`: those that are new begin empty.
    pub(super) fn apply(&self, height: u64, names: &[StoreName], changes_of: &ChangesOf<'_>) -> Self {
        let trees = names.par_iter().map(|name| {
            let base = self.trees.get(name).cloned().unwrap_or_default();
            let tree = changes_of(*name).map_or_else(|| base.clone(), |changes| base.apply(height, changes));
            (*name, tree)
        });
        // Collected by way of a vector: it keeps the order of the names.
        let trees = trees.collect::<Vec<_>>().into_iter().collect();
        let changed = names.iter().filter_map(|name| changes_of(*name)).map(|rows| rows.len() as u64).sum();
        Self { height, changed, trees, base: self.base, since_base: self.since_base + changed }
    }

    /// Writes the trees to a file; `go_on` is asked meanwhile. Returns whether all of it is on disk; if not, none of it is.
    /// A database in memory saves none. The file counts only once it was [read back](Self::read_back) and is marked as
    /// complete.
    pub(super) fn save(&self, rocks: &Rocks, go_on: &dyn Fn() -> bool) -> Result<bool, StoreError> {
        let Some(folder) = rocks.trees() else { return Ok(false) };
        let partial = folder.join(format!("{}.{PARTIAL}", self.height));
        let trees = self.trees.iter().map(|(name, tree)| (name.as_str(), tree));
        let complete = path(folder, self.height);
        let check = || if go_on() { Ok(()) } else { Err(StoreError::Io("stopped".into())) };
        let mut part = || {
            fail::point("save: part");
            check()
        };
        let outcome = commitment::save(&partial, trees, &mut part).and_then(|()| check()).and_then(|()| {
            fail::point("save: all parts");
            let failed = |error: io::Error| StoreError::Io(format!("{}: {error}", partial.display()));
            fs::rename(&partial, &complete).map_err(failed)?;
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
        });
        if let Err(error) = outcome {
            // It may have failed for want of room.
            for file in [partial, complete] {
                let _ = fs::remove_file(file);
            }
            return if go_on() { Err(error) } else { Ok(false) };
        }
        fail::point("save: renamed");
        Ok(true)
    }

    /// Maps the file that these trees were saved in. One that does not hold them is removed.
    pub(super) fn read_back(&self, rocks: &Rocks) -> Result<Self, StoreError> {
        let Some(folder) = rocks.trees() else { return Ok(self.clone()) };
        Self::open(rocks, folder, self.height, &CommitRow::of(self)).inspect_err(|_| {
            // The next start would.
            let _ = fs::remove_file(path(folder, self.height));
        })
    }

    /// Maps the trees saved at `height`; none at 0. A file is checked when it is mapped first.
    pub(super) fn load(rocks: &Rocks, height: u64) -> Result<Self, StoreError> {
        let Some(folder) = rocks.trees().filter(|_| height > 0) else { return Ok(Self::default()) };
        if let Some(forest) = rocks.mapped.lock().get(&height) {
            return Ok(forest.clone());
        }
        Self::open(rocks, folder, height, &rocks.commit_row(height)?)
    }

    fn open(rocks: &Rocks, folder: &Path, height: u64, row: &CommitRow) -> Result<Self, StoreError> {
        let saved = commitment::open(&path(folder, height))?;
        let trees: Result<_, StoreError> =
            saved.into_iter().map(|(name, tree)| Ok((rocks.resolve(&name)?, tree))).collect();
        let forest = Self { height, trees: trees?, base: height, ..Self::default() };
        forest.check(row)?;
        rocks.mapped.lock().insert(height, forest.clone());
        Ok(forest)
    }

    /// Maps the newest of the trees `saved` that are intact; begins with none if the change logs go back that far.
    pub(super) fn load_newest(rocks: &Rocks, saved: &[u64]) -> Result<Self, StoreError> {
        let mut first_error = None;
        for height in saved.iter().rev() {
            match Self::load(rocks, *height) {
                Ok(forest) => return Ok(forest),
                Err(error @ (StoreError::Corrupt(_) | StoreError::Io(_))) => {
                    tracing::error!(height, %error, "the saved trees cannot be used, trying older ones");
                    first_error.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        match first_error {
            Some(error) if rocks.changes_from()? > 0 => Err(error),
            _ => Ok(Self::default()),
        }
    }

    /// Applies the change logs after `start` up to the height `until`. Hands out the trees of each height, `start`
    /// included, and returns the last.
    pub(super) fn replay(
        rocks: &Rocks,
        start: Arc<Self>,
        until: u64,
        mut each: impl FnMut(Arc<Self>),
    ) -> Result<Arc<Self>, StoreError> {
        let mut forest = start;
        if forest.height > 0 {
            each(Arc::clone(&forest));
        }
        for height in rocks.commit_heights(forest.height + 1) {
            let height = height?;
            if height > until {
                break;
            }
            if forest.height > 0 && height != forest.height + 1 {
                return Err(StoreError::Corrupt(format!("height {} is missing", forest.height + 1)));
            }
            let row = rocks.commit_row(height)?;
            let names: Result<Vec<_>, _> = row.stores.iter().map(|store| rocks.resolve(&store.name)).collect();
            let mut changes = Changes::default();
            for part in rocks.changes(height) {
                ChangeLog::read(&part?, &mut changes, |name| rocks.resolve(name))?;
            }
            forest = Arc::new(forest.apply(height, &names?, &|name| changes.0.get(&name)));
            forest.check(&row)?;
            each(Arc::clone(&forest));
        }
        Ok(forest)
    }

    /// Fails unless the trees are those that were committed.
    fn check(&self, row: &CommitRow) -> Result<(), StoreError> {
        if CommitRow::of(self).stores == row.stores {
            return Ok(());
        }
        Err(StoreError::Corrupt(format!("the trees of height {} do not have the committed roots", self.height)))
    }
}

fn path(folder: &Path, height: u64) -> PathBuf {
    folder.join(height.to_string())
}

/// Drops what an interrupted save left behind. Returns the heights with complete trees, ascending.
pub(super) fn clean(rocks: &Rocks) -> Result<Vec<u64>, StoreError> {
    let latest = rocks.tip()?.map_or(0, |tip| tip.height);
    let (saved, lost): (Vec<u64>, Vec<u64>) = rocks.saved_trees()?.into_iter().partition(|height| *height <= latest);
    for height in lost {
        let mut batch = rocks.batch();
        batch.drop_tree(height);
        batch.write()?;
    }
    drop_files(rocks, &saved)?;
    Ok(saved)
}

/// Removes the files of `folder` that are not complete.
pub(super) fn drop_partial(folder: &Path) -> Result<(), StoreError> {
    drop_where(folder, |file| file.extension().is_some_and(|extension| extension == PARTIAL))
}

/// Removes all files of saved trees but those of the heights `keep`. Trees that stand on one go on to do so.
pub(super) fn drop_files(rocks: &Rocks, keep: &[u64]) -> Result<(), StoreError> {
    let Some(folder) = rocks.trees() else { return Ok(()) };
    rocks.mapped.lock().retain(|height, _| keep.contains(height));
    drop_where(folder, |file| {
        let height = file.file_name().and_then(|name| name.to_str()?.parse().ok());
        !height.is_some_and(|height| keep.contains(&height))
    })
}

fn drop_where(folder: &Path, goes: impl Fn(&Path) -> bool) -> Result<(), StoreError> {
    let failed = |error: io::Error| StoreError::Io(format!("{}: {error}", folder.display()));
    for entry in fs::read_dir(folder).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if goes(&file) {
            fs::remove_file(file).map_err(failed)?;
        }
    }
    Ok(())
}
