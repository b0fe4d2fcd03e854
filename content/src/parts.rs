//! Blocks cut into messages, and put together again.

use bytes::Bytes;
use gantry_proto::gantry::content::v1::BlockPart;

use crate::cid::Cid;
use crate::store::{Block, HashMismatch};
use crate::unixfs::MAX_BLOCK_BYTES;

/// Bytes of a block in one message, far below the 4 MiB that gRPC libraries allow by default, and small enough that a
/// slow link shows progress.
pub(crate) const PART_BYTES: usize = 256 << 10;
/// Largest message that either side decodes: whole blocks from another implementation would still pass.
pub(crate) const MAX_MESSAGE_BYTES: usize = MAX_BLOCK_BYTES + (64 << 10);

/// What a peer did wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// The bytes are not what their CID says.
    #[error(transparent)]
    Hash(#[from] HashMismatch),
    /// A block larger than any may be.
    #[error("announced a block of {0} bytes")]
    Oversized(u64),
    /// Parts that do not follow the rules of the exchange.
    #[error("{0}")]
    Protocol(&'static str),
}

/// The messages that carry a block.
pub(crate) fn split(cid: Cid, bytes: Bytes) -> impl Iterator<Item = BlockPart> {
    let size = u32::try_from(bytes.len()).expect("blocks are at most MAX_BLOCK_BYTES");
    // An empty block is one empty part.
    (0..bytes.len().max(1)).step_by(PART_BYTES).map(move |start| {
        let end = bytes.len().min(start + PART_BYTES);
        let offset = u32::try_from(start).expect("less than the size");
        BlockPart { cid: cid.to_bytes().to_vec(), size, offset, data: bytes[start..end].to_vec() }
    })
}

/// A block in the making. Memory is at most one block, whatever the peer announces.
#[derive(Default)]
pub(crate) struct Assembly {
    current: Option<(Cid, usize, Vec<u8>)>,
}

impl Assembly {
    /// Takes the next part; gives the block when it is complete and its hash is right.
    pub(crate) fn push(&mut self, part: BlockPart) -> Result<Option<Block>, PartError> {
        let cid = Cid::from_bytes(&part.cid).map_err(|_| PartError::Protocol("sent a part without a valid CID"))?;
        let size = part.size as usize;
        if size > MAX_BLOCK_BYTES {
            return Err(PartError::Oversized(part.size.into()));
        }
        let (wanted, total, mut bytes) = self.current.take().unwrap_or_else(|| (cid, size, Vec::with_capacity(size)));
        if wanted != cid || total != size || bytes.len() != part.offset as usize {
            return Err(PartError::Protocol("sent a part out of order"));
        }
        if part.data.is_empty() && size > 0 {
            return Err(PartError::Protocol("sent an empty part"));
        }
        if part.data.len() > size - bytes.len() {
            return Err(PartError::Protocol("sent more bytes than announced"));
        }
        bytes.extend_from_slice(&part.data);
        if bytes.len() < size {
            self.current = Some((cid, size, bytes));
            return Ok(None);
        }
        Ok(Some(Block::verify(cid, bytes)?))
    }

    /// The CID of the block that waits for more parts.
    pub(crate) fn pending(&self) -> Option<Cid> {
        self.current.as_ref().map(|(cid, ..)| *cid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cid::Codec;

    #[test]
    fn blocks_of_every_size_round_trip() {
        for len in [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, MAX_BLOCK_BYTES] {
            let block = Block::new(Codec::Raw, vec![7; len]).unwrap();
            let mut assembly = Assembly::default();
            let parts: Vec<_> = split(block.cid(), block.bytes().clone()).collect();
            let (last, first) = parts.split_last().unwrap();
            for part in first {
                assert_eq!(assembly.push(part.clone()).unwrap(), None);
                assert_eq!(assembly.pending(), Some(block.cid()));
            }
            assert_eq!(assembly.push(last.clone()).unwrap(), Some(block));
            assert_eq!(assembly.pending(), None);
        }
    }

    #[test]
    fn bad_parts_are_refused() {
        let block = Block::new(Codec::Raw, vec![7; 10]).unwrap();
        let part = split(block.cid(), block.bytes().clone()).next().unwrap();
        let refused = |change: fn(&mut BlockPart)| {
            let mut part = part.clone();
            change(&mut part);
            Assembly::default().push(part).unwrap_err()
        };
        assert_eq!(refused(|p| p.data[3] ^= 1), PartError::Hash(HashMismatch(block.cid())));
        assert_eq!(refused(|p| p.size = u32::MAX), PartError::Oversized(u32::MAX.into()));
        assert_eq!(refused(|p| p.offset = 1), PartError::Protocol("sent a part out of order"));
        assert_eq!(refused(|p| p.data.clear()), PartError::Protocol("sent an empty part"));
        assert_eq!(refused(|p| p.data.push(0)), PartError::Protocol("sent more bytes than announced"));
        assert_eq!(refused(|p| p.cid.clear()), PartError::Protocol("sent a part without a valid CID"));
        let mut assembly = Assembly::default();
        let first = BlockPart { data: vec![7; 5], ..part.clone() };
        assembly.push(first.clone()).unwrap();
        assert_eq!(assembly.push(first).unwrap_err(), PartError::Protocol("sent a part out of order"), "again");
    }
}
