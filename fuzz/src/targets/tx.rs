//! Transactions from strangers: the door never panics, and what it lets in has one encoding.

use std::sync::LazyLock;

use cosmos_sdk_proto::cosmos::tx::v1beta1::{AuthInfo, TxBody, TxRaw};
use gantry_core::MsgRouter;
use gantry_tx::{Limits, decode};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::{Target, chain, mutate::Form};

/// Bytes of a transaction.
pub const TARGET: Target = Target { name: "tx", form: Form::Proto, run };

static ROUTER: LazyLock<MsgRouter> = LazyLock::new(chain::router);

fn run(bytes: &[u8]) {
    let limits = Limits::default();
    let Ok(tx) = decode(bytes, &limits, &ROUTER) else { return };
    // ADR-027: nobody can write it in another way, and so its hash names it.
    let raw = TxRaw::decode(bytes).expect("what is accepted is a transaction");
    assert_eq!(raw.encode_to_vec(), bytes, "another encoding of a transaction is accepted");
    assert_eq!(tx.hash()[..], Sha256::digest(bytes)[..]);
    assert_eq!(tx.size(), bytes.len());
    // What is checked is what is signed.
    let body = TxBody::decode(raw.body_bytes.as_slice()).expect("its body can be read");
    let auth_info = AuthInfo::decode(raw.auth_info_bytes.as_slice()).expect("its auth info can be read");
    let urls = |tx: &gantry_tx::CheckedTx| tx.messages().iter().map(|m| m.type_url().to_owned()).collect::<Vec<_>>();
    assert_eq!(urls(&tx), body.messages.iter().map(|any| any.type_url.clone()).collect::<Vec<_>>());
    assert_eq!((tx.memo(), tx.timeout_height()), (body.memo.as_str(), body.timeout_height));
    assert_eq!(tx.fee().gas_limit, auth_info.fee.unwrap_or_default().gas_limit);
    // Two names of one thing: signers, what they say of themselves, and signatures.
    assert!(!tx.signers().is_empty() && tx.messages().len() <= limits.messages);
    assert_eq!(tx.signers().len(), tx.signer_infos().len());
    assert_eq!(tx.signers().len(), raw.signatures.len());
    assert!(auth_info.signer_infos.iter().map(|info| info.sequence).eq(tx.signer_infos().iter().map(|i| i.sequence)));
}
