use super::chunk::{Chunk, Proof, Step, digest};
use super::make::chunk_file;
use super::*;
use crate::{Changes, KvRead, KvWrite, Order, Overlay, Store, StoreName, StoreOptions};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;

const A: StoreName = StoreName::new("a");
const B: StoreName = StoreName::new("b");
/// Never written.
const EMPTY: StoreName = StoreName::new("empty");
/// One row.
const ONE: StoreName = StoreName::new("one");
const NAMES: &[StoreName] = &[A, B, EMPTY, ONE];

/// A write: store, key, size of the value or none for a removal.
type Write = (bool, u8, Option<u16>);

fn commit(store: &Store, writes: &[Write]) {
    let height = store.height() + 1;
    let mut block = Overlay::new(store.snapshot());
    for (i, (first, key, size)) in writes.iter().enumerate() {
        let (name, key) = (if *first { A } else { B }, format!("key {key}").into_bytes());
        match size {
            Some(size) => {
                let mut value = format!("{height} {i} ").into_bytes();
                value.resize(value.len() + usize::from(*size), b'x');
                block.set(name, key, value).unwrap();
            }
            None => block.remove(name, &key).unwrap(),
        }
    }
    block.set(ONE, b"height".to_vec(), height.to_be_bytes().to_vec()).unwrap();
    commit_changes(store, block.into_changes());
}

fn commit_changes(store: &Store, changes: Changes) {
    let candidate = store.prepare(store.height() + 1, changes).unwrap();
    store.commit(candidate, b"").unwrap();
}

/// The writes of a block of a fixed chain.
fn block(height: u64) -> Vec<Write> {
    let write = |i: u64| {
        let number = height * 37 + i * i * 11;
        let size = (!number.is_multiple_of(5)).then_some((number % 40) as u16);
        (i.is_multiple_of(2), (number % 113) as u8, size)
    };
    (0..30).map(write).collect()
}

fn chain(heights: u64) -> Store {
    let store = Store::temporary(NAMES).unwrap();
    for height in 1..=heights {
        commit(&store, &block(height));
    }
    store
}

fn dump(store: &Store) -> Vec<(StoreName, Vec<u8>, Vec<u8>)> {
    let state = store.snapshot();
    let mut rows = Vec::new();
    for name in NAMES {
        for row in state.scan(*name, None, None, Order::Ascending).unwrap() {
            let (key, value) = row.unwrap();
            rows.push((*name, key, value));
        }
    }
    rows
}

fn archive(dir: &TempDir, chunk_bytes: usize) -> Archive {
    Archive::open(&dir.path().join("snapshots")).unwrap().with_chunk_bytes(chunk_bytes)
}

