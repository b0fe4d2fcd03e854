//! The nodes of a tree: in memory those that blocks made since the trees were last saved, in a file all others.

use super::Hash;
use super::file::Section;
use super::hash::inner_hash;
use std::ops::Deref;
use std::sync::Arc;

/// Keys up to this length lie in their nodes.
const INLINE: usize = 30;

#[derive(Clone, Debug)]
pub(super) enum Key {
    Inline { len: u8, bytes: [u8; INLINE] },
    Shared(Arc<[u8]>),
}

impl From<&[u8]> for Key {
    fn from(key: &[u8]) -> Self {
        let mut bytes = [0; INLINE];
        match (bytes.get_mut(..key.len()), u8::try_from(key.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(key);
                Self::Inline { len, bytes }
            }
            _ => Self::Shared(key.into()),
        }
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Self::Shared(key) => key,
        }
    }
}

#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) key: Key,
    pub(super) version: u64,
    pub(super) hash: Hash,
}

#[derive(Clone, Debug)]
pub(super) struct Inner {
    /// Stands only while `sealed`.
    pub(super) hash: Hash,
    /// The separator: the smallest key on the right.
    pub(super) key: Key,
    pub(super) version: u64,
    pub(super) left: Link,
    pub(super) right: Link,
    /// The number of leaves below. A tree has fewer than 2^31, because a file counts its nodes with 32 bits.
    pub(super) size: u32,
    pub(super) height: u8,
    /// Whether the hash is known, here and below: it is, except while a block is applied.
    pub(super) sealed: bool,
}

/// The place of a node. A number means something only together with the file that its tree stands on.
#[derive(Clone, Debug)]
pub(super) enum Link {
    Leaf(Arc<Leaf>),
    Inner(Arc<Inner>),
    Saved(u32),
}

/// The file that a tree stands on, if any.
pub(super) type Base<'a> = Option<&'a Section>;

/// A node to read, wherever it lies.
#[derive(Clone, Copy)]
pub(super) enum Node<'a> {
    Leaf(&'a Leaf),
    Inner(&'a Inner, Base<'a>),
    Saved(&'a Section, u32),
}

impl Link {
    pub(super) fn leaf(key: Key, version: u64, hash: Hash) -> Self {
        Self::Leaf(Arc::new(Leaf { key, version, hash }))
    }

    /// A node without a hash yet, which is neither high nor large before [`Inner::update`].
    pub(super) fn inner(key: Key, version: u64, left: Link, right: Link) -> Self {
        let inner = Inner { hash: [0; 32], key, version, left, right, size: 0, height: 0, sealed: false };
        Self::Inner(Arc::new(inner))
    }

    /// The node's key, to keep.
    pub(super) fn key(&self, base: Base<'_>) -> Key {
        match self {
            Self::Leaf(leaf) => leaf.key.clone(),
            Self::Inner(inner) => inner.key.clone(),
            Self::Saved(_) => self.node(base).key().into(),
        }
    }

    pub(super) fn node<'a>(&'a self, base: Base<'a>) -> Node<'a> {
        match self {
            Self::Leaf(leaf) => Node::Leaf(leaf),
            Self::Inner(inner) => Node::Inner(inner, base),
            Self::Saved(index) => Node::Saved(base.expect("only trees on a file have saved nodes"), *index),
        }
    }
}

impl Inner {
    /// Brings height and size in line with the children.
    pub(super) fn update(&mut self, base: Base<'_>) {
        let (left, right) = (self.left.node(base), self.right.node(base));
        self.height = left.height().max(right.height()) + 1;
        self.size = left.size().checked_add(right.size()).expect("a tree has fewer than 2^31 rows");
    }

    /// How much higher the left side is.
    pub(super) fn balance(&self, base: Base<'_>) -> i16 {
        i16::from(self.left.node(base).height()) - i16::from(self.right.node(base).height())
    }

    /// Computes the hash from those of the children, which are sealed.
    pub(super) fn seal(&mut self, base: Base<'_>) {
        let (left, right) = (self.left.node(base).hash(), self.right.node(base).hash());
        self.hash = inner_hash(self.height, self.size.into(), self.version, left, right);
        self.sealed = true;
    }
}

impl<'a> Node<'a> {
    /// A leaf's key; an inner node's separator.
    pub(super) fn key(self) -> &'a [u8] {
        match self {
            Self::Leaf(leaf) => &leaf.key,
            Self::Inner(inner, _) => &inner.key,
            Self::Saved(section, index) => section.key(index),
        }
    }

    pub(super) fn version(self) -> u64 {
        match self {
            Self::Leaf(leaf) => leaf.version,
            Self::Inner(inner, _) => inner.version,
            Self::Saved(section, index) => section.record(index).version(),
        }
    }

    /// 0 for a leaf.
    pub(super) fn height(self) -> u8 {
        match self {
            Self::Leaf(_) => 0,
            Self::Inner(inner, _) => inner.height,
            Self::Saved(section, index) => section.record(index).height(),
        }
    }

    /// The number of leaves.
    pub(super) fn size(self) -> u32 {
        match self {
            Self::Leaf(_) => 1,
            Self::Inner(inner, _) => inner.size,
            Self::Saved(section, index) => section.record(index).size(),
        }
    }

    pub(super) fn hash(self) -> &'a Hash {
        match self {
            Self::Leaf(leaf) => &leaf.hash,
            Self::Inner(inner, _) => {
                debug_assert!(inner.sealed);
                &inner.hash
            }
            Self::Saved(section, index) => section.record(index).hash(),
        }
    }

    /// Left and right, of an inner node.
    pub(super) fn children(self) -> Option<(Node<'a>, Node<'a>)> {
        match self {
            Self::Leaf(_) => None,
            Self::Inner(inner, base) => Some((inner.left.node(base), inner.right.node(base))),
            Self::Saved(section, index) => {
                let (left, right) = section.children(index)?;
                Some((Node::Saved(section, left), Node::Saved(section, right)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_small() {
        assert_eq!([size_of::<Key>(), size_of::<Link>(), size_of::<Leaf>(), size_of::<Inner>()], [32, 16, 72, 112]);
    }
}
