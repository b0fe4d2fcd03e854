//! The rows that are not state, as protobuf messages.

use super::forest::Forest;
use crate::overlay::Changes;
use crate::{StoreError, StoreName};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

/// Rows of a change log are cut at about this many bytes.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

/// The last commit.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct TipRow {
    #[prost(uint64, tag = "1")]
    pub(super) height: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) app_hash: Vec<u8>,
    /// The first height ever committed.
    #[prost(uint64, tag = "3")]
    pub(super) first: u64,
    /// What the application stored beside the state.
    #[prost(bytes = "vec", tag = "4")]
    pub(super) meta: Vec<u8>,
}

/// A height.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct CommitRow {
    /// The stores with their roots, by ascending name.
    #[prost(message, repeated, tag = "1")]
    pub(super) stores: Vec<StoreRoot>,
    /// What the application stored beside the state.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) meta: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct StoreRoot {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) root: Vec<u8>,
}

impl CommitRow {
    /// The stores of a height, and no `meta`.
    pub(super) fn of(forest: &Forest) -> Self {
        let root = |(name, root): (&str, [u8; 32])| StoreRoot { name: name.to_owned(), root: root.to_vec() };
        Self { stores: forest.roots().map(root).collect(), meta: Vec::new() }
    }
}

/// A part of a block's changes.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ChangeLog {
    #[prost(message, repeated, tag = "1")]
    rows: Vec<Change>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct Change {
    #[prost(string, tag = "1")]
    store: String,
    #[prost(bytes = "vec", tag = "2")]
    key: Vec<u8>,
    /// Absent for a removal.
    #[prost(bytes = "vec", optional, tag = "3")]
    value: Option<Vec<u8>>,
}

impl Change {
    /// Adds a row to an encoded [`ChangeLog`], from borrowed parts: a repeated field may be written row by row.
    fn encode(store: StoreName, key: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
        let fields = [(1, Some(store.as_str().as_bytes())), (2, Some(key)), (3, value)];
        let fields = fields.iter().filter_map(|(tag, bytes)| Some((*tag, (*bytes)?)));
        let size = |bytes: &[u8]| encoded_len_varint(bytes.len() as u64) + bytes.len();
        encode_key(1, WireType::LengthDelimited, out);
        encode_varint(fields.clone().map(|(_, bytes)| 1 + size(bytes) as u64).sum(), out);
        for (tag, bytes) in fields {
            encode_key(tag, WireType::LengthDelimited, out);
            encode_varint(bytes.len() as u64, out);
            out.extend_from_slice(bytes);
        }
    }
}

impl ChangeLog {
    /// Hands out a block's changes in numbered, encoded parts.
    pub(super) fn write(
        changes: &Changes,
        mut put: impl FnMut(u32, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut chunks = Chunks::default();
        for (store, key, value) in changes.iter() {
            Change::encode(store, key, value, chunks.buffer());
            chunks.cut(CHUNK_BYTES, &mut put)?;
        }
        chunks.cut(1, &mut put)
    }

    /// Adds a part to a block's changes; `resolve` finds a store by its name.
    pub(super) fn read(
        bytes: &[u8],
        changes: &mut Changes,
        resolve: impl Fn(&str) -> Result<StoreName, StoreError>,
    ) -> Result<(), StoreError> {
        for Change { store, key, value } in decode::<Self>(bytes)?.rows {
            changes.0.entry(resolve(&store)?).or_default().insert(key, value);
        }
        Ok(())
    }
}

/// Cuts a stream of encoded rows into numbered parts.
#[derive(Default)]
pub(super) struct Chunks {
    buffer: Vec<u8>,
    number: u32,
}

impl Chunks {
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Hands out what has gathered if it is at least `size` bytes.
    pub(super) fn cut(
        &mut self,
        size: usize,
        put: &mut impl FnMut(u32, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.buffer.len() >= size {
            put(self.number, &self.buffer)?;
            self.buffer.clear();
            self.number += 1;
        }
        Ok(())
    }
}

pub(super) fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, StoreError> {
    M::decode(bytes).map_err(|error| StoreError::Corrupt(format!("database row: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_log_is_the_message_that_it_is_said_to_be() {
        let bank = StoreName::new("bank");
        let rows = [(&b"key"[..], Some(&b"value"[..])), (b"long", Some(&[7; 300])), (b"removed", None)];
        let mut encoded = Vec::new();
        for (key, value) in rows {
            Change::encode(bank, key, value, &mut encoded);
        }
        let change = |(key, value): (&[u8], Option<&[u8]>)| Change {
            store: "bank".to_owned(),
            key: key.to_vec(),
            value: value.map(<[u8]>::to_vec),
        };
        assert_eq!(encoded, ChangeLog { rows: rows.map(change).to_vec() }.encode_to_vec());
    }
}
