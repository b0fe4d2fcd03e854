//! Providers and escrow together under random operations, as jobs and verdicts would drive them. Whatever the order:
//! every unit stays in exactly one place, nothing is fatal, what is refused leaves no trace, assignments in flight stay
//! backed, and in the end everybody can leave with all that is theirs.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use cosmos_sdk_proto::cosmos::base::v1beta1::Coin as ProtoCoin;
use gantry_core::{
    Address, BlockCtx, BlockInfo, Coin, Coins, Ctx, Empty, Error, ExecMode, GasMeter, Handler, InitCtx, Invariant,
    Module, QueryCtx, Result, TxCtx,
};
use gantry_escrow::{EscrowModule, keeper as escrow};
use gantry_proto::gantry::provider::v1::{
    HardwareClass, HardwareKind, MsgBond, MsgHeartbeat, MsgRegisterProvider, MsgRemoveOffer, MsgSetOffer, MsgUnbond,
    MsgUpdateProvider,
};
use gantry_provider::{
    Bond, Heartbeat, ProviderModule, RegisterProvider, RemoveOffer, SetOffer, Unbond, UpdateProvider,
    keeper as provider,
};
use gantry_reputation::{Outcome, ReputationModule, keeper as reputation};
use gantry_store::Overlay;
use proptest::prelude::*;

/// Accounts 1 to 4 own providers (their operators are 10 times that), 5 and 6 rent.
const OWNERS: u8 = 4;
const ACCOUNTS: u8 = 6;
const FUNDS: u128 = 1_000_000;
const MIN_BOND: u128 = 10_000;
const UNBONDING_BLOCKS: u64 = 30;

/// A job's assignment as the job module would keep it: what it reserved and which slot it holds.
#[derive(Clone, Copy, Debug)]
struct Assignment {
    provider: u64,
    offer: u32,
    reserved: u128,
}

struct World {
    state: Overlay<Empty>,
    height: u64,
    assignments: Vec<Assignment>,
    next_job: u64,
}

fn address(n: u8) -> Address {
    Address::new([n; 20]).unwrap()
}

fn coin(amount: u128) -> Option<ProtoCoin> {
    Some(Coin::base(amount).to_proto())
}

fn invariants() -> impl Iterator<Item = Invariant> {
    [ProviderModule.invariants(), EscrowModule.invariants(), ReputationModule.invariants()].into_iter().flatten()
}

impl World {
    fn new() -> Self {
        let mut world = Self { state: Overlay::new(Empty), height: 1, assignments: Vec::new(), next_job: 1 };
        let block = world.block();
        let mut ctx = InitCtx::new(&mut world.state, &block);
        for n in 1..=ACCOUNTS {
            gantry_bank::keeper::mint(&mut ctx, &address(n), &Coin::base(FUNDS).into()).unwrap();
        }
        let mut genesis = ProviderModule.default_genesis();
        genesis["params"]["min_bond"]["amount"] = MIN_BOND.to_string().into();
        genesis["params"]["unbonding_blocks"] = UNBONDING_BLOCKS.to_string().into();
        genesis["params"]["heartbeat_epoch_blocks"] = "5".into();
        ProviderModule.init_genesis(&mut ctx, &genesis).unwrap();
        EscrowModule.init_genesis(&mut ctx, &EscrowModule.default_genesis()).unwrap();
        ReputationModule.init_genesis(&mut ctx, &ReputationModule.default_genesis()).unwrap();
        // A market in motion: three of four owners are in business, so that most steps have something to act on.
        for n in 1..OWNERS {
            world.apply(&Step::Register { n, bond: 3 * MIN_BOND }).unwrap();
            for major in [47, 48] {
                world.apply(&Step::SetOffer { n, offer_id: 0, capacity: 3, major }).unwrap();
            }
        }
        world
    }

    fn block(&self) -> BlockInfo {
        BlockInfo { height: self.height, ..BlockInfo::default() }
    }

    /// One step, all or nothing, as the message overlay makes it.
    fn keep<T>(&mut self, f: impl FnOnce(&mut dyn Ctx) -> Result<T>) -> Result<T> {
        let block = self.block();
        let mut layer = Overlay::new(&self.state);
        let value = f(&mut BlockCtx::new(&mut layer, &block))?;
        self.state.apply(layer.into_changes());
        Ok(value)
    }

