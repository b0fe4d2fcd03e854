//! Files and directories into the store and back, and DAGs made to hurt.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use bytes::Bytes;
use gantry_content::unixfs::{Entry, FileNode, Node, NodeError, Part};
use gantry_content::{
    Block, BlockStore, Cid, Codec, ContentError, ContentPath, DagLimits, FileReader, Profile, Stat, TreeLimits, cat,
    cid_of_path, export, import_bytes, import_path, import_with_profile, ls, resolve, stat,
};
use proptest::prelude::*;

/// A store and a place for files.
struct World {
    tmp: tempfile::TempDir,
    store: BlockStore,
}

impl World {
    fn new() -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let store = BlockStore::open(tmp.path().join("store"), None).unwrap();
        Self { tmp, store }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.tmp.path().join(name)
    }

    fn put(&self, codec: Codec, bytes: impl Into<Bytes>) -> Cid {
        let block = Block::new(codec, bytes).unwrap();
        self.store.put(&block).unwrap();
        block.cid()
    }

    fn put_node(&self, node: &Node) -> Cid {
        self.put(Codec::DagPb, node.encode().unwrap())
    }

    fn file_of(&self, parts: &[(Cid, u64)]) -> Cid {
        let parts = parts.iter().map(|&(cid, size)| Part { cid, size, tsize: size }).collect();
        self.put_node(&Node::File(FileNode { data: Bytes::new(), parts }))
    }

    fn dir_of(&self, entries: &[(&str, Cid)]) -> Cid {
        let entry = |&(name, cid): &(&str, Cid)| Entry { name: name.to_owned(), cid, tsize: 1 };
        self.put_node(&Node::Directory(entries.iter().map(entry).collect()))
    }
}

#[derive(Clone, Debug)]
enum Tree {
    File(Vec<u8>),
    Dir(BTreeMap<String, Tree>),
}

impl Tree {
    fn write(&self, path: &Path) {
        match self {
            Self::File(bytes) => fs::write(path, bytes).unwrap(),
            Self::Dir(entries) => {
                fs::create_dir(path).unwrap();
                entries.iter().for_each(|(name, tree)| tree.write(&path.join(name)));
            }
        }
    }

