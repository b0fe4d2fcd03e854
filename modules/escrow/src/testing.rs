//! A small chain for tests: steps are all or nothing, and after each one all invariants hold.

use gantry_core::{Address, BlockCtx, BlockInfo, Coin, Ctx, Empty, Error, Event, Module, Result};
use gantry_store::Overlay;

use crate::{EscrowModule, genesis};

/// What the renters, accounts 1 to 3, start with in each denom.
pub(crate) const FUNDS: u128 = 1_000_000_000;
pub(crate) const DENOMS: [&str; 2] = ["uatom", "ugantry"];

pub(crate) fn address(n: u8) -> Address {
    Address::new([n; 20]).unwrap()
}

pub(crate) struct Chain {
    pub(crate) state: Overlay<Empty>,
    /// Of the last step that succeeded.
    pub(crate) events: Vec<Event>,
}

impl Chain {
    /// Both denoms are taken; the fee is 2 %.
    pub(crate) fn new() -> Self {
        let mut chain = Self { state: Overlay::new(Empty), events: Vec::new() };
        chain
            .keep(|ctx| {
                let mut state = genesis::default();
                state.params.as_mut().unwrap().denoms = DENOMS.map(str::to_owned).to_vec();
                genesis::init(ctx, state)?;
                for n in 1..=3 {
                    for denom in DENOMS {
                        gantry_bank::keeper::mint(ctx, &address(n), &Coin::new(denom, FUNDS)?.into())?;
                    }
                }
                Ok(())
            })
            .unwrap();
        chain
    }

    pub(crate) fn keep<T>(&mut self, f: impl FnOnce(&mut dyn Ctx) -> Result<T>) -> Result<T> {
        let block = BlockInfo::default();
        let mut layer = Overlay::new(&self.state);
        let mut ctx = BlockCtx::new(&mut layer, &block);
        let value = f(&mut ctx)?;
        self.events = ctx.into_events();
        self.state.apply(layer.into_changes());
        for invariant in EscrowModule.invariants() {
            (invariant.check)(&self.state).unwrap_or_else(|e| panic!("{}: {e}", invariant.name));
        }
        Ok(value)
    }

    pub(crate) fn balance(&self, address: &Address, denom: &str) -> u128 {
        gantry_bank::keeper::balance(&self.state, address, denom).unwrap()
    }

    pub(crate) fn module_balance(&self, name: &str, denom: &str) -> u128 {
        self.balance(&Address::module(name), denom)
    }
}

/// The code of a refusal by this module.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T>) -> u32 {
    match result.unwrap_err() {
        Error::User(e) if e.codespace == "escrow" => e.code,
        other => panic!("not an error of this module: {other:?}"),
    }
}
