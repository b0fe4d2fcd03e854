//! The file tree that a program sees: `/in` from the machine, read-only; `/out` in memory, within a quota.
//!
//! No call of the program reaches the machine's file system by name. The tree is listed once before the run, holds regular
//! files and folders only, sorts every folder by name, and has neither owners, modes, times nor links, so a program sees the
//! same on every machine. An input file is opened when the program opens it.

use super::NoResult;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::rc::Rc;

/// Longest name of a file in bytes, as on the machines that output is written to.
const NAME_BYTES: usize = 255;
/// Longest path in bytes.
const PATH_BYTES: usize = 4096;
/// Deepest nesting of folders.
const DEPTH: usize = 64;
/// Bytes that an entry of a folder takes in content besides its name, at most.
const LINK_BYTES: usize = 55;
/// Bytes that the entries of a folder below `/out` may take: what one node of content holds. Without this bound a program
/// could make an output that no honest worker can store, and so commit to.
const LISTING_BYTES: usize = gantry_content::unixfs::HAMT_THRESHOLD - 64;
/// Most input files and folders.
const INPUT_NODES: u64 = 100_000;

/// An error number of WASI preview 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Errno {
    BadDescriptor = 8,
    Exists = 20,
    Fault = 21,
    TooBig = 22,
    IllegalBytes = 25,
    Invalid = 28,
    IsDirectory = 31,
    TooManyOpen = 33,
    NameTooLong = 37,
    NoEntry = 44,
    NoSpace = 51,
    NotDirectory = 54,
    NotEmpty = 55,
    NotSupported = 58,
    ReadOnly = 69,
    NotSeekable = 70,
    NotCapable = 76,
}

/// What `/out` holds now and may hold, shared by all its nodes.
#[derive(Debug)]
pub(super) struct Quota {
    pub(super) bytes: Cell<u64>,
    pub(super) nodes: Cell<u32>,
    max_bytes: u64,
    max_nodes: u32,
    pub(super) bytes_hit: Cell<bool>,
    pub(super) nodes_hit: Cell<bool>,
    last_inode: Cell<u64>,
}

impl Quota {
    pub(super) fn new(max_bytes: u64, max_nodes: u32) -> Rc<Self> {
        Rc::new(Self {
            bytes: Cell::new(0),
            nodes: Cell::new(0),
            max_bytes,
            max_nodes,
            bytes_hit: Cell::new(false),
            nodes_hit: Cell::new(false),
            last_inode: Cell::new(0),
        })
    }

    fn inode(&self) -> u64 {
        self.last_inode.set(self.last_inode.get() + 1);
        self.last_inode.get()
    }

    fn take_node(&self) -> Result<(), Errno> {
        if self.nodes.get() >= self.max_nodes {
            self.nodes_hit.set(true);
            return Err(Errno::NoSpace);
        }
        self.nodes.set(self.nodes.get() + 1);
        Ok(())
    }

    fn resize(&self, from: u64, to: u64) -> Result<(), Errno> {
        let rest = self.bytes.get().saturating_sub(from);
        match rest.checked_add(to).filter(|sum| *sum <= self.max_bytes) {
            Some(sum) => self.bytes.set(sum),
            None => {
                self.bytes_hit.set(true);
                return Err(Errno::NoSpace);
            }
        }
        Ok(())
    }
}

/// A file or folder.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) inode: u64,
    pub(super) kind: Kind,
    /// Folders above it. Bounded, because a tree is dropped by recursion.
    depth: Cell<usize>,
    /// Set for what lies in `/out` and counts in its quota; the root of `/out` has it and does not count.
    quota: Option<Rc<Quota>>,
    counted: bool,
    /// Bytes that the entries of this folder take in content; counted for what lies in `/out`.
    listing: Cell<usize>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Folder(RefCell<BTreeMap<String, Rc<Node>>>),
    Input { path: std::path::PathBuf, size: u64 },
    Output(RefCell<Vec<u8>>),
}

