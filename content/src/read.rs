//! From blocks back to bytes, files and directories.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::cid::{Cid, Codec};
use crate::error::ContentError;
use crate::import::TreeLimits;
use crate::store::BlockStore;
use crate::unixfs::{Entry, FileNode, Node, Part, check_name};

/// Levels of inner nodes in one file. The pinned profile holds 1 PiB in three.
const MAX_FILE_DEPTH: u32 = 32;

/// What a CID names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stat {
    /// A file of this many bytes.
    File {
        /// Bytes of content.
        size: u64,
    },
    /// A directory of this many entries.
    Directory {
        /// Number of entries.
        entries: u64,
    },
}

/// `CID` or `CID/name/name...`, as people write paths into content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentPath {
    /// Where the path starts.
    pub root: Cid,
    /// Names to follow, each valid.
    pub names: Vec<String>,
}

impl FromStr for ContentPath {
    type Err = ContentError;

    /// One trailing slash is allowed; empty names, `.` and `..` are not.
    fn from_str(text: &str) -> Result<Self, ContentError> {
        let bad = |why: &dyn fmt::Display| ContentError::BadPath(why.to_string());
        let text = text.strip_suffix('/').unwrap_or(text);
        let mut parts = text.split('/');
        let root = parts.next().unwrap_or_default().parse().map_err(|e| bad(&e))?;
        let names: Vec<String> = parts.map(str::to_owned).collect();
        names.iter().try_for_each(|n| check_name(n)).map_err(|e| bad(&e))?;
        Ok(Self { root, names })
    }
}

impl fmt::Display for ContentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root)?;
        self.names.iter().try_for_each(|name| write!(f, "/{name}"))
    }
}

fn load(store: &BlockStore, cid: &Cid) -> Result<Node, ContentError> {
    let block = store.get(cid)?.ok_or(ContentError::Missing(*cid))?;
    Node::decode(cid.codec(), &block).map_err(ContentError::node(cid))
}

fn load_file(store: &BlockStore, cid: &Cid) -> Result<FileNode, ContentError> {
    match load(store, cid)? {
        Node::File(file) => Ok(file),
        Node::Directory(_) => Err(ContentError::NotAFile(*cid)),
    }
}

/// What `cid` names. Reads one block.
pub fn stat(store: &BlockStore, cid: &Cid) -> Result<Stat, ContentError> {
    if cid.codec() == Codec::Raw {
        let size = store.size(cid)?.ok_or(ContentError::Missing(*cid))?;
        return Ok(Stat::File { size: size.into() });
    }
    Ok(match load(store, cid)? {
        Node::File(file) => Stat::File { size: file.size().map_err(ContentError::node(cid))? },
        Node::Directory(entries) => Stat::Directory { entries: entries.len() as u64 },
    })
}

/// The entries of the directory `cid`, in order.
pub fn ls(store: &BlockStore, cid: &Cid) -> Result<Vec<Entry>, ContentError> {
    match load(store, cid)? {
        Node::Directory(entries) => Ok(entries),
        Node::File(_) => Err(ContentError::NotADirectory(*cid)),
    }
}

/// Follows a path to the CID that it names.
pub fn resolve(store: &BlockStore, path: &ContentPath) -> Result<Cid, ContentError> {
    let mut at = path.root;
    for name in &path.names {
        let mut entries = ls(store, &at)?;
        let found = entries.binary_search_by(|e| e.name.as_bytes().cmp(name.as_bytes()));
        let found = found.map_err(|_| ContentError::NoEntry { dir: at, name: name.clone() })?;
        at = entries.swap_remove(found).cid;
    }
    Ok(at)
}

/// The whole file `cid`, if it is at most `max_bytes`.
pub fn cat(store: &BlockStore, cid: &Cid, max_bytes: u64) -> Result<Vec<u8>, ContentError> {
    let mut reader = FileReader::open(store, cid)?;
    if reader.size() > max_bytes {
        return Err(ContentError::TooLarge { limit: max_bytes });
    }
    // The size is only declared until the parts have been read: let the buffer grow.
    let mut out = Vec::new();
    while let Some(chunk) = reader.next_chunk()? {
        out.extend_from_slice(&chunk);
    }
    Ok(out)
}

/// Streams the content of a file, one block in memory at a time, checking each part against the size that its parent
/// declares.
#[derive(Debug)]
pub struct FileReader {
    store: BlockStore,
    /// Parts still to read, one level of the tree per element.
    stack: Vec<std::vec::IntoIter<Part>>,
    current: Bytes,
    size: u64,
}

impl FileReader {
    /// Opens the file `cid` at its start.
    pub fn open(store: &BlockStore, cid: &Cid) -> Result<Self, ContentError> {
        Self::open_at(store, cid, 0)
    }

    /// Opens the file `cid` at byte `offset`, touching only the blocks on the way there. At or past the end there is
    /// nothing to read.
    pub fn open_at(store: &BlockStore, cid: &Cid, offset: u64) -> Result<Self, ContentError> {
        let file = load_file(store, cid)?;
        let size = file.size().map_err(ContentError::node(cid))?;
        let mut reader = Self { store: store.clone(), stack: Vec::new(), current: Bytes::new(), size };
        reader.enter(file);
        reader.skip(offset)?;
        Ok(reader)
    }

