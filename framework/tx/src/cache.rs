//! Signatures that were found good, so that the curve is asked once: at CheckTx or ahead of a block, in parallel.

use std::collections::BTreeSet;

use gantry_core::{Error, PubKey};
use gantry_store::KvRead;
use parking_lot::Mutex;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::{
    checked::{CheckedTx, SignMode},
    sign::{sign_bytes, verify},
    state::AnteState,
};

/// Good signatures kept in each of the two generations.
const GENERATION: usize = 1 << 16;

/// Remembers (transaction, chain id, account number, key) of good signatures. It changes no result, only its cost: all
/// that a signature depends on is in the key, so a changed account gives a miss and a verification.
#[derive(Debug, Default)]
pub struct SignatureCache(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: BTreeSet<[u8; 32]>,
    old: BTreeSet<[u8; 32]>,
}

impl Generations {
    fn insert(&mut self, entry: [u8; 32]) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(entry);
    }
}

impl SignatureCache {
    /// Whether signer `i` of a transaction signed it directly, with this key, for this account of this chain.
    pub(crate) fn verify(&self, tx: &CheckedTx, i: usize, chain_id: &str, number: u64, key: &PubKey) -> bool {
        let entry = entry(tx, i, chain_id, number, key);
        {
            let generations = self.0.lock();
            if generations.young.contains(&entry) || generations.old.contains(&entry) {
                return true;
            }
        }
        let document = sign_bytes(&tx.body_bytes, &tx.auth_info_bytes, chain_id, number);
        let good = tx.signatures.get(i).is_some_and(|signature| verify(key, &document, signature));
        if good {
            self.0.lock().insert(entry);
        }
        good
    }

    /// Verifies the signatures of a block in parallel, with numbers and keys from the state before it. The serial ante
    /// then finds them here, unless an account has changed within the block.
    pub fn verify_block(
        &self,
        txs: &[Result<CheckedTx, Error>],
        snapshot: &(impl KvRead + Sync),
        state: &dyn AnteState,
        chain_id: &str,
    ) {
        txs.par_iter().flatten().for_each(|tx| {
            for (i, (signer, info)) in tx.signers.iter().zip(&tx.signer_infos).enumerate() {
                if info.mode != SignMode::DIRECT {
                    continue;
                }
                // What cannot be read or is not there yet is the serial ante's to judge.
                let Ok(Some(account)) = state.account(snapshot, signer) else { continue };
                if let Some(key) = account.pub_key.or(info.pub_key) {
                    self.verify(tx, i, chain_id, account.number, &key);
                }
            }
        });
    }
}

fn entry(tx: &CheckedTx, i: usize, chain_id: &str, number: u64, key: &PubKey) -> [u8; 32] {
    Sha256::new()
        .chain_update(tx.hash)
        .chain_update((i as u64).to_be_bytes())
        .chain_update(number.to_be_bytes())
        .chain_update(key.as_bytes())
        .chain_update(chain_id)
        .finalize()
        .into()
}