    fn run<H: Handler>(&mut self, msg: &H::Msg) -> Result<H::Response> {
        H::check(msg)?;
        let (block, gas) = (self.block(), GasMeter::new(u64::MAX));
        let mut layer = Overlay::new(&self.state);
        let response = H::execute(&mut TxCtx::new(&mut layer, &block, &gas, ExecMode::Finalize), msg)?;
        self.state.apply(layer.into_changes());
        Ok(response)
    }

    fn end_block(&mut self) {
        let block = self.block();
        ProviderModule.end_block(&mut BlockCtx::new(&mut self.state, &block)).unwrap();
        self.height += 1;
    }

    fn balance(&self, who: &Address) -> u128 {
        gantry_bank::keeper::balance(&self.state, who, "ugantry").unwrap()
    }

    fn check(&self) {
        for invariant in invariants() {
            (invariant.check)(&self.state).unwrap_or_else(|e| panic!("{}: {e}", invariant.name));
        }
        gantry_bank::check_supply(&self.state, &Coins::new()).unwrap();
        assert_eq!(gantry_bank::keeper::supply(&self.state, "ugantry").unwrap(), u128::from(ACCOUNTS) * FUNDS);

        // Reservations and slots are exactly those of the assignments in flight.
        let mut reserved: BTreeMap<u64, u128> = BTreeMap::new();
        let mut in_use: BTreeMap<(u64, u32), u32> = BTreeMap::new();
        for a in &self.assignments {
            *reserved.entry(a.provider).or_default() += a.reserved;
            *in_use.entry((a.provider, a.offer)).or_default() += 1;
        }
        for id in 1..=u64::from(OWNERS) {
            let Ok(p) = provider::get(&self.state, id) else { continue };
            assert_eq!(p.reserved, reserved.get(&id).copied().unwrap_or(0));
            for offer in provider::offers_of(&self.state, id).unwrap() {
                assert_eq!(offer.in_use, in_use.remove(&(id, offer.offer_id)).unwrap_or(0));
            }
        }
        assert!(in_use.is_empty(), "slots of offers that are gone: {in_use:?}");
    }

