//! The trees of all stores at one height, and how they come back from disk.

use super::rocks::Rocks;
use super::rows::{CHUNK_BYTES, ChangeLog, Chunks, CommitRow, TreePart, decode};
use crate::commitment::{Commitment, Hash, Tree, multistore_root};
use crate::{Changes, StoreError, StoreName, fail};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Default)]
pub(crate) struct Forest {
    pub(crate) height: u64,
    /// The number of rows that the block of this height changed; 0 if these trees were loaded.
    pub(super) changed: u64,
    pub(crate) trees: BTreeMap<StoreName, Tree>,
}

impl Forest {
    /// The stores by ascending name with their roots.
    pub(super) fn roots(&self) -> impl Iterator<Item = (&'static str, Hash)> {
        self.trees.iter().map(|(name, tree)| (name.as_str(), tree.root()))
    }

    /// The number of rows in all stores.
    pub(super) fn rows(&self) -> u64 {
        self.trees.values().map(Commitment::len).sum()
    }

    pub(super) fn app_hash(&self) -> Hash {
        multistore_root(self.roots())
    }

    /// Writes the trees to disk in parts; `go_on` is asked meanwhile. Returns whether all of it was written.
    /// They count only once they are marked as complete.
    pub(super) fn save(&self, rocks: &Rocks, go_on: &dyn Fn() -> bool) -> Result<bool, StoreError> {
        for (name, tree) in &self.trees {
            let mut chunks = Chunks::default();
            let mut put = |number: u32, part: &[u8]| {
                let mut batch = rocks.batch();
                batch.tree_part(self.height, *name, number, part);
                batch.write()?;
                fail::point("save: part");
                Ok(())
            };
            let outcome = tree.export(&mut |node| {
                if !go_on() {
                    return Err(StoreError::Io("stopped".into()));
                }
                prost::encoding::message::encode(1, &node, chunks.buffer());
                chunks.cut(CHUNK_BYTES, &mut put)
            });
            if !go_on() {
                return Ok(false);
            }
            outcome?;
            chunks.cut(1, &mut put)?;
        }
        Ok(true)
    }

    /// Reads the trees saved at `height`; none at 0.
    pub(super) fn load(rocks: &Rocks, height: u64) -> Result<Self, StoreError> {
        if height == 0 {
            return Ok(Self::default());
        }
        let row = rocks.commit_row(height)?;
        let trees: Result<BTreeMap<_, _>, StoreError> = row
            .stores
            .par_iter()
            .map(|store| {
                let name = rocks.resolve(&store.name)?;
                let mut nodes = rocks.tree_parts(height, name).flat_map(|part| {
                    let nodes = part.and_then(|part| decode::<TreePart>(&part)).map(|part| part.nodes);
                    match nodes {
                        Ok(nodes) => nodes.into_iter().map(Ok).collect(),
                        Err(error) => vec![Err(error)],
                    }
                });
                Ok((name, Tree::import(&mut nodes)?))
            })
            .collect();
        let forest = Self { height, changed: 0, trees: trees? };
        forest.check(&row)?;
        Ok(forest)
    }

    /// Applies the change logs after `start` up to the height `until`. Hands out the trees of each height, `start`
    /// included, and returns the last.
    pub(super) fn replay(
        rocks: &Rocks,
        start: Self,
        until: u64,
        mut each: impl FnMut(Arc<Self>),
    ) -> Result<Arc<Self>, StoreError> {
        let mut forest = Arc::new(start);
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

/// Drops what an interrupted save left behind. Returns the heights with complete trees, ascending.
pub(super) fn clean(rocks: &Rocks) -> Result<Vec<u64>, StoreError> {
    let latest = rocks.tip()?.map_or(0, |tip| tip.height);
    let (saved, lost): (Vec<u64>, Vec<u64>) = rocks.saved_trees()?.into_iter().partition(|height| *height <= latest);
    let partial = rocks.tree_heights()?.into_iter().filter(|height| saved.binary_search(height).is_err());
    for height in lost.into_iter().chain(partial) {
        let mut batch = rocks.batch();
        batch.drop_tree(height);
        batch.write()?;
    }
    Ok(saved)
}