impl Drop for Node {
    fn drop(&mut self) {
        let Some(quota) = self.quota.as_ref().filter(|_| self.counted) else {
            return;
        };
        if let Kind::Output(data) = &self.kind {
            quota.bytes.set(quota.bytes.get().saturating_sub(data.borrow().len() as u64));
        }
        quota.nodes.set(quota.nodes.get().saturating_sub(1));
    }
}

impl Node {
    /// The root of an empty `/out`.
    pub(super) fn out(quota: &Rc<Quota>) -> Rc<Self> {
        Rc::new(Self {
            inode: quota.inode(),
            kind: Kind::Folder(RefCell::default()),
            depth: Cell::new(0),
            quota: Some(Rc::clone(quota)),
            counted: false,
            listing: Cell::new(0),
        })
    }

    /// The root of `/in`: lists the machine's folder.
    pub(super) fn input(folder: &Path, quota: &Quota) -> Result<Rc<Self>, NoResult> {
        input(folder, quota, 0)
    }

    pub(super) fn size(&self) -> u64 {
        match &self.kind {
            Kind::Folder(_) => 0,
            Kind::Input { size, .. } => *size,
            Kind::Output(data) => data.borrow().len() as u64,
        }
    }

    pub(super) fn is_folder(&self) -> bool {
        matches!(self.kind, Kind::Folder(_))
    }

    pub(super) fn entries(&self) -> Result<&RefCell<BTreeMap<String, Rc<Node>>>, Errno> {
        match &self.kind {
            Kind::Folder(entries) => Ok(entries),
            _ => Err(Errno::NotDirectory),
        }
    }

    /// Writes at an offset and fills a gap with zeros. All or nothing.
    pub(super) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        let Kind::Output(data) = &self.kind else {
            return Err(Errno::ReadOnly);
        };
        if bytes.is_empty() {
            return Ok(());
        }
        let end = offset.checked_add(bytes.len() as u64).ok_or(Errno::TooBig)?;
        if end > self.size() {
            self.set_size(end)?;
        }
        let at = usize::try_from(offset).map_err(|_| Errno::TooBig)?;
        data.borrow_mut()[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    /// Cuts or extends with zeros.
    pub(super) fn set_size(&self, size: u64) -> Result<(), Errno> {
        let (Kind::Output(data), Some(quota)) = (&self.kind, &self.quota) else {
            return Err(if self.is_folder() { Errno::IsDirectory } else { Errno::ReadOnly });
        };
        let length = usize::try_from(size).map_err(|_| Errno::TooBig)?;
        quota.resize(self.size(), size)?;
        data.borrow_mut().resize(length, 0);
        Ok(())
    }

    /// Makes a file or folder in this folder, which has no entry of that name.
    fn create(&self, name: &str, folder: bool) -> Result<Rc<Node>, Errno> {
        let quota = self.quota.as_ref().ok_or(Errno::ReadOnly)?;
        let mut entries = self.entries()?.borrow_mut();
        if self.depth.get() >= DEPTH {
            return Err(Errno::NameTooLong);
        }
        let listing = self.listing_with(0, name)?;
        quota.take_node()?;
        let kind = if folder { Kind::Folder(RefCell::default()) } else { Kind::Output(RefCell::default()) };
        let node = Rc::new(Node {
            inode: quota.inode(),
            kind,
            depth: Cell::new(self.depth.get() + 1),
            quota: Some(Rc::clone(quota)),
            counted: true,
            listing: Cell::new(0),
        });
        entries.insert(name.to_owned(), Rc::clone(&node));
        self.listing.set(listing);
        Ok(node)
    }

    /// Bytes of the listing of this folder without some of them and with another name, if there is room for it.
    fn listing_with(&self, without: usize, name: &str) -> Result<usize, Errno> {
        let bytes = self.listing.get() - without + listed(name);
        if bytes > LISTING_BYTES {
            self.quota.iter().for_each(|quota| quota.nodes_hit.set(true));
            return Err(Errno::NoSpace);
        }
        Ok(bytes)
    }

    pub(super) fn writable(&self) -> bool {
        self.quota.is_some()
    }
}

fn input(folder: &Path, quota: &Quota, depth: usize) -> Result<Rc<Node>, NoResult> {
    let fail = |e: io::Error| NoResult::Host(format!("{}: {e}", folder.display()));
    if depth > DEPTH {
        return Err(NoResult::InvalidSpec("inputs nest too deep".into()));
    }
    let inode = quota.inode();
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|name| NoResult::InvalidSpec(format!("an input's name is not UTF-8: {}", name.display())))?;
        found.push((name, entry));
    }
    // By name, so that inode numbers do not depend on the machine's order.
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut entries = BTreeMap::new();
    for (name, entry) in found {
        let kind = entry.file_type().map_err(fail)?;
        let node = if kind.is_dir() {
            input(&entry.path(), quota, depth + 1)?
        } else if kind.is_file() {
            let size = entry.metadata().map_err(fail)?.len();
            let kind = Kind::Input { path: entry.path(), size };
            Rc::new(Node {
                inode: quota.inode(),
                kind,
                depth: Cell::new(depth + 1),
                quota: None,
                counted: false,
                listing: Cell::new(0),
            })
        } else {
            return Err(NoResult::InvalidSpec(format!("an input is neither file nor folder: {name}")));
        };
        if quota.last_inode.get() > INPUT_NODES {
            return Err(NoResult::InvalidSpec(format!("more than {INPUT_NODES} input files")));
        }
        entries.insert(name, node);
    }
    let kind = Kind::Folder(RefCell::new(entries));
    Ok(Rc::new(Node { inode, kind, depth: Cell::new(depth), quota: None, counted: false, listing: Cell::new(0) }))
}

