//! The definition of an IAVL tree, as slow as it is plain: one key at a time, every hash anew. What the real tree is
//! compared with. Node encodings, rotations and versions are those of Go `iavl` v1.

use sha2::{Digest, Sha256};

/// A tree.
#[derive(Clone, Debug, Default)]
pub struct Iavl(Option<Box<Node>>);

#[derive(Clone, Debug)]
struct Node {
    /// The leaf's key; in an inner node, the least key to its right.
    key: Vec<u8>,
    value: Vec<u8>,
    version: i64,
    height: i64,
    size: i64,
    children: Option<(Box<Node>, Box<Node>)>,
}

/// A signed varint (zigzag), as Go's `binary.PutVarint`.
fn signed(value: i64, out: &mut Vec<u8>) {
    unsigned(u64::from_ne_bytes(((value << 1) ^ (value >> 63)).to_ne_bytes()), out);
}

fn unsigned(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn prefixed(bytes: &[u8], out: &mut Vec<u8>) {
    unsigned(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

impl Node {
    fn leaf(key: &[u8], value: &[u8], version: i64) -> Box<Self> {
        let (key, value) = (key.to_vec(), value.to_vec());
        Box::new(Self { key, value, version, height: 0, size: 1, children: None })
    }

    fn inner(key: Vec<u8>, left: Box<Self>, right: Box<Self>, version: i64) -> Box<Self> {
        let (height, size) = (1 + left.height.max(right.height), left.size + right.size);
        Box::new(Self { key, value: Vec::new(), version, height, size, children: Some((left, right)) })
    }

    fn hash(&self) -> [u8; 32] {
        let mut out = Vec::new();
        signed(self.height, &mut out);
        signed(self.size, &mut out);
        signed(self.version, &mut out);
        match &self.children {
            None => {
                prefixed(&self.key, &mut out);
                prefixed(&sha256(&self.value), &mut out);
            }
            Some((left, right)) => {
                prefixed(&left.hash(), &mut out);
                prefixed(&right.hash(), &mut out);
            }
        }
        sha256(&out)
    }

    fn balance(&self) -> i64 {
        self.children.as_ref().map_or(0, |(left, right)| left.height - right.height)
    }

    fn rotate_right(self, version: i64) -> Box<Self> {
        let (left, right) = self.children.expect("a node that is too high to the left has children");
        let (outer, middle) = left.children.expect("and so has its left one");
        Self::inner(left.key, outer, Self::inner(self.key, middle, right, version), version)
    }

    fn rotate_left(self, version: i64) -> Box<Self> {
        let (left, right) = self.children.expect("a node that is too high to the right has children");
        let (middle, outer) = right.children.expect("and so has its right one");
        Self::inner(right.key, Self::inner(self.key, left, middle, version), outer, version)
    }

    fn balanced(mut self, version: i64) -> Box<Self> {
        match self.balance() {
            2.. => {
                let (left, right) = self.children.take().expect("its sides differ");
                let left = if left.balance() < 0 { left.rotate_left(version) } else { left };
                self.children = Some((left, right));
                self.rotate_right(version)
            }
            ..=-2 => {
                let (left, right) = self.children.take().expect("its sides differ");
                let right = if right.balance() > 0 { right.rotate_right(version) } else { right };
                self.children = Some((left, right));
                self.rotate_left(version)
            }
            _ => Box::new(self),
        }
    }

    fn set(mut self, key: &[u8], value: &[u8], version: i64) -> Box<Self> {
        let Some((left, right)) = self.children.take() else {
            let new = Self::leaf(key, value, version);
            return match key.cmp(&self.key) {
                std::cmp::Ordering::Equal => new,
                std::cmp::Ordering::Less => Self::inner(self.key.clone(), new, Box::new(self), version),
                std::cmp::Ordering::Greater => Self::inner(key.to_vec(), Box::new(self), new, version),
            };
        };
        let (left, right) = if key < self.key.as_slice() {
            (left.set(key, value, version), right)
        } else {
            (left, right.set(key, value, version))
        };
        Self::inner(self.key, left, right, version).balanced(version)
    }

    /// What is left, and the least key below it where that has changed. The key must be there.
    fn remove(mut self, key: &[u8], version: i64) -> (Option<Box<Self>>, Option<Vec<u8>>) {
        let Some((left, right)) = self.children.take() else { return (None, None) };
        if key < self.key.as_slice() {
            let (left, least) = left.remove(key, version);
            let Some(left) = left else { return (Some(right), Some(self.key)) };
            (Some(Self::inner(self.key, left, right, version).balanced(version)), least)
        } else {
            let (right, least) = right.remove(key, version);
            let Some(right) = right else { return (Some(left), None) };
            let key = least.unwrap_or(self.key);
            (Some(Self::inner(key, left, right, version).balanced(version)), None)
        }
    }

    fn has(&self, key: &[u8]) -> bool {
        match &self.children {
            None => self.key == key,
            Some((left, right)) => {
                if key < self.key.as_slice() {
                    left.has(key)
                } else {
                    right.has(key)
                }
            }
        }
    }
}

impl Iavl {
    /// Sets a key, also to the value that it has.
    pub fn set(&mut self, key: &[u8], value: &[u8], version: i64) {
        self.0 = Some(match self.0.take() {
            Some(node) => node.set(key, value, version),
            None => Node::leaf(key, value, version),
        });
    }

    /// Removes a key, if it is there.
    pub fn remove(&mut self, key: &[u8], version: i64) {
        if self.0.as_ref().is_some_and(|node| node.has(key))
            && let Some(node) = self.0.take()
        {
            self.0 = node.remove(key, version).0;
        }
    }

    /// The root hash; of an empty tree, the digest of nothing.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        self.0.as_ref().map_or_else(|| sha256(b""), |node| node.hash())
    }
}

/// The app hash of stores with these roots, ascending by name: Tendermint's simple Merkle root, as `rootmulti` has it.
#[must_use]
pub fn app_hash(roots: &[(&str, [u8; 32])]) -> [u8; 32] {
    let leaves: Vec<[u8; 32]> = roots
        .iter()
        .map(|(name, root)| {
            let mut out = vec![0];
            prefixed(name.as_bytes(), &mut out);
            prefixed(&sha256(root), &mut out);
            sha256(&out)
        })
        .collect();
    merkle(&leaves)
}

fn merkle(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => sha256(b""),
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            sha256(&[&[1][..], &merkle(left), &merkle(right)].concat())
        }
    }
}
