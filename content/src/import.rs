//! From bytes, files and directories to blocks.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::cid::{Cid, Codec};
use crate::error::ContentError;
use crate::store::{Block, BlockStore, Lease};
use crate::unixfs::{Entry, FileNode, Node, Part};

/// Blocks are stored in batches of about this many bytes, which bounds the memory of an import.
const BATCH_BYTES: usize = 16 << 20;
/// Most blocks in a batch.
const BATCH_BLOCKS: usize = 1024;

/// How bytes become blocks. Gantry uses [`Profile::PINNED`] alone: another profile gives the same bytes another CID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Bytes per raw leaf, 1 to [`crate::unixfs::MAX_BLOCK_BYTES`].
    pub chunk_bytes: usize,
    /// Links per inner node of a file, 2 to [`crate::unixfs::MAX_LINKS`].
    pub max_links: usize,
}

impl Profile {
    /// `unixfs-v1-2025` of IPIP-499, the balanced layout with raw leaves: 1 MiB chunks, 1,024 links.
    pub const PINNED: Self = Self { chunk_bytes: 1 << 20, max_links: 1024 };
}

/// What an import may take in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeLimits {
    /// Bytes of content of all files.
    pub max_bytes: u64,
    /// Files and directories.
    pub max_entries: u64,
    /// Directories inside one another.
    pub max_depth: u32,
}

impl Default for TreeLimits {
    /// 16 GiB in 100,000 entries, 64 directories deep.
    fn default() -> Self {
        Self { max_bytes: 16 << 30, max_entries: 100_000, max_depth: 64 }
    }
}

/// Content that is now in the store, held until this is dropped: pin it before.
#[derive(Debug)]
pub struct Imported {
    /// Its CID.
    pub root: Cid,
    /// Bytes of content of all files.
    pub bytes: u64,
    /// Files and directories.
    pub entries: u64,
    /// Keeps the blocks.
    pub lease: Lease,
}

/// Imports the file or directory at `path`. Symlinks and special files are refused, wherever they are; hidden files are
/// files like others; modes and times are not kept.
pub fn import_path(store: &BlockStore, path: &Path, limits: &TreeLimits) -> Result<Imported, ContentError> {
    import(store, limits, |tree| tree.path(path))
}

/// Imports one file from memory.
pub fn import_bytes(store: &BlockStore, bytes: impl Into<Bytes>) -> Result<Imported, ContentError> {
    let bytes = bytes.into();
    import(store, &TreeLimits { max_bytes: u64::MAX, ..TreeLimits::default() }, |tree| tree.bytes(&bytes))
}

/// Imports one file from a stream of at most `max_bytes`.
pub fn import_reader(store: &BlockStore, input: impl Read, max_bytes: u64) -> Result<Imported, ContentError> {
    let limits = TreeLimits { max_bytes, ..TreeLimits::default() };
    import(store, &limits, |tree| tree.reader(input, Path::new("(stream)")))
}

/// The CID that [`import_path`] would give, storing nothing.
pub fn cid_of_path(path: &Path, limits: &TreeLimits) -> Result<Cid, ContentError> {
    Ok(Tree::new(Profile::PINNED, limits, Sink::Discard).path(path)?.cid)
}

/// The CIDs of all blocks that [`import_path`] would store for the file or directory at `path`, storing nothing.
pub fn cids_of_path(path: &Path, limits: &TreeLimits) -> Result<BTreeSet<Cid>, ContentError> {
    let mut tree = Tree::new(Profile::PINNED, limits, Sink::Name(BTreeSet::new()));
    tree.path(path)?;
    match tree.sink {
        Sink::Name(cids) => Ok(cids),
        Sink::Store { .. } | Sink::Discard => unreachable!("the sink is the one given above"),
    }
}

/// The CID of a file with these bytes under `profile`, storing nothing.
pub fn cid_of_reader(input: impl Read, profile: Profile) -> Result<Cid, ContentError> {
    let limits = TreeLimits { max_bytes: u64::MAX, ..TreeLimits::default() };
    Ok(Tree::new(profile, &limits, Sink::Discard).reader(input, Path::new("(stream)"))?.cid)
}

/// As [`import_reader`] under another profile: for tests of deep trees from few bytes.
#[doc(hidden)]
pub fn import_with_profile(store: &BlockStore, input: impl Read, profile: Profile) -> Result<Imported, ContentError> {
    let limits = TreeLimits { max_bytes: u64::MAX, ..TreeLimits::default() };
    run(store, profile, &limits, |tree| tree.reader(input, Path::new("(stream)")))
}

