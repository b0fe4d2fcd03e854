//! Chains that targets run: the application's own wiring, a few people with coins, and scripts of blocks.

use bytes::Bytes;
use cosmos_sdk_proto::{
    Any,
    cosmos::{
        base::v1beta1::Coin,
        tx::v1beta1::{
            AuthInfo, Fee, ModeInfo, SignerInfo, TxBody, TxRaw,
            mode_info::{Single, Sum},
        },
    },
};
use gantry_abci::{
    Definition,
    testing::{CHAIN_ID, TestChain},
};
use gantry_core::{Address, MsgRouter, PubKey};
use gantry_keyring::PrivateKey;
use gantryd::modules;
use prost::Message;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// How many people there are: two renters, three owners of providers, three operators of theirs.
pub const USERS: usize = 8;
/// What each of them starts with.
pub const WEALTH: u128 = 1_000_000_000_000;
/// What a transaction pays.
pub const FEE: u128 = 25_000;
/// What a transaction may use.
pub const GAS: u64 = 10_000_000;

/// A key of a person; the first of [`USERS`] have coins.
///
/// # Panics
/// Never for the numbers that are used here.
#[must_use]
pub fn key(user: usize) -> PrivateKey {
    PrivateKey::from_bytes(&Sha256::digest(format!("fuzz/{user}"))).expect("a digest is a key")
}

/// A person's address.
#[must_use]
pub fn address(user: usize) -> Address {
    Address::from_secp256k1(key(user).public_key())
}

/// The application without the message that panics by design.
#[must_use]
pub fn definition() -> Definition {
    Definition { messages: Vec::new(), ..modules::definition() }
}

/// The routes of its messages.
#[must_use]
pub fn router() -> MsgRouter {
    MsgRouter::new(definition().modules.iter().flat_map(|module| module.messages()))
}

/// Genesis: everybody has an account and coins.
///
/// # Panics
/// When the default genesis cannot be made.
#[must_use]
pub fn app_state() -> Value {
    let mut state = modules::default_genesis().expect("the default genesis is made");
    let users: Vec<String> = (0..USERS).map(|user| address(user).to_string()).collect();
    let coins = |amount: u128| json!([{"denom": "ugantry", "amount": amount.to_string()}]);
    state["auth"]["accounts"] = users
        .iter()
        .enumerate()
        .map(|(number, address)| {
            json!({
                "@type": "/cosmos.auth.v1beta1.BaseAccount", "address": address, "pub_key": null,
                "account_number": number.to_string(), "sequence": "0",
            })
        })
        .collect();
    state["bank"]["balances"] =
        users.iter().map(|address| json!({"address": address, "coins": coins(WEALTH)})).collect();
    state["bank"]["supply"] = coins(WEALTH * USERS as u128);
    state
}

/// Blocks one after another.
#[derive(Clone, PartialEq, Message)]
pub struct Script {
    /// In order.
    #[prost(message, repeated, tag = "1")]
    pub blocks: Vec<Block>,
}

/// A block of a script.
#[derive(Clone, PartialEq, Message)]
pub struct Block {
    /// In order.
    #[prost(message, repeated, tag = "1")]
    pub txs: Vec<Tx>,
    /// Seconds that pass before it beyond the one.
    #[prost(sint64, tag = "2")]
    pub skip_seconds: i64,
    /// Empty blocks after it.
    #[prost(uint32, tag = "3")]
    pub empty_after: u32,
}

/// A transaction of a script: messages, signed by whoever must sign them.
#[derive(Clone, PartialEq, Message)]
pub struct Tx {
    /// The messages.
    #[prost(message, repeated, tag = "1")]
    pub messages: Vec<Any>,
    /// The gas limit; 0 for enough.
    #[prost(uint64, tag = "2")]
    pub gas: u64,
    /// Bytes in its place.
    #[prost(bytes = "vec", tag = "3")]
    pub raw: Vec<u8>,
}

impl Tx {
    /// One message.
    #[must_use]
    pub fn of<M: prost::Name>(message: &M) -> Self {
        Self { messages: vec![Any { type_url: M::type_url(), value: message.encode_to_vec() }], ..Self::default() }
    }
}

