//! The hashes that a worker commits to and the chain recomputes: one place, pure, no I/O.
//!
//! **Encoding.** `H(domain, f1, f2, ...)` is SHA-256 over the domain and each field in order, every one preceded by its
//! length in bytes as a 64-bit big-endian number. Integers are big-endian in their own width (`u32` four bytes, `u64`
//! eight), text is UTF-8, hashes are their 32 bytes. So no two lists of fields have the same encoding, and no hash of one
//! domain is a hash of another.
//!
//! **Trees.** Merkle trees are those of RFC 6962, section 2.1: a leaf is `SHA-256(0x00 || data)`, an inner node is
//! `SHA-256(0x01 || left || right)`, the left subtree of n leaves has the largest power of two below n, and the root of no
//! leaves is `SHA-256("")`.
//!
//! **Output chunks.** The files below `/out` in ascending order of the bytes of their relative path (`a/b`, no leading
//! slash; the whole path is compared, so `a.b` comes before `a/b`), each cut into chunks of [`CHUNK_BYTES`], the last one
//! shorter. A chunk never spans two files; an empty file has one empty chunk; folders and metadata have none (the output
//! CID covers empty folders). The data of a chunk's leaf is `path, offset, bytes` in the encoding above, without a domain.
//!
//! What replicas are compared by is [`output_digest`] alone. Environment, usage and logs differ between honest machines;
//! [`Manifest::digest`] binds them in the commitment and is never compared.

use crate::gantry::verifier::v1::ExitKind;
use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Length of an output or log chunk in bytes.
pub const CHUNK_BYTES: usize = 64 * 1024;

const OUTPUT: &str = "gantry/output/v1";
const MANIFEST: &str = "gantry/manifest/v1";
const POSSESSION: &str = "gantry/possession/v1";
const COMMITMENT: &str = "gantry/commitment/v1";

/// Fields of a hash, each with its length before it.
struct Fields(Sha256);

impl Fields {
    fn of(domain: &str) -> Self {
        Self(Sha256::new()).bytes(domain.as_bytes())
    }

    fn leaf() -> Self {
        Self(Sha256::new_with_prefix([0]))
    }

    fn bytes(mut self, field: &[u8]) -> Self {
        self.0.update((field.len() as u64).to_be_bytes());
        self.0.update(field);
        self
    }

    fn u32(self, field: u32) -> Self {
        self.bytes(&field.to_be_bytes())
    }

    fn u64(self, field: u64) -> Self {
        self.bytes(&field.to_be_bytes())
    }

    fn end(self) -> Hash {
        self.0.finalize().into()
    }
}

/// How a program ended and what it left: the whole of what replicas are compared by.
///
/// `exit_code` is the program's code for an exit, the trap's number for a trap, 0 for spent fuel. `output_cid` is the CID of
/// the output folder as text (version 1, base 32); it is hashed as it is written, so two spellings differ.
pub fn output_digest(exit_kind: ExitKind, exit_code: u32, output_cid: &str, output_root: &Hash) -> Hash {
    Fields::of(OUTPUT).u32(exit_kind as u32).u32(exit_code).bytes(output_cid.as_bytes()).bytes(output_root).end()
}

/// What a worker says about a run beside its result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest<'a> {
    /// Facts about the machine and its software, as names and values; the digest takes them in the order of their names.
    pub environment: Vec<(&'a str, &'a str)>,
    /// Fuel spent.
    pub fuel: u64,
    /// Largest size of the program's memory, in bytes.
    pub peak_memory_bytes: u64,
    /// Time from start to end of the run, in milliseconds.
    pub wall_ms: u64,
    /// Bytes of all output files.
    pub output_bytes: u64,
    /// Bytes of the kept log.
    pub log_bytes: u64,
    /// [`log_root`] of the kept log.
    pub log_root: Hash,
}

