//! A model of the chain in a file, so that it outlives the worker's process. It keeps the rules that a worker can
//! break: order of states, one commitment, an opening that fits, no reveal before commitments are closed.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use cosmos_sdk_proto::Any;
use gantry_proto::{
    digest::{Commitment, output_digest},
    gantry::{
        job::v1::{self as job, AssignmentState, Job, JobState, LiveAssignment, Reason, ResolvedInput, input::Source},
        provider::v1::{self as provider, Offer, Provider},
        verifier::v1::{self as verifier, Submission, verification_policy::Kind},
    },
};
use gantry_worker::{ChainPort, Clock, Key, PortError};
use prost::{Message, Name};
use serde::{Deserialize, Serialize};

pub(crate) const CHAIN_ID: &str = "gantry-test-1";
const BLOCK_MS: u64 = 20;
const CONFIRMATION: Duration = Duration::from_millis(15);

/// The whole state; protos of genesis hold what the modules would.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub jobs: job::GenesisState,
    pub providers: provider::GenesisState,
    pub verifier: verifier::GenesisState,
    pub extra: Extra,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Extra {
    pub height: u64,
    /// Other replicas have not committed yet.
    pub hold: bool,
    /// Nothing is answered.
    pub away: bool,
    /// Messages of each transaction that was taken, as `name` or `name job`.
    pub transactions: Vec<Vec<String>>,
    /// Messages that were refused, with the reason.
    pub refused: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Stored(String, String, String, Extra);

/// Where a worker's process is killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    Before(String),
    After(String),
}

/// The model, by its file.
#[derive(Clone)]
pub(crate) struct FileChain {
    path: PathBuf,
    crash: Option<Crash>,
}

fn refused(why: impl Into<String>) -> PortError {
    PortError::Refused(why.into())
}

impl FileChain {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { path: dir.join("chain.json"), crash: None }
    }

    pub(crate) fn crashing(self, crash: Option<Crash>) -> Self {
        Self { crash, ..self }
    }

    /// Changes the state under a lock.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        self.update_and(change, |_| ())
    }

    /// Changes the state, then does something before anybody sees it.
    fn update_and<T>(&self, change: impl FnOnce(&mut State) -> T, then: impl FnOnce(&T)) -> T {
        let lock = File::create(self.path.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        let mut state = match fs::read(&self.path) {
            Ok(bytes) => {
                let Stored(jobs, providers, verifier, extra) = serde_json::from_slice(&bytes).unwrap();
                State { jobs: unhex(&jobs), providers: unhex(&providers), verifier: unhex(&verifier), extra }
            }
            Err(_) => State::default(),
        };
        let result = change(&mut state);
        let hex = |bytes: Vec<u8>| hex::encode(bytes);
        let stored = Stored(
            hex(state.jobs.encode_to_vec()),
            hex(state.providers.encode_to_vec()),
            hex(state.verifier.encode_to_vec()),
            state.extra,
        );
        let fresh = self.path.with_extension("new");
        fs::write(&fresh, serde_json::to_vec(&stored).unwrap()).unwrap();
        fs::rename(fresh, &self.path).unwrap();
        then(&result);
        result
    }

    pub(crate) fn state(&self) -> State {
        self.update(|state| state.clone())
    }

    /// Submits a job that is offered to provider 1 at once.
    pub(crate) fn submit(&self, renter: &str, spec: job::JobSpec) -> Key {
        self.update(|state| {
            let id = state.jobs.jobs.len() as u64 + 1;
            state.jobs.jobs.push(Job {
                id,
                graph_id: 1,
                renter: renter.into(),
                spec: Some(spec),
                state: JobState::Queued.into(),
                attempt: 1,
                next_replica: 1,
                ..Job::default()
            });
            state.jobs.assignments.push(job::Assignment {
                job_id: id,
                attempt: 1,
                replica: 0,
                provider_id: 1,
                state: AssignmentState::Offered.into(),
                paid: "0".into(),
                slashed: "0".into(),
                ..job::Assignment::default()
            });
            Key { job: id, attempt: 1, replica: 0 }
        })
    }

    /// Ends a job from outside.
    pub(crate) fn cancel(&self, key: Key) {
        self.update(|state| {
            state.job(key.job).state = JobState::Cancelled.into();
            state.assignment(key).fail(Reason::JobEnded);
        });
    }

    fn ask<T>(&self, answer: impl FnOnce(&mut State) -> T) -> Result<T, PortError> {
        self.update(|state| state.answer(answer))
    }

    fn crash_at(&self, point: &Crash) {
        if self.crash.as_ref() == Some(point) {
            kill_9();
        }
    }
}

