//! Trees in a file, read where they lie: the file is mapped into memory, so opening it costs no more than checking it.
//!
//! | Part | Holds |
//! |---|---|
//! | a section for each store | its nodes in post-order, 64 bytes each; then the keys of its leaves in ascending order; then zeros up to a multiple of 64 |
//! | directory | the names and places of the sections, and the digest of all of them ([`Directory`]) |
//! | trailer, 48 bytes | [`MAGIC`]; length of the directory (8 bytes); its SHA-256 |
//!
//! A node is: hash (32 bytes), version (8), place of its key among the keys (8), the key's length (4), number of leaves (4),
//! number of the left child's node (4), height (1), zeros (3); integers are big endian. Nodes are numbered within their
//! section; the right child stands right before its parent, and so does each subtree as a whole.
//!
//! A file is written once, under a name that does not count yet, and never changes. It is checked whole before its first
//! use: the digest finds what a disk made of it, and the structure is checked node by node, so that nothing in it can lead
//! out of it.

use super::node::{Inner, Key, Link, Node};
use super::{Hash, Tree};
use crate::StoreError;
use memmap2::Mmap;
use prost::Message;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"gantree1";
const TRAILER: usize = 48;
const RECORD: usize = 64;

/// The digest is one over digests of blocks of this size, so that it can be computed in parallel.
const DIGEST_BLOCK: usize = 1 << 20;

/// A writer hands its bytes to the system in parts of this size.
const PART: usize = 1 << 20;

/// It waits for the disk after so many parts, so that a block's synced write never has to wait for much of a file.
const PARTS_UNSYNCED: u32 = 8;

#[derive(Clone, PartialEq, Message)]
struct Directory {
    #[prost(message, repeated, tag = "1")]
    sections: Vec<Entry>,
    /// SHA-256 over the SHA-256 of each MiB before the directory.
    #[prost(bytes = "vec", tag = "2")]
    digest: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    /// The store.
    #[prost(string, tag = "1")]
    name: String,
    /// Where its nodes begin; its keys follow them.
    #[prost(uint64, tag = "2")]
    at: u64,
    #[prost(uint32, tag = "3")]
    nodes: u32,
    #[prost(uint64, tag = "4")]
    key_bytes: u64,
}

// --- reading ---

/// One store's part of a mapped file.
#[derive(Debug)]
pub(super) struct Section {
    map: Arc<Mmap>,
    at: usize,
    nodes: u32,
    key_bytes: usize,
}

/// A node as it lies in the file.
#[derive(Clone, Copy)]
pub(super) struct Record<'a>(&'a [u8; RECORD]);

impl<'a> Record<'a> {
    fn take<const N: usize>(self, at: usize) -> [u8; N] {
        *self.0[at..].first_chunk().expect("all fields lie within a record")
    }

    pub(super) fn hash(self) -> &'a Hash {
        self.0.first_chunk().expect("a record is longer than a hash")
    }

    pub(super) fn version(self) -> u64 {
        u64::from_be_bytes(self.take(32))
    }

    /// Where the key begins among the keys, and its length.
    fn key(self) -> (u64, u32) {
        (u64::from_be_bytes(self.take(40)), u32::from_be_bytes(self.take(48)))
    }

    pub(super) fn size(self) -> u32 {
        u32::from_be_bytes(self.take(52))
    }

    fn left(self) -> u32 {
        u32::from_be_bytes(self.take(56))
    }

    pub(super) fn height(self) -> u8 {
        self.0[60]
    }
}

/// A node's fields as a record.
fn record(node: Node<'_>, key: (u64, u32), left: u32) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..32].copy_from_slice(node.hash());
    record[32..40].copy_from_slice(&node.version().to_be_bytes());
    record[40..48].copy_from_slice(&key.0.to_be_bytes());
    record[48..52].copy_from_slice(&key.1.to_be_bytes());
    record[52..56].copy_from_slice(&node.size().to_be_bytes());
    record[56..60].copy_from_slice(&left.to_be_bytes());
    record[60] = node.height();
    record
}

impl Section {
    fn of(map: &Arc<Mmap>, body: usize, entry: &Entry) -> Option<Self> {
        let (at, key_bytes) = (usize::try_from(entry.at).ok()?, usize::try_from(entry.key_bytes).ok()?);
        let end = at.checked_add(entry.nodes as usize * RECORD)?.checked_add(key_bytes)?;
        (end <= body).then(|| Self { map: Arc::clone(map), at, nodes: entry.nodes, key_bytes })
    }

    /// The bytes of nodes and keys.
    pub(super) fn len(&self) -> u64 {
        (self.nodes as usize * RECORD + self.key_bytes) as u64
    }