    /// Bytes in the whole file, as its root declares; reading fails where that turns out untrue.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The next bytes, at most a block of them, or nothing at the end.
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>, ContentError> {
        while self.current.is_empty() {
            match self.next_part() {
                Some(part) => self.descend(&part)?,
                None => return Ok(None),
            }
        }
        Ok(Some(std::mem::take(&mut self.current)))
    }

    fn next_part(&mut self) -> Option<Part> {
        loop {
            let parts = self.stack.last_mut()?;
            match parts.next() {
                Some(part) => return Some(part),
                None => drop(self.stack.pop()),
            }
        }
    }

    fn skip(&mut self, mut offset: u64) -> Result<(), ContentError> {
        while offset > 0 {
            if offset < self.current.len() as u64 {
                // Less than the length of a block.
                self.current = self.current.split_off(usize::try_from(offset).expect("less than a usize"));
                return Ok(());
            }
            offset -= self.current.len() as u64;
            self.current = Bytes::new();
            match self.next_part() {
                Some(part) if part.size <= offset => offset -= part.size,
                Some(part) => self.descend(&part)?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn descend(&mut self, part: &Part) -> Result<(), ContentError> {
        if self.stack.len() >= MAX_FILE_DEPTH as usize {
            return Err(ContentError::TooDeep { limit: MAX_FILE_DEPTH });
        }
        let file = load_file(&self.store, &part.cid)?;
        let actual = file.size().map_err(ContentError::node(part.cid))?;
        if actual != part.size {
            return Err(ContentError::SizeLie { cid: part.cid, declared: part.size, actual });
        }
        self.enter(file);
        Ok(())
    }

    fn enter(&mut self, file: FileNode) {
        self.current = file.data;
        self.stack.push(file.parts.into_iter());
    }
}

impl Read for FileReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.current.is_empty() {
            self.current = self.next_chunk().map_err(io::Error::other)?.unwrap_or_default();
        }
        let taken = self.current.split_to(self.current.len().min(buf.len()));
        buf[..taken.len()].copy_from_slice(&taken);
        Ok(taken.len())
    }
}

/// Writes the file or directory `cid` to `dest`, which must not exist while its parent must.
///
/// Everything is made anew inside a fresh sibling of `dest`, which takes its name only when complete: no existing file
/// is opened, no link followed, and a failure leaves nothing. Returns bytes of content written.
pub fn export(store: &BlockStore, cid: &Cid, dest: &Path, limits: &TreeLimits) -> Result<u64, ContentError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    if fs::symlink_metadata(dest).is_ok() {
        return Err(ContentError::io(dest)(io::Error::from(io::ErrorKind::AlreadyExists)));
    }
    let unique = NEXT.fetch_add(1, Ordering::Relaxed);
    let partial = dest.with_file_name(format!(".partial-{}-{unique}", std::process::id()));
    let result = write_tree(store, cid, &partial, limits).and_then(|bytes| {
        fs::rename(&partial, dest).map_err(ContentError::io(dest))?;
        Ok(bytes)
    });
    if result.is_err() {
        let _ = if partial.is_dir() { fs::remove_dir_all(&partial) } else { fs::remove_file(&partial) };
    }
    result
}

fn write_tree(store: &BlockStore, root: &Cid, dest: &Path, limits: &TreeLimits) -> Result<u64, ContentError> {
    let mut todo: Vec<(Cid, PathBuf, u32)> = vec![(*root, dest.to_owned(), 0)];
    let (mut bytes, mut entries) = (0u64, 1u64);
    while let Some((cid, path, depth)) = todo.pop() {
        match load(store, &cid)? {
            Node::Directory(children) => {
                if depth >= limits.max_depth {
                    return Err(ContentError::TooDeep { limit: limits.max_depth });
                }
                // Counted before they are queued: a small DAG may name the same large directory many times.
                entries = entries.saturating_add(children.len() as u64);
                if entries > limits.max_entries {
                    return Err(ContentError::TooMany { limit: limits.max_entries });
                }
                DirBuilder::new().create(&path).map_err(ContentError::io(&path))?;
                // Names have been checked at decoding: each is one component below `path`.
                todo.extend(children.into_iter().map(|e| (e.cid, path.join(e.name), depth + 1)));
            }
            Node::File(_) => {
                let mut reader = FileReader::open(store, &cid)?;
                bytes = bytes.saturating_add(reader.size());
                if bytes > limits.max_bytes {
                    return Err(ContentError::TooLarge { limit: limits.max_bytes });
                }
                let file = OpenOptions::new().write(true).create_new(true).open(&path);
                let mut file = file.map_err(ContentError::io(&path))?;
                while let Some(chunk) = reader.next_chunk()? {
                    file.write_all(&chunk).map_err(ContentError::io(&path))?;
                }
            }
        }
    }
    Ok(bytes)
}
