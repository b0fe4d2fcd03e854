//! CIDs equal to a real Kubo's. `golden/generate.sh` made the vectors.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use gantry_content::unixfs::NodeError;
use gantry_content::{BlockStore, ContentError, Profile, TreeLimits, cid_of_path, cid_of_reader, export, import_path};

#[derive(serde::Deserialize)]
struct Vector {
    name: String,
    chunk: usize,
    max_links: usize,
    node: Recipe,
    cid: String,
    hamt: bool,
}

#[derive(serde::Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Recipe {
    File {
        #[serde(default)]
        seed: u64,
        #[serde(default)]
        size: u64,
    },
    Dir {
        #[serde(default)]
        dir: BTreeMap<String, Recipe>,
        #[serde(default)]
        many: u32,
    },
}

/// The generator's bytes: xorshift64 words, little endian.
struct Words {
    state: u64,
    left: u64,
}

impl Read for Words {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        // Whole words but at the very end; all readers here ask for multiples of eight.
        let take = if want as u64 == self.left { want } else { want & !7 };
        for word in buf[..take].chunks_mut(8) {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            word.copy_from_slice(&self.state.to_le_bytes()[..word.len()]);
        }
        self.left -= take as u64;
        Ok(take)
    }
}

impl Recipe {
    fn write(&self, path: &Path) {
        match self {
            Self::File { seed, size } => {
                let mut bytes = io::BufReader::with_capacity(1 << 20, Words { state: *seed, left: *size });
                io::copy(&mut bytes, &mut File::create(path).unwrap()).unwrap();
            }
            Self::Dir { dir, many } => {
                fs::create_dir(path).unwrap();
                for n in 0..*many {
                    File::create(path.join(format!("entry-{n:05}"))).unwrap();
                }
                for (name, child) in dir {
                    child.write(&path.join(name));
                }
            }
        }
    }
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../golden/vectors.json")).unwrap()
}

#[test]
fn files_have_kubos_cids() {
    for v in vectors() {
        if let Recipe::File { seed, size } = v.node {
            let profile = Profile { chunk_bytes: v.chunk, max_links: v.max_links };
            let bytes = io::BufReader::with_capacity(1 << 20, Words { state: seed, left: size });
            assert_eq!(cid_of_reader(bytes, profile).unwrap().to_string(), v.cid, "{}", v.name);
        }
    }
}

#[test]
fn directories_have_kubos_cids() {
    let tmp = tempfile::tempdir().unwrap();
    for v in vectors() {
        if matches!(v.node, Recipe::File { .. }) {
            continue;
        }
        let path = tmp.path().join("input");
        v.node.write(&path);
        let cid = cid_of_path(&path, &TreeLimits::default());
        if v.hamt {
            let error = cid.unwrap_err();
            let too_large = matches!(&error, ContentError::Node { source: NodeError::DirectoryTooLarge(_), .. });
            assert!(too_large, "{}: {error}", v.name);
        } else {
            assert_eq!(cid.unwrap().to_string(), v.cid, "{}", v.name);
        }
        fs::remove_dir_all(&path).unwrap();
    }
}

#[test]
fn odd_names_survive_the_way_through_the_store() {
    let tmp = tempfile::tempdir().unwrap();
    let v = vectors().into_iter().find(|v| v.name.contains("odd names")).unwrap();
    v.node.write(&tmp.path().join("input"));
    let store = BlockStore::open(tmp.path().join("store"), None).unwrap();
    let imported = import_path(&store, &tmp.path().join("input"), &TreeLimits::default()).unwrap();
    assert_eq!(imported.root.to_string(), v.cid);
    let bytes = export(&store, &imported.root, &tmp.path().join("output"), &TreeLimits::default()).unwrap();
    assert_eq!(bytes, imported.bytes);
    assert_eq!(cid_of_path(&tmp.path().join("output"), &TreeLimits::default()).unwrap(), imported.root);
}
