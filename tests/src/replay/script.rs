//! The scripted chain: a market with honest workers, a liar, a dawdler and an idler, renters of all kinds, people who
//! send coins, and whoever sends what no honest client would. Every message there is succeeds and fails in it.
//!
//! It follows the state (whom the chain drew decides who acts) and a fixed pseudo-random sequence, and nothing else: each
//! recording of it is the same, to the byte.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use cosmos_sdk_proto::cosmos::{
    bank::v1beta1::{Input as BankInput, MsgMultiSend, MsgSend, Output as BankOutput},
    base::v1beta1::Coin,
};
use gantry_core::Address;
use gantry_job::{Assignment, keeper as jobs, table};
use gantry_keyring::{ACCOUNT_PREFIX, PrivateKey, Signer, SignerData, TxBuilder};
use gantry_proto::{
    digest::{Commitment, output_digest},
    gantry::{
        job::v1::*,
        provider::v1::{
            HardwareClass, HardwareKind, MsgBond, MsgHeartbeat, MsgRegisterProvider, MsgRemoveOffer, MsgSetOffer,
            MsgUnbond, MsgUpdateProvider,
        },
        verifier::v1::{
            Attested, ExitKind, MsgCommitResult, MsgRevealResult, Quorum, Reveal, VerificationPolicy,
            verification_policy::Kind,
        },
    },
};
use gantry_store::KvRead;
use prost::{Message, Name};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tendermint_proto::{
    google::protobuf::Timestamp,
    v0_38::{
        abci::{
            CommitInfo, Misbehavior, MisbehaviorType, RequestFinalizeBlock, RequestInitChain, ResponseFinalizeBlock,
            Validator, VoteInfo,
        },
        types::{BlockIdFlag, BlockParams, ConsensusParams},
    },
};

use super::{Node, Recording, Way};

const CHAIN_ID: &str = "gantry-script-1";
const GENESIS_SECONDS: i64 = 1_767_225_600;
/// Blocks of the chain; new jobs come during the first part.
const BLOCKS: i64 = 200;
const LAST_SUBMISSION: i64 = 150;
const PROVIDERS: u64 = 7;
const LIAR: u64 = 5;
const DAWDLER: u64 = 6;
const IDLER: u64 = 7;
const BOND: u128 = 200_000_000;
const WEALTH: u128 = 1_000_000_000;
const IMAGE: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
const OUTPUT: &str = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";

/// What happened in the chain, so that a test can see that it is worth playing.
#[derive(Debug, Default)]
pub struct Seen {
    /// Messages by type URL, of transactions that succeeded and of those that failed.
    pub messages: BTreeMap<String, [u64; 2]>,
    /// Codespace and code of every failure.
    pub codes: BTreeSet<String>,
    /// What the market's events said: kind, attribute, value.
    pub events: BTreeSet<String>,
}

/// Plays the script and records it.
///
/// # Errors
/// When the application would stop, or a step that must succeed does not.
pub fn record() -> Result<(Recording, Seen)> {
    let mut chain = Chain::start()?;
    while chain.height() < BLOCKS {
        chain.block()?;
    }
    Ok((Recording { genesis: chain.genesis, blocks: chain.blocks }, chain.seen))
}

struct Chain {
    node: Node,
    genesis: RequestInitChain,
    blocks: Vec<RequestFinalizeBlock>,
    people: BTreeMap<String, Person>,
    /// Transactions of the next block, with the type URL of their message.
    pending: Vec<(String, Vec<u8>)>,
    /// The jobs submitted so far.
    jobs: Vec<u64>,
    clock_ms: i64,
    random: Random,
    seen: Seen,
}

struct Person {
    signer: Signer,
    number: u64,
    sequence: u64,
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn percent(&mut self, p: u64) -> bool {
        self.below(100) < p
    }
}

fn coin(amount: u128) -> Coin {
    Coin { denom: "ugantry".into(), amount: amount.to_string() }
}

fn owner(n: u64) -> String {
    format!("owner{n}")
}

fn operator(n: u64) -> String {
    format!("operator{n}")
}

