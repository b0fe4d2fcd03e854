//! A small chain for tests: messages are atomic, and after each step all invariants hold.

use gantry_core::{
    Address, BlockCtx, BlockInfo, Coin, Ctx, Empty, Error, Event, ExecMode, GasMeter, Handler, InitCtx, Module, Result,
    TxCtx,
};
use gantry_proto::gantry::provider::v1::{
    Attribute, GenesisState, HardwareClass, HardwareKind, MsgBond, MsgHeartbeat, MsgRegisterProvider, MsgSetOffer,
    MsgUnbond, Params,
};
use gantry_store::Overlay;

use crate::{Bond, Heartbeat, ProviderModule, RegisterProvider, SetOffer, Unbond, abci, genesis, keeper};

/// Bond that provider tests use: the minimum.
pub(crate) const MIN_BOND: u128 = 1000;
pub(crate) const UNBONDING_BLOCKS: u64 = 50;
/// What every test account starts with.
pub(crate) const FUNDS: u128 = 1_000_000;

pub(crate) fn address(n: u8) -> Address {
    Address::new([n; 20]).unwrap()
}

pub(crate) fn coins(amount: u128) -> Option<cosmos_sdk_proto::cosmos::base::v1beta1::Coin> {
    Some(Coin::base(amount).to_proto())
}

pub(crate) fn test_params() -> Params {
    Params {
        min_bond: coins(MIN_BOND),
        unbonding_blocks: UNBONDING_BLOCKS,
        heartbeat_epoch_blocks: 10,
        heartbeat_grace_epochs: 3,
        max_offers: 3,
        max_operators: 2,
        max_endpoints: 2,
    }
}

pub(crate) fn wasm() -> HardwareClass {
    HardwareClass {
        kind: HardwareKind::Wasm.into(),
        arch: "x86_64".to_owned(),
        runtime_major: 48,
        ..HardwareClass::default()
    }
}

pub(crate) struct Chain {
    pub(crate) state: Overlay<Empty>,
    pub(crate) height: u64,
    /// Of the last step that succeeded.
    pub(crate) events: Vec<Event>,
}

impl Chain {
    /// Accounts 1 to 9 have [`FUNDS`] each.
    pub(crate) fn new() -> Self {
        let mut chain = Self { state: Overlay::new(Empty), height: 1, events: Vec::new() };
        let block = chain.block();
        let mut ctx = InitCtx::new(&mut chain.state, &block);
        let state = GenesisState { params: Some(test_params()), ..genesis::default() };
        genesis::init(&mut ctx, state).unwrap();
        for n in 1..=9 {
            gantry_bank::keeper::mint(&mut ctx, &address(n), &Coin::base(FUNDS).into()).unwrap();
        }
        chain
    }

    pub(crate) fn block(&self) -> BlockInfo {
        BlockInfo { height: self.height, ..BlockInfo::default() }
    }

    /// Runs a message as a transaction would.
    pub(crate) fn run<H: Handler>(&mut self, msg: &H::Msg) -> Result<H::Response> {
        assert_eq!(H::signers(msg)?.len(), 1);
        H::check(msg)?;
        let (block, gas) = (self.block(), GasMeter::new(u64::MAX));
        let mut layer = Overlay::new(&self.state);
        let mut ctx = TxCtx::new(&mut layer, &block, &gas, ExecMode::Finalize);
        let response = H::execute(&mut ctx, msg)?;
        self.events = ctx.take_events();
        self.commit(layer.into_changes());
        Ok(response)
    }

    /// Runs a keeper's function, all or nothing.
    pub(crate) fn keep<T>(&mut self, f: impl FnOnce(&mut dyn Ctx) -> Result<T>) -> Result<T> {
        let block = self.block();
        let mut layer = Overlay::new(&self.state);
        let mut ctx = BlockCtx::new(&mut layer, &block);
        let value = f(&mut ctx)?;
        self.events = ctx.into_events();
        self.commit(layer.into_changes());
        Ok(value)
    }

    fn commit(&mut self, changes: gantry_store::Changes) {
        self.state.apply(changes);
        for invariant in ProviderModule.invariants() {
            (invariant.check)(&self.state).unwrap_or_else(|e| panic!("{}: {e}", invariant.name));
        }
    }

    /// Ends blocks until the next one is at `height`.
    pub(crate) fn advance_to(&mut self, height: u64) {
        while self.height < height {
            self.keep(abci::end_block).unwrap();
            self.height += 1;
        }
    }

    pub(crate) fn balance(&self, address: &Address) -> u128 {
        gantry_bank::keeper::balance(&self.state, address, "ugantry").unwrap()
    }

    pub(crate) fn module_balance(&self, name: &str) -> u128 {
        self.balance(&Address::module(name))
    }

    /// Registers a provider of account `n` with one operator, account `10 n`.
    pub(crate) fn register(&mut self, n: u8, bond: u128) -> Result<u64> {
        let msg = MsgRegisterProvider {
            owner: address(n).to_string(),
            moniker: format!("provider {n}"),
            endpoints: vec![format!("http://127.0.0.1:70{n}0")],
            operators: vec![address(n * 10).to_string()],
            bond: coins(bond),
        };
        Ok(self.run::<RegisterProvider>(&msg)?.provider_id)
    }

    pub(crate) fn bond(&mut self, n: u8, amount: u128) -> Result<()> {
        let msg = MsgBond { owner: address(n).to_string(), amount: coins(amount) };
        self.run::<Bond>(&msg).map(drop)
    }

    pub(crate) fn unbond(&mut self, n: u8, amount: u128) -> Result<u64> {
        let msg = MsgUnbond { owner: address(n).to_string(), amount: coins(amount) };
        Ok(self.run::<Unbond>(&msg)?.release_height)
    }

    pub(crate) fn heartbeat(&mut self, n: u8) -> Result<u64> {
        let msg = MsgHeartbeat { operator: address(n * 10).to_string() };
        Ok(self.run::<Heartbeat>(&msg)?.next_height)
    }

    /// Sets an offer through the operator; `offer_id` 0 makes a new one.
    pub(crate) fn set_offer(&mut self, n: u8, offer_id: u32, capacity: u32) -> Result<u32> {
        Ok(self.run::<SetOffer>(&offer(n, offer_id, capacity))?.offer_id)
    }

    pub(crate) fn provider(&self, id: u64) -> crate::Provider {
        keeper::get(&self.state, id).unwrap()
    }
}

pub(crate) fn offer(n: u8, offer_id: u32, capacity: u32) -> MsgSetOffer {
    MsgSetOffer {
        operator: address(n * 10).to_string(),
        offer_id,
        hardware: Some(wasm()),
        capacity,
        ask_per_second: coins(7),
        attributes: vec![Attribute { name: "cpu_cores".to_owned(), value: 4 }],
        region: "eu-west".to_owned(),
    }
}

/// The code of a refusal by this module.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T>) -> u32 {
    match result.unwrap_err() {
        Error::User(e) if e.codespace == "provider" => e.code,
        other => panic!("not an error of this module: {other:?}"),
    }
}
