//! A small application: auth, bank, and a probe that counts blocks and misbehaves on request.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use cosmos_sdk_proto::cosmos::{
    auth::v1beta1::{MsgUpdateParams, MsgUpdateParamsResponse, Params},
    bank::v1beta1::MsgSend,
    base::v1beta1::Coin,
};
use gantry_abci::{Definition, Kind, Lanes, Order, testing::CHAIN_ID};
use gantry_auth::{Auth, ModuleAccountSpec};
use gantry_bank::Bank;
use gantry_core::{
    Address, BlockCtx, Coins, Ctx, Error, Event, Handler, Invariant, Module, MsgRoute, PubKey, QueryRoute, Result,
    TxCtx, attr,
};
use gantry_keyring::{HdPath, Keyring, Mnemonic, Signer, SignerData, TxBuilder};
use gantry_store::{Item, KvRead, StoreName};
use gantry_tx::{AnteAccount, AnteState, CheckedTx};
use serde_json::{Value, json};

pub(crate) const FEE: u128 = 500;
pub(crate) const START: u128 = 1_000_000;

struct Accounts;

impl AnteState for Accounts {
    fn params(&self, s: &dyn KvRead) -> Result<Params> {
        gantry_auth::keeper::params(s)
    }
    fn account(&self, s: &dyn KvRead, address: &Address) -> Result<Option<AnteAccount>> {
        let account = gantry_auth::keeper::account(s, address)?;
        Ok(account.map(|a| AnteAccount { number: a.number, sequence: a.sequence, pub_key: a.pub_key }))
    }
    fn set_pub_key(&self, ctx: &mut dyn Ctx, address: &Address, key: &PubKey) -> Result<()> {
        gantry_auth::keeper::set_pub_key(ctx, address, key)
    }
    fn increment_sequence(&self, ctx: &mut dyn Ctx, address: &Address) -> Result<()> {
        gantry_auth::keeper::increment_sequence(ctx, address)
    }
    fn take_fee(&self, ctx: &mut dyn Ctx, payer: &Address, fee: &Coins) -> Result<()> {
        gantry_bank::keeper::take_fee(ctx, payer, fee)
    }
}

const PROBE: StoreName = StoreName::new("probe");
const BLOCKS: Item<u64> = Item::new(PROBE, b"blocks");
const BROKEN: Item<u64> = Item::new(PROBE, b"broken");

/// What the probe does, and how often it was executed.
#[derive(Clone, Default)]
pub(crate) struct Probe {
    pub(crate) executions: Arc<AtomicU64>,
    /// Breaks an invariant at this height.
    pub(crate) break_at: u64,
    /// Kills the process at the begin or at the end of this height.
    pub(crate) die_at_begin: u64,
    pub(crate) die_at_end: u64,
    /// Panics outside any transaction at this height.
    pub(crate) panic_at: u64,
    /// Executions that begin are held...
    pub(crate) hold: Arc<AtomicBool>,
    /// ...until this is set.
    pub(crate) release: Arc<AtomicBool>,
    /// How many are held now.
    pub(crate) held: Arc<AtomicU64>,
}

impl Probe {
    pub(crate) fn executions(&self) -> u64 {
        self.executions.load(Ordering::SeqCst)
    }

    /// Waits for other threads.
    pub(crate) fn wait_until(&self, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            std::thread::yield_now();
        }
    }
}

pub(crate) fn die() -> ! {
    // SAFETY: ends this process as kill -9 does.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    unreachable!("SIGKILL")
}

impl Module for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }
    fn store(&self) -> Option<StoreName> {
        Some(PROBE)
    }
    fn begin_block(&self, ctx: &mut BlockCtx<'_>) -> Result<()> {
        self.executions.fetch_add(1, Ordering::SeqCst);
        if self.hold.load(Ordering::SeqCst) {
            self.held.fetch_add(1, Ordering::SeqCst);
            self.wait_until(|probe| probe.release.load(Ordering::SeqCst));
            self.held.fetch_sub(1, Ordering::SeqCst);
        }
        let height = ctx.block().height;
        if height == self.die_at_begin {
            die();
        }
        assert_ne!(height, self.panic_at, "asked to panic");
        let blocks = BLOCKS.get_or_default(ctx)? + 1;
        BLOCKS.set(ctx, &blocks)?;
        ctx.emit(Event::new("probe", [attr("blocks", blocks)]));
        Ok(())
    }
    fn end_block(&self, ctx: &mut BlockCtx<'_>) -> Result<()> {
        let height = ctx.block().height;
        if height == self.die_at_end {
            die();
        }
        if height == self.break_at {
            BROKEN.set(ctx, &height)?;
        }
        Ok(())
    }
    fn queries(&self) -> Vec<QueryRoute> {
        vec![QueryRoute::new("/probe.Query/Panic", |_, ()| -> std::result::Result<(), gantry_core::Status> {
            panic!("asked to panic")
        })]
    }
    fn invariants(&self) -> Vec<Invariant> {
        vec![Invariant { name: "probe/whole", every_block: true, check: whole }]
    }
}