fn make(archive: &Archive, store: &Store) -> (Info, Metadata, Vec<Vec<u8>>) {
    let info = archive.make(&store.source_at(store.height()).unwrap(), &|| true).unwrap();
    let metadata = Metadata::read(&info.metadata).unwrap();
    let chunk = |index| archive.chunk(info.height, info.format, index).unwrap().unwrap();
    let chunks = (0..info.chunks).map(chunk).collect();
    (info, metadata, chunks)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_restored_is_the_state_and_goes_on_like_it(
        history in vec(vec((any::<bool>(), any::<u8>(), prop::option::weighted(0.7, 0u16..60)), 0..40), 1..12),
        later in vec(vec((any::<bool>(), any::<u8>(), prop::option::weighted(0.5, 0u16..60)), 0..40), 1..5),
        chunk_bytes in 1usize..3000,
        order in any::<u64>(),
    ) {
        let original = Store::temporary(NAMES).unwrap();
        for writes in &history {
            commit(&original, writes);
        }
        let dir = TempDir::new().unwrap();
        let makers = archive(&dir, chunk_bytes);
        let (info, metadata, chunks) = make(&makers, &original);
        prop_assert_eq!(metadata.app_hash(), original.app_hash());
        prop_assert_eq!(info.chunks, metadata.chunks());
        prop_assert_eq!(&info.hash[..], &Sha256::digest(&info.metadata)[..]);
        let rows: u64 = metadata.stores.iter().map(StoreEntry::rows).sum();
        prop_assert_eq!(rows, dump(&original).len() as u64);

        // A store that has been asked already remembers what it did not have.
        let joiner = Store::temporary(NAMES).unwrap();
        for (name, key, _) in dump(&original) {
            prop_assert!(!joiner.snapshot().has(name, &key).unwrap());
        }
        let joined = TempDir::new().unwrap();
        let joiners = archive(&joined, chunk_bytes);
        let mut restore = Restore::begin(&joiners, metadata.clone()).unwrap();
        // In any order.
        let count = info.chunks;
        let step = (0..).map(|i| u32::try_from(order % 1000).unwrap() + i).find(|step| gcd(*step, count) == 1).unwrap();
        for i in 0..count {
            prop_assert!(!restore.is_complete());
            let index = u32::try_from(u64::from(i) * u64::from(step) % u64::from(count)).unwrap();
            restore.add(index, &chunks[index as usize]).unwrap();
        }
        prop_assert!(restore.is_complete());
        restore.finish(&joiner).unwrap();

        let height = original.height();
        prop_assert_eq!((joiner.height(), joiner.app_hash()), (height, original.app_hash()));
        prop_assert_eq!(dump(&joiner), dump(&original));
        prop_assert!(joiners.list().is_empty());
        if height > 1 {
            let gone = StoreError::HeightUnavailable { height: height - 1, oldest: height, latest: height };
            prop_assert_eq!(joiner.snapshot_at(height - 1).unwrap_err(), gone);
        }
        for writes in &later {
            commit(&original, writes);
            commit(&joiner, writes);
            prop_assert_eq!(joiner.app_hash(), original.app_hash());
        }
        prop_assert_eq!(dump(&joiner), dump(&original));
        prop_assert_eq!(joiner.snapshot_at(height).unwrap().height(), height);
        prop_assert_eq!(joiner.prove(height, "one", b"height").unwrap(), original.prove(height, "one", b"height").unwrap());
        // Equal states give equal snapshots, whatever the nodes went through.
        prop_assert_eq!(make(&joiners, &joiner), make(&makers, &original));
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A snapshot that somebody changes: nodes and proofs, with a metadata that agrees with them.
#[derive(Clone)]
struct Forgery {
    metadata: Metadata,
    chunks: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Forgery {
    fn of(metadata: &Metadata, chunks: &[Vec<u8>]) -> Self {
        let open = |(index, bytes): (usize, &Vec<u8>)| {
            let nodes = metadata.nodes(u32::try_from(index).unwrap(), bytes).unwrap();
            (nodes, Chunk::decode(&bytes[..]).unwrap().proof)
        };
        Self { metadata: metadata.clone(), chunks: chunks.iter().enumerate().map(open).collect() }
    }

    /// What a restore says to the chunk at `index`.
    fn check(&mut self, index: usize) -> Result<(), SyncError> {
        let (nodes, proof) = &self.chunks[index];
        let mut at = index;
        let store = self.metadata.stores.iter_mut().find(|store| {
            let here = at < store.chunks.len();
            at -= if here { 0 } else { store.chunks.len() };
            here
        });
        let entry = &mut store.unwrap().chunks[at];
        let leaves = Nodes(nodes).filter(|node| matches!(node, Some(Node::Leaf { .. }))).count();
        entry.rows = leaves as u64;
        entry.bytes = u32::try_from(nodes.len()).unwrap();
        entry.digest = digest(&Sha256::digest(nodes).into(), proof).to_vec();
        let bytes = Chunk { body: lz4_flex::block::compress(nodes), proof: proof.clone() }.encode_to_vec();
        Metadata::read(&self.metadata.encode_to_vec())?.check_chunk(u32::try_from(index).unwrap(), &bytes)
    }

    fn put(nodes: &[Node<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        for node in nodes {
            node.put(&mut out);
        }
        out
    }

    /// Replaces the nodes of a chunk.
    fn with(&self, index: usize, nodes: &[Node<'_>]) -> Self {
        let mut forgery = self.clone();
        forgery.chunks[index].0 = Self::put(nodes);
        forgery
    }

    fn with_proof(&self, index: usize, change: impl FnOnce(&mut Proof)) -> Self {
        let mut forgery = self.clone();
        let mut proof = Proof::decode(&self.chunks[index].1[..]).unwrap();
        change(&mut proof);
        forgery.chunks[index].1 = proof.encode_to_vec();
        forgery
    }
}

#[test]
fn what_is_changed_in_a_chunk_is_noticed() {
    let store = chain(6);
    let dir = TempDir::new().unwrap();
    let (_, metadata, chunks) = make(&archive(&dir, 300), &store);
    assert!(chunks.len() > 8, "{}", chunks.len());
    let genuine = Forgery::of(&metadata, &chunks);
    for index in 0..chunks.len() {
        let at = u32::try_from(index).unwrap();
        assert_eq!(genuine.clone().check(index), Ok(()));
        metadata.check_chunk(at, &chunks[index]).unwrap();

        // On the way: whoever sent it is at fault.
        let mut bytes = chunks[index].clone();
        for i in 0..bytes.len() {
            bytes[i] ^= 1;
            let error = metadata.check_chunk(at, &bytes);
            // LZ4 may say the same in two ways.
            let harmless = || metadata.nodes(at, &bytes).unwrap() == genuine.chunks[index].0;
            let noticed = matches!(error, Err(SyncError::NotTheChunk { .. })) || error.is_ok() && harmless();
            assert!(noticed, "chunk {index}, byte {i}: {error:?}");
            bytes[i] ^= 1;
        }
        for other in (0..chunks.len()).filter(|other| *other != index) {
            let error = metadata.check_chunk(at, &chunks[other]);
            assert!(matches!(error, Err(SyncError::NotTheChunk { .. })), "{error:?}");
        }

        // By the maker of the snapshot: no nodes but the right ones lead to the root.
        let refused = |what: String, mut forgery: Forgery| {
            let error = forgery.check(index);
            let noticed = matches!(error, Err(SyncError::Forged { .. } | SyncError::Metadata(_)));
            assert!(noticed, "chunk {index}, {what}: {error:?}");
        };
        for i in 0..genuine.chunks[index].0.len() {
            let mut forgery = genuine.clone();
            forgery.chunks[index].0[i] ^= 1;
            refused(format!("byte {i} of the nodes"), forgery);
        }
        for i in 0..genuine.chunks[index].1.len() {
            let mut forgery = genuine.clone();
            forgery.chunks[index].1[i] ^= 1;
            refused(format!("byte {i} of the proof"), forgery);
        }
        let nodes: Vec<Node<'_>> = Nodes(&genuine.chunks[index].0).map(Option::unwrap).collect();
        for i in 0..nodes.len() {
            let mut fewer = nodes.clone();
            fewer.remove(i);
            refused(format!("node {i} is gone"), genuine.with(index, &fewer));
            let mut more = nodes.clone();
            more.insert(i, nodes[i]);
            refused(format!("node {i} is twice there"), genuine.with(index, &more));
            if i > 0 {
                let mut swapped = nodes.clone();
                swapped.swap(i - 1, i);
                refused(format!("nodes {} and {i} are swapped", i - 1), genuine.with(index, &swapped));
            }
            // What is hashed of a version is its double.
            let mut later = nodes.clone();
            let (Node::Leaf { version, .. } | Node::Inner { version, .. }) = &mut later[i];
            *version += 1 << 63;
            refused(format!("node {i} has a version past all heights"), genuine.with(index, &later));
        }
        for cut in 1..nodes.len() {
            // What is missing at an end is given as pruned subtrees that would fit: its place is wrong then.
            refused(format!("begins after {cut} nodes"), genuine.with(index, &nodes[cut..]));
            refused(format!("ends after {cut} nodes"), genuine.with(index, &nodes[..cut]));
        }
        for other in (0..chunks.len()).filter(|other| *other != index) {
            let mut forgery = genuine.clone();
            forgery.chunks[index] = genuine.chunks[other].clone();
            refused(format!("chunk {other} in its place"), forgery);
            let mut forgery = genuine.clone();
            forgery.chunks[index].1 = genuine.chunks[other].1.clone();
            if forgery.chunks[index].1 != genuine.chunks[index].1 {
                refused(format!("with the proof of chunk {other}"), forgery);
            }
        }
        // An inner node that the chunk completes is left to the proof.
        if let Some((Node::Inner { height, version }, before)) = nodes.split_last() {
            let moved = genuine.with(index, before);
            refused(
                "its last inner node is in the proof".into(),
                moved.with_proof(index, |proof| proof.right.insert(0, Step::inner(*height, *version))),
            );
        }
        let empty = Step::pruned(0, &[0; 32]);
        refused("an empty subtree on the left".into(), genuine.with_proof(index, |proof| proof.left.insert(0, empty)));
    }
}

#[test]
fn pruned_subtrees_cannot_share_their_leaves_as_they_like() {
    // Chunk 1 of many claims to lie elsewhere: sizes of pruned siblings are exchanged, their sum stays.
    let store = chain(6);
    let dir = TempDir::new().unwrap();
    let (_, metadata, chunks) = make(&archive(&dir, 300), &store);
    let genuine = Forgery::of(&metadata, &chunks);
    let mut tried = 0;
    for index in 0..chunks.len() {
        let proof = Proof::decode(&genuine.chunks[index].1[..]).unwrap();
        let steps = proof.left.len() + proof.right.len();
        for (from, to) in (0..steps).flat_map(|from| (0..steps).map(move |to| (from, to))) {
            let step = |at| proof.left.iter().chain(&proof.right).nth(at).unwrap();
            let (a, b) = (step(from), step(to));
            if from == to || a == b {
                continue;
            }
            let mut forgery = genuine.with_proof(index, |proof| {
                let at = proof.left.len();
                let mut all: Vec<Step> = proof.left.iter().chain(&proof.right).cloned().collect();
                all.swap(from, to);
                (proof.left, proof.right) = (all[..at].to_vec(), all[at..].to_vec());
            });
            assert!(matches!(forgery.check(index), Err(SyncError::Forged { .. })));
            tried += 1;
        }
    }
    assert!(tried > 100);
}

#[test]
fn bombs_and_nonsense_are_refused_before_they_cost() {
    let store = chain(3);
    let dir = TempDir::new().unwrap();
    let (_, metadata, chunks) = make(&archive(&dir, 300), &store);
    // Eight MiB of zeros in a few bytes.
    let bomb = lz4_flex::block::compress(&vec![0; 8 << 20]);
    assert!(bomb.len() < 40_000);
    let proof = Chunk::decode(&chunks[0][..]).unwrap().proof;
    let bomb = Chunk { body: bomb, proof: proof.clone() }.encode_to_vec();
    let not = |bytes: &[u8]| matches!(metadata.check_chunk(0, bytes), Err(SyncError::NotTheChunk { .. }));
    assert!(not(&bomb));
    assert!(not(&[]));
    assert!(not(&vec![0; MAX_CHUNK_BYTES + 1]));
    let body = Chunk::decode(&chunks[0][..]).unwrap().body;
    assert!(not(&Chunk { body, proof: vec![0; chunk::MAX_PROOF_BYTES + 1] }.encode_to_vec()));
    assert!(matches!(metadata.check_chunk(metadata.chunks(), &chunks[0]), Err(SyncError::NotTheChunk { .. })));

    type Change = fn(&mut Metadata);
    let changes: &[(&str, Change)] = &[
        ("format", |m| m.format = 2),
        ("height 0", |m| m.height = 0),
        ("height over int64", |m| m.height = 1 << 63),
        ("stores twice", |m| m.stores.push(m.stores[0].clone())),
        ("stores out of order", |m| m.stores.reverse()),
        ("name", |m| m.stores[0].name.clear()),
        ("long name", |m| m.stores[0].name = "a".repeat(256)),
        ("root", |m| m.stores[0].root.truncate(31)),
        ("rows in an empty store", |m| m.stores[2].chunks = m.stores[0].chunks.clone()),
        ("no rows in a store", |m| m.stores[0].chunks.clear()),
        ("no stores", |m| m.stores.clear()),
        ("digest", |m| m.stores[0].chunks[0].digest.clear()),
        ("no rows", |m| m.stores[0].chunks[0].rows = 0),
        ("more rows than bytes", |m| m.stores[0].chunks[0].rows = u64::MAX),
        ("bytes", |m| m.stores[0].chunks[0].bytes = u32::MAX),
        ("chunks", |m| m.stores[0].chunks = vec![m.stores[0].chunks[0].clone(); MAX_CHUNKS + 1]),
    ];
    for (what, change) in changes {
        let mut changed = metadata.clone();
        change(&mut changed);
        assert!(matches!(Metadata::read(&changed.encode_to_vec()), Err(SyncError::Metadata(_))), "{what}");
    }
    let encoded = metadata.encode_to_vec();
    assert_eq!(Metadata::read(&encoded), Ok(metadata));
    // A field that nobody knows would make two snapshots of one.
    assert!(Metadata::read(&[&encoded[..], &[0x78, 1]].concat()).is_err());
    assert!(Metadata::read(&encoded[..encoded.len() - 1]).is_err());
    assert!(Metadata::read(&vec![0; MAX_METADATA_BYTES + 1]).is_err());
}

#[test]
fn large_values_and_ends_of_chunks() {
    let store = Store::temporary(NAMES).unwrap();
    let mut block = Overlay::new(store.snapshot());
    for (i, size) in [1, 5 << 20, 10, (2 << 20) - 200, 300, 300_000].into_iter().enumerate() {
        // Not compressible.
        let value: Vec<u8> = (0..size).map(|n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        block.set(A, format!("key {i}").into_bytes(), value).unwrap();
    }
    commit_changes(&store, block.into_changes());
    let dir = TempDir::new().unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    let (info, metadata, _) = make(&archive, &store);
    let rows: Vec<u64> = metadata.stores[0].chunks.iter().map(|chunk| chunk.rows).collect();
    assert_eq!(rows, [2, 3, 1], "a chunk ends when it has 2 MiB");
    let joiner = Store::temporary(NAMES).unwrap();
    archive.restore(&joiner, info.height, FORMAT).unwrap();
    assert_eq!((dump(&joiner), joiner.app_hash()), (dump(&store), store.app_hash()));
    // Only into an empty store.
    assert_eq!(archive.restore(&joiner, info.height, FORMAT), Err(SyncError::NotEmpty(1)));
    let missing = SyncError::NotFound { height: 2, format: FORMAT };
    assert_eq!(archive.restore(&Store::temporary(NAMES).unwrap(), 2, FORMAT), Err(missing));

    let mut block = Overlay::new(store.snapshot());
    block.set(A, b"too large".to_vec(), vec![1; MAX_ROW_BYTES]).unwrap();
    commit_changes(&store, block.into_changes());
    let refused = archive.make(&store.source_at(2).unwrap(), &|| true);
    assert_eq!(refused, Err(SyncError::TooLarge("a row over 8 MiB")));
    assert_eq!(archive.list().len(), 1);
    assert!(!dir.path().join("2").exists());
}

#[test]
fn an_archive_lists_what_is_whole_and_forgets_what_is_old() {
    let dir = TempDir::new().unwrap();
    let archive = archive(&dir, 300);
    let store = Store::temporary(NAMES).unwrap();
    let mut infos = Vec::new();
    for height in 1..=4 {
        commit(&store, &block(height));
        infos.insert(0, make(&archive, &store).0);
    }
    assert_eq!(archive.list(), infos);
    archive.prune(0).unwrap();
    archive.prune(3).unwrap();
    assert_eq!(archive.list(), infos[..3]);
    assert_eq!(archive.delete(3, FORMAT), Ok(true));
    assert_eq!(archive.delete(3, FORMAT), Ok(false));
    assert_eq!(archive.chunk(3, FORMAT, 0), Ok(None));
    assert_eq!(archive.chunk(4, FORMAT + 1, 0), Ok(None));
    assert_eq!(archive.chunk(4, FORMAT, infos[0].chunks), Ok(None));
    assert!(archive.chunk(4, FORMAT, infos[0].chunks - 1).unwrap().is_some());

    // Another process finds the same, less what was not finished or is no snapshot.
    let root = dir.path().join("snapshots");
    fs::create_dir_all(root.join("9/1.unfinished")).unwrap();
    fs::write(root.join("9/1.unfinished/0"), b"half").unwrap();
    fs::create_dir_all(root.join("5/1")).unwrap();
    fs::write(root.join("5/1/metadata"), b"rot").unwrap();
    fs::create_dir_all(root.join("10/1")).unwrap();
    fs::create_dir_all(root.join("11/7")).unwrap();
    fs::create_dir_all(root.join("012/1")).unwrap();
    fs::copy(root.join("4/1/metadata"), root.join("012/1/metadata")).unwrap();
    fs::create_dir_all(root.join("13/1")).unwrap();
    fs::copy(root.join("4/1/metadata"), root.join("13/1/metadata")).unwrap();
    fs::write(root.join("14"), b"a file").unwrap();
    let again = Archive::open(&root).unwrap();
    assert_eq!(again.list(), [infos[0].clone(), infos[2].clone()]);
    assert!([3, 5, 9, 10, 13].iter().all(|gone: &u64| !root.join(gone.to_string()).exists()));
    commit(&store, &block(5));
    assert_eq!(make(&again, &store).0, again.list()[0]);
}

#[test]
fn what_fails_while_it_is_made_leaves_nothing_in_flight() {
    let dir = TempDir::new().unwrap();
    let archive = Arc::new(archive(&dir, 300));
    let store = chain(2);
    let source = store.source_at(2).unwrap();

    // Asked to stop at any moment.
    let asked = AtomicU64::new(0);
    archive.make(&source, &|| asked.fetch_add(1, Ordering::Relaxed) < u64::MAX).unwrap();
    let steps = asked.load(Ordering::Relaxed);
    archive.delete(2, FORMAT).unwrap();
    for stop_at in (0..steps).step_by(7) {
        let asked = AtomicU64::new(0);
        let stopped = archive.make(&source, &|| asked.fetch_add(1, Ordering::Relaxed) < stop_at);
        assert_eq!(stopped, Err(SyncError::Stopped));
        assert!(archive.list().is_empty() && !dir.path().join("snapshots/2").exists());
    }

    // The disk refuses: a file lies where the folder would be. The thread goes on with the next height.
    fs::write(dir.path().join("snapshots/3"), b"in the way").unwrap();
    let snapshotter = Snapshotter::start(Arc::clone(&archive), 1, 2);
    for height in 3..=5 {
        commit(&store, &block(height));
        snapshotter.committed(&store);
        while height != 3 && archive.find(height, FORMAT).is_none() {
            // The thread may not have been ready.
            snapshotter.committed(&store);
            std::thread::yield_now();
        }
    }
    assert_eq!(archive.list().iter().map(|info| info.height).collect::<Vec<_>>(), [5, 4]);
    fs::remove_file(dir.path().join("snapshots/3")).unwrap();
    drop(snapshotter);
    make(&archive, &store);
}

#[test]
fn a_restore_goes_on_where_it_was() {
    let store = chain(5);
    let dir = TempDir::new().unwrap();
    let archive = archive(&dir, 300);
    let (_, metadata, chunks) = make(&archive, &store);
    let mut restore = Restore::begin(&archive, metadata.clone()).unwrap();
    for index in [0, 3, 4] {
        restore.add(index, &chunks[index as usize]).unwrap();
        restore.add(index, b"known already").unwrap();
    }
    assert!(matches!(restore.add(1, &chunks[2]), Err(SyncError::NotTheChunk { index: 1, .. })));
    assert!(matches!(restore.add(metadata.chunks(), &chunks[2]), Err(SyncError::NotTheChunk { .. })));
    let error = restore.finish(&Store::temporary(NAMES).unwrap());
    assert!(matches!(error, Err(SyncError::NotTheChunk { index: 1, .. })), "{error:?}");

    // One file has rotten meanwhile.
    fs::write(chunk_file(&archive.restoring(), 3), b"rot").unwrap();
    let mut restore = Restore::begin(&archive, metadata.clone()).unwrap();
    restore.add(0, b"known already").unwrap();
    restore.add(4, b"known already").unwrap();
    assert!(restore.add(3, b"not known").is_err());
    for (index, chunk) in chunks.iter().enumerate() {
        restore.add(u32::try_from(index).unwrap(), chunk).unwrap();
    }
    // Another snapshot starts from nothing.
    commit(&store, &block(6));
    let (_, newer, newer_chunks) = make(&archive, &store);
    let mut restore = Restore::begin(&archive, newer).unwrap();
    assert!(restore.add(0, b"not known").is_err());
    restore.add(0, &newer_chunks[0]).unwrap();
    Restore::forget(&archive).unwrap();
    Restore::forget(&archive).unwrap();
    assert!(!archive.restoring().exists());
}

#[test]
fn a_state_that_is_pinned_is_not_pruned() {
    let dir = TempDir::new().unwrap();
    let options = StoreOptions {
        keep_recent: 1,
        proof_window: 1,
        tree_interval: 2,
        prune_interval: 1,
        cache_bytes: 1 << 20,
        row_cache_bytes: 1 << 16,
        ..StoreOptions::default()
    };
    let store = Store::open(&dir.path().join("db"), NAMES, options).unwrap();
    let advance = |until| {
        while store.height() < until {
            commit(&store, &block(store.height() + 1));
        }
    };
    advance(5);
    let (source, rows) = (store.source_at(5).unwrap(), dump(&store));
    advance(40);
    store.prune().unwrap();
    assert!(store.source_at(5).is_err());
    let archive = archive(&dir, 300);
    archive.make(&source, &|| true).unwrap();
    drop(source);
    let joiner = Store::temporary(NAMES).unwrap();
    archive.restore(&joiner, 5, FORMAT).unwrap();
    assert_eq!(dump(&joiner), rows);
    // Trees that are mapped from a file give the same as those in memory.
    let original = chain(40);
    assert_eq!(make(&archive, &store), make(&self::archive(&TempDir::new().unwrap(), 300), &original));
}

#[test]
fn a_restored_state_can_go_until_a_block_came_after_it() {
    let (dir, makers) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let archive = archive(&makers, 300);
    make(&archive, &chain(5));
    assert!(!on_disk(dir.path()).drop_restored().unwrap());
    let joiner = on_disk(dir.path());
    archive.restore(&joiner, 5, FORMAT).unwrap();
    drop(joiner);
    let joiner = on_disk(dir.path());
    assert_eq!(joiner.height(), 5);
    assert!(joiner.drop_restored().unwrap());
    drop(joiner);
    let joiner = on_disk(dir.path());
    assert_eq!((joiner.height(), dump(&joiner)), (0, Vec::new()));
    archive.restore(&joiner, 5, FORMAT).unwrap();
    commit(&joiner, &block(6));
    assert!(!joiner.drop_restored().unwrap());
    drop(joiner);
    assert_eq!(on_disk(dir.path()).app_hash(), chain(6).app_hash());
}

/// `cargo test -p gantry-store --release a_million_rows -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn a_million_rows() {
    let rows = 1_000_000u64;
    let dir = TempDir::new().unwrap();
    let store = on_disk(dir.path());
    for height in 1..=10 {
        let mut block = Overlay::new(store.snapshot());
        for i in (0..rows).filter(|i| i % 10 == height % 10) {
            let key = Sha256::digest(i.to_be_bytes())[..21].to_vec();
            block.set(A, key, [i.to_be_bytes(); 10].concat()).unwrap();
        }
        commit_changes(&store, block.into_changes());
    }
    let archive = Archive::open(&dir.path().join("snapshots")).unwrap();
    let start = std::time::Instant::now();
    let (info, metadata, chunks) = make(&archive, &store);
    let made = start.elapsed();
    let start = std::time::Instant::now();
    let joiners = Archive::open(&dir.path().join("joiners")).unwrap();
    let mut restore = Restore::begin(&joiners, metadata.clone()).unwrap();
    for (index, chunk) in chunks.iter().enumerate() {
        restore.add(u32::try_from(index).unwrap(), chunk).unwrap();
    }
    let checked = start.elapsed();
    let start = std::time::Instant::now();
    let joiner = TempDir::new().unwrap();
    restore.finish(&on_disk(joiner.path())).unwrap();
    println!(
        "{rows} rows: {} chunks, {} MB raw, {} MB, metadata {} bytes; made in {made:.2?}, checked in {checked:.2?}, restored in {:.2?}",
        info.chunks,
        metadata.bytes() / 1_000_000,
        chunks.iter().map(Vec::len).sum::<usize>() / 1_000_000,
        info.metadata.len(),
        start.elapsed()
    );
}

// --- kills ---

fn on_disk(dir: &Path) -> Store {
    let options = StoreOptions { cache_bytes: 1 << 20, ..StoreOptions::default() };
    Store::open(&dir.join("db"), NAMES, options).unwrap()
}

/// Makes a snapshot of a chain in one home and restores it in another.
#[test]
#[ignore = "run by the tests below, in a process of its own"]
fn crash_child() {
    let Some(dir) = std::env::var_os("GANTRY_SYNC_DIR").map(PathBuf::from) else { return };
    let makers = Archive::open(&dir.join("makers")).unwrap().with_chunk_bytes(300);
    let (_, metadata, chunks) = make(&makers, &chain(5));
    let joiners = Archive::open(&dir.join("joiners")).unwrap();
    let joiner = on_disk(&dir);
    let mut restore = Restore::begin(&joiners, metadata).unwrap();
    for (index, chunk) in chunks.iter().enumerate() {
        restore.add(u32::try_from(index).unwrap(), chunk).unwrap();
    }
    restore.finish(&joiner).unwrap();
}

fn child(dir: &Path, fail: &str) -> std::process::Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sync::tests::crash_child", "--ignored", "--nocapture"])
        .env("GANTRY_SYNC_DIR", dir)
        .env("GANTRY_FAIL", fail)
        .output()
        .unwrap()
}

#[test]
fn kills_leave_no_half_snapshot_and_no_half_state() {
    const ABORT: i32 = 6;
    let reference = chain(5);
    let dir = TempDir::new().unwrap();
    let output = child(dir.path(), "?");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Every place of ours is visited, the repeated ones at their second time.
    let stderr = String::from_utf8(output.stderr).unwrap();
    let passed: Vec<&str> = stderr.lines().filter_map(|line| line.strip_prefix(crate::fail::PREFIX)).collect();
    let mut places: Vec<&str> = passed.clone();
    places.retain(|place| ["snapshot: ", "restore: ", "save: "].iter().any(|ours| place.starts_with(ours)));
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), 11, "{places:?}");

    for place in places {
        let dir = TempDir::new().unwrap();
        let count = passed.iter().filter(|passed| **passed == place).count().min(2);
        let output = child(dir.path(), &format!("{place}#{count}"));
        assert_eq!(output.status.signal(), Some(ABORT), "{place}: {}", String::from_utf8_lossy(&output.stderr));

        let makers = Archive::open(&dir.path().join("makers")).unwrap();
        for info in makers.list() {
            let metadata = Metadata::read(&info.metadata).unwrap();
            for index in 0..info.chunks {
                metadata.check_chunk(index, &makers.chunk(info.height, FORMAT, index).unwrap().unwrap()).unwrap();
            }
        }
        assert!(makers.list().len() == 1 || place.starts_with("snapshot: "), "{place}");
        {
            let joiner = on_disk(dir.path());
            if place == "restore: complete" {
                assert_eq!(joiner.app_hash(), reference.app_hash());
                continue;
            }
            assert_eq!((joiner.height(), dump(&joiner)), (0, Vec::new()), "{place}");
            // As empty as it looks: a chain that starts here has the app hashes of any other.
            let other = Store::temporary(NAMES).unwrap();
            for height in 1..=7 {
                commit(&joiner, &block(height));
                commit(&other, &block(height));
                assert_eq!(joiner.app_hash(), other.app_hash(), "{place}");
            }
            assert_eq!(dump(&joiner), dump(&other), "{place}");
        }
        // And once it is empty again, the same snapshot can be restored.
        fs::remove_dir_all(dir.path().join("db")).unwrap();
        let output = child(dir.path(), "nothing#1");
        assert!(output.status.success(), "{place}: {}", String::from_utf8_lossy(&output.stderr));
        let joiner = on_disk(dir.path());
        assert_eq!((joiner.height(), joiner.app_hash()), (5, reference.app_hash()), "{place}");
        assert_eq!(dump(&joiner), dump(&reference), "{place}");
    }
}