    fn apply(&mut self, step: &Step) -> Result<()> {
        match *step {
            Step::Register { n, bond } => self
                .run::<RegisterProvider>(&MsgRegisterProvider {
                    owner: address(n).to_string(),
                    moniker: format!("p{n}"),
                    endpoints: vec![],
                    operators: vec![address(n * 10).to_string()],
                    bond: coin(bond),
                })
                .map(drop),
            Step::Update { n, operator } => self
                .run::<UpdateProvider>(&MsgUpdateProvider {
                    owner: address(n).to_string(),
                    moniker: "again".to_owned(),
                    endpoints: vec![],
                    operators: vec![address(operator).to_string()],
                })
                .map(drop),
            Step::Bond { n, amount } => {
                self.run::<Bond>(&MsgBond { owner: address(n).to_string(), amount: coin(amount) }).map(drop)
            }
            Step::Unbond { n, amount } => {
                self.run::<Unbond>(&MsgUnbond { owner: address(n).to_string(), amount: coin(amount) }).map(drop)
            }
            Step::SetOffer { n, offer_id, capacity, major } => self
                .run::<SetOffer>(&MsgSetOffer {
                    operator: address(n).to_string(),
                    offer_id,
                    hardware: Some(HardwareClass {
                        kind: HardwareKind::Wasm.into(),
                        arch: "x86_64".to_owned(),
                        runtime_major: major,
                        ..HardwareClass::default()
                    }),
                    capacity,
                    ask_per_second: coin(5),
                    attributes: vec![],
                    region: String::new(),
                })
                .map(drop),
            Step::RemoveOffer { n, offer_id } => {
                self.run::<RemoveOffer>(&MsgRemoveOffer { operator: address(n).to_string(), offer_id }).map(drop)
            }
            Step::Heartbeat { n } => {
                self.run::<Heartbeat>(&MsgHeartbeat { operator: address(n).to_string() }).map(drop)
            }
            Step::Assign { id, offer, bond } => {
                self.keep(|ctx| {
                    provider::reserve_bond(ctx, id, bond)?;
                    provider::take_slot(ctx, id, offer)
                })?;
                self.assignments.push(Assignment { provider: id, offer, reserved: bond });
                Ok(())
            }
            Step::Finish { at, slash, fraud, lapse } => {
                if self.assignments.is_empty() {
                    return Ok(());
                }
                let a = self.assignments.remove(at % self.assignments.len());
                // This can never be refused: what an assignment holds is there.
                self.keep(|ctx| {
                    let mut left = a.reserved;
                    if fraud {
                        let part = slash.min(left);
                        let taken = provider::slash(ctx, a.provider, part, true)?;
                        assert_eq!(taken.amount(), part, "a reservation backs its assignment in full");
                        left -= part;
                        reputation::record(ctx, a.provider, Outcome::DataFraud)?;
                    }
                    provider::release_bond(ctx, a.provider, left)?;
                    provider::free_slot(ctx, a.provider, a.offer)?;
                    if lapse {
                        provider::strike(ctx, a.provider, a.offer)
                    } else {
                        provider::clear_strikes(ctx, a.provider, a.offer)
                    }
                })
                .map_err(|e| panic!("{e}"))
            }
            Step::Slash { id, amount } => self.keep(|ctx| provider::slash(ctx, id, amount, false)).map(drop),
            Step::Open { n, amount } => {
                let job = self.next_job;
                self.keep(|ctx| escrow::open(ctx, job, &address(n), Coin::base(amount)))?;
                self.next_job += 1;
                Ok(())
            }
            Step::Accrue { job, amount } => self.keep(|ctx| escrow::accrue(ctx, job, amount)).map(drop),
            Step::Pay { job, id, amount } => self.keep(|ctx| {
                let owner = provider::get(ctx, id)?.owner;
                let released = escrow::release(ctx, job, &owner, amount)?;
                assert_eq!(released.net.amount() + released.fee.amount(), amount);
                assert_eq!(released.fee.amount(), amount * 20_000 / 1_000_000);
                Ok(())
            }),
            Step::Refund { job } => self.keep(|ctx| escrow::refund_rest(ctx, job)).map(drop),
            Step::Blocks { count } => {
                for _ in 0..count {
                    self.end_block();
                }
                Ok(())
            }
        }
    }

    /// Ends everything: jobs are refunded, assignments let go of, all bond withdrawn and paid out.
    fn wind_down(&mut self) {
        for job in 1..self.next_job {
            self.keep(|ctx| escrow::refund_rest(ctx, job)).unwrap();
        }
        while !self.assignments.is_empty() {
            self.apply(&Step::Finish { at: 0, slash: 0, fraud: false, lapse: false }).unwrap();
        }
        // Room for one more withdrawal each.
        for _ in 0..=UNBONDING_BLOCKS {
            self.end_block();
        }
        for n in 1..=OWNERS {
            let Some(p) = provider::find_by_address(&self.state, &address(n)).unwrap() else { continue };
            if p.owner == address(n) && !p.bond.is_zero() {
                self.apply(&Step::Unbond { n, amount: p.bond.amount() }).unwrap();
            }
        }
        for _ in 0..=UNBONDING_BLOCKS {
            self.end_block();
        }
        self.check();
        for account in [provider::ACCOUNT, escrow::ACCOUNT] {
            assert_eq!(self.balance(&Address::module(account)), 0, "{account}");
        }
        let people: u128 = (1..=ACCOUNTS).map(|n| self.balance(&address(n))).sum();
        let kept: u128 =
            [provider::SLASH_ACCOUNT, escrow::FEE_ACCOUNT].iter().map(|a| self.balance(&Address::module(a))).sum();
        assert_eq!(people + kept, u128::from(ACCOUNTS) * FUNDS);
    }

