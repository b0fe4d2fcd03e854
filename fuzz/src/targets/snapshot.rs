//! Snapshots from peers: whatever they say and send, nothing panics, and a state that is restored has the app hash that
//! was promised, with the rows that belong to it.

use std::sync::LazyLock;

use gantry_store::{
    KvRead, KvWrite, Order, Overlay, Store, StoreName,
    sync::{Archive, Metadata, Restore},
};
use prost::Message;
use tempfile::TempDir;

use crate::{Target, mutate::Form};

/// [`Sent`].
pub const TARGET: Target = Target { name: "snapshot", form: Form::Proto, run };

const STORES: [StoreName; 3] = [StoreName::new("alpha"), StoreName::new("beta"), StoreName::new("empty")];

/// What a peer sends.
#[derive(Clone, PartialEq, Message)]
pub struct Sent {
    /// The description of the snapshot.
    #[prost(bytes = "vec", tag = "1")]
    pub metadata: Vec<u8>,
    /// Chunks, by their order.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub chunks: Vec<Vec<u8>>,
}

struct Original {
    store: Store,
    folder: TempDir,
}

/// A state of a few heights, always the same.
static ORIGINAL: LazyLock<Original> = LazyLock::new(|| {
    let store = Store::temporary(&STORES).expect("a store in memory opens");
    for height in 1..=5_u32 {
        let mut block = Overlay::new(store.snapshot());
        for row in 0..40_u32 {
            let key = (row * height % 97).to_be_bytes();
            let value = vec![7; 1 + row as usize];
            block.set(STORES[(row % 2) as usize], key.to_vec(), value).expect("a row is written");
        }
        let candidate = store.prepare(height.into(), block.into_changes()).expect("a block is prepared");
        store.commit(candidate, b"meta").expect("and committed");
    }
    Original { store, folder: tempfile::tempdir().expect("a folder") }
});

/// The snapshot of an honest peer.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn honest() -> Sent {
    let archive = Archive::open(&ORIGINAL.folder.path().join("archive")).expect("an archive opens");
    let store = &ORIGINAL.store;
    let source = store.source_at(store.height()).expect("the last height is there");
    let info = archive.make(&source, &|| true).expect("a snapshot is made");
    let chunk = |index| archive.chunk(info.height, info.format, index).ok().flatten().expect("each chunk is there");
    Sent { metadata: info.metadata.clone(), chunks: (0..info.chunks).map(chunk).collect() }
}

fn run(bytes: &[u8]) {
    let Ok(sent) = Sent::decode(bytes) else { return };
    let Ok(metadata) = Metadata::read(&sent.metadata) else { return };
    let promised = metadata.app_hash();
    // What a chunk says is decided before anything of it is kept, wherever it is put.
    let archive = Archive::open(&ORIGINAL.folder.path().join("joiner")).expect("an archive opens");
    Restore::forget(&archive).expect("a folder is removed");
    let mut restore = Restore::begin(&archive, metadata).expect("a restore begins");
    for (index, chunk) in (0..).zip(&sent.chunks) {
        // Refused or not: it never panics.
        let _ = restore.add(index, chunk);
    }
    if !restore.is_complete() {
        return;
    }
    let store = Store::temporary(&STORES).expect("a store in memory opens");
    if restore.finish(&store).is_err() {
        assert_eq!(store.height(), 0, "half a state");
        return;
    }
    assert_eq!(store.app_hash(), promised);
    if promised == ORIGINAL.store.app_hash() {
        let rows = |store: &Store| {
            STORES.map(|name| {
                let snapshot = store.snapshot();
                let rows = snapshot.scan(name, None, None, Order::Ascending).expect("rows are read");
                rows.collect::<Result<Vec<_>, _>>().expect("each of them")
            })
        };
        assert_eq!(rows(&store), rows(&ORIGINAL.store), "one app hash, two states");
    }
}