impl Chain {
    fn start() -> Result<Self> {
        let names = (1..=PROVIDERS).flat_map(|n| [owner(n), operator(n)]);
        let mut people = BTreeMap::new();
        for (number, name) in ["renter", "other", "friend"].map(str::to_owned).into_iter().chain(names).enumerate() {
            let key = PrivateKey::from_bytes(&Sha256::digest(format!("gantry script: {name}")))?;
            let signer = Signer::new(&name, key, ACCOUNT_PREFIX)?;
            people.insert(name, Person { signer, number: u64::try_from(number)?, sequence: 0 });
        }
        let genesis = RequestInitChain {
            time: Some(Timestamp { seconds: GENESIS_SECONDS, nanos: 0 }),
            chain_id: CHAIN_ID.into(),
            consensus_params: Some(ConsensusParams {
                block: Some(BlockParams { max_bytes: 1 << 20, max_gas: 60_000_000 }),
                ..ConsensusParams::default()
            }),
            validators: Vec::new(),
            app_state_bytes: app_state(&people)?.to_string().into(),
            initial_height: 1,
        };
        let node = Node::temporary()?;
        node.start(&genesis)?;
        Ok(Self {
            node,
            genesis,
            blocks: Vec::new(),
            people,
            pending: Vec::new(),
            jobs: Vec::new(),
            clock_ms: GENESIS_SECONDS * 1000,
            random: Random(1),
            seen: Seen::default(),
        })
    }

    fn height(&self) -> i64 {
        i64::try_from(self.blocks.len()).unwrap_or(i64::MAX)
    }

    fn address(&self, name: &str) -> String {
        self.people[name].signer.info.address.clone()
    }

    // --- blocks --------------------------------------------------------------------------------------------------------

    fn block(&mut self) -> Result<()> {
        let height = self.height() + 1;
        self.fill(height)?;
        self.clock_ms += match height {
            // A halt of an hour, and a block on the heels of the one before.
            70 => 3_600_000,
            71 => 1,
            _ => 900 + i64::try_from(self.random.below(300))?,
        };
        let sent = std::mem::take(&mut self.pending);
        let block = RequestFinalizeBlock {
            txs: sent.iter().map(|(_, tx)| tx.clone().into()).collect(),
            decided_last_commit: Some(last_commit(height)),
            misbehavior: if height == 33 { vec![evidence(height)] } else { Vec::new() },
            hash: Sha256::digest(height.to_be_bytes()).to_vec().into(),
            height,
            time: Some(Timestamp {
                seconds: self.clock_ms / 1000,
                nanos: i32::try_from(self.clock_ms % 1000 * 1_000_000 + height)?,
            }),
            next_validators_hash: vec![9; 32].into(),
            proposer_address: validator(height % 3).to_vec().into(),
        };
        let answer = self.node.finalize(&block, Way::Decided)?;
        self.node.commit()?;
        self.node.engine().check_invariants().with_context(|| format!("after height {height}"))?;
        self.look(&sent, &answer)?;
        self.blocks.push(block);
        Ok(())
    }

