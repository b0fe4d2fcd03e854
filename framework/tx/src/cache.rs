//! Transactions that were decoded, so that CheckTx, recheck, proposals and the block decode and verify them once.

use std::sync::Arc;

use gantry_core::{MsgRouter, Result};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::{
    checked::{CheckedTx, check_size, decode_hashed},
    limits::Limits,
};

#[expect(clippy::disallowed_types, reason = "looked up by key alone, never iterated; no result depends on it")]
type ByHash = std::collections::HashMap<[u8; 32], Arc<CheckedTx>>;

/// Threads that decode a block meet in different ones.
const SHARDS: usize = 16;
/// Transactions kept in each of the two generations of a shard.
const TXS: usize = (1 << 16) / SHARDS;
/// What the transactions of a generation of a shard weigh together: a transfer is some 2,200 bytes.
const WEIGHT: usize = (160 << 20) / SHARDS;

/// Decoded transactions by the SHA-256 of all their bytes, with the signatures that were found good. It changes no
/// result, only its cost.
///
/// At most 131,072 transactions that weigh 320 MiB together, by age; and, till CheckTx comes to them, those of a batch that
/// was decoded ahead of it, good or bad, which drive nothing out.
#[derive(Debug, Default)]
pub struct TxCache {
    shards: [Mutex<Generations>; SHARDS],
    expected: Mutex<Vec<Arc<CheckedTx>>>,
}

#[derive(Debug, Default)]
struct Generations {
    young: ByHash,
    young_weight: usize,
    old: ByHash,
}

impl TxCache {
    /// Decodes a transaction, unless it is known. It is not remembered: see [`TxCache::keep`].
    ///
    /// # Errors
    /// As [`decode`](crate::decode).
    pub fn decode(&self, bytes: &[u8], limits: &Limits, router: &MsgRouter) -> Result<Arc<CheckedTx>> {
        check_size(bytes, limits)?;
        let hash = Sha256::digest(bytes).into();
        {
            let generations = self.shard(&hash).lock();
            if let Some(tx) = generations.young.get(&hash).or_else(|| generations.old.get(&hash)) {
                return Ok(Arc::clone(tx));
            }
        }
        {
            let mut expected = self.expected.lock();
            if let Some(at) = expected.iter().position(|tx| tx.hash == hash) {
                return Ok(expected.swap_remove(at));
            }
        }
        decode_hashed(bytes, hash, limits, router).map(Arc::new)
    }

    /// Hands transactions on to whoever decodes them next, once; those handed on before are forgotten.
    pub fn expect(&self, txs: Vec<Arc<CheckedTx>>) {
        *self.expected.lock() = txs;
    }

    /// Remembers a transaction that will come again: in a proposal, in a block.
    pub fn keep(&self, tx: &Arc<CheckedTx>) {
        let mut generations = self.shard(&tx.hash).lock();
        let Generations { young, young_weight, old } = &mut *generations;
        if young.contains_key(&tx.hash) {
            return;
        }
        if young.len() >= TXS || *young_weight + tx.weight > WEIGHT {
            *old = std::mem::take(young);
            *young_weight = 0;
        }
        *young_weight += tx.weight;
        young.insert(tx.hash, Arc::clone(tx));
    }

    fn shard(&self, hash: &[u8; 32]) -> &Mutex<Generations> {
        &self.shards[usize::from(hash[0]) % SHARDS]
    }
}