/// What a power cut does.
pub(crate) fn kill_9() {
    // SAFETY: the process ends here.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
}

fn unhex<M: Message + Default>(text: &str) -> M {
    M::decode(hex::decode(text).unwrap().as_slice()).unwrap()
}

trait Failing {
    fn fail(&mut self, reason: Reason);
}

impl Failing for job::Assignment {
    fn fail(&mut self, reason: Reason) {
        self.set_state(AssignmentState::Failed);
        self.end = Some(job::End { reason: reason.into(), ..job::End::default() });
    }
}

impl State {
    pub(crate) fn job(&mut self, id: u64) -> &mut Job {
        self.jobs.jobs.iter_mut().find(|job| job.id == id).unwrap()
    }

    pub(crate) fn assignment(&mut self, key: Key) -> &mut job::Assignment {
        self.jobs.assignments.iter_mut().find(|a| Key::from(&**a) == key).unwrap()
    }

    pub(crate) fn submission(&self, key: Key) -> Option<&Submission> {
        self.verifier
            .submissions
            .iter()
            .find(|s| (s.job_id, s.attempt, s.replica) == (key.job, key.attempt, key.replica))
    }

    fn answer<T>(&mut self, answer: impl FnOnce(&mut Self) -> T) -> Result<T, PortError> {
        if self.extra.away { Err(PortError::Away("away".into())) } else { Ok(answer(self)) }
    }

    /// How many transactions held a message.
    pub(crate) fn count(&self, message: &str) -> usize {
        self.extra.transactions.iter().flatten().filter(|m| m.split(' ').next() == Some(message)).count()
    }

    fn is_live(a: &job::Assignment) -> bool {
        use AssignmentState::{Acked, Committed, Offered, Revealed, Running, Staging};
        matches!(a.state(), Offered | Acked | Staging | Running | Committed | Revealed)
    }

    /// A block goes by.
    fn block(&mut self) {
        self.extra.height += 1;
        self.jobs.market_time_ms += BLOCK_MS;
        let height = self.extra.height;
        let hold = self.extra.hold;
        for i in 0..self.jobs.assignments.len() {
            let key = Key::from(&self.jobs.assignments[i]);
            let state = self.jobs.assignments[i].state();
            let submission = self.submission(key).cloned();
            let job = self.job(key.job);
            match state {
                AssignmentState::Committed if job.reveal_close_height == 0 && !hold => {
                    job.reveal_close_height = height + 100;
                    job.set_state(JobState::Verifying);
                }
                AssignmentState::Revealed if !hold => {
                    job.set_state(JobState::Completed);
                    job.output_cid = submission.unwrap().reveal.unwrap().output_cid;
                    self.jobs.assignments[i].set_state(AssignmentState::Settled);
                    "7".clone_into(&mut self.jobs.assignments[i].paid);
                }
                _ => {}
            }
        }
    }

    fn step(&mut self, key: Key, from: AssignmentState, to: AssignmentState) -> Result<(), PortError> {
        let now = self.jobs.market_time_ms;
        let a = self
            .jobs
            .assignments
            .iter_mut()
            .find(|a| Key::from(&**a) == key)
            .ok_or_else(|| refused("no such assignment"))?;
        if a.state() != from {
            return Err(refused(format!("{} -> {}", a.state().as_str_name(), to.as_str_name())));
        }
        a.set_state(to);
        match to {
            AssignmentState::Acked => a.acked_time_ms = now,
            AssignmentState::Staging => a.staging_time_ms = now,
            AssignmentState::Running => a.running_time_ms = now,
            _ => {}
        }
        Ok(())
    }