    /// Exports the three modules and imports them over the same money.
    fn survives_export(&self) {
        let block = self.block();
        let ctx = QueryCtx::new(&self.state, &block);
        let modules: [&dyn Module; 3] = [&ProviderModule, &EscrowModule, &ReputationModule];
        let mut other = Overlay::new(Empty);
        let mut init = InitCtx::new(&mut other, &block);
        for account in [provider::ACCOUNT, escrow::ACCOUNT] {
            let held = Coin::base(self.balance(&Address::module(account)));
            gantry_bank::keeper::mint(&mut init, &Address::module(account), &held.into()).unwrap();
        }
        for module in modules {
            let json = module.export_genesis(&ctx).unwrap();
            module.validate_genesis(&json).unwrap();
            module.init_genesis(&mut init, &json).unwrap();
        }
        for module in modules {
            let rows = |state: &Overlay<Empty>| -> BTreeMap<Vec<u8>, Vec<u8>> {
                let ours = state.changes().iter().filter(|(store, ..)| Some(*store) == module.store());
                ours.filter_map(|(_, key, value)| Some((key.to_vec(), value?.to_vec()))).collect()
            };
            assert_eq!(rows(&other), rows(&self.state), "{}", module.name());
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Register { n: u8, bond: u128 },
    Update { n: u8, operator: u8 },
    Bond { n: u8, amount: u128 },
    Unbond { n: u8, amount: u128 },
    SetOffer { n: u8, offer_id: u32, capacity: u32, major: u32 },
    RemoveOffer { n: u8, offer_id: u32 },
    Heartbeat { n: u8 },
    Assign { id: u64, offer: u32, bond: u128 },
    Finish { at: usize, slash: u128, fraud: bool, lapse: bool },
    Slash { id: u64, amount: u128 },
    Open { n: u8, amount: u128 },
    Accrue { job: u64, amount: u128 },
    Pay { job: u64, id: u64, amount: u128 },
    Refund { job: u64 },
    Blocks { count: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let n = 1..=OWNERS;
    let id = 1..=u64::from(OWNERS);
    let job = 1..=6_u64;
    let offer_id = 0..=3_u32;
    let amount = prop_oneof![6 => 0..20_000_u128, 1 => 0..2 * FUNDS];
    prop_oneof![
        3 => (n.clone(), 5_000..40_000_u128).prop_map(|(n, bond)| Step::Register { n, bond }),
        1 => (n.clone(), 1..=45_u8).prop_map(|(n, operator)| Step::Update { n, operator }),
        2 => (n.clone(), amount.clone()).prop_map(|(n, amount)| Step::Bond { n, amount }),
        3 => (n.clone(), amount.clone()).prop_map(|(n, amount)| Step::Unbond { n, amount }),
        4 => (n.clone(), offer_id.clone(), 0..4_u32, 47..49_u32)
            .prop_map(|(n, offer_id, capacity, major)| Step::SetOffer { n, offer_id, capacity, major }),
        1 => (n.clone(), offer_id.clone()).prop_map(|(n, offer_id)| Step::RemoveOffer { n, offer_id }),
        1 => n.clone().prop_map(|n| Step::Heartbeat { n }),
        10 => (id.clone(), offer_id, 0..8_000_u128).prop_map(|(id, offer, bond)| Step::Assign { id, offer, bond }),
        4 => (any::<usize>(), 0..8_000_u128, any::<bool>(), any::<bool>())
            .prop_map(|(at, slash, fraud, lapse)| Step::Finish { at, slash, fraud, lapse }),
        2 => (id.clone(), amount.clone()).prop_map(|(id, amount)| Step::Slash { id, amount }),
        3 => (5..=ACCOUNTS, amount.clone()).prop_map(|(n, amount)| Step::Open { n, amount }),
        3 => (job.clone(), amount.clone()).prop_map(|(job, amount)| Step::Accrue { job, amount }),
        4 => (job.clone(), id, amount).prop_map(|(job, id, amount)| Step::Pay { job, id, amount }),
        1 => job.prop_map(|job| Step::Refund { job }),
        3 => (1..20_u8).prop_map(|count| Step::Blocks { count }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_unit_is_in_exactly_one_place(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        for step in &steps {
            let before = world.state.changes().clone();
            match world.apply(step) {
                Ok(()) => {}
                Err(Error::User(_)) => prop_assert_eq!(world.state.changes(), &before),
                Err(fatal) => prop_assert!(false, "{:?}: {}", step, fatal),
            }
            world.check();
        }
        world.survives_export();
        world.wind_down();
    }
}