    /// Notes what a block came to.
    fn look(&mut self, sent: &[(String, Vec<u8>)], answer: &ResponseFinalizeBlock) -> Result<()> {
        for ((url, _), result) in sent.iter().zip(&answer.tx_results) {
            let counts = self.seen.messages.entry(url.clone()).or_default();
            counts[usize::from(result.code != 0)] += 1;
            if result.code != 0 {
                self.seen.codes.insert(format!("{}/{}", result.codespace, result.code));
            } else if *url == MsgSubmitJobs::type_url() {
                let data = cosmos_sdk_proto::cosmos::base::abci::v1beta1::TxMsgData::decode(result.data.clone())?;
                let response = data.msg_responses.first().context("a response")?;
                self.jobs.extend(MsgSubmitJobsResponse::decode(response.value.as_slice())?.job_ids);
            }
        }
        let events = answer.tx_results.iter().flat_map(|result| &result.events).chain(&answer.events);
        for event in events.filter(|event| event.r#type.starts_with("gantry_")) {
            for attribute in &event.attributes {
                if ["to", "reason", "outcome", "action"].contains(&attribute.key.as_str()) {
                    self.seen.events.insert(format!("{}.{}={}", event.r#type, attribute.key, attribute.value));
                }
            }
        }
        let state = self.node.state();
        for person in self.people.values_mut() {
            let address = Address::parse(&person.signer.info.address)?;
            let account = gantry_auth::keeper::account(&state, &address)?;
            person.sequence = account.context("an account of genesis")?.sequence;
        }
        Ok(())
    }

    // --- transactions --------------------------------------------------------------------------------------------------

    /// A transaction of one message with this gas; its place in the block is the order of calls.
    fn send_with_gas<M: Message + Name>(&mut self, from: &str, message: &M, gas: u64) -> Result<()> {
        let tx = TxBuilder::new().message(message).gas_limit(gas).fee(vec![coin(u128::from(gas) / 400)]);
        self.sign::<M>(from, &tx)
    }

    fn send<M: Message + Name>(&mut self, from: &str, message: &M) -> Result<()> {
        self.send_with_gas(from, message, 600_000)
    }

    fn sign<M: Name>(&mut self, from: &str, tx: &TxBuilder) -> Result<()> {
        let person = self.people.get_mut(from).with_context(|| from.to_owned())?;
        let data = SignerData { chain_id: CHAIN_ID.into(), account_number: person.number, sequence: person.sequence };
        person.sequence += 1;
        self.pending.push((M::type_url(), tx.sign(&person.signer, &data)));
        Ok(())
    }

    /// The transactions of a block.
    fn fill(&mut self, height: i64) -> Result<()> {
        match height {
            1 => {}
            2 => (1..=PROVIDERS).try_for_each(|n| self.register(n))?,
            // Again, and without the money for it.
            3 => {
                self.register(1)?;
                let message = self.registration(9_000_000_000);
                self.send("friend", &message)?;
            }
            _ => {
                self.heartbeats(height)?;
                self.provider_acts(height)?;
                self.renter_acts(height)?;
                self.workers_act()?;
            }
        }
        self.coins(height)?;
        self.nuisances(height)
    }

    fn registration(&self, bond: u128) -> MsgRegisterProvider {
        MsgRegisterProvider {
            owner: self.address("friend"),
            moniker: "too poor".into(),
            endpoints: vec!["http://127.0.0.1:6999".into()],
            operators: Vec::new(),
            bond: Some(coin(bond)),
        }
    }

    fn register(&mut self, n: u64) -> Result<()> {
        let (owner, operator) = (owner(n), operator(n));
        let message = MsgRegisterProvider {
            owner: self.address(&owner),
            moniker: format!("worker {n}"),
            endpoints: vec![format!("http://127.0.0.1:{}", 7000 + n)],
            operators: vec![self.address(&operator)],
            bond: Some(coin(BOND + u128::from(n) * 1_000_000)),
        };
        self.send(&owner, &message)?;
        self.offer(n, 0)?;
        let message = MsgHeartbeat { operator: self.address(&operator) };
        self.send(&operator, &message)
    }

    fn offer(&mut self, n: u64, offer_id: u32) -> Result<()> {
        let operator = operator(n);
        let message = MsgSetOffer {
            operator: self.address(&operator),
            offer_id,
            hardware: Some(HardwareClass {
                kind: HardwareKind::Wasm.into(),
                arch: "x86_64".into(),
                runtime_major: 48,
                ..HardwareClass::default()
            }),
            capacity: 3,
            ask_per_second: Some(coin(900 + u128::from(n) * 10)),
            attributes: Vec::new(),
            region: if n.is_multiple_of(2) { "eu".into() } else { String::new() },
        };
        self.send(&operator, &message)
    }

    fn heartbeats(&mut self, height: i64) -> Result<()> {
        let state = self.node.state();
        let params = gantry_provider::keeper::params(&state)?;
        for n in 1..=PROVIDERS {
            let provider = gantry_provider::keeper::get(&state, n)?;
            let due = gantry_provider::keeper::heartbeat_due(&provider, u64::try_from(height)?, &params);
            // The dawdler forgets most; some send one too many.
            if if due { n != DAWDLER || self.random.percent(40) } else { self.random.percent(1) } {
                let operator = operator(n);
                let message = MsgHeartbeat { operator: self.address(&operator) };
                self.send(&operator, &message)?;
            }
        }
        Ok(())
    }

    fn provider_acts(&mut self, height: i64) -> Result<()> {
        let n = self.random.below(PROVIDERS) + 1;
        let owner = owner(n);
        let address = self.address(&owner);
        match height % 12 {
            4 => {
                let operators = vec![self.address(&operator(n))];
                let endpoints = vec![format!("http://127.0.0.1:{}", 8000 + height)];
                let moniker = format!("worker {n} at {height}");
                self.send(&owner, &MsgUpdateProvider { owner: address, moniker, endpoints, operators })
            }
            5 => self.send(&owner, &MsgBond { owner: address, amount: Some(coin(5_000_000)) }),
            // Now and then more than is free.
            7 => {
                let amount = if self.random.percent(30) { BOND * 2 } else { 3_000_000 };
                self.send(&owner, &MsgUnbond { owner: address, amount: Some(coin(amount)) })
            }
            9 => {
                let offers = gantry_provider::keeper::offers_of(&self.node.state(), n)?;
                let offer_id = offers.first().map_or(77, |offer| offer.offer_id);
                let operator = operator(n);
                let message = MsgRemoveOffer { operator: self.address(&operator), offer_id };
                self.send(&operator, &message)?;
                self.send(&operator, &message)?;
                self.offer(n, 0)
            }
            10 => {
                let offers = gantry_provider::keeper::offers_of(&self.node.state(), n)?;
                self.offer(n, offers.last().map_or(0, |offer| offer.offer_id))
            }
            // Not theirs to change.
            11 => {
                self.send("friend", &MsgBond { owner: self.address("friend"), amount: Some(coin(1)) })?;
                self.send("friend", &MsgSetOffer { operator: self.address("friend"), ..MsgSetOffer::default() })?;
                let owner = self.address("friend");
                self.send("friend", &MsgUpdateProvider { owner, moniker: "nobody".into(), ..Default::default() })
            }
            _ => Ok(()),
        }
    }

    fn renter_acts(&mut self, height: i64) -> Result<()> {
        if height % 3 == 1 && height <= LAST_SUBMISSION {
            let shape = self.random.below(8);
            let renter = if self.random.percent(70) { "renter" } else { "other" };
            let jobs = self.graph(shape);
            let message = MsgSubmitJobs { renter: self.address(renter), label: format!("at {height}"), jobs };
            self.send_with_gas(renter, &message, 3_000_000)?;
        }
        // Some of them not this renter's, some over already.
        if height % 7 == 3 && !self.jobs.is_empty() {
            let recent = self.jobs.len().min(12) as u64;
            let job_id = self.jobs[self.jobs.len() - 1 - usize::try_from(self.random.below(recent))?];
            let renter = if self.random.percent(70) { "renter" } else { "other" };
            self.send(renter, &MsgCancelJob { renter: self.address(renter), job_id })?;
        }
        Ok(())
    }

    fn graph(&mut self, shape: u64) -> Vec<JobSpec> {
        let after = |mut spec: JobSpec, on: &[&str]| {
            spec.dependencies = on.iter().map(|name| (*name).to_owned()).collect();
            spec
        };
        let fed = |mut spec: JobSpec, job: &str| {
            let output = OutputRef { job: job.into(), path: String::new() };
            spec.inputs = vec![Input { path: "in".into(), source: Some(input::Source::Output(output)) }];
            spec
        };
        let mut jobs = match shape {
            0 => vec![spec("a", 1, 1)],
            1 => vec![spec("a", 2, 3)],
            2 => vec![spec("a", 3, 5)],
            3 => vec![spec("a", 2, 2)],
            4 => vec![spec("a", 1, 1), after(spec("b", 2, 3), &["a"]), fed(spec("c", 1, 1), "b")],
            5 => vec![spec("a", 2, 3), spec("b", 1, 1), after(spec("c", 1, 1), &["a"])],
            // A cycle: refused.
            6 if self.random.percent(50) => vec![after(spec("a", 1, 1), &["b"]), after(spec("b", 1, 1), &["a"])],
            // Nobody sells at this price.
            6 => {
                let mut cheap = spec("a", 1, 1);
                cheap.max_price_per_second = Some(coin(1));
                vec![cheap, after(spec("b", 1, 1), &["a"])]
            }
            _ => vec![spec("a", 1, 1), spec("b", 3, 4), after(spec("c", 2, 3), &["a", "b"])],
        };
        for job in &mut jobs {
            job.retries = u32::try_from(self.random.below(3)).unwrap_or_default();
            job.deadline_seconds = if self.random.percent(20) { 14 } else { 0 };
        }
        jobs
    }

    /// Each worker takes the next step of each of its assignments, or does not.
    fn workers_act(&mut self) -> Result<()> {
        let state = self.node.state();
        for id in self.jobs.clone() {
            // Ended jobs shrink to receipts.
            let Ok(job) = jobs::get(&state, id) else { continue };
            for a in jobs::live(&state, &job)? {
                let patience = match a.provider_id {
                    IDLER => 5,
                    DAWDLER if a.state == AssignmentState::Running => 10,
                    DAWDLER if a.state == AssignmentState::Committed => 5,
                    DAWDLER => 35,
                    _ => 80,
                };
                if self.random.percent(patience) {
                    self.step(&state, &a, job.reveal_close_height > 0)?;
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, state: &dyn KvRead, a: &Assignment, reveals_are_open: bool) -> Result<()> {
        let from = operator(a.provider_id);
        let operator = self.address(&from);
        let (job_id, attempt, replica) = a.key();
        match (a.state, self.random.below(100)) {
            (AssignmentState::Offered | AssignmentState::Acked | AssignmentState::Staging, 0..5) => {
                // One of those that a worker may give, or not.
                let reasons = [table::REPORTABLE, &[Reason::Deadline]].concat();
                let reason = reasons[usize::try_from(self.random.below(5))?].into();
                let evidence = vec![7; 32];
                self.send(&from, &MsgReportFailure { operator, job_id, attempt, replica, reason, evidence })
            }
            // Out of order.
            (AssignmentState::Offered, 5..13) => self.send(&from, &MsgBeginRun { operator, job_id, attempt, replica }),
            (AssignmentState::Acked, 5..13) => self.send(&from, &MsgAcknowledge { operator, job_id, attempt, replica }),
            (AssignmentState::Running, 5..13) => {
                self.send(&from, &MsgBeginStaging { operator, job_id, attempt, replica })
            }
            // Somebody else's.
            (AssignmentState::Running, 13..16) => {
                let thief = self::operator(a.provider_id % PROVIDERS + 1);
                let operator = self.address(&thief);
                let commitment = vec![1; 32];
                self.send(&thief, &MsgCommitResult { operator, job_id, attempt, replica, commitment })
            }
            (AssignmentState::Offered, _) => self.send(&from, &MsgAcknowledge { operator, job_id, attempt, replica }),
            (AssignmentState::Acked, _) => self.send(&from, &MsgBeginStaging { operator, job_id, attempt, replica }),
            (AssignmentState::Staging, _) => self.send(&from, &MsgBeginRun { operator, job_id, attempt, replica }),
            (AssignmentState::Running, luck) => {
                let result = Outcome::of(a.provider_id, luck);
                let commitment = result.commitment(a).to_vec();
                self.send(&from, &MsgCommitResult { operator, job_id, attempt, replica, commitment })
            }
            (AssignmentState::Committed, luck) if reveals_are_open || luck < 10 => {
                let submissions = gantry_verifier::keeper::submissions(state, job_id, attempt)?;
                let known = |result: &Outcome| {
                    let commitment = result.commitment(a);
                    submissions.iter().any(|s| s.replica == a.replica && s.commitment == commitment)
                };
                let result = Outcome::ALL.into_iter().find(known).context("a result that was committed to")?;
                let reveal = Some(result.reveal(a));
                self.send(&from, &MsgRevealResult { operator, job_id, attempt, replica, reveal })
            }
            _ => Ok(()),
        }
    }

    /// Coins on their way, some of them too many.
    fn coins(&mut self, height: i64) -> Result<()> {
        let to = self.address("friend");
        for amount in [1, 2 + u128::try_from(height)?] {
            let from_address = self.address("other");
            let message = MsgSend { from_address, to_address: to.clone(), amount: vec![coin(amount)] };
            self.send("other", &message)?;
        }
        if height % 5 == 0 {
            // To somebody who is not there yet.
            let nobody = Address::module(&format!("nobody {height}")).to_string();
            let input = |address, amount| BankInput { address, coins: vec![coin(amount)] };
            let output = |address, amount| BankOutput { address, coins: vec![coin(amount)] };
            // Every other one does not add up.
            let total = if height % 10 == 0 { 7 } else { 8 };
            let message = MsgMultiSend {
                inputs: vec![input(self.address("friend"), total)],
                outputs: vec![output(nobody, 3), output(self.address("other"), 4)],
            };
            self.send("friend", &message)?;
        }
        if height % 4 == 0 {
            let from_address = self.address("friend");
            let blocked = Address::module("escrow").to_string();
            let message = MsgSend { from_address: from_address.clone(), to_address: blocked, amount: vec![coin(1)] };
            self.send("friend", &message)?;
            let message = MsgSend { from_address, to_address: self.address("other"), amount: vec![coin(WEALTH * 9)] };
            self.send("friend", &message)?;
        }
        Ok(())
    }

    /// What fails before its messages run: most of it leaves nothing, and none takes a sequence.
    fn nuisances(&mut self, height: i64) -> Result<()> {
        let from_address = self.address("other");
        let message = MsgSend { from_address, to_address: self.address("friend"), amount: vec![coin(5)] };
        let plain = TxBuilder::new().message(&message).gas_limit(200_000).fee(vec![coin(500)]);
        let person = &self.people["other"];
        let right = SignerData { chain_id: CHAIN_ID.into(), account_number: person.number, sequence: person.sequence };
        let signed = plain.sign(&person.signer, &right);
        let broken = match height % 11 {
            0 => b"not a transaction".to_vec(),
            1 => plain.sign(&person.signer, &SignerData { sequence: right.sequence + 3, ..right }),
            2 => plain.sign(&person.signer, &SignerData { chain_id: "another-1".into(), ..right }),
            3 => plain.memo(&"m".repeat(300)).sign(&person.signer, &right),
            4 => plain.timeout_height(1).sign(&person.signer, &right),
            5 => plain.sign(&self.people["renter"].signer, &right),
            6 => plain.fee(vec![coin(WEALTH * 3)]).sign(&person.signer, &right),
            7 => signed[..signed.len() - 9].to_vec(),
            8 => [signed.as_slice(), &[0xfa, 0x01, 0x01, 0x00]].concat(),
            9 => self.blocks.last().and_then(|block| block.txs.first()).map(|tx| tx.to_vec()).unwrap_or_default(),
            // Enough gas for the ante, too little for the message: the fee is kept.
            _ => {
                let tx = TxBuilder::new().message(&message).gas_limit(42_000).fee(vec![coin(500)]);
                return self.sign::<MsgSend>("other", &tx);
            }
        };
        self.pending.push(("broken".into(), broken));
        Ok(())
    }
}

fn spec(name: &str, k: u32, n: u32) -> JobSpec {
    let policy = if n == 1 { Kind::Attested(Attested {}) } else { Kind::Quorum(Quorum { k, n }) };
    JobSpec {
        name: name.into(),
        kind: JobKind::Batch.into(),
        runtime: Runtime::Wasm.into(),
        image: Some(Image { root_cid: IMAGE.into(), size_bytes: 1000 }),
        args: vec!["--tile".into(), "1".into()],
        outputs: vec!["tile.png".into()],
        sources: vec!["http://127.0.0.1:9999".into()],
        limits: Some(Limits {
            memory_bytes: 64 << 20,
            fuel: 1_000_000,
            output_bytes: 1 << 20,
            output_files: 10,
            log_bytes: 1 << 16,
        }),
        timeouts: Some(Timeouts { queue_seconds: 20, staging_seconds: 6, execution_seconds: 9 }),
        max_price_per_second: Some(coin(2000)),
        max_price_total: Some(coin(40_000 * u128::from(n))),
        policy: Some(VerificationPolicy { kind: Some(policy) }),
        ..JobSpec::default()
    }
}

/// What a worker may commit to. The number makes the difference.
#[derive(Clone, Copy)]
struct Outcome(u8);

impl Outcome {
    /// Right, wrong, and a program that fails.
    const ALL: [Self; 3] = [Self(0), Self(1), Self(2)];

    fn of(provider: u64, luck: u64) -> Self {
        match (provider, luck) {
            (LIAR, _) => Self(1),
            (_, 95..) => Self(2),
            _ => Self(0),
        }
    }

    fn root(self) -> [u8; 32] {
        [self.0 % 2 + 1; 32]
    }

    fn exit_code(self) -> u32 {
        if self.0 == 2 { 3 } else { 0 }
    }

    fn commitment(self, a: &Assignment) -> [u8; 32] {
        Commitment {
            chain_id: CHAIN_ID,
            job: a.job_id,
            attempt: a.attempt,
            provider: a.provider_id,
            output_digest: output_digest(ExitKind::Exit, self.exit_code(), OUTPUT, &self.root()),
            manifest_digest: manifest(a),
            possession_root: [3; 32],
            nonce: [4; 32],
        }
        .hash()
    }

    fn reveal(self, a: &Assignment) -> Reveal {
        Reveal {
            exit_kind: ExitKind::Exit.into(),
            exit_code: self.exit_code(),
            output_cid: OUTPUT.into(),
            output_root: self.root().to_vec(),
            manifest_digest: manifest(a).to_vec(),
            possession_root: [3; 32].to_vec(),
            nonce: [4; 32].to_vec(),
            locations: vec![format!("http://127.0.0.1:{}", 7000 + a.provider_id)],
            output_bytes: 10,
        }
    }
}

/// Differs between honest workers.
fn manifest(a: &Assignment) -> [u8; 32] {
    Sha256::digest(a.provider_id.to_be_bytes()).into()
}

fn validator(n: i64) -> [u8; 20] {
    let mut address = [0; 20];
    address.copy_from_slice(&Sha256::digest(n.to_be_bytes())[..20]);
    address
}

fn abci_validator(n: i64) -> Validator {
    Validator { address: validator(n).to_vec().into(), power: 10 + n }
}

/// Three validators, one of whom is away at times.
fn last_commit(height: i64) -> CommitInfo {
    if height == 1 {
        return CommitInfo::default();
    }
    let flag = |n| if height % 9 == n { BlockIdFlag::Absent } else { BlockIdFlag::Commit };
    let vote = |n| VoteInfo { validator: Some(abci_validator(n)), block_id_flag: flag(n).into() };
    CommitInfo { round: i32::from(height % 20 == 0), votes: (0..3).map(vote).collect() }
}

fn evidence(height: i64) -> Misbehavior {
    Misbehavior {
        r#type: MisbehaviorType::DuplicateVote.into(),
        validator: Some(abci_validator(1)),
        height: height - 2,
        time: Some(Timestamp { seconds: GENESIS_SECONDS, nanos: 0 }),
        total_voting_power: 33,
    }
}

/// Genesis of the application, with windows short enough for a short chain.
fn app_state(people: &BTreeMap<String, Person>) -> Result<Value> {
    let mut state = gantryd::modules::default_genesis()?;
    let mut by_number: Vec<&Person> = people.values().collect();
    by_number.sort_by_key(|person| person.number);
    let addresses = || by_number.iter().map(|person| &person.signer.info.address);
    state["auth"]["accounts"] = by_number
        .iter()
        .map(|person| {
            json!({
                "@type": "/cosmos.auth.v1beta1.BaseAccount", "address": person.signer.info.address, "pub_key": null,
                "account_number": person.number.to_string(), "sequence": "0",
            })
        })
        .collect();
    state["bank"]["balances"] =
        addresses().map(|address| json!({"address": address, "coins": [coin_json()]})).collect();
    let supply = (WEALTH * u128::try_from(by_number.len())?).to_string();
    state["bank"]["supply"] = json!([{ "denom": "ugantry", "amount": supply }]);
    for (module, param, value) in [
        ("job", "ack_window_blocks", 4),
        ("job", "retention_blocks", 25),
        ("provider", "unbonding_blocks", 20),
        ("provider", "heartbeat_epoch_blocks", 10),
        ("verifier", "commit_window_blocks", 5),
        ("verifier", "reveal_window_blocks", 4),
    ] {
        let place = &mut state[module]["params"][param];
        ensure!(place.is_string(), "{module} has no parameter {param}");
        *place = value.to_string().into();
    }
    Ok(state)
}

fn coin_json() -> Value {
    json!({ "denom": "ugantry", "amount": WEALTH.to_string() })
}