/// Where a path leads: its folder, the name in it (none for the start itself), and what is there now.
pub(super) struct Place {
    folder: Rc<Node>,
    name: Option<String>,
    pub(super) node: Option<Rc<Node>>,
    /// The path ends with a slash or a dot: it can only be a folder.
    folder_only: bool,
}

/// Follows a path from an open folder. It cannot leave that folder.
pub(super) fn resolve(start: &Rc<Node>, path: &str) -> Result<Place, Errno> {
    if path.len() > PATH_BYTES {
        return Err(Errno::NameTooLong);
    }
    if path.is_empty() {
        return Err(Errno::NoEntry);
    }
    if path.starts_with('/') {
        return Err(Errno::NotCapable);
    }
    if path.contains('\0') {
        return Err(Errno::Invalid);
    }
    start.entries()?;
    // The folders on the way and, last, the node reached; a missing node is allowed at the very end alone.
    let mut way: Vec<(Rc<Node>, Option<String>)> = vec![(Rc::clone(start), None)];
    let mut missing: Option<String> = None;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            _ if missing.is_some() => return Err(Errno::NoEntry),
            ".." => {
                way.pop();
                if way.is_empty() {
                    return Err(Errno::NotCapable);
                }
            }
            name => {
                if name.len() > NAME_BYTES {
                    return Err(Errno::NameTooLong);
                }
                if way.len() > DEPTH {
                    return Err(Errno::NameTooLong);
                }
                let (folder, _) = way.last().ok_or(Errno::NotCapable)?;
                let next = folder.entries()?.borrow().get(name).cloned();
                match next {
                    Some(node) => way.push((node, Some(name.to_owned()))),
                    None => missing = Some(name.to_owned()),
                }
            }
        }
    }
    let folder_only =
        path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..") || path == "." || path == "..";
    let (last, name) = way.pop().ok_or(Errno::NotCapable)?;
    if let Some(name) = missing {
        // A file has no entries: a name below it leads nowhere.
        last.entries()?;
        return Ok(Place { folder: last, name: Some(name), node: None, folder_only });
    }
    if folder_only && !last.is_folder() {
        return Err(Errno::NotDirectory);
    }
    let folder = way.last().map_or_else(|| Rc::clone(&last), |(folder, _)| Rc::clone(folder));
    Ok(Place { folder, name, node: Some(last), folder_only })
}