    pub(super) fn root(&self) -> Option<Link> {
        Some(Link::Saved(self.nodes.checked_sub(1)?))
    }

    pub(super) fn record(&self, index: u32) -> Record<'_> {
        let bytes = self.map[self.at + index as usize * RECORD..].first_chunk();
        Record(bytes.expect("nodes refer to nodes, as was checked when the file was opened"))
    }

    fn keys(&self) -> &[u8] {
        &self.map[self.at + self.nodes as usize * RECORD..][..self.key_bytes]
    }

    pub(super) fn key(&self, index: u32) -> &[u8] {
        let (at, len) = self.record(index).key();
        #[expect(clippy::cast_possible_truncation, reason = "checked when the file was opened")]
        &self.keys()[at as usize..][..len as usize]
    }

    /// The children's nodes, of an inner node.
    pub(super) fn children(&self, index: u32) -> Option<(u32, u32)> {
        let record = self.record(index);
        (record.height() > 0).then(|| (record.left(), index - 1))
    }

    /// Brings an inner node into memory.
    pub(super) fn load(&self, index: u32) -> Link {
        let record = self.record(index);
        Link::Inner(Arc::new(Inner {
            hash: *record.hash(),
            key: Key::from(self.key(index)),
            version: record.version(),
            left: Link::Saved(record.left()),
            right: Link::Saved(index - 1),
            size: record.size(),
            height: record.height(),
            sealed: true,
        }))
    }

    /// Whether the nodes make one balanced tree with keys that are there.
    fn is_sound(&self) -> bool {
        let fits = |index: u32| {
            let record = self.record(index);
            let (at, len) = record.key();
            let key_there = len > 0 && at.checked_add(len.into()).is_some_and(|end| end <= self.key_bytes as u64);
            if record.height() == 0 {
                return key_there && record.size() == 1;
            }
            let (left, Some(right)) = (record.left(), index.checked_sub(1)) else { return false };
            if left >= right {
                return false;
            }
            let (left, right) = (self.record(left), self.record(right));
            key_there
                // The right subtree lies between the left child and its parent.
                && u64::from(index) == u64::from(record.left()) + 2 * u64::from(right.size())
                && u64::from(record.size()) == u64::from(left.size()) + u64::from(right.size())
                && record.height() == left.height().max(right.height()).saturating_add(1)
                && left.height().abs_diff(right.height()) <= 1
                // The separator is the key of the first leaf on the right.
                && self.record(record.left() + 1).key() == record.key()
        };
        let one_root = match self.nodes.checked_sub(1) {
            None => true,
            Some(root) => u64::from(self.record(root).size()) * 2 == u64::from(self.nodes) + 1,
        };
        one_root && (0..self.nodes).into_par_iter().with_min_len(1 << 14).all(fits)
    }
}

/// Opens the file of [`save`] and checks all of it. Returns the trees by the names of their stores.
///
/// # Errors
/// [`StoreError::Corrupt`] if it is not what was written, [`StoreError::Io`].
pub(crate) fn open(path: &Path) -> Result<Vec<(String, Tree)>, StoreError> {
    let corrupt = |what: &str| StoreError::Corrupt(format!("{}: {what}", path.display()));
    let file = File::open(path).map_err(|error| failed(path, &error))?;
    let read = |at: usize, length: usize| {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, at as u64).map(|()| bytes).map_err(|error| failed(path, &error))
    };

    let length = file.metadata().map_err(|error| failed(path, &error))?.len();
    let trailer = usize::try_from(length).ok().and_then(|length| length.checked_sub(TRAILER));
    let trailer = trailer.ok_or_else(|| corrupt("no trailer"))?;
    let last = read(trailer, TRAILER)?;
    let (magic, rest) = last.split_at(MAGIC.len());
    let (length, digest) = rest.split_at(size_of::<u64>());
    if magic != MAGIC {
        return Err(corrupt("no saved trees"));
    }
    let length = u64::from_be_bytes(length.try_into().expect("split off with this length"));
    let body = usize::try_from(length).ok().and_then(|length| trailer.checked_sub(length));
    let body = body.ok_or_else(|| corrupt("the directory is longer than the file"))?;
    let directory = read(body, trailer - body)?;
    if Sha256::digest(&directory)[..] != *digest {
        return Err(corrupt("the directory is damaged"));
    }
    let directory = Directory::decode(&directory[..]).map_err(|error| corrupt(&error.to_string()))?;
    let digests = (0..body.div_ceil(DIGEST_BLOCK)).into_par_iter().map(|block| digest_of(&file, body, block));
    let digests: Vec<Hash> = digests.collect::<Result<_, _>>().map_err(|error| failed(path, &error))?;
    if Sha256::digest(digests.concat())[..] != directory.digest {
        return Err(corrupt("the trees are damaged"));
    }

    let map = Arc::new(map(&file).map_err(|error| failed(path, &error))?);
    let open = |entry: Entry| {
        let section = Section::of(&map, body, &entry).filter(Section::is_sound);
        Ok((entry.name, Tree::saved(section.ok_or_else(|| corrupt("nodes that make no tree"))?)))
    };
    directory.sections.into_iter().map(open).collect()
}

