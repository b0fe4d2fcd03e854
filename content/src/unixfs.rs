//! Nodes of a DAG: UnixFS inside dag-pb, in the one encoding that Kubo writes.
//!
//! Every node has exactly one encoding. [`Node::decode`] parses and then encodes again: bytes that do not come back
//! equal are refused, so order of fields, over-long varints, unknown fields and absent names need no rule of their own.

use bytes::Bytes;

use crate::cid::{Cid, Codec};

/// Largest block that is stored, sent or accepted, in bytes (2 MiB, as bitswap has it).
pub const MAX_BLOCK_BYTES: usize = 2 << 20;
/// Most links in one node. A directory below the HAMT threshold cannot hold more.
pub const MAX_LINKS: usize = 8192;
/// Largest directory block in bytes. Kubo turns a directory into a HAMT when its serialised size is *more* than this
/// (IPIP-499, block estimation); until HAMT exists here, such a directory is refused.
pub const HAMT_THRESHOLD: usize = 256 << 10;
/// Longest name of a directory entry in bytes, as file systems have it.
pub const MAX_NAME_BYTES: usize = 255;

const TYPE_DIRECTORY: u64 = 1;
const TYPE_FILE: u64 = 2;
const TYPE_SYMLINK: u64 = 4;
const TYPE_HAMT: u64 = 5;

/// A decoded block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A file, or a piece of one.
    File(FileNode),
    /// A directory: entries in ascending order of their names' bytes, no name twice.
    Directory(Vec<Entry>),
}

/// A file: `data`, then the content of each part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileNode {
    /// Bytes held by the node itself.
    pub data: Bytes,
    /// The pieces that follow.
    pub parts: Vec<Part>,
}

/// A link from a file to a piece of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The piece.
    pub cid: Cid,
    /// Bytes of file content under it; a reader checks this.
    pub size: u64,
    /// Bytes of blocks under it, as its maker says. Never trusted.
    pub tsize: u64,
}

/// A directory entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// A valid name: see [`check_name`].
    pub name: String,
    /// The file or directory.
    pub cid: Cid,
    /// Bytes of blocks under it, as its maker says. Never trusted.
    pub tsize: u64,
}