impl Place {
    /// What is there.
    pub(super) fn existing(&self) -> Result<&Rc<Node>, Errno> {
        self.node.as_ref().ok_or(Errno::NoEntry)
    }

    fn free_name(&self) -> Result<&str, Errno> {
        if self.node.is_some() {
            return Err(Errno::Exists);
        }
        self.name.as_deref().ok_or(Errno::Exists)
    }

    /// Makes an empty file here.
    pub(super) fn create_file(&self) -> Result<Rc<Node>, Errno> {
        let name = self.free_name()?;
        if self.folder_only {
            return Err(Errno::IsDirectory);
        }
        self.folder.create(name, false)
    }

    /// Makes an empty folder here.
    pub(super) fn create_folder(&self) -> Result<(), Errno> {
        let name = self.free_name()?;
        self.folder.create(name, true).map(drop)
    }

    /// Removes what is here: an empty folder if `folder`, else a file.
    pub(super) fn remove(&self, folder: bool) -> Result<(), Errno> {
        let node = self.existing()?;
        let name = self.name.as_ref().ok_or(Errno::Invalid)?;
        if !self.folder.writable() {
            return Err(Errno::ReadOnly);
        }
        match (folder, node.is_folder()) {
            (true, false) => return Err(Errno::NotDirectory),
            (false, true) => return Err(Errno::IsDirectory),
            (true, true) if !node.entries()?.borrow().is_empty() => return Err(Errno::NotEmpty),
            _ => {}
        }
        self.folder.entries()?.borrow_mut().remove(name);
        self.folder.listing.set(self.folder.listing.get() - listed(name));
        Ok(())
    }

    /// Moves what is here to another place, over what is there as POSIX has it.
    pub(super) fn rename(&self, to: &Place) -> Result<(), Errno> {
        let node = Rc::clone(self.existing()?);
        let (Some(from_name), Some(to_name)) = (&self.name, &to.name) else {
            return Err(Errno::Invalid);
        };
        if !self.folder.writable() || !to.folder.writable() {
            return Err(Errno::ReadOnly);
        }
        let moved = subtree(&node);
        if moved.iter().any(|n| Rc::ptr_eq(n, &to.folder)) {
            return Err(Errno::Invalid);
        }
        // What each node's depth changes by, and whether the deepest stays within bounds.
        let (old, new) = (node.depth.get(), to.folder.depth.get() + 1);
        if moved.iter().any(|n| n.depth.get() - old + new > DEPTH) {
            return Err(Errno::NameTooLong);
        }
        if to.folder_only && !node.is_folder() {
            return Err(Errno::NotDirectory);
        }
        if let Some(there) = &to.node {
            if Rc::ptr_eq(there, &node) {
                return Ok(());
            }
            to.remove(node.is_folder())?;
        }
        let freed = if Rc::ptr_eq(&self.folder, &to.folder) { listed(from_name) } else { 0 };
        let listing = to.folder.listing_with(freed, to_name)?;
        for n in &moved {
            n.depth.set(n.depth.get() - old + new);
        }
        self.folder.entries()?.borrow_mut().remove(from_name);
        self.folder.listing.set(self.folder.listing.get() - listed(from_name));
        to.folder.listing.set(listing);
        to.folder.entries()?.borrow_mut().insert(to_name.clone(), node);
        Ok(())
    }
}

/// Bytes that an entry of this name takes in content, at most.
const fn listed(name: &str) -> usize {
    name.len() + LINK_BYTES
}

