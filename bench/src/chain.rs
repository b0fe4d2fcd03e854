//! A chain on disk with many accounts, driven through the engine without CometBFT.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use cosmos_sdk_proto::cosmos::{bank::v1beta1::MsgSend, base::v1beta1::Coin as ProtoCoin};
use gantry_abci::{Engine, Options, Queries, call};
use gantry_core::{Address, BASE_DENOM, BlockCtx, BlockInfo, Coin, Coins};
use gantry_keyring::{PrivateKey, Signer, SignerData, TxBuilder};
use gantry_store::{KvRead, KvWrite, Overlay, Store, StoreName, StoreOptions};
use prost::Message;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use tendermint_proto::{
    google::protobuf::Timestamp,
    v0_38::{
        abci::{
            RequestCheckTx, RequestCommit, RequestFinalizeBlock, RequestInitChain, ResponseCheckTx,
            ResponseFinalizeBlock, request::Value as Request, response::Value as Response,
        },
        types::{BlockParams, ConsensusParams, Header},
    },
};

/// Chain id of a measured chain.
pub(crate) const CHAIN_ID: &str = "gantry-bench-1";
/// What every account holds at the start.
const START: u128 = 1_000_000_000_000;
const FEE: u128 = 500;
const GAS: u64 = 150_000;
/// Accounts made in one block.
const SEEDED_AT_ONCE: u64 = 50_000;
const GENESIS_TIME: i64 = 1_767_225_600;

/// An account that signs: its keys, its number, and the sequence that it signs next.
pub(crate) struct Sender {
    signer: Signer,
    number: u64,
    sequence: u64,
}

/// A chain and those who send on it.
pub(crate) struct Chain {
    pub(crate) queries: Queries,
    senders: Vec<Sender>,
    accounts: u64,
    next: u64,
    sent: u64,
}