impl Manifest<'_> {
    /// The digest that the commitment binds.
    pub fn digest(&self) -> Hash {
        let mut environment = self.environment.clone();
        environment.sort_unstable();
        let head = Fields::of(MANIFEST).u64(environment.len() as u64);
        environment
            .iter()
            .fold(head, |fields, (name, value)| fields.bytes(name.as_bytes()).bytes(value.as_bytes()))
            .u64(self.fuel)
            .u64(self.peak_memory_bytes)
            .u64(self.wall_ms)
            .u64(self.output_bytes)
            .u64(self.log_bytes)
            .bytes(&self.log_root)
            .end()
    }
}

/// What a commitment binds; every field is revealed or known to the chain when the commitment is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commitment<'a> {
    /// The chain's id.
    pub chain_id: &'a str,
    /// The job's id.
    pub job: u64,
    /// The job's attempt.
    pub attempt: u32,
    /// The provider's id: a copied commitment opens for nobody else.
    pub provider: u64,
    /// [`output_digest`].
    pub output_digest: Hash,
    /// [`Manifest::digest`].
    pub manifest_digest: Hash,
    /// Root over the [`possession_leaf`] of every output chunk.
    pub possession_root: Hash,
    /// Random: keeps a small set of possible results from being tried out.
    pub nonce: Hash,
}

impl Commitment<'_> {
    /// The hash that is put on chain before anyone's result is known.
    pub fn hash(&self) -> Hash {
        Fields::of(COMMITMENT)
            .bytes(self.chain_id.as_bytes())
            .u64(self.job)
            .u32(self.attempt)
            .u64(self.provider)
            .bytes(&self.output_digest)
            .bytes(&self.manifest_digest)
            .bytes(&self.possession_root)
            .bytes(&self.nonce)
            .end()
    }
}

/// Leaf of one output chunk: `path` relative to the output folder, `offset` in bytes from the start of the file.
pub fn chunk_leaf(path: &str, offset: u64, bytes: &[u8]) -> Hash {
    Fields::leaf().bytes(path.as_bytes()).u64(offset).bytes(bytes).end()
}

/// Leaf that only a holder of the bytes can compute: `index` counts all output chunks from 0.
pub fn possession_leaf(provider: u64, job: u64, attempt: u32, index: u64, bytes: &[u8]) -> Hash {
    Fields::leaf().bytes(POSSESSION.as_bytes()).u64(provider).u64(job).u32(attempt).u64(index).bytes(bytes).end()
}

/// Root over a log: its leaves are the plain bytes of its chunks of [`CHUNK_BYTES`].
pub fn log_root(log: &[u8]) -> Hash {
    merkle_root_rfc6962(log.chunks(CHUNK_BYTES))
}

/// Root of the RFC 6962 tree over the data of the leaves.
pub fn merkle_root_rfc6962<L: AsRef<[u8]>>(leaves: impl IntoIterator<Item = L>) -> Hash {
    let mut tree = MerkleTree::default();
    for leaf in leaves {
        tree.push(Sha256::new_with_prefix([0]).chain_update(leaf).finalize().into());
    }
    tree.root()
}

/// An RFC 6962 tree that is built leaf by leaf and holds one hash per level.
#[derive(Clone, Debug, Default)]
pub struct MerkleTree {
    /// Roots of full subtrees with their number of leaves, a power of two that falls from each to the next.
    full: Vec<(u64, Hash)>,
}

impl MerkleTree {
    /// Appends a leaf, given its hash (such as [`chunk_leaf`]).
    pub fn push(&mut self, leaf: Hash) {
        let (mut size, mut hash) = (1, leaf);
        while let Some((left, root)) = self.full.pop_if(|(left, _)| *left == size) {
            hash = node(&root, &hash);
            size += left;
        }
        self.full.push((size, hash));
    }