fn failed(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Io(format!("{}: {error}", path.display()))
}

/// The digest of one block of a file, of which `body` bytes come before the directory. Read, not mapped: what a disk does not
/// give is an error here, and would be a signal there.
fn digest_of(file: &File, body: usize, block: usize) -> std::io::Result<Hash> {
    let at = block * DIGEST_BLOCK;
    let mut bytes = vec![0; DIGEST_BLOCK.min(body - at)];
    file.read_exact_at(&mut bytes, at as u64)?;
    Ok(Sha256::digest(&bytes).into())
}

fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the mapped bytes must not change. Files of saved trees are ours, in the folder of a database whose lock keeps
    // other processes away; each is written under a temporary name, and once mapped it is read and unlinked, nothing else.
    unsafe { Mmap::map(file) }
}

// --- writing ---

/// Writes trees into a new file at `path` and waits until it is on disk; `part` is called after each MiB, and its error
/// ends the writing.
///
/// # Errors
/// [`StoreError::Io`], or what `part` returned.
pub(crate) fn save<'a>(
    path: &Path,
    trees: impl Iterator<Item = (&'a str, &'a Tree)>,
    part: &mut dyn FnMut() -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| failed(path, &error);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path).map_err(failed)?;
    let mut flush = Flush { path, file: &file, unsynced: 0, part };
    let mut directory = Directory::default();
    let mut at = 0;
    for (name, tree) in trees {
        let nodes = tree.node().map_or(0, |root| u64::from(root.size()) * 2 - 1);
        let too_many = || StoreError::Io(format!("store {name} has more rows than a file can number"));
        let nodes = u32::try_from(nodes).map_err(|_| too_many())?;
        let keys_at = at + u64::from(nodes) * RECORD as u64;
        let mut writer =
            Writer { records: Stream::new(at), keys: Stream::new(keys_at), keys_at, nodes: 0, flush: &mut flush };
        if let Some(root) = tree.node() {
            writer.put(root)?;
        }
        let Writer { mut records, mut keys, .. } = writer;
        let key_bytes = keys.end() - keys_at;
        let end = keys.end().next_multiple_of(RECORD as u64);
        keys.push(&[0; RECORD][..usize::try_from(end - keys.end()).expect("less than a record")], &mut flush)?;
        records.finish(&mut flush)?;
        keys.finish(&mut flush)?;
        directory.sections.push(Entry { name: name.to_owned(), at, nodes, key_bytes });
        at = end;
    }

    // Reads back what was written, out of the page cache. On this thread alone: blocks need the others.
    let body = usize::try_from(at).expect("a file of trees fits into the address space, where it is mapped");
    let digests = (0..body.div_ceil(DIGEST_BLOCK)).map(|block| digest_of(&file, body, block));
    let digests: Vec<Hash> = digests.collect::<Result<_, _>>().map_err(failed)?;
    directory.digest = Sha256::digest(digests.concat()).to_vec();
    let directory = directory.encode_to_vec();
    let mut end = Stream::new(at);
    end.push(&directory, &mut flush)?;
    end.push(MAGIC, &mut flush)?;
    end.push(&(directory.len() as u64).to_be_bytes(), &mut flush)?;
    end.push(&Sha256::digest(&directory), &mut flush)?;
    end.finish(&mut flush)?;
    file.sync_all().map_err(failed)
}

/// Where finished parts go.
struct Flush<'a> {
    path: &'a Path,
    file: &'a File,
    unsynced: u32,
    part: &'a mut dyn FnMut() -> Result<(), StoreError>,
}

impl Flush<'_> {
    fn write(&mut self, bytes: &[u8], at: u64) -> Result<(), StoreError> {
        let failed = |error: std::io::Error| failed(self.path, &error);
        self.file.write_all_at(bytes, at).map_err(failed)?;
        self.unsynced += 1;
        if self.unsynced >= PARTS_UNSYNCED {
            self.file.sync_data().map_err(failed)?;
            self.unsynced = 0;
        }
        (self.part)()
    }
}

/// Bytes on their way to one region of the file.
struct Stream {
    buffer: Vec<u8>,
    /// Where the buffer begins.
    at: u64,
}

impl Stream {
    fn new(at: u64) -> Self {
        Self { buffer: Vec::new(), at }
    }