    fn apply(&mut self, any: &Any) -> Result<String, PortError> {
        use AssignmentState::{Acked, Committed, Offered, Revealed, Running, Staging};
        macro_rules! message {
            ($name:ty) => {
                if any.type_url == <$name>::type_url() {
                    Some(<$name>::decode(any.value.as_slice()).unwrap())
                } else {
                    None
                }
            };
        }
        let name = any.type_url.rsplit('.').next().unwrap().to_owned();
        let key = |job, attempt, replica| Key { job, attempt, replica };
        if let Some(m) = message!(provider::MsgRegisterProvider) {
            if !self.providers.providers.is_empty() {
                return Err(refused("there is a provider"));
            }
            self.providers.providers.push(Provider {
                id: 1,
                owner: m.owner,
                moniker: m.moniker,
                endpoints: m.endpoints,
                bond: m.bond,
                status: provider::ProviderStatus::Active.into(),
                ..Provider::default()
            });
            return Ok(name);
        }
        if let Some(m) = message!(provider::MsgUpdateProvider) {
            self.providers.providers[0].endpoints = m.endpoints;
            return Ok(name);
        }
        if let Some(m) = message!(provider::MsgSetOffer) {
            let hardware = m.hardware.unwrap();
            self.providers.offers.retain(|o| o.offer_id != m.offer_id);
            self.providers.offers.push(Offer {
                provider_id: 1,
                offer_id: 1,
                class_id: format!("wasm-{}-{}", hardware.runtime_major, hardware.arch),
                capacity: m.capacity,
                ask_per_second: m.ask_per_second,
                attributes: m.attributes,
                ..Offer::default()
            });
            return Ok(name);
        }
        if message!(provider::MsgHeartbeat).is_some() {
            let height = self.extra.height;
            let p = &mut self.providers.providers[0];
            if p.last_heartbeat_height > 0 && p.last_heartbeat_height / 20 == height / 20 {
                return Err(refused("a second heartbeat in one epoch"));
            }
            p.last_heartbeat_height = height;
            return Ok(name);
        }
        let of = |key: Key| format!("{name} {}", key.job);
        if let Some(m) = message!(job::MsgAcknowledge) {
            let key = key(m.job_id, m.attempt, m.replica);
            self.step(key, Offered, Acked)?;
            return Ok(of(key));
        }
        if let Some(m) = message!(job::MsgBeginStaging) {
            let key = key(m.job_id, m.attempt, m.replica);
            self.step(key, Acked, Staging)?;
            return Ok(of(key));
        }
        if let Some(m) = message!(job::MsgBeginRun) {
            let key = key(m.job_id, m.attempt, m.replica);
            self.step(key, Staging, Running)?;
            return Ok(of(key));
        }
        if let Some(m) = message!(job::MsgReportFailure) {
            let key = key(m.job_id, m.attempt, m.replica);
            let a = self.assignment(key);
            let declined = a.state() == Offered && m.reason() == Reason::WorkerDeclined;
            if !declined && !matches!(a.state(), Acked | Staging | Running) {
                return Err(refused("nothing to report"));
            }
            a.fail(m.reason());
            self.job(key.job).set_state(JobState::Failed);
            return Ok(of(key));
        }
        if let Some(m) = message!(verifier::MsgCommitResult) {
            let key = key(m.job_id, m.attempt, m.replica);
            self.step(key, Running, Committed)?;
            assert_eq!(m.commitment.len(), 32);
            self.verifier.submissions.push(Submission {
                job_id: key.job,
                attempt: key.attempt,
                replica: key.replica,
                provider_id: 1,
                commitment: m.commitment,
                ..Submission::default()
            });
            let height = self.extra.height;
            let job = self.job(key.job);
            let policy = job.spec.clone().unwrap_or_default().policy.and_then(|p| p.kind);
            if matches!(policy, Some(Kind::Attested(_))) {
                job.reveal_close_height = height + 100;
                job.set_state(JobState::Verifying);
            }
            return Ok(of(key));
        }
        if let Some(m) = message!(verifier::MsgRevealResult) {
            let key = key(m.job_id, m.attempt, m.replica);
            if self.job(key.job).reveal_close_height == 0 {
                return Err(refused("commitments are still open"));
            }
            let reveal = m.reveal.unwrap();
            let hash = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).unwrap();
            let opened = Commitment {
                chain_id: CHAIN_ID,
                job: key.job,
                attempt: key.attempt,
                provider: 1,
                output_digest: output_digest(
                    reveal.exit_kind(),
                    reveal.exit_code,
                    &reveal.output_cid,
                    &hash(&reveal.output_root),
                ),
                manifest_digest: hash(&reveal.manifest_digest),
                possession_root: hash(&reveal.possession_root),
                nonce: hash(&reveal.nonce),
            };
            if self.submission(key).map(|s| s.commitment.as_slice()) != Some(&opened.hash()) {
                return Err(refused("what is revealed is not what was committed"));
            }
            self.step(key, Committed, Revealed)?;
            let mut submissions = self.verifier.submissions.iter_mut();
            submissions.find(|s| s.job_id == key.job).unwrap().reveal = Some(reveal);
            return Ok(of(key));
        }
        Err(refused(format!("unknown message {}", any.type_url)))
    }
}