/// Why a block is not a node of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// Not protobuf, or not what dag-pb and UnixFS say.
    #[error("malformed node: {0}")]
    Malformed(&'static str),
    /// Valid, but not the one encoding that the profile has.
    #[error("node is not in canonical encoding")]
    NotCanonical,
    /// A kind that is not supported: symlink, HAMT, metadata, mode, mtime.
    #[error("unsupported node: {0}")]
    Unsupported(&'static str),
    /// A block larger than [`MAX_BLOCK_BYTES`].
    #[error("block of {0} bytes is larger than {MAX_BLOCK_BYTES}")]
    BlockTooLarge(usize),
    /// More than [`MAX_LINKS`].
    #[error("node has more than {MAX_LINKS} links")]
    TooManyLinks,
    /// A directory that Kubo would store as a HAMT.
    #[error("directory of {0} bytes is past the HAMT threshold of {HAMT_THRESHOLD} bytes; split it into several")]
    DirectoryTooLarge(usize),
    /// A name that no directory may hold.
    #[error("bad entry name {name:?}: {why}")]
    BadName {
        /// The name, shortened.
        name: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Names out of order, or one twice.
    #[error("directory entries are not in strictly ascending order")]
    Unsorted,
    /// Sizes that add up to more than 2^64 - 1, or not to the declared size.
    #[error("sizes of the parts do not add up")]
    BadSizes,
}

/// Checks a name of a directory entry: 1 to 255 bytes, not `.` or `..`, no `/`, no NUL. Any other UTF-8 is legal.
pub fn check_name(name: &str) -> Result<(), NodeError> {
    let why = match name {
        "" => "empty",
        "." | ".." => "reserved",
        _ if name.len() > MAX_NAME_BYTES => "longer than 255 bytes",
        _ if name.contains('/') => "contains a slash",
        _ if name.contains('\0') => "contains NUL",
        _ => return Ok(()),
    };
    Err(NodeError::BadName { name: name.chars().take(64).collect(), why })
}

impl FileNode {
    /// Bytes of content in this node and all its parts.
    pub fn size(&self) -> Result<u64, NodeError> {
        let data = self.data.len() as u64;
        self.parts.iter().try_fold(data, |sum, p| sum.checked_add(p.size)).ok_or(NodeError::BadSizes)
    }
}

impl Node {
    /// Encodes the node and checks what [`Node::decode`] would.
    pub fn encode(&self) -> Result<Vec<u8>, NodeError> {
        let (links, fs) = match self {
            Self::File(file) => {
                let mut fs = vec![0x08, 0x02];
                if !file.data.is_empty() {
                    wire::put_bytes(&mut fs, 2, &file.data);
                }
                wire::put_varint(&mut fs, 3, file.size()?);
                for part in &file.parts {
                    wire::put_varint(&mut fs, 4, part.size);
                }
                let links: Vec<_> = file.parts.iter().map(|p| ("", p.cid, p.tsize)).collect();
                (links, fs)
            }
            Self::Directory(entries) => {
                for entry in entries {
                    check_name(&entry.name)?;
                }
                if !entries.is_sorted_by(|a, b| a.name.as_bytes() < b.name.as_bytes()) {
                    return Err(NodeError::Unsorted);
                }
                let links = entries.iter().map(|e| (e.name.as_str(), e.cid, e.tsize)).collect();
                (links, vec![0x08, 0x01])
            }
        };
        if links.len() > MAX_LINKS {
            return Err(NodeError::TooManyLinks);
        }
        let mut out = Vec::with_capacity(links.len() * 64 + fs.len() + 8);
        let mut link = Vec::with_capacity(320);
        for (name, cid, tsize) in links {
            link.clear();
            wire::put_bytes(&mut link, 1, &cid.to_bytes());
            wire::put_bytes(&mut link, 2, name.as_bytes());
            wire::put_varint(&mut link, 3, tsize);
            wire::put_bytes(&mut out, 2, &link);
        }
        // dag-pb puts the links before the data, against the order of field numbers.
        wire::put_bytes(&mut out, 1, &fs);
        match self {
            Self::Directory(_) if out.len() > HAMT_THRESHOLD => Err(NodeError::DirectoryTooLarge(out.len())),
            _ if out.len() > MAX_BLOCK_BYTES => Err(NodeError::BlockTooLarge(out.len())),
            _ => Ok(out),
        }
    }

    /// Decodes a block, whose hash the caller has checked. A raw block is a file of its bytes.
    pub fn decode(codec: Codec, block: &Bytes) -> Result<Self, NodeError> {
        if block.len() > MAX_BLOCK_BYTES {
            return Err(NodeError::BlockTooLarge(block.len()));
        }
        if codec == Codec::Raw {
            return Ok(Self::File(FileNode { data: block.clone(), parts: Vec::new() }));
        }
        let (links, fs) = decode_dag_pb(block)?;
        let fs = UnixFs::decode(&fs)?;
        let node = match fs.kind {
            TYPE_FILE => {
                if links.len() != fs.sizes.len() {
                    return Err(NodeError::BadSizes);
                }
                let parts = links.into_iter().zip(fs.sizes);
                let parts = parts.map(|(l, size)| Part { cid: l.cid, size, tsize: l.tsize }).collect();
                let file = FileNode { data: fs.data, parts };
                if fs.size != Some(file.size()?) {
                    return Err(NodeError::BadSizes);
                }
                Self::File(file)
            }
            TYPE_DIRECTORY => {
                Self::Directory(links.into_iter().map(|l| Entry { name: l.name, cid: l.cid, tsize: l.tsize }).collect())
            }
            TYPE_SYMLINK => return Err(NodeError::Unsupported("symlink")),
            TYPE_HAMT => return Err(NodeError::Unsupported("HAMT directory")),
            _ => return Err(NodeError::Unsupported("type of node")),
        };
        if node.encode()? != block[..] {
            return Err(NodeError::NotCanonical);
        }
        Ok(node)
    }

    /// The CIDs that this node links to, in order, with repetitions.
    pub fn links(&self) -> impl Iterator<Item = Cid> + '_ {
        let (parts, entries): (&[Part], &[Entry]) = match self {
            Self::File(file) => (&file.parts, &[]),
            Self::Directory(entries) => (&[], entries),
        };
        parts.iter().map(|p| p.cid).chain(entries.iter().map(|e| e.cid))
    }
}

struct Link {
    cid: Cid,
    name: String,
    tsize: u64,
}

fn decode_dag_pb(block: &Bytes) -> Result<(Vec<Link>, Bytes), NodeError> {
    let (mut links, mut data) = (Vec::new(), None);
    let mut reader = wire::Reader(block);
    while let Some((field, value)) = reader.next()? {
        match (field, value) {
            (2, wire::Value::Bytes(bytes)) => {
                if links.len() == MAX_LINKS {
                    return Err(NodeError::TooManyLinks);
                }
                links.push(decode_link(bytes)?);
            }
            (1, wire::Value::Bytes(bytes)) => data = Some(block.slice_ref(bytes)),
            _ => return Err(NodeError::Malformed("unknown field in dag-pb")),
        }
    }
    Ok((links, data.ok_or(NodeError::Malformed("dag-pb node without UnixFS data"))?))
}

fn decode_link(bytes: &[u8]) -> Result<Link, NodeError> {
    let (mut cid, mut name, mut tsize) = (None, "", 0);
    let mut reader = wire::Reader(bytes);
    while let Some((field, value)) = reader.next()? {
        match (field, value) {
            (1, wire::Value::Bytes(v)) => {
                cid = Some(Cid::from_bytes(v).map_err(|_| NodeError::Unsupported("link to another kind of CID"))?);
            }
            (2, wire::Value::Bytes(v)) => {
                name = std::str::from_utf8(v).map_err(|_| NodeError::Malformed("name is not UTF-8"))?;
            }
            (3, wire::Value::Varint(v)) => tsize = v,
            _ => return Err(NodeError::Malformed("unknown field in a link")),
        }
    }
    Ok(Link { cid: cid.ok_or(NodeError::Malformed("link without a CID"))?, name: name.to_owned(), tsize })
}

/// The UnixFS message, as far as we read it.
#[derive(Default)]
struct UnixFs {
    kind: u64,
    data: Bytes,
    size: Option<u64>,
    sizes: Vec<u64>,
}

impl UnixFs {
    fn decode(bytes: &Bytes) -> Result<Self, NodeError> {
        let mut fs = Self::default();
        let mut reader = wire::Reader(bytes);
        while let Some((field, value)) = reader.next()? {
            match (field, value) {
                (1, wire::Value::Varint(v)) => fs.kind = v,
                (2, wire::Value::Bytes(v)) => fs.data = bytes.slice_ref(v),
                (3, wire::Value::Varint(v)) => fs.size = Some(v),
                (4, wire::Value::Varint(v)) => {
                    if fs.sizes.len() == MAX_LINKS {
                        return Err(NodeError::TooManyLinks);
                    }
                    fs.sizes.push(v);
                }
                (5 | 6, _) => return Err(NodeError::Unsupported("HAMT directory")),
                (7 | 8, _) => return Err(NodeError::Unsupported("mode or mtime")),
                _ => return Err(NodeError::Malformed("unknown field in UnixFS data")),
            }
        }
        Ok(fs)
    }
}

/// As much of protobuf as dag-pb and UnixFS need.
mod wire {
    use super::NodeError;

    pub(super) enum Value<'a> {
        Varint(u64),
        Bytes(&'a [u8]),
    }

    pub(super) struct Reader<'a>(pub(super) &'a [u8]);

    impl<'a> Reader<'a> {
        /// The next field, or nothing at the end.
        pub(super) fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, NodeError> {
            if self.0.is_empty() {
                return Ok(None);
            }
            let tag = self.varint()?;
            let value = match tag & 7 {
                0 => Value::Varint(self.varint()?),
                2 => {
                    let len = usize::try_from(self.varint()?).ok();
                    let split = len.and_then(|len| self.0.split_at_checked(len));
                    let (bytes, rest) = split.ok_or(NodeError::Malformed("truncated field"))?;
                    self.0 = rest;
                    Value::Bytes(bytes)
                }
                _ => return Err(NodeError::Malformed("wire type")),
            };
            Ok(Some((tag >> 3, value)))
        }

        fn varint(&mut self) -> Result<u64, NodeError> {
            // prost checks length and overflow; canonical form is checked by encoding again.
            prost::encoding::decode_varint(&mut self.0).map_err(|_| NodeError::Malformed("varint"))
        }
    }

    pub(super) fn put_varint(out: &mut Vec<u8>, field: u8, value: u64) {
        out.push(field << 3);
        prost::encoding::encode_varint(value, out);
    }

    pub(super) fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
        out.push(field << 3 | 2);
        prost::encoding::encode_varint(bytes.len() as u64, out);
        out.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(n: u8) -> Cid {
        Cid::of(Codec::Raw, &[n])
    }

    fn entry(name: &str) -> Entry {
        Entry { name: name.to_owned(), cid: raw(0), tsize: 1 }
    }

    fn decode(bytes: &[u8]) -> Result<Node, NodeError> {
        Node::decode(Codec::DagPb, &Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn bad_names_are_refused_both_ways() {
        let long = "n".repeat(256);
        for name in ["", ".", "..", "a/b", "/", "nul\0", long.as_str()] {
            assert!(matches!(Node::Directory(vec![entry(name)]).encode(), Err(NodeError::BadName { .. })), "{name:?}");
            // The same directory as a hostile maker would encode it.
            let mut link = Vec::new();
            wire::put_bytes(&mut link, 1, &raw(0).to_bytes());
            wire::put_bytes(&mut link, 2, name.as_bytes());
            wire::put_varint(&mut link, 3, 1);
            let mut node = Vec::new();
            wire::put_bytes(&mut node, 2, &link);
            wire::put_bytes(&mut node, 1, &[0x08, 0x01]);
            assert!(matches!(decode(&node), Err(NodeError::BadName { .. })), "{name:?}");
        }
    }

    #[test]
    fn order_and_duplicates() {
        for names in [["b", "a"], ["a", "a"]] {
            let node = Node::Directory(names.iter().map(|n| entry(n)).collect());
            assert_eq!(node.encode(), Err(NodeError::Unsorted), "{names:?}");
        }
    }

    #[test]
    fn only_the_canonical_encoding_decodes() {
        let node = Node::Directory(vec![entry("a")]);
        let good = node.encode().unwrap();
        assert_eq!(decode(&good).unwrap(), node);
        let data_first = [&good[good.len() - 4..], &good[..good.len() - 4]].concat();
        assert_eq!(decode(&data_first), Err(NodeError::NotCanonical));
        let long_varint = [&good[..good.len() - 1], &[0x81, 0x00]].concat();
        assert!(decode(&long_varint).is_err());
        let mut twice = good.clone();
        twice.extend_from_slice(&[0x0a, 0x02, 0x08, 0x01]);
        assert_eq!(decode(&twice), Err(NodeError::NotCanonical));
    }

    #[test]
    fn unsupported_kinds_are_named() {
        for (fs, what) in [
            (&[0x08, 4, 0x12, 1, b'x'][..], "symlink"),
            (&[0x08, 5, 0x28, 0x22, 0x30, 0x80, 0x02][..], "HAMT directory"),
            (&[0x08, 1, 0x38, 0x01][..], "mode or mtime"),
            (&[0x08, 3][..], "type of node"),
        ] {
            let mut node = Vec::new();
            wire::put_bytes(&mut node, 1, fs);
            assert_eq!(decode(&node), Err(NodeError::Unsupported(what)));
        }
    }

    #[test]
    fn sizes_must_add_up() {
        let huge = Part { cid: raw(0), size: u64::MAX, tsize: 1 };
        let file = Node::File(FileNode { data: Bytes::new(), parts: vec![huge, huge] });
        assert_eq!(file.encode(), Err(NodeError::BadSizes));
        let part = Part { cid: raw(0), size: 1, tsize: 1 };
        let mut lie = Node::File(FileNode { data: Bytes::new(), parts: vec![part] }).encode().unwrap();
        let declared = lie.len() - 3; // .. 18 <size> 20 <size of the part>
        assert_eq!(lie[declared - 1], 0x18);
        lie[declared] = 9;
        assert_eq!(decode(&lie), Err(NodeError::BadSizes));
    }

    #[test]
    fn link_counts_are_bounded() {
        let part = Part { cid: raw(0), size: 1, tsize: 1 };
        let node = |n| Node::File(FileNode { data: Bytes::new(), parts: vec![part; n] });
        let most = node(MAX_LINKS).encode().unwrap();
        assert_eq!(decode(&most).unwrap().links().count(), MAX_LINKS);
        assert_eq!(node(MAX_LINKS + 1).encode(), Err(NodeError::TooManyLinks));
        // A block of nothing but empty links, within the size limit.
        let empties = [0x12, 0x00].repeat(MAX_BLOCK_BYTES / 2);
        assert!(decode(&empties).is_err());
        assert!(matches!(decode(&vec![0; MAX_BLOCK_BYTES + 1]), Err(NodeError::BlockTooLarge(_))));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn damaged_nodes_never_decode_to_the_same(at in any::<proptest::sample::Index>(), bit in 0u8..8) {
            let node = Node::Directory(vec![entry("a"), entry("b"), entry("long name here")]);
            let mut bytes = node.encode().unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_ne!(decode(&bytes).ok(), Some(node));
        }

        #[test]
        fn nodes_round_trip(
            data in proptest::collection::vec(any::<u8>(), 0..64),
            sizes in proptest::collection::vec((any::<u8>(), 0..u64::MAX / 64, any::<u64>()), 0..32),
            names in proptest::collection::btree_set("[^/\0]{1,40}", 0..32),
        ) {
            let parts = sizes.into_iter().map(|(n, size, tsize)| Part { cid: raw(n), size, tsize }).collect();
            let file = Node::File(FileNode { data: data.into(), parts });
            prop_assert_eq!(decode(&file.encode().unwrap()).unwrap(), file);
            let entries = names.iter().filter(|n| check_name(n).is_ok()).map(|n| entry(n)).collect();
            let dir = Node::Directory(entries);
            prop_assert_eq!(decode(&dir.encode().unwrap()).unwrap(), dir);
        }
    }
}