    fn end(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    fn push(&mut self, bytes: &[u8], flush: &mut Flush<'_>) -> Result<(), StoreError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PART { self.finish(flush) } else { Ok(()) }
    }

    /// Writes what has gathered.
    fn finish(&mut self, flush: &mut Flush<'_>) -> Result<(), StoreError> {
        if !self.buffer.is_empty() {
            flush.write(&self.buffer, self.at)?;
            self.at = self.end();
            self.buffer.clear();
        }
        Ok(())
    }
}

/// Writes the nodes and keys of one tree.
struct Writer<'a, 'f> {
    records: Stream,
    keys: Stream,
    keys_at: u64,
    nodes: u32,
    flush: &'a mut Flush<'f>,
}

/// A written subtree.
struct Placed {
    index: u32,
    /// The key of its first leaf.
    first: (u64, u32),
}

impl Writer<'_, '_> {
    fn put(&mut self, node: Node<'_>) -> Result<Placed, StoreError> {
        if let Node::Saved(section, index) = node {
            return self.copy(section, index);
        }
        let (key, left, first) = match node.children() {
            None => {
                let len = u32::try_from(node.key().len()).expect("keys are far shorter than 4 GiB");
                let key = (self.keys.end() - self.keys_at, len);
                self.keys.push(node.key(), self.flush)?;
                (key, 0, key)
            }
            Some((left, right)) => {
                let (left, right) = (self.put(left)?, self.put(right)?);
                (right.first, left.index, left.first)
            }
        };
        self.records.push(&record(node, key, left), self.flush)?;
        self.nodes += 1;
        Ok(Placed { index: self.nodes - 1, first })
    }

    /// Copies a subtree, which lies in the older file in one piece, as do its keys.
    fn copy(&mut self, section: &Section, root: u32) -> Result<Placed, StoreError> {
        let begin = root - 2 * (section.record(root).size() - 1);
        let from = section.record(begin).key().0;
        let first = (self.keys.end() - self.keys_at, section.record(begin).key().1);
        let shift = self.nodes;
        for index in begin..=root {
            let old = section.record(index);
            let (at, len) = old.key();
            let left = if old.height() > 0 { old.left() - begin + shift } else { 0 };
            if old.height() == 0 {
                self.keys.push(section.key(index), self.flush)?;
            }
            self.records.push(&record(Node::Saved(section, index), (at - from + first.0, len), left), self.flush)?;
        }
        self.nodes += root - begin + 1;
        Ok(Placed { index: self.nodes - 1, first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commitment::Commitment;
    use crate::overlay::StoreChanges;
    use proptest::prelude::*;

    /// Makes the digests right again after a change to what they cover.
    fn sign(bytes: &mut Vec<u8>) {
        let trailer = bytes.len() - TRAILER;
        let length = u64::from_be_bytes(*bytes[trailer + MAGIC.len()..].first_chunk().unwrap());
        let body = trailer - usize::try_from(length).unwrap();
        let mut directory = Directory::decode(&bytes[body..trailer]).unwrap();
        bytes.truncate(body);
        let digests: Vec<Hash> = bytes.chunks(DIGEST_BLOCK).map(|block| Sha256::digest(block).into()).collect();
        directory.digest = Sha256::digest(digests.concat()).to_vec();
        let directory = directory.encode_to_vec();
        bytes.extend_from_slice(&directory);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&(directory.len() as u64).to_be_bytes());
        bytes.extend_from_slice(&Sha256::digest(&directory));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn nothing_in_a_file_leads_out_of_it(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), 32..RECORD, any::<u8>()), 1..4),
        ) {
            let rows: StoreChanges = (0..60u8).map(|key| (vec![1, key], Some(vec![1]))).collect();
            let tree = Tree::default().apply(1, &rows);
            let dir = tempfile::TempDir::new().unwrap();
            let path = dir.path().join("trees");
            save(&path, [("bank", &tree)].into_iter(), &mut || Ok(())).unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            let intact = bytes.clone();
            sign(&mut bytes);
            prop_assert_eq!(&bytes, &intact);
            for (record, field, value) in changes {
                bytes[record.index(119) * RECORD + field] = value;
            }
            sign(&mut bytes);
            std::fs::write(&path, &bytes).unwrap();
            match open(&path) {
                // What remains possible is a wrong version or a wrong key: nothing a walk could stumble over.
                Ok(trees) => {
                    let mut count = 0;
                    trees[0].1.export(&mut |_| { count += 1; Ok(()) }).unwrap();
                    prop_assert_eq!(count, 119);
                }
                Err(error) => prop_assert!(matches!(error, StoreError::Corrupt(_)), "{}", error),
            }
        }
    }
}
