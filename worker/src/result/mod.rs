//! From an output folder to what is committed and revealed. The encodings are those of [`gantry_proto::digest`].

use crate::executor::{ExitKind, Outcome};
use gantry_proto::digest::{
    CHUNK_BYTES, Commitment, Hash, Manifest, MerkleTree, chunk_leaf, output_digest, possession_leaf,
};
use gantry_proto::gantry::verifier::v1::{self as proto, Reveal};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Whose result it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The chain's id.
    pub chain_id: &'a str,
    /// The job's id.
    pub job: u64,
    /// The job's attempt.
    pub attempt: u32,
    /// The provider's id.
    pub provider: u64,
}

/// What the bytes of an output folder hash to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputHashes {
    /// Root over the ordered chunks: equal for all replicas.
    pub root: Hash,
    /// Root over the chunks bound to the provider, job and attempt: shows that the worker held the bytes.
    pub possession_root: Hash,
    /// Bytes of all files.
    pub bytes: u64,
    /// Number of chunks.
    pub chunks: u64,
}

/// Hashes output files as they come; they must come in ascending order of the bytes of their paths.
pub struct OutputHasher<'a> {
    binding: Binding<'a>,
    root: MerkleTree,
    possession: MerkleTree,
    bytes: u64,
    chunks: u64,
    last: Option<String>,
}

impl<'a> OutputHasher<'a> {
    /// A hasher of no files.
    pub fn new(binding: Binding<'a>) -> Self {
        Self {
            binding,
            root: MerkleTree::default(),
            possession: MerkleTree::default(),
            bytes: 0,
            chunks: 0,
            last: None,
        }
    }