/// A node and everything below it.
fn subtree(root: &Rc<Node>) -> Vec<Rc<Node>> {
    let mut found = vec![Rc::clone(root)];
    let mut at = 0;
    while let Some(node) = found.get(at).cloned() {
        if let Kind::Folder(entries) = &node.kind {
            found.extend(entries.borrow().values().cloned());
        }
        at += 1;
    }
    found
}

/// Writes the files and folders below a root into a folder of the machine.
pub(super) fn export(root: &Rc<Node>, folder: &Path) -> io::Result<()> {
    let mut rest = vec![(Rc::clone(root), folder.to_owned())];
    while let Some((node, path)) = rest.pop() {
        match &node.kind {
            Kind::Folder(entries) => {
                if !Rc::ptr_eq(&node, root) {
                    fs::create_dir(&path)?;
                }
                rest.extend(entries.borrow().iter().map(|(name, node)| (Rc::clone(node), path.join(name))));
            }
            Kind::Output(data) => fs::write(&path, &*data.borrow())?,
            Kind::Input { .. } => return Err(io::Error::other("an input in the output folder")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(max_bytes: u64, max_nodes: u32) -> (Rc<Quota>, Rc<Node>) {
        let quota = Quota::new(max_bytes, max_nodes);
        let root = Node::out(&quota);
        (quota, root)
    }

    fn make(root: &Rc<Node>, path: &str) -> Rc<Node> {
        resolve(root, path).unwrap().create_file().unwrap()
    }

    fn folder(root: &Rc<Node>, path: &str) {
        resolve(root, path).unwrap().create_folder().unwrap();
    }

    fn rename(root: &Rc<Node>, from: &str, to: &str) -> Result<(), Errno> {
        resolve(root, from)?.rename(&resolve(root, to)?)
    }

    #[test]
    fn what_is_deleted_no_longer_counts_once_it_is_closed() {
        let (quota, root) = tree(10, 1);
        let file = make(&root, "a");
        file.write_at(0, b"0123456789").unwrap();
        assert_eq!(file.write_at(10, b"x"), Err(Errno::NoSpace));
        resolve(&root, "a").unwrap().remove(false).unwrap();
        assert_eq!((quota.bytes.get(), quota.nodes.get()), (10, 1), "still open");
        assert_eq!(resolve(&root, "b").unwrap().create_file().err(), Some(Errno::NoSpace));
        drop(file);
        assert_eq!((quota.bytes.get(), quota.nodes.get()), (0, 0));
        make(&root, "b").write_at(0, b"0123456789").unwrap();
    }

    #[test]
    fn cutting_gives_room_back_and_gaps_are_zeros() {
        let (quota, root) = tree(10, 9);
        let file = make(&root, "a");
        file.write_at(3, b"abc").unwrap();
        file.set_size(4).unwrap();
        file.set_size(6).unwrap();
        assert_eq!(quota.bytes.get(), 6);
        let Kind::Output(data) = &file.kind else { panic!("{file:?}") };
        assert_eq!(*data.borrow(), b"\0\0\0a\0\0");
        // An empty write far away changes nothing, as POSIX has it.
        file.write_at(u64::MAX, b"").unwrap();
        assert_eq!(file.write_at(u64::MAX, b"x"), Err(Errno::TooBig));
        assert_eq!(quota.bytes.get(), 6);
    }

    #[test]
    fn renaming_follows_posix() {
        let (quota, root) = tree(100, 99);
        for path in ["d", "d/e", "f"] {
            folder(&root, path);
        }
        make(&root, "d/e/file").write_at(0, b"old").unwrap();
        make(&root, "g").write_at(0, b"newer").unwrap();

        assert_eq!(rename(&root, "d", "d/e/d"), Err(Errno::Invalid), "into itself");
        assert_eq!(rename(&root, "d", "d/e"), Err(Errno::Invalid));
        assert_eq!(rename(&root, "g", "f"), Err(Errno::IsDirectory));
        assert_eq!(rename(&root, "f", "g"), Err(Errno::NotDirectory));
        assert_eq!(rename(&root, "f", "d"), Err(Errno::NotEmpty));
        assert_eq!(rename(&root, "missing", "x"), Err(Errno::NoEntry));
        assert_eq!(rename(&root, "g", "x/"), Err(Errno::NotDirectory));
        rename(&root, "g", "g").unwrap();

        rename(&root, "g", "d/e/file").unwrap();
        assert_eq!(quota.bytes.get(), 5, "the file that was there is gone");
        rename(&root, "d", "f").unwrap();
        assert!(resolve(&root, "f/e/file").unwrap().existing().is_ok());
        assert!(resolve(&root, "d").unwrap().existing().is_err());
        assert_eq!(quota.nodes.get(), 3);
    }

    #[test]
    fn moving_a_deep_folder_keeps_the_bound_on_depth() {
        let (_, root) = tree(0, 999);
        let mut path = "a".to_owned();
        folder(&root, &path);
        for _ in 1..DEPTH {
            path.push_str("/a");
            folder(&root, &path);
        }
        assert_eq!(resolve(&root, &format!("{path}/a")).err(), Some(Errno::NameTooLong));
        folder(&root, "b");
        assert_eq!(rename(&root, "a", "b/a"), Err(Errno::NameTooLong));
        rename(&root, "a/a", "b/a").unwrap();
        assert_eq!(rename(&root, "b", "a/b"), Err(Errno::NameTooLong));
    }

    #[test]
    fn the_largest_folder_can_be_stored_as_content() {
        for width in [4, NAME_BYTES] {
            let (quota, root) = tree(0, u32::MAX);
            let name = |i: usize| format!("{i:0>width$}");
            let most = LISTING_BYTES / listed(&name(0));
            for i in 0..most {
                make(&root, &name(i));
            }
            assert!(!quota.nodes_hit.get());
            assert_eq!(resolve(&root, &name(most)).unwrap().create_file().err(), Some(Errno::NoSpace));
            assert!(quota.nodes_hit.get());
            let dir = tempfile::tempdir().unwrap();
            export(&root, dir.path()).unwrap();
            gantry_content::cid_of_path(dir.path(), &gantry_content::TreeLimits::default()).unwrap();

            // What goes makes room.
            rename(&root, &name(0), "a").unwrap();
            rename(&root, "a", &name(0)).unwrap();
            rename(&root, &name(0), &name(1)).unwrap();
            make(&root, &name(0));
            assert_eq!(resolve(&root, &name(most)).unwrap().create_file().err(), Some(Errno::NoSpace));
        }
    }

    #[test]
    fn a_folder_is_not_overfilled_by_moving_files_into_it() {
        let (_, root) = tree(0, u32::MAX);
        folder(&root, "full");
        let mut most = 0;
        while resolve(&root, &format!("full/{most:05}")).unwrap().create_file().is_ok() {
            most += 1;
        }
        make(&root, "01");
        assert_eq!(rename(&root, "01", "full/new-one"), Err(Errno::NoSpace));
        rename(&root, "01", "full/00000").unwrap();
        make(&root, "01");
        assert_eq!(rename(&root, "01", "full/new-one"), Err(Errno::NoSpace));
        rename(&root, "full/00000", "moved").unwrap();
        rename(&root, "01", "full/00000").unwrap();
    }

    #[test]
    fn the_tree_is_written_out_as_it_is() {
        let (_, root) = tree(100, 99);
        folder(&root, "empty");
        folder(&root, "d");
        make(&root, "d/file").write_at(0, b"content").unwrap();
        let dir = tempfile::tempdir().unwrap();
        export(&root, dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join("d/file")).unwrap(), b"content");
        assert_eq!(fs::read_dir(dir.path().join("empty")).unwrap().count(), 0);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