impl Chain {
    /// Opens the chain in a folder, or makes it there with so many accounts, of which the first `senders` sign.
    pub(crate) fn open(home: &Path, accounts: u64, senders: u64) -> Result<Self> {
        ensure!(senders <= accounts, "more senders than accounts");
        std::fs::create_dir_all(home)?;
        let definition = gantryd::modules::definition();
        let open = || Store::open(home, &definition.stores(), StoreOptions::default());
        let store = open().context("opening the store")?;
        if store.height() == 0 {
            drop(store);
            let engine = Engine::new(gantryd::modules::definition(), open()?, Options::default())?;
            let mut chain = Self::on(engine, accounts, Vec::new());
            chain.call(Request::InitChain(init_chain()?))?;
            chain.finalize(Vec::new())?;
            chain.commit()?;
            drop(chain);
            seed(&open()?, accounts)?;
        } else {
            drop(store);
        }
        let engine = Engine::new(gantryd::modules::definition(), open()?, Options::default())?;
        let view = engine.latest();
        let senders = (0..senders)
            .into_par_iter()
            .map(|i| {
                let key = key(i)?;
                let address = Address::from_secp256k1(key.public_key());
                let account = gantry_auth::keeper::account(&view.state, &address)?
                    .with_context(|| format!("the chain in {} has fewer accounts", home.display()))?;
                let signer = Signer::new("sender", key, gantry_core::ADDRESS_PREFIX)?;
                Ok(Sender { signer, number: account.number, sequence: account.sequence })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self::on(engine, accounts, senders))
    }

    fn on(engine: Engine, accounts: u64, senders: Vec<Sender>) -> Self {
        let next = engine.latest().block.height + 1;
        Self { queries: Queries::new(engine, []), senders, accounts, next, sent: 0 }
    }

    /// Accounts of its state.
    pub(crate) fn accounts(&self) -> u64 {
        self.accounts
    }

    /// Accounts that send.
    pub(crate) fn senders(&self) -> usize {
        self.senders.len()
    }

    /// Signed transfers from as many senders in turn to accounts all over the state.
    pub(crate) fn transfers(&mut self, count: usize) -> Vec<Bytes> {
        let accounts = self.accounts;
        let mut plans = Vec::with_capacity(count);
        for _ in 0..count {
            let at = usize::try_from(self.sent).expect("64 bits") % self.senders.len();
            self.sent += 1;
            let sender = &mut self.senders[at];
            plans.push((at, sender.sequence, spread(self.sent) % accounts));
            sender.sequence += 1;
        }
        let senders = &self.senders;
        plans
            .into_par_iter()
            .map(|(at, sequence, to)| {
                let Sender { signer, number, .. } = &senders[at];
                let message = MsgSend {
                    from_address: signer.info.address.clone(),
                    to_address: address(to).to_string(),
                    amount: coin(1),
                };
                let data = SignerData { chain_id: CHAIN_ID.to_owned(), account_number: *number, sequence };
                TxBuilder::new().message(&message).fee(coin(FEE)).gas_limit(GAS).sign(signer, &data).into()
            })
            .collect()
    }

    /// FinalizeBlock; every transaction must succeed.
    pub(crate) fn finalize(&self, txs: Vec<Bytes>) -> Result<ResponseFinalizeBlock> {
        let request =
            RequestFinalizeBlock { txs, height: self.height(), time: self.time(), ..RequestFinalizeBlock::default() };
        match self.call(Request::FinalizeBlock(request))? {
            Response::FinalizeBlock(response) => {
                if let Some(failed) = response.tx_results.iter().find(|result| result.code != 0) {
                    bail!("a transaction failed: {}", failed.log);
                }
                Ok(response)
            }
            other => bail!("{other:?}"),
        }
    }

    /// Commit.
    pub(crate) fn commit(&mut self) -> Result<()> {
        self.call(Request::Commit(RequestCommit {}))?;
        self.next += 1;
        Ok(())
    }

    /// CheckTx of a new transaction, or of one that was checked before a block.
    pub(crate) fn check(&self, tx: Bytes, again: bool) -> Result<ResponseCheckTx> {
        match self.call(Request::CheckTx(RequestCheckTx { tx, r#type: i32::from(again) }))? {
            Response::CheckTx(response) => Ok(response),
            other => bail!("{other:?}"),
        }
    }

    fn call(&self, request: Request) -> Result<Response> {
        Ok(call(&self.queries, request)?)
    }

    fn height(&self) -> i64 {
        i64::try_from(self.next).expect("a height")
    }

    fn time(&self) -> Option<Timestamp> {
        Some(Timestamp { seconds: GENESIS_TIME + self.height(), nanos: 0 })
    }
}

/// CPU time of this process, all threads.
pub(crate) fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists on every Linux and `time` is ours to write.
    let outcome = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(outcome, 0, "the CPU clock can be read");
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn init_chain() -> Result<RequestInitChain> {
    Ok(RequestInitChain {
        time: Some(Timestamp { seconds: GENESIS_TIME, nanos: 0 }),
        chain_id: CHAIN_ID.to_owned(),
        consensus_params: Some(ConsensusParams {
            block: Some(BlockParams { max_bytes: 64 << 20, max_gas: -1 }),
            ..ConsensusParams::default()
        }),
        validators: Vec::new(),
        app_state_bytes: gantryd::modules::default_genesis()?.to_string().into(),
        initial_height: 1,
    })
}

/// Writes accounts with coins and keys, block after block, beneath the engine: genesis in JSON would not fit memory.
fn seed(store: &Store, accounts: u64) -> Result<()> {
    const CONSENSUS: StoreName = StoreName::new("consensus");
    const BLOCK: &[u8] = b"Block";
    let start: Coins = Coin::base(START).into();
    let mut made = 0;
    while made < accounts {
        let snapshot = store.snapshot();
        let row = snapshot.get(CONSENSUS, BLOCK)?.context("the engine records its block")?;
        let mut header = Header::decode(row.as_slice())?;
        header.height += 1;
        header.time = Some(Timestamp { seconds: GENESIS_TIME + header.height, nanos: 0 });
        header.app_hash = store.app_hash().to_vec();
        let height = u64::try_from(header.height)?;

        let mut state = Overlay::new(snapshot);
        let block = BlockInfo { height, chain_id: CHAIN_ID.to_owned(), ..BlockInfo::default() };
        let until = accounts.min(made + SEEDED_AT_ONCE);
        let keys: Vec<_> = (made..until).into_par_iter().map(public_key).collect::<Result<_>>()?;
        for public in keys {
            let mut ctx = BlockCtx::new(&mut state, &block);
            let address = Address::from_secp256k1(&public);
            gantry_bank::keeper::mint(&mut ctx, &address, &start)?;
            gantry_auth::keeper::set_pub_key(&mut ctx, &address, &public.into())?;
        }
        state.set(CONSENSUS, BLOCK.to_vec(), header.encode_to_vec())?;
        store.commit(store.prepare(height, state.into_changes())?, &[])?;
        made = until;
    }
    Ok(())
}

fn key(i: u64) -> Result<PrivateKey> {
    let seed = Sha256::new().chain_update(b"gantry bench").chain_update(i.to_be_bytes()).finalize();
    Ok(PrivateKey::from_bytes(&seed)?)
}

fn public_key(i: u64) -> Result<[u8; 33]> {
    Ok(*key(i)?.public_key())
}

/// The address of account `i`.
fn address(i: u64) -> Address {
    Address::from_secp256k1(&public_key(i).expect("a hash is a valid key but for one in 2^128"))
}

/// Scatters consecutive numbers (splitmix64).
fn spread(i: u64) -> u64 {
    let mut x = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn coin(amount: u128) -> Vec<ProtoCoin> {
    vec![ProtoCoin { denom: BASE_DENOM.to_owned(), amount: amount.to_string() }]
}