    /// Adds a file by its path relative to the output folder.
    ///
    /// # Errors
    /// Those of the reader, and `InvalidInput` for a path that does not come after the last one.
    pub fn file(&mut self, path: &str, mut content: impl Read) -> io::Result<()> {
        if self.last.as_deref().is_some_and(|last| last >= path) {
            let text = format!("{path}: output files must come in the order of their paths");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.last = Some(path.to_owned());
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let mut offset = 0;
        loop {
            chunk.clear();
            content.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
            if chunk.is_empty() && offset > 0 {
                return Ok(());
            }
            let Binding { provider, job, attempt, .. } = self.binding;
            self.root.push(chunk_leaf(path, offset, &chunk));
            self.possession.push(possession_leaf(provider, job, attempt, self.chunks, &chunk));
            self.chunks += 1;
            self.bytes += chunk.len() as u64;
            offset += chunk.len() as u64;
            if chunk.len() < CHUNK_BYTES {
                return Ok(());
            }
        }
    }

    /// The hashes of the files so far.
    pub fn finish(&self) -> OutputHashes {
        OutputHashes {
            root: self.root.root(),
            possession_root: self.possession.root(),
            bytes: self.bytes,
            chunks: self.chunks,
        }
    }
}

/// Hashes the files below a folder.
///
/// # Errors
/// Those of the file system, and `InvalidData` for a name that is not UTF-8 or something that is neither file nor folder.
pub fn hash_output(folder: &Path, binding: Binding<'_>) -> io::Result<OutputHashes> {
    let mut hasher = OutputHasher::new(binding);
    for (path, file) in list(folder)? {
        hasher.file(&path, fs::File::open(file)?)?;
    }
    Ok(hasher.finish())
}

/// The files below a folder in ascending order of the bytes of their relative paths.
fn list(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let bad =
        |path: &Path, text: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {text}", path.display()));
    let mut files = Vec::new();
    let mut rest = vec![(String::new(), folder.to_owned())];
    while let Some((prefix, folder)) = rest.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let at = entry.path();
            let name = entry.file_name().into_string().map_err(|_| bad(&at, "not UTF-8"))?;
            let path = format!("{prefix}{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() {
                rest.push((format!("{path}/"), at));
            } else if kind.is_file() {
                files.push((path, at));
            } else {
                return Err(bad(&at, "neither file nor folder"));
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The kind and code that an end is revealed with.
pub fn exit_parts(exit: ExitKind) -> (proto::ExitKind, u32) {
    match exit {
        ExitKind::Exit(code) => (proto::ExitKind::Exit, code),
        ExitKind::Trap(kind) => (proto::ExitKind::Trap, kind as u32),
        ExitKind::OutOfFuel => (proto::ExitKind::OutOfFuel, 0),
    }
}

/// A manifest of a run: its usage, its log, and facts about this machine.
pub fn manifest<'a>(outcome: &Outcome, log_root: Hash, environment: Vec<(&'a str, &'a str)>) -> Manifest<'a> {
    let usage = &outcome.usage;
    Manifest {
        environment,
        fuel: usage.fuel,
        peak_memory_bytes: usage.peak_memory_bytes,
        wall_ms: u64::try_from(usage.wall.as_millis()).unwrap_or(u64::MAX),
        output_bytes: usage.output_bytes,
        log_bytes: usage.log_bytes,
        log_root,
    }
}

/// A result that is ready to be committed and, later, revealed.
#[derive(Clone, Debug, PartialEq)]
pub struct Sealed {
    /// Goes on chain first.
    pub commitment: Hash,
    /// Opens the commitment. `locations` is not bound by it and is empty.
    pub reveal: Reveal,
}

/// Binds a result to a provider. `output_cid` is the CID of the output folder, version 1 in base 32; `nonce` is fresh
/// randomness, kept with the result until it is revealed.
pub fn seal(
    binding: Binding<'_>,
    exit: ExitKind,
    output_cid: &str,
    output: &OutputHashes,
    manifest: &Manifest<'_>,
    nonce: Hash,
) -> Sealed {
    let (exit_kind, exit_code) = exit_parts(exit);
    let manifest_digest = manifest.digest();
    let commitment = Commitment {
        chain_id: binding.chain_id,
        job: binding.job,
        attempt: binding.attempt,
        provider: binding.provider,
        output_digest: output_digest(exit_kind, exit_code, output_cid, &output.root),
        manifest_digest,
        possession_root: output.possession_root,
        nonce,
    };
    Sealed {
        commitment: commitment.hash(),
        reveal: Reveal {
            exit_kind: exit_kind.into(),
            exit_code,
            output_cid: output_cid.to_owned(),
            output_root: output.root.to_vec(),
            manifest_digest: manifest_digest.to_vec(),
            possession_root: output.possession_root.to_vec(),
            nonce: nonce.to_vec(),
            locations: Vec::new(),
            output_bytes: output.bytes,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_proto::digest::merkle_root_rfc6962;

    const MINE: Binding<'static> = Binding { chain_id: "gantry-1", job: 5, attempt: 1, provider: 3 };

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        dir
    }

    /// The data of a leaf as the documentation of the digests gives it.
    fn leaf(path: &str, offset: u64, bytes: &[u8]) -> Vec<u8> {
        let field = |b: &[u8]| [&(b.len() as u64).to_be_bytes(), b].concat();
        [field(path.as_bytes()), field(&offset.to_be_bytes()), field(bytes)].concat()
    }

    #[test]
    fn chunks_come_in_the_order_of_path_bytes_and_never_span_files() {
        let long = vec![7; CHUNK_BYTES * 2 + 5];
        let exact = vec![8; CHUNK_BYTES];
        let dir = folder(&[("a/b", b"x"), ("a.b", &long), ("empty", b""), ("z", &exact)]);
        let hashes = hash_output(dir.path(), MINE).unwrap();
        let n = CHUNK_BYTES;
        let leaves = [
            leaf("a.b", 0, &long[..n]),
            leaf("a.b", n as u64, &long[n..2 * n]),
            leaf("a.b", 2 * n as u64, &long[2 * n..]),
            leaf("a/b", 0, b"x"),
            leaf("empty", 0, b""),
            leaf("z", 0, &exact),
        ];
        assert_eq!(hashes.root, merkle_root_rfc6962(leaves));
        assert_eq!((hashes.chunks, hashes.bytes), (6, (3 * n + 6) as u64));
    }

    #[test]
    fn one_changed_byte_or_name_changes_the_root() {
        let base = hash_output(folder(&[("a", b"one"), ("b", b"two")]).path(), MINE).unwrap();
        for other in [
            &[("a", b"one".as_slice()), ("b", b"twO")][..],
            &[("a", b"one"), ("c", b"two")],
            &[("a", b"onet"), ("b", b"wo")],
            &[("a", b"one")],
            &[],
        ] {
            assert_ne!(hash_output(folder(other).path(), MINE).unwrap().root, base.root, "{other:?}");
        }
    }

    #[test]
    fn possession_differs_by_provider_and_the_root_does_not() {
        let dir = folder(&[("a", b"one")]);
        let mine = hash_output(dir.path(), MINE).unwrap();
        let theirs = hash_output(dir.path(), Binding { provider: 4, ..MINE }).unwrap();
        assert_eq!(mine.root, theirs.root);
        assert_ne!(mine.possession_root, theirs.possession_root);
    }

    #[test]
    fn files_out_of_order_and_links_are_refused() {
        let mut hasher = OutputHasher::new(MINE);
        hasher.file("b", &b""[..]).unwrap();
        assert!(hasher.file("a", &b""[..]).is_err());
        assert!(hasher.file("b", &b""[..]).is_err());
        let dir = folder(&[("a", b"one")]);
        std::os::unix::fs::symlink("a", dir.path().join("link")).unwrap();
        assert_eq!(hash_output(dir.path(), MINE).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn what_is_revealed_opens_the_commitment() {
        let output = hash_output(folder(&[("a", b"one")]).path(), MINE).unwrap();
        let manifest = Manifest { fuel: 1, ..Manifest::default() };
        let Sealed { commitment, reveal } = seal(MINE, ExitKind::Exit(0), "bafy", &output, &manifest, [9; 32]);
        let hash = |bytes: &[u8]| Hash::try_from(bytes).unwrap();
        let opened = Commitment {
            chain_id: "gantry-1",
            job: 5,
            attempt: 1,
            provider: 3,
            output_digest: output_digest(
                reveal.exit_kind(),
                reveal.exit_code,
                &reveal.output_cid,
                &hash(&reveal.output_root),
            ),
            manifest_digest: hash(&reveal.manifest_digest),
            possession_root: hash(&reveal.possession_root),
            nonce: hash(&reveal.nonce),
        };
        assert_eq!(opened.hash(), commitment);
        // Another provider that copies the commitment cannot open it.
        assert_ne!(Commitment { provider: 4, ..opened }.hash(), commitment);
    }
}
