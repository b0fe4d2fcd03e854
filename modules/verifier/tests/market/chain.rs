//! A chain in memory: the market's modules over an overlay, blocks made by hand, every invariant checked after each.

use std::collections::BTreeMap;

use cosmos_sdk_proto::Any;
use gantry_core::{
    Address, BASE_DENOM, BlockCtx, BlockInfo, Coin, Empty, Error, Event, ExecMode, GasMeter, InitCtx, Module,
    MsgRouter, QueryCtx, QueryRouter, Result, Time, TxCtx,
};
use gantry_job::{Assignment, Job, keeper as jobs};
use gantry_proto::{
    digest::{Commitment, Hash, output_digest},
    gantry::{
        job::v1::*,
        provider::v1::{HardwareClass, HardwareKind, MsgHeartbeat, MsgRegisterProvider, MsgSetOffer},
        verifier::v1::{
            Attested, ExitKind, MsgCommitResult, MsgRevealResult, Quorum, Reveal, Verdict, VerificationPolicy,
            verification_policy::Kind,
        },
    },
};
use gantry_store::{Changes, Overlay};
use prost::{Message, Name};

pub(crate) const CHAIN_ID: &str = "gantry-test-1";
/// What each account starts with.
pub(crate) const WEALTH: u128 = 10_000_000_000;
pub(crate) const BOND: u128 = 1_000_000_000;
/// What every worker asks for a second, unless a test says otherwise.
pub(crate) const ASK: u128 = 1000;
pub(crate) const IMAGE: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
pub(crate) const OUTPUT: &str = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";

/// The account of a name.
pub(crate) fn account(name: &str) -> Address {
    Address::module(&format!("test/{name}"))
}

/// A result that a worker may commit to.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) kind: ExitKind,
    pub(crate) code: u32,
    pub(crate) cid: String,
    pub(crate) root: Hash,
}

pub(crate) fn good() -> Outcome {
    Outcome { kind: ExitKind::Exit, code: 0, cid: OUTPUT.into(), root: [1; 32] }
}

/// Wrong results; those of one number are equal.
pub(crate) fn wrong(n: u8) -> Outcome {
    Outcome { root: [100 + n; 32], ..good() }
}

pub(crate) struct Chain {
    pub(crate) state: Overlay<Empty>,
    pub(crate) block: BlockInfo,
    pub(crate) events: Vec<Event>,
    /// Milliseconds between blocks.
    pub(crate) interval_ms: u64,
    /// Providers that send no heartbeats.
    pub(crate) asleep: Vec<u64>,
    /// The most gas that a message of each type took.
    pub(crate) gas: BTreeMap<String, u64>,
    now_ms: u64,
    router: MsgRouter,
    queries: QueryRouter,
    owners: Vec<String>,
}

fn modules() -> Vec<Box<dyn Module>> {
    vec![
        Box::new(gantry_bank::Bank),
        Box::new(gantry_reputation::ReputationModule),
        Box::new(gantry_provider::ProviderModule),
        Box::new(gantry_escrow::EscrowModule),
        Box::new(gantry_job::JobModule),
        Box::new(gantry_verifier::VerifierModule),
        Box::new(gantry_job::MatchingModule),
    ]
}

impl Chain {
    /// A chain with renters `renter` and `other` and this many providers, of one owner and one slot each.
    pub(crate) fn new(providers: u64) -> Self {
        Self::with(providers, |_| {}, |_| {})
    }