/// A chain, and the sequences of its people.
pub struct Player {
    /// The chain.
    pub chain: TestChain,
    router: MsgRouter,
}

impl Default for Player {
    fn default() -> Self {
        Self::new()
    }
}

impl Player {
    /// A new chain.
    #[must_use]
    pub fn new() -> Self {
        Self { chain: TestChain::new(definition(), &app_state()), router: router() }
    }

    /// The bytes of transactions that are valid next, as far as keys and sequences go.
    ///
    /// # Panics
    /// When the state cannot be read.
    #[must_use]
    pub fn sign(&self, txs: &[Tx]) -> Vec<Bytes> {
        let view = self.chain.engine().latest();
        let mut sequences: Vec<u64> = (0..USERS)
            .map(|user| {
                let account = gantry_auth::keeper::account(&view.state, &address(user)).expect("accounts are readable");
                account.map_or(0, |account| account.sequence)
            })
            .collect();
        txs.iter().map(|tx| sign(tx, &self.router, &mut sequences)).collect()
    }

    /// One block of a script, and the empty ones after it. What must hold for any block is asserted.
    ///
    /// # Panics
    /// When it does not hold.
    pub fn play(&mut self, block: &Block) {
        self.chain.skip_seconds(block.skip_seconds.clamp(-10_000_000, 10_000_000));
        let txs = self.sign(&block.txs);
        for tx in &txs {
            let checked = self.chain.check(tx.clone());
            assert_ne!(checked.code, PANICKED, "CheckTx: {checked:?}");
        }
        // Whatever an honest proposer makes of a mempool, an honest validator accepts.
        let proposed = self.chain.prepare(txs.clone(), 1 << 20);
        assert!(self.chain.process(proposed), "a block that was prepared is refused");
        let results = self.chain.deliver(txs.clone());
        assert_eq!(results.len(), txs.len(), "a result for every transaction");
        for result in results {
            assert_ne!(result.code, PANICKED, "{result:?}");
            assert!(result.code == 0 || !result.codespace.is_empty(), "{result:?}");
        }
        self.chain.advance(u64::from(block.empty_after).min(200));
    }
}

/// Code of a transaction that panicked.
const PANICKED: u32 = 111_222;

fn sign(tx: &Tx, router: &MsgRouter, sequences: &mut [u64]) -> Bytes {
    if !tx.raw.is_empty() {
        return tx.raw.clone().into();
    }
    let mut users: Vec<usize> = Vec::new();
    for message in &tx.messages {
        let Ok(message) = router.decode(message) else { continue };
        for signer in message.signers().unwrap_or_default() {
            let user = (0..USERS).find(|user| address(*user) == signer);
            users.extend(user.filter(|user| !users.contains(user)));
        }
    }
    if users.is_empty() {
        users.push(0);
    }
    let gas_limit = if tx.gas == 0 { GAS } else { tx.gas };
    let fee =
        Fee { amount: vec![Coin { denom: "ugantry".into(), amount: FEE.to_string() }], gas_limit, ..Fee::default() };
    let signer_infos = users
        .iter()
        .map(|user| SignerInfo {
            public_key: Some(PubKey::from(*key(*user).public_key()).to_any()),
            mode_info: Some(ModeInfo { sum: Some(Sum::Single(Single { mode: 1 })) }),
            sequence: sequences[*user],
        })
        .collect();
    let body = TxBody { messages: tx.messages.clone(), ..TxBody::default() }.encode_to_vec();
    let auth_info = AuthInfo { signer_infos, fee: Some(fee), ..AuthInfo::default() }.encode_to_vec();
    let signatures = users
        .iter()
        .map(|user| {
            sequences[*user] += 1;
            key(*user).sign(&gantry_tx::sign_bytes(&body, &auth_info, CHAIN_ID, *user as u64)).to_vec()
        })
        .collect();
    TxRaw { body_bytes: body, auth_info_bytes: auth_info, signatures }.encode_to_vec().into()
}
