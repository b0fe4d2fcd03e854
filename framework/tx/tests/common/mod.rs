//! A chain of two modules and one message that makes trouble, and transactions for it.
#![allow(dead_code, reason = "each test file uses its part")]

use cosmos_sdk_proto::{
    Any,
    cosmos::{
        auth::v1beta1::Params,
        bank::v1beta1::{MsgSend, MsgSetSendEnabled, MsgSetSendEnabledResponse},
        base::v1beta1::Coin as ProtoCoin,
        tx::v1beta1::{
            AuthInfo, Fee, ModeInfo, SignerInfo, TxBody, TxRaw,
            mode_info::{Single, Sum},
        },
    },
};
use gantry_auth::{Auth, ModuleAccountSpec, keeper as auth};
use gantry_bank::{Bank, keeper as bank};
use gantry_core::{
    Address, BlockCtx, BlockInfo, Coin, Coins, Ctx, Empty, Error, Event, ExecMode, Handler, InitCtx, Module, MsgRoute,
    MsgRouter, PubKey, Result, TxCtx, UserError, attr,
};
use gantry_keyring::PrivateKey;
use gantry_store::{KvRead, Overlay};
use gantry_tx::{
    AnteAccount, AnteState, BlockGas, CheckedTx, Limits, MinGasPrices, Runtime, TxResult, decode, run, sign_bytes,
};
use prost::{Message, Name};
use sha2::{Digest, Sha256};

pub(crate) const CHAIN_ID: &str = "gantry-test";

pub(crate) fn key(name: &str) -> PrivateKey {
    PrivateKey::from_bytes(&Sha256::digest(name)).unwrap()
}

pub(crate) fn address(name: &str) -> Address {
    Address::from_secp256k1(key(name).public_key())
}

/// What an application implements.
pub(crate) struct Accounts;

impl AnteState for Accounts {
    fn params(&self, s: &dyn KvRead) -> Result<Params> {
        auth::params(s)
    }

    fn account(&self, s: &dyn KvRead, address: &Address) -> Result<Option<AnteAccount>> {
        Ok(auth::account(s, address)?.map(|a| AnteAccount {
            number: a.number,
            sequence: a.sequence,
            pub_key: a.pub_key,
        }))
    }

    fn set_pub_key(&self, ctx: &mut dyn Ctx, address: &Address, key: &PubKey) -> Result<()> {
        auth::set_pub_key(ctx, address, key)
    }

    fn increment_sequence(&self, ctx: &mut dyn Ctx, address: &Address) -> Result<()> {
        auth::increment_sequence(ctx, address)
    }

    fn take_fee(&self, ctx: &mut dyn Ctx, payer: &Address, fee: &Coins) -> Result<()> {
        bank::take_fee(ctx, payer, fee)
    }
}

/// Writes, emits, then ends as its denom says.
pub(crate) struct Trouble;

pub(crate) fn trouble(signer: &str, how: &str) -> Any {
    any(&MsgSetSendEnabled {
        authority: address(signer).to_string(),
        use_default_for: vec![how.to_owned()],
        ..MsgSetSendEnabled::default()
    })
}

impl Handler for Trouble {
    type Msg = MsgSetSendEnabled;
    type Response = MsgSetSendEnabledResponse;

    fn signers(msg: &MsgSetSendEnabled) -> Result<Vec<Address>> {
        Ok(vec![Address::parse(&msg.authority)?])
    }

    fn execute(ctx: &mut TxCtx<'_>, msg: &MsgSetSendEnabled) -> Result<MsgSetSendEnabledResponse> {
        let to = Address::module("trouble");
        bank::send(ctx, &Address::parse(&msg.authority)?, &to, &Coins::from(Coin::base(1)))?;
        match msg.use_default_for[0].as_str() {
            "panic" => panic!("at {:p}", &raw const to),
            "fatal" => Err(Error::fatal("books do not balance")),
            "refuse" => Err(Error::user("trouble", 9, "refused")),
            "module" => {
                ctx.emit(Event::new("message", [attr("module", "own")]));
                Ok(MsgSetSendEnabledResponse {})
            }
            "gas" => loop {
                bank::balance(ctx, &to, "ugantry")?;
            },
            _ => Ok(MsgSetSendEnabledResponse {}),
        }
    }
}

const MODULE_ACCOUNTS: &[ModuleAccountSpec] = &[
    ModuleAccountSpec { name: "fee_collector", permissions: &[] },
    ModuleAccountSpec { name: "escrow", permissions: &[] },
];

pub(crate) struct Chain {
    pub(crate) state: Overlay<Empty>,
    pub(crate) router: MsgRouter,
    pub(crate) prices: MinGasPrices,
    pub(crate) block: BlockInfo,
    pub(crate) gas: BlockGas,
    pub(crate) limits: Limits,
    pub(crate) fees: Coins,
}

impl Chain {
    /// alice (number 2) and bob (3) own 1,000,000 ugantry each; nobody else has an account.
    pub(crate) fn new() -> Self {
        let block = BlockInfo { chain_id: CHAIN_ID.into(), height: 5, ..BlockInfo::default() };
        let mut state = Overlay::new(Empty);
        {
            let mut ctx = InitCtx::new(&mut state, &block);
            let auth = Auth { module_accounts: MODULE_ACCOUNTS };
            auth.init_genesis(&mut ctx, &auth.default_genesis()).unwrap();
            Bank.init_genesis(&mut ctx, &Bank.default_genesis()).unwrap();
            for name in ["alice", "bob"] {
                bank::mint(&mut ctx, &address(name), &Coins::from(Coin::base(1_000_000))).unwrap();
            }
        }
        let routes = Bank.messages().into_iter().chain([MsgRoute::of::<Trouble>("trouble")]);
        Self {
            state,
            router: MsgRouter::new(routes),
            prices: MinGasPrices::default(),
            block,
            gas: BlockGas::default(),
            limits: Limits::default(),
            fees: Coins::new(),
        }
    }

    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<CheckedTx> {
        decode(bytes, &self.limits, &self.router)
    }