    /// The same with other parameters.
    pub(crate) fn with(
        providers: u64,
        job: impl FnOnce(&mut gantry_proto::gantry::job::v1::Params),
        verifier: impl FnOnce(&mut gantry_proto::gantry::verifier::v1::Params),
    ) -> Self {
        let block = BlockInfo {
            chain_id: CHAIN_ID.into(),
            height: 0,
            time: Time { seconds: 1_700_000_000, nanos: 0 },
            ..BlockInfo::default()
        };
        let mut chain = Self {
            state: Overlay::new(Empty),
            block,
            events: Vec::new(),
            interval_ms: 1000,
            asleep: Vec::new(),
            gas: BTreeMap::new(),
            now_ms: 1_700_000_000_000,
            router: MsgRouter::new(modules().iter().flat_map(|m| m.messages())),
            queries: QueryRouter::new(modules().iter().flat_map(|m| m.queries())),
            owners: Vec::new(),
        };
        let mut ctx = InitCtx::new(&mut chain.state, &chain.block);
        for module in modules() {
            module.init_genesis(&mut ctx, &module.default_genesis()).unwrap();
        }
        let mut params = gantry_job::params::default_params();
        job(&mut params);
        gantry_job::params::validate(&params).unwrap();
        gantry_job::state::PARAMS.set(&mut ctx, &params.into()).unwrap();
        let mut params = gantry_verifier::params::default_params();
        verifier(&mut params);
        gantry_verifier::params::validate(&params).unwrap();
        gantry_verifier::state::PARAMS.set(&mut ctx, &params.into()).unwrap();
        let owners: Vec<String> = (1..=providers).map(|n| format!("owner{n}")).collect();
        for name in owners.iter().map(String::as_str).chain(["renter", "other", "stranger"]) {
            gantry_bank::keeper::mint(&mut ctx, &account(name), &Coin::base(WEALTH).into()).unwrap();
        }
        chain.owners = owners;
        chain.blocks(1);
        for n in 1..=providers {
            chain.register(n, ASK);
        }
        // Until draws see them.
        chain.blocks(3);
        chain
    }

    fn register(&mut self, n: u64, ask: u128) {
        let owner = account(&format!("owner{n}")).to_string();
        self.tx(&MsgRegisterProvider {
            owner,
            moniker: format!("worker {n}"),
            endpoints: vec![format!("http://127.0.0.1:{}", 7000 + n)],
            operators: vec![operator(n).to_string()],
            bond: Some(Coin::base(BOND).to_proto()),
        })
        .unwrap();
        self.set_offer(n, ask);
        self.tx(&MsgHeartbeat { operator: operator(n).to_string() }).unwrap();
    }

    pub(crate) fn set_offer(&mut self, n: u64, ask: u128) {
        self.tx(&MsgSetOffer {
            operator: operator(n).to_string(),
            offer_id: 0,
            hardware: Some(HardwareClass {
                kind: HardwareKind::Wasm.into(),
                arch: "x86_64".into(),
                runtime_major: 48,
                ..HardwareClass::default()
            }),
            capacity: 4,
            ask_per_second: Some(Coin::base(ask).to_proto()),
            attributes: vec![],
            region: String::new(),
        })
        .unwrap();
    }

    /// Between two blocks: goes on with what the state is exported as, as a chain that begins with it does.
    pub(crate) fn reimport(&mut self) {
        let export = |state: &Overlay<Empty>, block: &BlockInfo| -> Vec<_> {
            modules().iter().map(|m| m.export_genesis(&QueryCtx::new(state, block)).unwrap()).collect()
        };
        let exported = export(&self.state, &self.block);
        let mut again = Overlay::new(Empty);
        let mut ctx = InitCtx::new(&mut again, &self.block);
        for (module, state) in modules().iter().zip(&exported) {
            module.validate_genesis(state).unwrap_or_else(|e| panic!("{}: {e}", module.name()));
            module.init_genesis(&mut ctx, state).unwrap_or_else(|e| panic!("{}: {e}", module.name()));
        }
        assert_eq!(export(&again, &self.block), exported);
        self.state = again;
        self.check();
    }

    // --- blocks and transactions ---------------------------------------------------------------------------------