    /// Root over the leaves so far.
    pub fn root(&self) -> Hash {
        let mut subtrees = self.full.iter().rev().map(|(_, hash)| *hash);
        match subtrees.next() {
            None => Sha256::digest([]).into(),
            Some(last) => subtrees.fold(last, |right, left| node(&left, &right)),
        }
    }
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new_with_prefix([1]).chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(hash: Hash) -> String {
        hash.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// RFC 6962's definition, word by word.
    fn reference(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => Sha256::digest([&[0], one.as_slice()].concat()).into(),
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node(&reference(&leaves[..split]), &reference(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_tree_is_that_of_rfc_6962() {
        let leaves: Vec<Vec<u8>> = (0..70u8).map(|i| vec![i; usize::from(i)]).collect();
        for n in 0..leaves.len() {
            assert_eq!(merkle_root_rfc6962(&leaves[..n]), reference(&leaves[..n]), "{n} leaves");
        }
    }

    /// Vectors of the Certificate Transparency reference implementation.
    #[test]
    fn known_roots() {
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        for (n, root) in roots.iter().enumerate() {
            assert_eq!(hex(merkle_root_rfc6962(&leaves[..n])), *root, "{n} leaves");
        }
    }

    fn manifest() -> Manifest<'static> {
        Manifest {
            environment: vec![("class", "wasm"), ("arch", "x86_64")],
            fuel: 12_345,
            peak_memory_bytes: 1 << 20,
            wall_ms: 678,
            output_bytes: 90,
            log_bytes: 3,
            log_root: log_root(b"log"),
        }
    }

    fn commitment() -> Commitment<'static> {
        Commitment {
            chain_id: "gantry-1",
            job: 7,
            attempt: 2,
            provider: 9,
            output_digest: output_digest(ExitKind::Exit, 0, "bafybeigdyrzt", &[1; 32]),
            manifest_digest: manifest().digest(),
            possession_root: [2; 32],
            nonce: [3; 32],
        }
    }

    /// Made with Python's hashlib from the text at the head of this file.
    #[test]
    fn golden_vectors() {
        assert_eq!(hex(commitment().output_digest), "ccb0ab8f27185444354d1037168b919eacb8699a7c3f9f0490e4986971b144f6");
        assert_eq!(
            hex(output_digest(ExitKind::Trap, 10, "", &[0; 32])),
            "86d38a0730c199c7c2ef619cfe91e9eca3b4881a6ddaaab62c92ad1de96e61a5"
        );
        assert_eq!(hex(manifest().digest()), "ee3324a50876b604b46ae58c79c4e58140c83c1a7fd601a1f92fbeedd64a635a");
        assert_eq!(hex(commitment().hash()), "65887ce2e5d049939398418ab526aea3a46ea8838cdd12159d55cef669aa4f6f");
        assert_eq!(
            hex(chunk_leaf("a/b.txt", 65536, b"chunk")),
            "008726681837f5a1e0ec366ff67fa43b6d7466508e3da977540f986d67475623"
        );
        assert_eq!(
            hex(possession_leaf(9, 7, 2, 4, b"chunk")),
            "02b62dbef7108454689106b5097d5fc59d37e3ac5cfa6ca05cc3e1613dc05a9b"
        );
        assert_eq!(hex(log_root(&[b'x'; 70_000])), "274f6d7bfb932cf74bb7f0de322eb27d5cdd9bfa016f1e42ff4e3b4d350988ec");
    }

    #[test]
    fn every_field_of_a_commitment_counts() {
        let base = commitment();
        let others = [
            Commitment { chain_id: "gantry-2", ..base },
            Commitment { job: 8, ..base },
            Commitment { attempt: 1, ..base },
            Commitment { provider: 7, ..base },
            Commitment { output_digest: [0; 32], ..base },
            Commitment { manifest_digest: [0; 32], ..base },
            Commitment { possession_root: [0; 32], ..base },
            Commitment { nonce: [0; 32], ..base },
        ];
        for other in others {
            assert_ne!(other.hash(), base.hash(), "{other:?}");
        }
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        assert_ne!(chunk_leaf("ab", 0, b"c"), chunk_leaf("a", 0, b"bc"));
        let one = Manifest { environment: vec![("a", "bc")], ..manifest() };
        let two = Manifest { environment: vec![("ab", "c")], ..manifest() };
        assert_ne!(one.digest(), two.digest());
        let sorted = Manifest { environment: vec![("arch", "x86_64"), ("class", "wasm")], ..manifest() };
        assert_eq!(sorted.digest(), manifest().digest());
    }
}
