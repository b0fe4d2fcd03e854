//! Signatures, verified ahead: the curve is asked once, off every lock and on all cores.

use gantry_core::{BlockInfo, ExecMode, GasMeter, PubKey, TxCtx};
use gantry_store::{KvRead, Overlay};

use crate::{
    ante::{AnteInput, WITHOUT_ACCOUNTS},
    checked::{CheckedTx, SignMode, Verdict},
    run::{BlockGas, Runtime},
    sign::{digest, signed_by_all, verify_digest},
};

impl CheckedTx {
    /// Whether signer `i` signed directly, with this key, for this account of this chain. What the curve said is
    /// remembered with all that it depends on, so a changed account means another verification, and no other result.
    pub(crate) fn is_signed(&self, i: usize, chain_id: &str, account_number: u64, key: &PubKey) -> bool {
        let (Some(signature), Some(verdict)) = (self.signatures.get(i), self.verdicts.get(i)) else { return false };
        if let Some(known) = verdict.get()
            && (known.account_number == account_number && known.key == *key && known.chain_id == chain_id)
        {
            return known.is_good;
        }
        let parts = self.signed_by_all.get_or_init(|| signed_by_all(&self.body_bytes, &self.auth_info_bytes));
        let is_good = verify_digest(key, digest(parts, chain_id, account_number), signature);
        // The first one stays: a second account behind one signer is as rare as a chain that changes its name.
        let _ = verdict.set(Verdict { chain_id: chain_id.to_owned(), account_number, key: *key, is_good });
        is_good
    }

    /// What the curve said of signer `i` last, for whatever account.
    fn verdict(&self, i: usize) -> Option<bool> {
        self.verdicts.get(i)?.get().map(|verdict| verdict.is_good)
    }
}

impl Runtime<'_> {
    /// Verifies the signatures of a transaction with numbers and keys of a state before the one that it will run on. The
    /// ante then finds them verified, unless an account has changed since. Whether all are known to be good.
    ///
    /// What the ante refuses for less than a signature is not worth the curve. What is stale already, cannot be read or is
    /// not there yet is left to the ante.
    pub fn verify_ahead(
        &self,
        tx: &CheckedTx,
        snapshot: &dyn KvRead,
        block: &BlockInfo,
        mode: ExecMode,
        block_gas: &BlockGas,
    ) -> bool {
        let mut signers = 0..tx.signers.len();
        if signers.clone().all(|i| tx.verdict(i).is_some()) {
            return signers.all(|i| tx.verdict(i) == Some(true));
        }
        let (mut layer, gas) = (Overlay::new(snapshot), GasMeter::new(tx.fee.gas_limit));
        let mut ctx = TxCtx::new(&mut layer, block, &gas, mode);
        let input = AnteInput { tx, rt: self, max_gas: block_gas.tx_limit() };
        if WITHOUT_ACCOUNTS.iter().any(|step| step(&mut ctx, &input).is_err()) {
            return false;
        }
        signers.all(|i| {
            let info = &tx.signer_infos[i];
            if info.mode != SignMode::DIRECT || !tx.keys_match[i] {
                return false;
            }
            let Ok(Some(account)) = self.state.account(snapshot, &tx.signers[i]) else { return false };
            let key = account.pub_key.or(info.pub_key).filter(|_| info.sequence >= account.sequence);
            key.is_some_and(|key| tx.is_signed(i, &block.chain_id, account.number, &key))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::{sign_bytes, verify};

    #[test]
    fn what_all_sign_is_hashed_once_and_the_rest_for_each() {
        use sha2::{Digest, Sha256};
        for (body, auth_info, chain_id, number) in
            [(&[][..], &[][..], "", 0), (&[1], &[2, 3], "c", 1), (&[7; 300], &[8; 70_000], "gantry-test", u64::MAX)]
        {
            let expected: [u8; 32] = Sha256::digest(sign_bytes(body, auth_info, chain_id, number)).into();
            assert_eq!(digest(&signed_by_all(body, auth_info), chain_id, number), expected);
        }
        assert!(!verify(&PubKey::from([2; 33]), b"", &[0; 64]));
    }
}