#[async_trait]
impl ChainPort for FileChain {
    fn chain_id(&self) -> &str {
        CHAIN_ID
    }

    async fn clock(&self) -> Result<Clock, PortError> {
        self.ask(|state| {
            state.block();
            Clock { height: state.extra.height, now_ms: state.jobs.market_time_ms }
        })
    }

    async fn assignments(&self, provider: u64) -> Result<Vec<LiveAssignment>, PortError> {
        assert_eq!(provider, 1);
        self.ask(|state| {
            let live = state.jobs.assignments.clone().into_iter().filter(State::is_live);
            live.map(|a| {
                let job = state.job(a.job_id).clone();
                let spec = job.spec.clone().unwrap();
                let inputs = spec.inputs.iter().map(|input| {
                    let Some(Source::Cid(cid)) = &input.source else { panic!("an output") };
                    ResolvedInput {
                        path: input.path.clone(),
                        cid: cid.clone(),
                        subpath: String::new(),
                        sources: spec.sources.clone(),
                    }
                });
                LiveAssignment { assignment: Some(a), inputs: inputs.collect(), job: Some(job) }
            })
            .collect()
        })
    }

    async fn job(&self, id: u64) -> Result<Option<job::QueryJobResponse>, PortError> {
        self.ask(|state| {
            let assignments = state.jobs.assignments.iter().filter(|a| a.job_id == id).cloned().collect();
            Some(job::QueryJobResponse { job: Some(state.job(id).clone()), assignments, ..Default::default() })
        })
    }

    async fn provider(&self, address: &str) -> Result<Option<Provider>, PortError> {
        self.ask(|state| state.providers.providers.iter().find(|p| p.owner == address).cloned())
    }

    async fn offers(&self, _: u64) -> Result<Vec<Offer>, PortError> {
        self.ask(|state| state.providers.offers.clone())
    }

    async fn provider_params(&self) -> Result<provider::Params, PortError> {
        Ok(provider::Params { heartbeat_epoch_blocks: 20, ..provider::Params::default() })
    }

    async fn submit(&self, messages: Vec<Any>) -> Result<(), PortError> {
        let names: Vec<String> =
            messages.iter().map(|any| any.type_url.rsplit('.').next().unwrap().to_owned()).collect();
        names.iter().for_each(|name| self.crash_at(&Crash::Before(name.clone())));
        let transaction = |state: &mut State| {
            let mut next = state.clone();
            next.block();
            let applied: Result<Vec<String>, PortError> = messages.iter().map(|any| next.apply(any)).collect();
            match applied {
                Ok(applied) => {
                    next.extra.transactions.push(applied);
                    *state = next;
                    Ok(())
                }
                Err(error) => {
                    state.extra.refused.push(format!("{names:?}: {error}"));
                    Err(error)
                }
            }
        };
        let crash = |result: &Result<Result<(), PortError>, PortError>| {
            if matches!(result, Ok(Ok(()))) {
                names.iter().for_each(|name| self.crash_at(&Crash::After(name.clone())));
            }
        };
        // It waits for its block.
        tokio::time::sleep(CONFIRMATION).await;
        let result = self.update_and(|state| state.answer(transaction), crash);
        // The block is seen before the sender hears of it.
        tokio::time::sleep(CONFIRMATION).await;
        result?
    }
}