    /// One block with what `work` does in it.
    pub(crate) fn block<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        self.begin();
        let result = work(self);
        self.end();
        result
    }

    /// So many empty blocks.
    pub(crate) fn blocks(&mut self, n: u64) {
        for _ in 0..n {
            self.block(|_| ());
        }
    }

    fn phase(&mut self, phase: impl Fn(&dyn Module, &mut BlockCtx<'_>) -> Result<()>) {
        let mut ctx = BlockCtx::new(&mut self.state, &self.block);
        for module in modules() {
            phase(&*module, &mut ctx)
                .unwrap_or_else(|e| panic!("{} at height {}: {e}", module.name(), self.block.height));
        }
        let events = ctx.into_events();
        self.events.extend(events);
    }

    pub(crate) fn begin(&mut self) {
        self.block.height += 1;
        self.now_ms += self.interval_ms;
        self.block.time = Time { seconds: (self.now_ms / 1000) as i64, nanos: (self.now_ms % 1000 * 1_000_000) as i32 };
        let height = self.block.height;
        self.block.previous_app_hash = std::array::from_fn(|i| (height as u8).wrapping_mul(31).wrapping_add(i as u8));
        self.phase(|module, ctx| module.begin_block(ctx));
        if height % 20 == 1 {
            for n in 1..=self.owners.len() as u64 {
                if !self.asleep.contains(&n) && self.block.height > 3 {
                    // One for each epoch; those that came before are refused.
                    let _ = self.tx(&MsgHeartbeat { operator: operator(n).to_string() });
                }
            }
        }
    }

    pub(crate) fn end(&mut self) {
        self.phase(|module, ctx| module.end_block(ctx));
        self.check();
    }

    /// All invariants, and the supply.
    pub(crate) fn check(&self) {
        for invariant in modules().iter().flat_map(|m| m.invariants()) {
            (invariant.check)(&self.state)
                .unwrap_or_else(|e| panic!("{} at height {}: {e}", invariant.name, self.block.height));
        }
        let supply = gantry_bank::keeper::supply(&self.state, BASE_DENOM).unwrap();
        assert_eq!(supply, WEALTH * (self.owners.len() as u128 + 3), "supply at height {}", self.block.height);
    }

    /// A transaction of one message: all of it or nothing.
    pub(crate) fn tx<M: Message + Name>(&mut self, msg: &M) -> Result<Any> {
        self.tx_with_gas(msg, &GasMeter::unlimited())
    }

    pub(crate) fn tx_with_gas<M: Message + Name>(&mut self, msg: &M, gas: &GasMeter) -> Result<Any> {
        let any = Any { type_url: M::type_url(), value: msg.encode_to_vec() };
        let msg = self.router.decode(&any)?;
        msg.check()?;
        msg.signers()?;
        let mut layer = Overlay::new(&self.state);
        let mut ctx = TxCtx::new(&mut layer, &self.block, gas, ExecMode::Finalize);
        let response = msg.execute(&mut ctx)?;
        let events = ctx.take_events();
        let changes: Changes = layer.into_changes();
        self.state.apply(changes);
        self.events.extend(events);
        let most = self.gas.entry(M::NAME.to_owned()).or_default();
        *most = gas.used().max(*most);
        Ok(response)
    }

    pub(crate) fn query<Q: Message, R: Message + Default>(
        &self,
        path: &str,
        request: &Q,
    ) -> Result<R, gantry_core::Status> {
        let ctx = QueryCtx::new(&self.state, &self.block);
        self.queries.call(&ctx, path, &request.encode_to_vec()).map(|bytes| R::decode(bytes.as_slice()).unwrap())
    }

    // --- what a renter does --------------------------------------------------------------------------------------

    pub(crate) fn submit_as(&mut self, renter: &str, jobs: Vec<JobSpec>) -> Result<Vec<u64>> {
        let msg = MsgSubmitJobs { renter: account(renter).to_string(), label: "test".into(), jobs };
        let any = self.tx(&msg)?;
        Ok(MsgSubmitJobsResponse::decode(any.value.as_slice()).unwrap().job_ids)
    }

    pub(crate) fn submit(&mut self, jobs: Vec<JobSpec>) -> Vec<u64> {
        self.block(|c| c.submit_as("renter", jobs)).unwrap()
    }

    pub(crate) fn cancel(&mut self, job_id: u64) -> Result<()> {
        self.tx(&MsgCancelJob { renter: account("renter").to_string(), job_id }).map(drop)
    }

    // --- what a worker does --------------------------------------------------------------------------------------

    pub(crate) fn ack(&mut self, a: &Assignment) -> Result<()> {
        let (job_id, attempt, replica) = a.key();
        self.tx(&MsgAcknowledge { operator: operator(a.provider_id).to_string(), job_id, attempt, replica }).map(drop)
    }

    pub(crate) fn stage(&mut self, a: &Assignment) -> Result<()> {
        let (job_id, attempt, replica) = a.key();
        self.tx(&MsgBeginStaging { operator: operator(a.provider_id).to_string(), job_id, attempt, replica }).map(drop)
    }

    pub(crate) fn run(&mut self, a: &Assignment) -> Result<()> {
        let (job_id, attempt, replica) = a.key();
        self.tx(&MsgBeginRun { operator: operator(a.provider_id).to_string(), job_id, attempt, replica }).map(drop)
    }

    pub(crate) fn report(&mut self, a: &Assignment, reason: Reason) -> Result<()> {
        let (job_id, attempt, replica) = a.key();
        self.tx(&MsgReportFailure {
            operator: operator(a.provider_id).to_string(),
            job_id,
            attempt,
            replica,
            reason: reason.into(),
            evidence: vec![7; 32],
        })
        .map(drop)
    }

    pub(crate) fn commit(&mut self, a: &Assignment, result: &Outcome) -> Result<()> {
        let (job_id, attempt, replica) = a.key();
        let commitment = commitment(a, result).to_vec();
        self.tx(&MsgCommitResult {
            operator: operator(a.provider_id).to_string(),
            job_id,
            attempt,
            replica,
            commitment,
        })
        .map(drop)
    }

    pub(crate) fn reveal(&mut self, a: &Assignment, result: &Outcome) -> Result<()> {
        self.reveal_as(&operator(a.provider_id), a, result)
    }

    pub(crate) fn reveal_as(&mut self, operator: &Address, a: &Assignment, result: &Outcome) -> Result<()> {
        let (job_id, attempt, replica) = a.key();
        let reveal = Some(reveal(a, result));
        self.tx(&MsgRevealResult { operator: operator.to_string(), job_id, attempt, replica, reveal }).map(drop)
    }

    /// Brings everyone drawn for a job from Offered to Running, in one block.
    pub(crate) fn start(&mut self, job: u64) -> Vec<Assignment> {
        self.until(job, |c| !c.live(job).is_empty());
        let drawn = self.live(job);
        self.block(|c| {
            for a in &drawn {
                c.ack(a).unwrap();
                c.stage(a).unwrap();
                c.run(a).unwrap();
            }
        });
        self.live(job)
    }

    /// Everyone commits in one block and reveals in the next, in the order of the replicas.
    pub(crate) fn finish(&mut self, job: u64, results: &[Outcome]) {
        let at_work = self.live(job);
        assert_eq!(at_work.len(), results.len());
        self.block(|c| {
            for (a, result) in at_work.iter().zip(results) {
                c.commit(a, result).unwrap();
            }
        });
        self.block(|c| {
            for (a, result) in at_work.iter().zip(results) {
                c.reveal(a, result).unwrap();
            }
        });
    }

    // --- what is seen --------------------------------------------------------------------------------------------

    /// Empty blocks until something holds.
    pub(crate) fn until(&mut self, job: u64, holds: impl Fn(&Self) -> bool) {
        for _ in 0..500 {
            if holds(self) {
                return;
            }
            self.blocks(1);
        }
        panic!("job {job} stays as it is: {:?} {:?}", self.job(job), self.all(job));
    }

    pub(crate) fn job(&self, id: u64) -> Job {
        jobs::get(&self.state, id).unwrap()
    }

    pub(crate) fn state_of(&self, id: u64) -> JobState {
        self.job(id).state
    }

    /// Why a job ended.
    pub(crate) fn reason_of(&self, id: u64) -> Reason {
        self.job(id).end.map_or(Reason::Unspecified, |end| end.reason)
    }

    pub(crate) fn live(&self, job: u64) -> Vec<Assignment> {
        jobs::live(&self.state, &self.job(job)).unwrap()
    }

    /// All assignments of the current attempt.
    pub(crate) fn all(&self, job: u64) -> Vec<Assignment> {
        jobs::assignments(&self.state, job, self.job(job).attempt).unwrap()
    }

    pub(crate) fn assignment(&self, a: &Assignment) -> Assignment {
        jobs::assignment(&self.state, a.key()).unwrap()
    }

    pub(crate) fn verdict(&self, job: u64) -> Option<Verdict> {
        gantry_verifier::keeper::verdict(&self.state, job).unwrap()
    }

    pub(crate) fn balance(&self, address: &Address) -> u128 {
        gantry_bank::keeper::balance(&self.state, address, BASE_DENOM).unwrap()
    }

    /// What an owner has, less what it began with after bonding.
    pub(crate) fn earned(&self, provider: u64) -> u128 {
        self.balance(&account(&format!("owner{provider}"))) - (WEALTH - BOND)
    }

    pub(crate) fn bond(&self, provider: u64) -> u128 {
        gantry_provider::keeper::get(&self.state, provider).unwrap().bond.amount()
    }

    pub(crate) fn pool(&self) -> u128 {
        self.balance(&Address::module("slash_pool"))
    }

    /// What the renter paid so far, escrow included.
    pub(crate) fn spent(&self) -> u128 {
        WEALTH - self.balance(&account("renter"))
    }
}