fn import(
    store: &BlockStore,
    limits: &TreeLimits,
    work: impl FnOnce(&mut Tree<'_>) -> Result<Part, ContentError>,
) -> Result<Imported, ContentError> {
    run(store, Profile::PINNED, limits, work)
}

fn run(
    store: &BlockStore,
    profile: Profile,
    limits: &TreeLimits,
    work: impl FnOnce(&mut Tree<'_>) -> Result<Part, ContentError>,
) -> Result<Imported, ContentError> {
    let lease = store.new_lease();
    let mut tree = Tree::new(profile, limits, Sink::Store { lease: &lease, pending: Vec::new(), bytes: 0 });
    let root = work(&mut tree)?.cid;
    tree.sink.flush()?;
    let (bytes, entries) = (tree.bytes, tree.entries);
    Ok(Imported { root, bytes, entries, lease })
}

/// Where blocks go.
enum Sink<'a> {
    Store { lease: &'a Lease, pending: Vec<Block>, bytes: usize },
    Name(BTreeSet<Cid>),
    Discard,
}

impl Sink<'_> {
    fn put(&mut self, block: Block) -> Result<(), ContentError> {
        match self {
            Self::Store { pending, bytes, .. } => {
                *bytes += block.bytes().len();
                pending.push(block);
                if *bytes >= BATCH_BYTES || pending.len() >= BATCH_BLOCKS {
                    self.flush()?;
                }
            }
            Self::Name(cids) => drop(cids.insert(block.cid())),
            Self::Discard => {}
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ContentError> {
        if let Self::Store { lease, pending, bytes } = self {
            lease.put(pending)?;
            pending.clear();
            *bytes = 0;
        }
        Ok(())
    }
}

/// One import at work.
struct Tree<'a> {
    profile: Profile,
    limits: TreeLimits,
    sink: Sink<'a>,
    bytes: u64,
    entries: u64,
}

impl<'a> Tree<'a> {
    fn new(profile: Profile, limits: &TreeLimits, sink: Sink<'a>) -> Self {
        Self { profile, limits: *limits, sink, bytes: 0, entries: 0 }
    }

    /// A file or a directory. Directories wait on a stack for their entries, so depth costs no recursion.
    fn path(&mut self, root: &Path) -> Result<Part, ContentError> {
        let mut stack: Vec<OpenDir> = Vec::new();
        let mut visit = Some((String::new(), root.to_owned()));
        loop {
            let done = if let Some((name, path)) = visit.take() {
                if self.is_dir(&path)? {
                    if stack.len() >= self.limits.max_depth as usize {
                        return Err(ContentError::TooDeep { limit: self.limits.max_depth });
                    }
                    let names = self.names(&path)?.into_iter();
                    stack.push(OpenDir { name, path, names, entries: Vec::new() });
                    None
                } else {
                    Some((name, self.file(&path)?))
                }
            } else {
                let dir = stack.last_mut().expect("an empty stack returns below");
                match dir.names.next() {
                    Some(name) => {
                        let path = dir.path.join(&name);
                        visit = Some((name, path));
                        None
                    }
                    None => {
                        let dir = stack.pop().expect("it was there a line ago");
                        let node = Node::Directory(dir.entries);
                        Some((dir.name, self.node(&node, 0, &dir.path)?))
                    }
                }
            };
            if let Some((name, part)) = done {
                match stack.last_mut() {
                    Some(dir) => dir.entries.push(Entry { name, cid: part.cid, tsize: part.tsize }),
                    None => return Ok(part),
                }
            }
        }
    }

    /// Counts an entry and tells whether it is a directory; refuses what is neither that nor a file.
    fn is_dir(&mut self, path: &Path) -> Result<bool, ContentError> {
        self.entries += 1;
        if self.entries > self.limits.max_entries {
            return Err(ContentError::TooMany { limit: self.limits.max_entries });
        }
        let kind = fs::symlink_metadata(path).map_err(ContentError::io(path))?.file_type();
        if kind.is_dir() || kind.is_file() {
            return Ok(kind.is_dir());
        }
        let why = if kind.is_symlink() { "symbolic link" } else { "neither a file nor a directory" };
        Err(ContentError::Unsupported { path: path.to_owned(), why })
    }

    /// The names in a directory, sorted by bytes as in its node.
    fn names(&self, dir: &Path) -> Result<Vec<String>, ContentError> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir).map_err(ContentError::io(dir))? {
            let entry = entry.map_err(ContentError::io(dir))?;
            let name = entry.file_name().into_string();
            names.push(name.map_err(|_| ContentError::Unsupported { path: entry.path(), why: "name is not UTF-8" })?);
            if names.len() as u64 > self.limits.max_entries {
                return Err(ContentError::TooMany { limit: self.limits.max_entries });
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn file(&mut self, path: &Path) -> Result<Part, ContentError> {
        // The entry may have been swapped since it was looked at: do not follow a link, do not wait for a pipe's writer.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(ContentError::io(path))?;
        if !file.metadata().map_err(ContentError::io(path))?.is_file() {
            return Err(ContentError::Unsupported { path: path.to_owned(), why: "not a file" });
        }
        self.reader(file, path)
    }

    fn reader(&mut self, mut input: impl Read, path: &Path) -> Result<Part, ContentError> {
        let mut layout = Layout::default();
        loop {
            let mut chunk = Vec::new();
            let limit = self.profile.chunk_bytes as u64;
            input.by_ref().take(limit).read_to_end(&mut chunk).map_err(ContentError::io(path))?;
            let end = chunk.len() < self.profile.chunk_bytes;
            // An empty file is one empty leaf.
            if !chunk.is_empty() || layout.is_empty() {
                self.leaf(&mut layout, chunk.into(), path)?;
            }
            if end {
                return self.finish(layout, path);
            }
        }
    }

    fn bytes(&mut self, bytes: &Bytes) -> Result<Part, ContentError> {
        let path = Path::new("(bytes)");
        let mut layout = Layout::default();
        let mut rest = bytes.clone();
        while !rest.is_empty() || layout.is_empty() {
            let chunk = rest.split_to(rest.len().min(self.profile.chunk_bytes));
            self.leaf(&mut layout, chunk, path)?;
        }
        self.finish(layout, path)
    }

    fn leaf(&mut self, layout: &mut Layout, chunk: Bytes, path: &Path) -> Result<(), ContentError> {
        let size = chunk.len() as u64;
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.max_bytes {
            return Err(ContentError::TooLarge { limit: self.limits.max_bytes });
        }
        let block = Block::new(Codec::Raw, chunk).map_err(ContentError::node(path.display()))?;
        let part = Part { cid: block.cid(), size, tsize: size };
        self.sink.put(block)?;
        self.place(layout, 0, part, path)
    }

    /// Adds a part at a level, closing the node there when it is full.
    fn place(&mut self, layout: &mut Layout, level: usize, part: Part, path: &Path) -> Result<(), ContentError> {
        if layout.levels.len() == level {
            layout.levels.push(Vec::new());
        }
        if layout.levels[level].len() == self.profile.max_links {
            let node = self.inner(std::mem::take(&mut layout.levels[level]), path)?;
            self.place(layout, level + 1, node, path)?;
        }
        layout.levels[level].push(part);
        Ok(())
    }

    /// Closes the open nodes from the bottom up. All leaves end at the same depth: a level with one part closes too,
    /// unless it is the top.
    fn finish(&mut self, mut layout: Layout, path: &Path) -> Result<Part, ContentError> {
        let mut level = 0;
        loop {
            let parts = std::mem::take(&mut layout.levels[level]);
            if let ([root], true) = (parts.as_slice(), level + 1 == layout.levels.len()) {
                return Ok(*root);
            }
            let node = self.inner(parts, path)?;
            level += 1;
            self.place(&mut layout, level, node, path)?;
        }
    }

    fn inner(&mut self, parts: Vec<Part>, path: &Path) -> Result<Part, ContentError> {
        let file = FileNode { data: Bytes::new(), parts };
        let size = file.size().map_err(ContentError::node(path.display()))?;
        self.node(&Node::File(file), size, path)
    }

    fn node(&mut self, node: &Node, size: u64, path: &Path) -> Result<Part, ContentError> {
        let below = match node {
            Node::File(file) => file.parts.iter().fold(0, |sum: u64, p| sum.saturating_add(p.tsize)),
            Node::Directory(entries) => entries.iter().fold(0, |sum: u64, e| sum.saturating_add(e.tsize)),
        };
        let block = node.encode().and_then(|bytes| Block::new(Codec::DagPb, bytes));
        let block = block.map_err(ContentError::node(path.display()))?;
        let part = Part { cid: block.cid(), size, tsize: below.saturating_add(block.bytes().len() as u64) };
        self.sink.put(block)?;
        Ok(part)
    }
}

/// A directory whose entries are being imported.
struct OpenDir {
    name: String,
    path: PathBuf,
    names: std::vec::IntoIter<String>,
    entries: Vec<Entry>,
}

/// The open nodes of a file, leaves first. A node closes only when another part follows it, so no level is empty.
#[derive(Default)]
struct Layout {
    levels: Vec<Vec<Part>>,
}

impl Layout {
    fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }
}
