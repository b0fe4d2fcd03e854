//! Signatures, verified ahead: the curve is asked once, off every lock and on all cores.

use gantry_core::PubKey;
use gantry_store::KvRead;

use crate::{
    checked::{CheckedTx, Good, SignMode},
    sign::{sign_bytes, verify},
    state::AnteState,
};

impl CheckedTx {
    /// Whether signer `i` signed directly, with this key, for this account of this chain. A signature that was found good
    /// is remembered with all that it depends on, so a changed account means another verification, and no other result.
    pub(crate) fn is_signed(&self, i: usize, chain_id: &str, account_number: u64, key: &PubKey) -> bool {
        let (Some(signature), Some(good)) = (self.signatures.get(i), self.good.get(i)) else { return false };
        if good.get().is_some_and(|g| g.account_number == account_number && g.key == *key && g.chain_id == chain_id) {
            return true;
        }
        let document = sign_bytes(&self.body_bytes, &self.auth_info_bytes, chain_id, account_number);
        let is_good = verify(key, &document, signature);
        if is_good {
            // The first one stays: a second account behind one signer is as rare as a chain that changes its name.
            let _ = good.set(Good { chain_id: chain_id.to_owned(), account_number, key: *key });
        }
        is_good
    }

    /// Verifies the signatures with numbers and keys of a state before the one that it will run on. The ante then finds
    /// them verified, unless an account has changed since. Whether all are known to be good.
    ///
    /// What is stale already, cannot be read or is not there yet is left to the ante.
    pub fn verify_ahead(&self, snapshot: &dyn KvRead, state: &dyn AnteState, chain_id: &str) -> bool {
        let verify = |i: usize| {
            let info = &self.signer_infos[i];
            if info.mode != SignMode::DIRECT {
                return false;
            }
            if self.good[i].get().is_some() {
                return true;
            }
            let Ok(Some(account)) = state.account(snapshot, &self.signers[i]) else { return false };
            let key = account.pub_key.or(info.pub_key).filter(|_| info.sequence >= account.sequence);
            key.is_some_and(|key| self.is_signed(i, chain_id, account.number, &key))
        };
        (0..self.signers.len()).all(verify)
    }
}