    fn check(&self, path: &Path) {
        match self {
            Self::File(bytes) => assert_eq!(&fs::read(path).unwrap(), bytes),
            Self::Dir(entries) => {
                let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name()).collect();
                names.sort();
                assert_eq!(names, entries.keys().map(std::ffi::OsString::from).collect::<Vec<_>>());
                entries.iter().for_each(|(name, tree)| tree.check(&path.join(name)));
            }
        }
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    let file = proptest::collection::vec(any::<u8>(), 0..3000).prop_map(Tree::File);
    file.prop_recursive(4, 24, 6, |inner| {
        let name = "[^/\0]{1,20}".prop_filter("reserved", |n| n != "." && n != "..");
        proptest::collection::btree_map(name, inner, 0..6).prop_map(Tree::Dir)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn trees_round_trip(tree in trees()) {
        let world = World::new();
        tree.write(&world.path("in"));
        let imported = import_path(&world.store, &world.path("in"), &TreeLimits::default()).unwrap();
        let written = export(&world.store, &imported.root, &world.path("out"), &TreeLimits::default()).unwrap();
        prop_assert_eq!(written, imported.bytes);
        tree.check(&world.path("out"));
        prop_assert_eq!(cid_of_path(&world.path("out"), &TreeLimits::default()).unwrap(), imported.root);
    }

    #[test]
    fn files_read_back_from_any_offset(
        data in proptest::collection::vec(any::<u8>(), 0..5000),
        chunk_bytes in 1usize..300,
        max_links in 2usize..9,
        offset in 0usize..5100,
    ) {
        let world = World::new();
        let profile = Profile { chunk_bytes, max_links };
        let root = import_with_profile(&world.store, &data[..], profile).unwrap().root;
        prop_assert_eq!(stat(&world.store, &root).unwrap(), Stat::File { size: data.len() as u64 });
        prop_assert_eq!(&cat(&world.store, &root, 5000).unwrap(), &data);
        let mut tail = Vec::new();
        FileReader::open_at(&world.store, &root, offset as u64).unwrap().read_to_end(&mut tail).unwrap();
        prop_assert_eq!(&tail[..], data.get(offset..).unwrap_or_default());
    }

    /// Bytes that hash right but were made by anyone: every reader gives a value or an error.
    #[test]
    fn hostile_blocks_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let world = World::new();
        let cid = world.put(Codec::DagPb, bytes);
        let _ = stat(&world.store, &cid);
        let _ = ls(&world.store, &cid);
        let _ = cat(&world.store, &cid, 1000);
        let _ = world.store.pin(&cid, "t");
        let _ = export(&world.store, &cid, &world.path("out"), &TreeLimits::default());
    }
}

#[test]
fn paths_resolve() {
    let world = World::new();
    let leaf = import_bytes(&world.store, &b"leaf"[..]).unwrap().root;
    let inner = world.dir_of(&[("leaf", leaf)]);
    let root = world.dir_of(&[("a", leaf), ("inner", inner)]);
    let at = |text: String| resolve(&world.store, &text.parse::<ContentPath>()?);
    assert_eq!(at(format!("{root}")).unwrap(), root);
    assert_eq!(at(format!("{root}/")).unwrap(), root);
    assert_eq!(at(format!("{root}/inner/leaf")).unwrap(), leaf);
    assert!(matches!(at(format!("{root}/nope")), Err(ContentError::NoEntry { .. })));
    assert!(matches!(at(format!("{root}/a/b")), Err(ContentError::NotADirectory(c)) if c == leaf));
    for bad in
        ["", "/", "nope", &format!("{root}//a"), &format!("{root}/../a"), &format!("{root}/."), &format!("/{root}")]
    {
        assert!(matches!(bad.parse::<ContentPath>(), Err(ContentError::BadPath(_))), "{bad}");
    }
    let names: Vec<_> = ls(&world.store, &root).unwrap().into_iter().map(|e| e.name).collect();
    assert_eq!(names, ["a", "inner"]);
    assert_eq!(stat(&world.store, &root).unwrap(), Stat::Directory { entries: 2 });
    assert!(matches!(ls(&world.store, &leaf), Err(ContentError::NotADirectory(_))));
    assert!(matches!(cat(&world.store, &root, 9), Err(ContentError::NotAFile(_))));
    assert!(matches!(cat(&world.store, &leaf, 3), Err(ContentError::TooLarge { limit: 3 })));
}

#[test]
fn links_and_pipes_are_not_imported() {
    let world = World::new();
    let limits = TreeLimits::default();
    fs::create_dir(world.path("in")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", world.path("in/link")).unwrap();
    assert!(matches!(import_path(&world.store, &world.path("in"), &limits), Err(ContentError::Unsupported { .. })));
    assert!(matches!(
        import_path(&world.store, &world.path("in/link"), &limits),
        Err(ContentError::Unsupported { .. })
    ));
    fs::remove_file(world.path("in/link")).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(world.path("in/socket")).unwrap();
    assert!(matches!(import_path(&world.store, &world.path("in"), &limits), Err(ContentError::Unsupported { .. })));
    drop(socket);
    assert!(matches!(import_path(&world.store, &world.path("nope"), &limits), Err(ContentError::Io { .. })));
}

#[test]
fn imports_are_bounded() {
    let world = World::new();
    fs::create_dir_all(world.path("in/a/b/c")).unwrap();
    fs::write(world.path("in/a/file"), [7; 1000]).unwrap();
    let import = |limits| import_path(&world.store, &world.path("in"), &limits).map(|i| i.bytes);
    let fits = TreeLimits { max_bytes: 1000, max_entries: 5, max_depth: 4 };
    assert_eq!(import(fits).unwrap(), 1000);
    assert!(matches!(import(TreeLimits { max_bytes: 999, ..fits }), Err(ContentError::TooLarge { .. })));
    assert!(matches!(import(TreeLimits { max_entries: 4, ..fits }), Err(ContentError::TooMany { .. })));
    assert!(matches!(import(TreeLimits { max_depth: 3, ..fits }), Err(ContentError::TooDeep { .. })));
}

#[test]
fn exports_touch_nothing_that_exists() {
    let world = World::new();
    let limits = TreeLimits::default();
    let root = import_bytes(&world.store, &b"new"[..]).unwrap().root;
    fs::write(world.path("file"), "old").unwrap();
    std::os::unix::fs::symlink(world.path("elsewhere"), world.path("dangling")).unwrap();
    fs::create_dir(world.path("empty")).unwrap();
    for taken in ["file", "dangling", "empty"] {
        assert!(matches!(export(&world.store, &root, &world.path(taken), &limits), Err(ContentError::Io { .. })));
    }
    assert_eq!(fs::read(world.path("file")).unwrap(), b"old");
    assert!(!world.path("elsewhere").exists());

    // A failure half-way leaves nothing behind.
    let missing = Cid::of(Codec::Raw, b"never stored");
    let dir = world.dir_of(&[("a", root), ("missing", missing)]);
    let before = fs::read_dir(world.tmp.path()).unwrap().count();
    assert!(
        matches!(export(&world.store, &dir, &world.path("out"), &limits), Err(ContentError::Missing(c)) if c == missing)
    );
    assert_eq!(fs::read_dir(world.tmp.path()).unwrap().count(), before);
}

#[test]
fn sizes_that_lie_are_caught() {
    let world = World::new();
    let leaf = world.put(Codec::Raw, vec![1; 10]);
    let honest = world.file_of(&[(leaf, 10)]);
    assert_eq!(cat(&world.store, &honest, 10).unwrap(), [1; 10]);
    for declared in [9, 11, u64::MAX] {
        let liar = world.file_of(&[(leaf, declared)]);
        assert!(
            matches!(cat(&world.store, &liar, u64::MAX), Err(ContentError::SizeLie { actual: 10, .. })),
            "{declared}"
        );
        let deeper = world.file_of(&[(honest, declared)]);
        assert!(matches!(cat(&world.store, &deeper, u64::MAX), Err(ContentError::SizeLie { actual: 10, .. })));
    }
    // A directory where a piece of a file should be.
    let dir = world.dir_of(&[]);
    assert!(matches!(cat(&world.store, &world.file_of(&[(dir, 1)]), 9), Err(ContentError::NotAFile(_))));
}

#[test]
fn bombs_are_bounded() {
    let world = World::new();
    let limits = TreeLimits { max_bytes: 1 << 20, max_entries: 1000, max_depth: 8 };
    // A file of 2^62 bytes in 32 blocks, each part twice.
    let mut file = (world.put(Codec::Raw, vec![0; 4]), 4u64);
    let mut levels = vec![file];
    for _ in 0..60 {
        file = (world.file_of(&[file, file]), file.1 * 2);
        levels.push(file);
    }
    let refused = export(&world.store, &file.0, &world.path("out"), &limits);
    assert!(matches!(refused, Err(ContentError::TooLarge { .. })));
    assert!(matches!(cat(&world.store, &file.0, 1 << 20), Err(ContentError::TooLarge { .. })));
    // Walks see each block once: pinning it is quick.
    world.store.pin(&file.0, "bomb").unwrap();
    assert_eq!(cat(&world.store, &levels[10].0, 1 << 20).unwrap(), vec![0; 4096]);
    let mut reader = FileReader::open(&world.store, &file.0).unwrap();
    assert!(matches!(reader.next_chunk(), Err(ContentError::TooDeep { .. })));

    // Directories that hold the same directory many times over.
    let mut dir = world.dir_of(&[("x", levels[0].0)]);
    for _ in 0..7 {
        dir = world.dir_of(&["a", "b", "c", "d", "e", "f"].map(|n| (n, dir)));
    }
    let refused = export(&world.store, &dir, &world.path("out"), &limits);
    assert!(matches!(refused, Err(ContentError::TooMany { .. })));

    // A chain of directories.
    let mut chain = world.dir_of(&[]);
    for _ in 0..300 {
        chain = world.dir_of(&[("d", chain)]);
    }
    assert!(matches!(export(&world.store, &chain, &world.path("out"), &limits), Err(ContentError::TooDeep { .. })));
    let walk = |limits| world.store.walk(&chain, &limits, |_, _| ());
    assert!(matches!(walk(DagLimits::default()), Err(ContentError::TooDeep { .. })));
    assert!(matches!(walk(DagLimits { max_blocks: 300, ..DagLimits::NONE }), Err(ContentError::TooMany { .. })));
    assert!(matches!(walk(DagLimits { max_bytes: 3000, ..DagLimits::NONE }), Err(ContentError::TooLarge { .. })));
    assert!(walk(DagLimits::NONE).is_ok());
    assert!(!world.path("out").exists());
}

#[test]
fn a_directory_past_the_threshold_is_refused_by_name() {
    let world = World::new();
    fs::create_dir(world.path("in")).unwrap();
    for n in 0..4800 {
        fs::File::create(world.path("in").join(format!("entry-{n:05}"))).unwrap();
    }
    match import_path(&world.store, &world.path("in"), &TreeLimits::default()) {
        Err(ContentError::Node { what, source: NodeError::DirectoryTooLarge(size) }) => {
            assert_eq!((what.as_str(), size), (world.path("in").to_str().unwrap(), 4800 * 55 + 4));
        }
        other => panic!("{other:?}"),
    }
}