    pub(crate) fn run_mode(&mut self, bytes: &[u8], mode: ExecMode) -> Result<TxResult> {
        let tx = decode(bytes, &self.limits, &self.router);
        let rt = Runtime { router: &self.router, state: &Accounts, min_gas_prices: &self.prices };
        let result = run(&rt, &tx, &mut self.state, &self.block, mode, &mut self.gas).map_err(|f| Error::fatal(f.0))?;
        if mode == ExecMode::Finalize {
            result.add_fee_to(&mut self.fees)?;
        }
        Ok(result)
    }

    pub(crate) fn run(&mut self, bytes: &[u8]) -> TxResult {
        self.run_mode(bytes, ExecMode::Finalize).unwrap()
    }

    pub(crate) fn balance(&self, address: &Address) -> u128 {
        bank::balance(&self.state, address, "ugantry").unwrap()
    }

    pub(crate) fn sequence(&self, name: &str) -> u64 {
        auth::account(&self.state, &address(name)).unwrap().unwrap().sequence
    }

    /// Ends the block: fees are credited, and the books must balance before and after.
    pub(crate) fn end_block(&mut self) {
        gantry_bank::check_supply(&self.state, &self.fees).unwrap();
        let fees = std::mem::take(&mut self.fees);
        let mut ctx = BlockCtx::new(&mut self.state, &self.block);
        bank::credit_fees(&mut ctx, &fees).unwrap();
        gantry_bank::check_supply(&self.state, &Coins::new()).unwrap();
    }

    /// A transaction of one signer, with the sequence and number that it has now.
    pub(crate) fn draft(&self, name: &str, messages: Vec<Any>) -> Draft {
        let account = auth::account(&self.state, &address(name)).unwrap();
        let (number, sequence) = account.map_or((0, 0), |a| (a.number, a.sequence));
        Draft {
            body: TxBody { messages, ..TxBody::default() },
            fee: Fee { amount: coins(&[(500, "ugantry")]), gas_limit: 300_000, ..Fee::default() },
            chain_id: CHAIN_ID.to_owned(),
            signers: vec![Signing { key: key(name), number, sequence, public: true, mode: 1 }],
        }
    }
}

#[derive(Clone)]
pub(crate) struct Signing {
    pub(crate) key: PrivateKey,
    pub(crate) number: u64,
    pub(crate) sequence: u64,
    pub(crate) public: bool,
    pub(crate) mode: i32,
}

#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) body: TxBody,
    pub(crate) fee: Fee,
    pub(crate) chain_id: String,
    pub(crate) signers: Vec<Signing>,
}

impl Draft {
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn auth_info(&self) -> AuthInfo {
        AuthInfo {
            signer_infos: self
                .signers
                .iter()
                .map(|s| SignerInfo {
                    public_key: s.public.then(|| PubKey::from(*s.key.public_key()).to_any()),
                    mode_info: Some(ModeInfo { sum: Some(Sum::Single(Single { mode: s.mode })) }),
                    sequence: s.sequence,
                })
                .collect(),
            fee: Some(self.fee.clone()),
            ..AuthInfo::default()
        }
    }

    pub(crate) fn raw(&self) -> TxRaw {
        self.raw_of(self.body.encode_to_vec(), self.auth_info().encode_to_vec())
    }

    /// Signs any bytes in place of body and auth info.
    pub(crate) fn raw_of(&self, body: Vec<u8>, auth_info: Vec<u8>) -> TxRaw {
        let sign = |s: &Signing| s.key.sign(&sign_bytes(&body, &auth_info, &self.chain_id, s.number)).to_vec();
        let signatures = self.signers.iter().map(sign).collect();
        TxRaw { body_bytes: body, auth_info_bytes: auth_info, signatures }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.raw().encode_to_vec()
    }
}

pub(crate) fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

pub(crate) fn coins(coins: &[(u128, &str)]) -> Vec<ProtoCoin> {
    coins.iter().map(|(amount, denom)| ProtoCoin { amount: amount.to_string(), denom: (*denom).to_owned() }).collect()
}

pub(crate) fn send_to(from: &str, to: &Address, amount: u128) -> Any {
    any(&MsgSend {
        from_address: address(from).to_string(),
        to_address: to.to_string(),
        amount: coins(&[(amount, "ugantry")]),
    })
}

pub(crate) fn send(from: &str, to: &str, amount: u128) -> Any {
    send_to(from, &address(to), amount)
}

pub(crate) fn user(error: Error) -> UserError {
    match error {
        Error::User(e) => e,
        Error::Fatal(f) => panic!("{f}"),
    }
}

#[track_caller]
pub(crate) fn assert_refused(result: &TxResult, codespace: &str, code: u32, words: &str) {
    assert_eq!((result.codespace, result.code), (codespace, code), "{}", result.log);
    assert!(result.log.contains(words), "{:?} lacks {words:?}", result.log);
    assert!(result.data.is_empty());
}

#[track_caller]
pub(crate) fn assert_ok(result: &TxResult) {
    assert_eq!(result.code, 0, "{}", result.log);
    assert_eq!(result.log, "");
}
