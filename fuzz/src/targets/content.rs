//! Content from peers: ids, paths and nodes have one form each, and what is no node is told from one.

use std::str::{self, FromStr};

use bytes::Bytes;
use gantry_content::{
    Block, Cid, Codec, ContentPath,
    unixfs::{MAX_BLOCK_BYTES, MAX_LINKS, Node},
};

use crate::{Target, mutate::Form};

/// A block of a DAG, an id or a path.
pub const TARGET: Target = Target { name: "content", form: Form::Proto, run };

fn run(bytes: &[u8]) {
    for codec in [Codec::Raw, Codec::DagPb] {
        let block = Bytes::copy_from_slice(bytes);
        if let Ok(node) = Node::decode(codec, &block) {
            let links = node.links().count();
            assert!(links <= MAX_LINKS && bytes.len() <= MAX_BLOCK_BYTES);
            if let (Codec::DagPb, Ok(again)) = (codec, node.encode()) {
                assert_eq!(again, bytes, "another encoding of a node is accepted");
            }
        }
        let cid = Cid::of(codec, bytes);
        assert!(Block::verify(cid, block.clone()).is_ok());
        assert!(Block::verify(Cid::of(codec, b"other"), block).is_err() || bytes == b"other");
    }
    if let Ok(cid) = Cid::from_bytes(bytes) {
        assert_eq!(cid.to_bytes(), bytes);
        assert_eq!(Cid::from_str(&cid.to_string()), Ok(cid));
    }
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(cid) = Cid::from_str(text) {
        assert_eq!(cid.to_string(), text, "two texts of one id");
    }
    if let Ok(path) = ContentPath::from_str(text) {
        assert!(path.names.iter().all(|name| !name.is_empty() && name != "." && name != ".." && !name.contains('/')));
        assert_eq!(path.to_string(), text.strip_suffix('/').unwrap_or(text));
    }
}