fn whole(s: &dyn KvRead) -> Result<()> {
    match BROKEN.get(s)? {
        Some(height) => Err(Error::fatal(format!("broken at {height}"))),
        None => Ok(()),
    }
}

/// A message that panics in its check (one memo character) or when it is executed.
struct Panics;

impl Handler for Panics {
    type Msg = MsgUpdateParams;
    type Response = MsgUpdateParamsResponse;
    fn signers(msg: &MsgUpdateParams) -> Result<Vec<Address>> {
        Ok(vec![Address::parse(&msg.authority)?])
    }
    fn check(msg: &MsgUpdateParams) -> Result<()> {
        assert_ne!(msg.params.as_ref().map(|params| params.max_memo_characters), Some(1), "asked to panic");
        Ok(())
    }
    fn execute(_ctx: &mut TxCtx<'_>, _msg: &MsgUpdateParams) -> Result<MsgUpdateParamsResponse> {
        panic!("asked to panic")
    }
}

const MODULES: &[&str] = &["auth", "bank", "probe"];

/// The part of a block that bulk may fill.
pub(crate) const BULK_PERCENT: u64 = 80;

/// What the memo says: a duty of a name for `s` and the name, the market for `m`, or anything else. One memo panics.
fn kind_of(_: &dyn KvRead, _: u64, tx: &CheckedTx) -> Result<Kind> {
    assert_ne!(tx.memo(), "panic", "asked to panic");
    Ok(match (tx.memo(), tx.memo().strip_prefix('s')) {
        (_, Some(name)) => Kind::Duty(name.into()),
        ("m", _) => Kind::Market,
        _ => Kind::Bulk,
    })
}

pub(crate) fn definition(probe: &Probe) -> Definition {
    const SPECS: &[ModuleAccountSpec] = &[ModuleAccountSpec { name: gantry_bank::FEE_COLLECTOR, permissions: &[] }];
    Definition {
        name: "testapp",
        version: "1.2.3",
        modules: vec![Box::new(Auth { module_accounts: SPECS }), Box::new(Bank), Box::new(probe.clone())],
        order: Order { init_genesis: MODULES, begin_block: MODULES, end_block: MODULES },
        messages: vec![|| MsgRoute::of::<Panics>("auth")],
        ante: Box::new(Accounts),
        lanes: Lanes { kind_of, bulk_percent: BULK_PERCENT },
        credit_fees: |ctx, fees| gantry_bank::keeper::credit_fees(ctx, fees),
    }
}

/// A key with an account in genesis: `number` is its account's number too.
pub(crate) struct User {
    pub(crate) signer: Signer,
    pub(crate) number: u64,
}

/// Always the same keys, so that two processes make the same bytes.
pub(crate) fn users() -> Vec<User> {
    let words = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
    let words = Mnemonic::parse(words).unwrap();
    (0..3)
        .map(|number| {
            let keyring = Keyring::memory();
            let path = HdPath { index: u32::try_from(number).unwrap(), ..HdPath::default() };
            keyring.recover("u", &words, path, "").unwrap();
            User { signer: keyring.signer("u").unwrap(), number }
        })
        .collect()
}

impl User {
    pub(crate) fn address(&self) -> &str {
        &self.signer.info.address
    }

    /// A signed transfer.
    pub(crate) fn send(&self, to: &str, amount: u128, sequence: u64) -> Vec<u8> {
        self.sign(TxBuilder::new().message(&self.transfer(to, amount)).fee(coins(FEE)).gas_limit(200_000), sequence)
    }

    pub(crate) fn transfer(&self, to: &str, amount: u128) -> MsgSend {
        MsgSend { from_address: self.address().to_owned(), to_address: to.to_owned(), amount: coins(amount) }
    }

    pub(crate) fn sign(&self, tx: TxBuilder, sequence: u64) -> Vec<u8> {
        let data = SignerData { chain_id: CHAIN_ID.to_owned(), account_number: self.number, sequence };
        tx.sign(&self.signer, &data)
    }
}

pub(crate) fn coins(amount: u128) -> Vec<Coin> {
    vec![Coin { denom: "ugantry".to_owned(), amount: amount.to_string() }]
}

pub(crate) fn app_state() -> Value {
    let modules = definition(&Probe::default()).modules;
    let mut state = json!({});
    for module in modules {
        state[module.name()] = module.default_genesis();
    }
    let users = users();
    state["auth"]["accounts"] = users
        .iter()
        .map(|user| {
            json!({
                "@type": "/cosmos.auth.v1beta1.BaseAccount", "address": user.address(), "pub_key": null,
                "account_number": user.number.to_string(), "sequence": "0",
            })
        })
        .collect();
    state["bank"]["balances"] = users
        .iter()
        .map(|user| json!({"address": user.address(), "coins": [{"denom": "ugantry", "amount": START.to_string()}]}))
        .collect();
    state["bank"]["supply"] = json!([{"denom": "ugantry", "amount": (START * users.len() as u128).to_string()}]);
    state
}
