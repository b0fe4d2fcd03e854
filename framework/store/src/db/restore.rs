//! State-sync snapshots from and into the database.

use super::{Forest, Snapshot, Store, Tip};
use crate::commitment::{Commitment, ExportedNode, Tree, leaf_hash};
use crate::db::rows::{CommitRow, TipRow};
use crate::sync::{Metadata, Node, Nodes, Source, SyncError};
use crate::{StoreError, StoreName, fail};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Store {
    /// The state and the trees at a height, to make a snapshot of.
    ///
    /// # Errors
    /// [`StoreError::HeightUnavailable`] where one of both is gone.
    pub fn source_at(&self, height: u64) -> Result<Source, StoreError> {
        let state = self.snapshot_at(height)?;
        let tip = self.shared.tip();
        let forest = self.shared.forest_at(height, &tip)?;
        Ok(Source { forest, state })
    }

    /// Has the next start drop a state that came from a snapshot and was not gone on from. Returns whether it is such a
    /// state; the process must stop then.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn drop_restored(&self) -> Result<bool, StoreError> {
        let _no_commit = self.commit.lock();
        let (tip, rocks) = (self.shared.tip(), &self.shared.rocks);
        let height = tip.forest.height;
        let untouched = height > 0 && tip.first == height && rocks.changes_from()? == height;
        if untouched {
            rocks.begin_restore()?;
        }
        Ok(untouched)
    }

    /// Makes this empty store be at the height of a snapshot, whose chunks were all checked before; `chunk` reads them.
    /// Rows are written first, which nobody can see and the next start would drop; then one batch makes them the state.
    pub(crate) fn restore(
        &self,
        metadata: &Metadata,
        chunk: &dyn Fn(u32) -> Result<Vec<u8>, SyncError>,
    ) -> Result<(), SyncError> {
        let _one_at_a_time = self.commit.lock();
        let committed = self.shared.tip().forest.height;
        if committed > 0 {
            return Err(SyncError::NotEmpty(committed));
        }
        let (rocks, height) = (&self.shared.rocks, metadata.height);
        let names: Result<Vec<StoreName>, _> = metadata.stores.iter().map(|store| rocks.resolve(&store.name)).collect();
        let names = names?;

        rocks.begin_restore()?;
        fail::point("restore: begun");
        let mut trees = BTreeMap::new();
        let mut next = 0;
        for (entry, name) in metadata.stores.iter().zip(names) {
            let mut failed = None;
            let mut nodes = entry.chunks.iter().flat_map(|_| {
                let index = next;
                next += 1;
                self.restore_chunk(metadata, name, index, chunk).unwrap_or_else(|error| {
                    let words = StoreError::Io(error.to_string());
                    failed = Some(error);
                    vec![Err(words)]
                })
            });
            let imported = Tree::import(&mut nodes);
            drop(nodes);
            if let Some(error) = failed {
                return Err(error);
            }
            trees.insert(name, imported?);
        }
        let forest = Forest::new(height, trees);
        let app_hash = forest.app_hash();
        if app_hash != metadata.app_hash() {
            return Err(StoreError::Corrupt("the restored trees do not have the app hash".into()).into());
        }
        let saved = forest.save(rocks, &|| true)?;
        // Those that are mapped take no memory.
        let forest = if saved { forest.read_back(rocks)? } else { forest };
        fail::point("restore: rows written");

        let mut batch = rocks.batch();
        if saved {
            batch.tree_saved(height);
        }
        batch.drop_changes(height);
        batch.commit_row(height, &CommitRow::of(&forest));
        batch.tip(&TipRow { height, app_hash: app_hash.to_vec(), first: height, meta: Vec::new() });
        batch.end_restore();
        batch.write_synced()?;
        fail::point("restore: complete");
        rocks.rows.reset(height);

        let forest = Arc::new(forest);
        let snapshot = Snapshot::latest(rocks, &forest)?;
        self.shared.remember(Arc::clone(&forest), height);
        let tip = Tip { forest, app_hash, meta: Some(Vec::new()), first: height, snapshot };
        *self.shared.tip.write() = Arc::new(tip);
        Ok(())
    }

    /// Writes the rows of a chunk and returns its nodes.
    fn restore_chunk(
        &self,
        metadata: &Metadata,
        store: StoreName,
        index: u32,
        chunk: &dyn Fn(u32) -> Result<Vec<u8>, SyncError>,
    ) -> Result<Vec<Result<ExportedNode, StoreError>>, SyncError> {
        let nodes = metadata.nodes(index, &chunk(index)?)?;
        let mut batch = self.shared.rocks.batch();
        let mut exported = Vec::new();
        for node in Nodes(&nodes) {
            exported.push(Ok(match node.ok_or_else(|| StoreError::Corrupt("a node of a snapshot".into()))? {
                Node::Leaf { key, value, version } => {
                    batch.state(store, key, metadata.height, Some(value));
                    let hash = leaf_hash(key, value, version).to_vec();
                    ExportedNode { height: 0, version, key: key.to_vec(), hash }
                }
                Node::Inner { height, version } => {
                    ExportedNode { height: height.into(), version, key: Vec::new(), hash: Vec::new() }
                }
            }));
        }
        batch.write()?;
        fail::point("restore: chunk written");
        Ok(exported)
    }
}