pub(crate) fn operator(provider: u64) -> Address {
    account(&format!("operator{provider}"))
}

pub(crate) fn reveal(a: &Assignment, result: &Outcome) -> Reveal {
    Reveal {
        exit_kind: result.kind.into(),
        exit_code: result.code,
        output_cid: result.cid.clone(),
        output_root: result.root.to_vec(),
        // Differs between honest workers.
        manifest_digest: [a.provider_id as u8; 32].to_vec(),
        possession_root: [3; 32].to_vec(),
        nonce: [4; 32].to_vec(),
        locations: vec![format!("http://127.0.0.1:{}", 7000 + a.provider_id)],
        output_bytes: 10,
    }
}

pub(crate) fn commitment(a: &Assignment, result: &Outcome) -> Hash {
    Commitment {
        chain_id: CHAIN_ID,
        job: a.job_id,
        attempt: a.attempt,
        provider: a.provider_id,
        output_digest: output_digest(result.kind, result.code, &result.cid, &result.root),
        manifest_digest: [a.provider_id as u8; 32],
        possession_root: [3; 32],
        nonce: [4; 32],
    }
    .hash()
}

/// A valid job: one attested replica, at most 2,000 a second for a minute.
pub(crate) fn spec(name: &str) -> JobSpec {
    JobSpec {
        name: name.into(),
        kind: JobKind::Batch.into(),
        runtime: Runtime::Wasm.into(),
        image: Some(Image { root_cid: IMAGE.into(), size_bytes: 1000 }),
        args: vec!["--tile".into(), "1".into()],
        env: vec![],
        inputs: vec![],
        outputs: vec!["tile.png".into()],
        sources: vec!["http://127.0.0.1:9999".into()],
        resources: None,
        limits: Some(Limits {
            memory_bytes: 64 << 20,
            fuel: 1_000_000,
            output_bytes: 1 << 20,
            output_files: 10,
            log_bytes: 1 << 16,
        }),
        timeouts: Some(Timeouts { queue_seconds: 60, staging_seconds: 20, execution_seconds: 60 }),
        deadline_seconds: 0,
        retries: 0,
        dependencies: vec![],
        max_price_per_second: Some(Coin::base(2000).to_proto()),
        max_price_total: Some(Coin::base(120_000).to_proto()),
        policy: Some(VerificationPolicy { kind: Some(Kind::Attested(Attested {})) }),
    }
}

/// The same with `k` of `n`, and money for all of them.
pub(crate) fn quorum(name: &str, k: u32, n: u32) -> JobSpec {
    JobSpec {
        policy: Some(VerificationPolicy { kind: Some(Kind::Quorum(Quorum { k, n })) }),
        max_price_total: Some(Coin::base(120_000 * u128::from(n)).to_proto()),
        ..spec(name)
    }
}

/// Codespace and code of an error.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T>) -> (&'static str, u32) {
    match result {
        Err(Error::User(e)) => (e.codespace, e.code),
        other => panic!("not a user error: {other:?}"),
    }
}
