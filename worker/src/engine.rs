//! The loop: look at the chain, compare with the journal, do what is due.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use cosmos_sdk_proto::Any;
use gantry_content::{BlockStore, Cid};
use gantry_proto::gantry::{
    job::v1::{
        JobKind, JobState, LiveAssignment, MsgAcknowledge, MsgBeginRun, MsgBeginStaging, MsgReportFailure,
        QueryJobResponse, Reason, Runtime,
    },
    verifier::v1::{MsgCommitResult, MsgRevealResult, Reveal, verification_policy::Kind},
};
use prost::Message;
use sha2::{Digest, Sha256};
use tokio::{
    net::TcpListener,
    sync::mpsc,
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::{
    ChainPort, Clock, Key, Options, PortError,
    executor::Executor,
    gate::{Gate, upload_expiry},
    journal::{Failure, Journal, Phase, Record},
    logs::Logs,
    outbox::{self, Letter, pack},
    reconcile::{Action, Desired, Observed, Say, Task, reconcile},
    registration::{self, Heartbeats, hardware, machine_memory},
    renters::Renters,
    run::{self, Finished, Run, Unfinished, dag_cids, public_blocks},
    serve::{About, Shared, serve},
    stage::{Stage, WorkDir, failure},
};

/// Letters that may wait for the chain.
const LETTERS: usize = 1024;
/// Waits after a message was refused: the first, and the longest.
const QUIET: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Most that the time kept for importing and committing takes of an execution timeout, as a fraction and as a time.
const COMMIT_MARGIN: (u64, u64) = (5, 3_000);
/// Blocks between two looks at a job whose assignment here has ended.
const CONCLUDE_BLOCKS: u64 = 3;
/// Blocks between two clean-ups.
const SWEEP_BLOCKS: u64 = 50;
/// Parts of the quota in percent: above the first, garbage is collected down to the second.
const GC_PERCENT: (u64, u64) = (70, 50);
/// Waits between attempts to reach a node at the start.
const CONNECT_WAIT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Runs a worker until it is told to stop: serves, registers, follows its assignments.
///
/// `port` is a chain that answers, `address` the account that signs for it there.
///
/// # Errors
/// When the home cannot be used, the chain refuses the provider, or the journal fails: a worker that cannot write down
/// what it does must do nothing.
pub async fn work(
    options: Options,
    port: Arc<dyn ChainPort>,
    address: String,
    executor: Arc<dyn Executor>,
    listener: TcpListener,
    stop: CancellationToken,
) -> Result<()> {
    // Whatever ends this ends what it started.
    let stop = stop.child_token();
    let _stop = stop.clone().drop_guard();

    let journal = Journal::open(&options.home.join("journal.redb"))?;
    let records: BTreeMap<Key, Record> = journal.all()?.into_iter().map(|r| (r.key, r)).collect();
    match fs::remove_dir_all(options.home.join("work")) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e).context("work folder"),
        _ => {}
    }
    let store = BlockStore::open(options.home.join("blocks"), Some(options.quota))?;
    let gate = Arc::new(Gate::new(port.chain_id(), store.clone(), options.uploads));
    let logs = Logs::new(options.home.join("logs"))?;
    let renters = Renters::default();
    recover(&records, &store, &gate, &logs, &renters)?;

    let running = Arc::new(AtomicU32::new(0));
    let shared = Shared {
        gate: Arc::clone(&gate),
        logs: logs.clone(),
        renters: renters.clone(),
        store: store.clone(),
        running: Arc::clone(&running),
        about: Arc::new(About {
            moniker: options.moniker.clone(),
            classes: vec![hardware().1],
            capacity: options.capacity,
        }),
    };
    let serving = tokio::spawn(serve(listener, shared, stop.clone()));

    let Some((provider, heartbeats)) = register(port.as_ref(), &address, &options, &gate, &stop).await? else {
        return Ok(());
    };
    gate.set_provider(provider);
    info!(provider, address, endpoint = options.public_endpoint, assignments = records.len(), "ready");

    let (letters, inbox) = mpsc::channel(LETTERS);
    let sending = tokio::spawn(outbox::run(Arc::clone(&port), inbox, stop.clone()));
    let (events, incoming) = mpsc::unbounded_channel();
    #[cfg(feature = "demo")]
    let cheat = Arc::new(crate::cheat::Cheat::new(options.misbehave, records.values().any(|r| r.cheated)));
    let mut engine = Engine {
        options,
        port,
        address,
        provider,
        executor,
        journal,
        store,
        gate,
        logs,
        renters,
        running,
        #[cfg(feature = "demo")]
        cheat,
        records,
        live: BTreeMap::new(),
        tasks: BTreeMap::new(),
        ready: BTreeSet::new(),
        quiet: BTreeMap::new(),
        written: 0,
        looked: BTreeMap::new(),
        swept: 0,
        heartbeats,
        clock: Clock::default(),
        away: false,
        letters,
        events,
    };
    let result = engine.run(incoming, &stop).await;
    engine.tasks.values().for_each(|(_, cancel)| cancel.cancel());
    stop.cancel();
    sending.await?;
    serving.await??;
    result
}

/// What must hold before anyone is served after a restart.
fn recover(
    records: &BTreeMap<Key, Record>,
    store: &BlockStore,
    gate: &Gate,
    logs: &Logs,
    renters: &Renters,
) -> Result<()> {
    // Of a run that was cut off, parts of an output may lie in the store, of which nothing is written down.
    if records.values().any(|r| r.phase == Phase::Running) {
        store.gc(0)?;
    }
    for (key, record) in records {
        renters.insert(*key, &record.renter);
        if matches!(record.phase, Phase::Accepted | Phase::Staged | Phase::Running) {
            logs.expect(*key);
        }
        if record.phase != Phase::Done {
            gate.withhold(*key, &record.renter, []);
        }
    }
    let public = public_blocks(store, |key| gate.withholds(key))?;
    for (root, tag) in store.pins()? {
        let Some(record) = run::tagged(&tag).and_then(|key| records.get(&key)) else { continue };
        if record.phase != Phase::Done {
            let secret = dag_cids(store, &root)?.into_iter().filter(|cid| !public.contains(cid));
            gate.withhold(record.key, &record.renter, secret);
        }
    }
    Ok(())
}

/// Registers, as often as it takes; `None` when told to stop meanwhile.
async fn register(
    port: &dyn ChainPort,
    address: &str,
    options: &Options,
    gate: &Gate,
    stop: &CancellationToken,
) -> Result<Option<(u64, Heartbeats)>> {
    let attempt = async || -> Result<(u64, Heartbeats), PortError> {
        // Uploads may come as soon as the offer is seen.
        gate.set_height(port.clock().await?.height);
        let id = registration::ensure(port, address, options).await?;
        let last = port.provider(address).await?.map_or(0, |p| p.last_heartbeat_height);
        let epoch = port.provider_params().await?.heartbeat_epoch_blocks;
        Ok((id, Heartbeats::after(last, epoch)))
    };
    let mut wait = CONNECT_WAIT.0;
    loop {
        tokio::select! {
            result = attempt() => match result {
                Ok(registered) => return Ok(Some(registered)),
                Err(PortError::Refused(why)) => anyhow::bail!("the chain refuses this provider: {why}"),
                Err(PortError::Away(why)) => warn!(why, "cannot register yet"),
            },
            () = stop.cancelled() => return Ok(None),
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(CONNECT_WAIT.1),
            () = stop.cancelled() => return Ok(None),
        }
    }
}

/// What comes back from what was begun.
enum Event {
    Staged(Key, Result<(), Failure>),
    Ran(Key, Result<Finished, Unfinished>),
    /// What became of a letter, by its number.
    Sent(Key, u64, Result<(), PortError>),
    HeartbeatLost,
    /// Pins of the store, to be compared with what is needed.
    Pins(Vec<(Cid, String)>),
}

/// Why nothing is said about an assignment for now.
struct Quiet {
    /// The letter that it is about.
    letter: u64,
    /// `None` while a message is on its way.
    until: Option<Instant>,
    wait: Duration,
}

struct Engine {
    options: Options,
    port: Arc<dyn ChainPort>,
    address: String,
    provider: u64,
    executor: Arc<dyn Executor>,
    journal: Journal,
    store: BlockStore,
    gate: Arc<Gate>,
    logs: Logs,
    renters: Renters,
    running: Arc<AtomicU32>,
    #[cfg(feature = "demo")]
    cheat: Arc<crate::cheat::Cheat>,
    /// The journal's rows.
    records: BTreeMap<Key, Record>,
    /// What the chain last said.
    live: BTreeMap<Key, LiveAssignment>,
    tasks: BTreeMap<Key, (Task, CancellationToken)>,
    /// Assignments whose files are laid out.
    ready: BTreeSet<Key>,
    quiet: BTreeMap<Key, Quiet>,
    /// Letters so far.
    written: u64,
    /// Height at which the job of an ended assignment was last looked at.
    looked: BTreeMap<Key, u64>,
    swept: u64,
    heartbeats: Heartbeats,
    clock: Clock,
    away: bool,
    letters: mpsc::Sender<Letter>,
    events: mpsc::UnboundedSender<Event>,
}

impl Engine {
    async fn run(&mut self, mut incoming: mpsc::UnboundedReceiver<Event>, stop: &CancellationToken) -> Result<()> {
        let mut tick = interval(self.options.poll);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(event) = incoming.recv() => {
                    if self.take(event)? {
                        self.observe().await?;
                    } else {
                        self.act().await?;
                    }
                }
                _ = tick.tick() => match self.port.clock().await {
                    Ok(clock) => {
                        if std::mem::take(&mut self.away) {
                            info!(height = clock.height, "the node is back");
                        }
                        if clock.height != self.clock.height {
                            self.clock = clock;
                            self.observe().await?;
                        } else if self.quiet.values().any(|q| q.until.is_some_and(|until| until <= Instant::now())) {
                            self.act().await?;
                        }
                    }
                    Err(error) => self.node_away(&error),
                },
            }
        }
    }

    fn node_away(&mut self, error: &PortError) {
        if !std::mem::replace(&mut self.away, true) {
            warn!(%error, "the node does not answer; what runs goes on");
        }
    }

    /// Takes in what came back. True when the chain should be looked at.
    fn take(&mut self, event: Event) -> Result<bool> {
        match event {
            Event::Staged(key, result) => {
                self.tasks.remove(&key);
                let Some(record) = self.records.get_mut(&key) else { return Ok(false) };
                if record.phase > Phase::Running {
                    return Ok(false);
                }
                match result {
                    Ok(()) => {
                        self.ready.insert(key);
                        if record.phase == Phase::Accepted {
                            record.phase = Phase::Staged;
                            self.journal.put(record)?;
                        }
                        info!(%key, "staged");
                    }
                    Err(failure) => self.give_up(key, failure)?,
                }
            }
            Event::Ran(key, result) => {
                self.tasks.remove(&key);
                self.running.fetch_sub(1, Ordering::Relaxed);
                let Some(record) = self.records.get_mut(&key) else { return Ok(false) };
                if record.phase != Phase::Running {
                    return Ok(false);
                }
                match result {
                    Ok(Finished { execution, cheated }) => {
                        info!(
                            %key, exit = execution.exit, output = execution.output_cid, wall_ms = execution.wall_ms,
                            fuel = execution.fuel, "executed"
                        );
                        record.phase = Phase::Executed;
                        record.execution = Some(execution);
                        record.cheated = cheated;
                        self.journal.put(record)?;
                        self.logs.end(key);
                        self.clear(key);
                    }
                    Err(Unfinished::Failed(failure)) => self.give_up(key, failure)?,
                    Err(Unfinished::Cancelled) => {}
                }
            }
            Event::Sent(key, number, result) => {
                // The next letter may be on its way: its block can be seen before the answer to this one comes.
                let current = self.quiet.get(&key).filter(|q| q.letter == number);
                match (result, current) {
                    (Ok(()), Some(_)) => drop(self.quiet.remove(&key)),
                    (Ok(()), None) => {}
                    (Err(error), None) => debug!(%key, %error, "an earlier message was not taken by the chain"),
                    (Err(error), Some(quiet)) => {
                        // The chain's state decides what is next; the same again only after a while.
                        warn!(%key, %error, "not taken by the chain");
                        let until = Some(Instant::now() + quiet.wait);
                        let wait = (quiet.wait * 2).min(QUIET.1);
                        self.quiet.insert(key, Quiet { letter: number, until, wait });
                    }
                }
                return Ok(true);
            }
            Event::HeartbeatLost => self.heartbeats.retry(),
            Event::Pins(pins) => self.unpin(pins),
        }
        Ok(false)
    }

    fn give_up(&mut self, key: Key, failure: Failure) -> Result<()> {
        let Some(record) = self.records.get_mut(&key) else { return Ok(()) };
        let reason = Reason::try_from(failure.reason).unwrap_or_default();
        warn!(%key, reason = reason.as_str_name(), why = failure.text, "given up");
        record.phase = Phase::Failed;
        record.failure = Some(failure);
        self.journal.put(record)?;
        self.logs.end(key);
        self.clear(key);
        Ok(())
    }

    /// The files of a run are needed no more.
    fn clear(&mut self, key: Key) {
        self.ready.remove(&key);
        let dir = WorkDir::new(&self.options.home, key);
        spawn_blocking(move || dir.remove());
    }

    /// Looks at the chain and acts.
    async fn observe(&mut self) -> Result<()> {
        match self.port.assignments(self.provider).await {
            Ok(live) => {
                self.live = live.into_iter().filter_map(|l| Some((l.assignment.as_ref()?.into(), l))).collect();
            }
            Err(error) => {
                self.node_away(&error);
                return Ok(());
            }
        }
        self.gate.set_height(self.clock.height);
        self.beat();
        if self.clock.height >= self.swept.saturating_add(SWEEP_BLOCKS) || self.swept == 0 {
            self.swept = self.clock.height;
            self.sweep()?;
        }
        self.act().await
    }

    fn beat(&mut self) {
        if self.heartbeats.take(self.clock.height) {
            let events = self.events.clone();
            let height = self.clock.height;
            let done = move |result: Result<(), PortError>| match result {
                Ok(()) => debug!(height, "heartbeat"),
                Err(PortError::Refused(why)) => warn!(height, why, "heartbeat refused"),
                Err(PortError::Away(_)) => drop(events.send(Event::HeartbeatLost)),
            };
            let letter = Letter { messages: vec![registration::heartbeat(&self.address)], done: Box::new(done) };
            if self.letters.try_send(letter).is_err() {
                self.heartbeats.retry();
            }
        }
    }

    /// Does what is due, until nothing is.
    async fn act(&mut self) -> Result<()> {
        // Each round can only follow up on the one before: take, write down, begin.
        for _ in 0..4 {
            let actions = reconcile(&self.desired(), &self.observed());
            if actions.is_empty() {
                break;
            }
            for (key, action) in actions {
                self.perform(key, action).await?;
            }
        }
        Ok(())
    }

    fn desired(&self) -> BTreeMap<Key, Desired> {
        let slot = machine_memory() / u64::from(self.options.capacity.max(1));
        let desired = |live: &LiveAssignment| {
            let job = live.job.as_ref();
            let spec = job.and_then(|job| job.spec.as_ref());
            let policy = spec.and_then(|s| s.policy.as_ref()).and_then(|p| p.kind.as_ref());
            Desired {
                state: live.assignment.as_ref().map(|a| a.state()).unwrap_or_default(),
                reveals_open: job.is_some_and(|job| job.reveal_close_height > 0),
                alone: matches!(policy, Some(Kind::Attested(_))),
                takeable: spec.is_some_and(|spec| {
                    let limits = spec.limits.unwrap_or_default();
                    spec.kind() == JobKind::Batch
                        && spec.runtime() == Runtime::Wasm
                        && limits.memory_bytes.saturating_add(limits.output_bytes) <= slot
                }),
            }
        };
        self.live.iter().map(|(key, live)| (*key, desired(live))).collect()
    }

    fn observed(&self) -> BTreeMap<Key, Observed> {
        let now = Instant::now();
        let height = self.clock.height;
        let looked = |key: &Key| self.looked.get(key).is_some_and(|at| height < at.saturating_add(CONCLUDE_BLOCKS));
        let declined = Reason::WorkerDeclined as i32;
        self.records
            .iter()
            .filter(|(key, _)| self.live.contains_key(key) || !looked(key))
            .map(|(key, record)| {
                let quiet = self.quiet.get(key).is_some_and(|q| q.until.is_none_or(|until| until > now));
                let row = Observed {
                    phase: record.phase,
                    declined: record.failure.as_ref().is_some_and(|f| f.reason == declined),
                    task: self.tasks.get(key).map(|(task, _)| *task),
                    ready: self.ready.contains(key),
                    quiet,
                };
                (*key, row)
            })
            .collect()
    }

    async fn perform(&mut self, key: Key, action: Action) -> Result<()> {
        match action {
            Action::Accept => self.accept(key, None)?,
            Action::Decline => {
                let text = "this worker has no room for the job's memory and output, or not its runtime";
                self.accept(key, Some(failure(Reason::WorkerDeclined, text)))?;
            }
            Action::Stage => self.stage(key),
            Action::Run => self.start(key)?,
            Action::Say(say) => self.say(key, say),
            Action::Note(phase) => {
                if let Some(record) = self.records.get_mut(&key) {
                    info!(%key, ?phase, "on chain");
                    record.phase = phase;
                    self.journal.put(record)?;
                    self.quiet.remove(&key);
                }
            }
            Action::Abandon => {
                error!(%key, "the chain has a commitment that this journal knows nothing of: it cannot be revealed");
                self.cancel(key);
                let renter = self.renter(key);
                let record = self.records.entry(key).or_insert_with(|| Record::new(key, &renter));
                record.phase = Phase::Over;
                record.end = "the journal does not have the committed result".into();
                self.journal.put(record)?;
            }
            Action::Conclude => self.conclude(key).await?,
        }
        Ok(())
    }

    fn renter(&self, key: Key) -> String {
        self.live.get(&key).and_then(|l| l.job.as_ref()).map(|job| job.renter.clone()).unwrap_or_default()
    }

    fn accept(&mut self, key: Key, declined: Option<Failure>) -> Result<()> {
        let mut record = Record::new(key, &self.renter(key));
        if let Some(failure) = declined {
            info!(%key, why = failure.text, "declined");
            record.phase = Phase::Failed;
            record.failure = Some(failure);
        } else {
            info!(%key, renter = record.renter, "accepted");
            self.logs.expect(key);
        }
        self.journal.put(&record)?;
        self.renters.insert(key, &record.renter);
        self.records.insert(key, record);
        Ok(())
    }

    fn stage(&mut self, key: Key) {
        let Some(live) = self.live.get(&key) else { return };
        let (Some(job), Some(assignment)) = (&live.job, &live.assignment) else { return };
        let Some(spec) = job.spec.clone() else { return };
        let limit = spec.timeouts.unwrap_or_default().staging_seconds.saturating_mul(1000);
        let began = if assignment.acked_time_ms > 0 { assignment.acked_time_ms } else { self.clock.now_ms };
        let left = began.saturating_add(limit).saturating_sub(self.clock.now_ms);
        let stage = Stage {
            key,
            spec,
            inputs: live.inputs.clone(),
            store: self.store.clone(),
            dir: WorkDir::new(&self.options.home, key),
            own: self.options.public_endpoint.clone(),
            // The rest of the time is for what arrives slowly.
            patience: self.options.patience.min(Duration::from_millis(left / 2)),
            max_bytes: self.options.quota,
        };
        let cancel = CancellationToken::new();
        self.tasks.insert(key, (Task::Stage, cancel.clone()));
        let events = self.events.clone();
        tokio::spawn(async move {
            let staged = tokio::select! {
                staged = stage.run() => staged,
                () = cancel.cancelled() => Err(failure(Reason::NoResult, "cancelled")),
            };
            // The engine is gone when nobody listens.
            let _ = events.send(Event::Staged(key, staged));
        });
    }

    /// Starts the program, if there is time to commit to what it gives.
    fn start(&mut self, key: Key) -> Result<()> {
        let (Some(live), Some(record)) = (self.live.get(&key), self.records.get_mut(&key)) else { return Ok(()) };
        let (Some(job), Some(assignment)) = (&live.job, &live.assignment) else { return Ok(()) };
        let Some(spec) = job.spec.clone() else { return Ok(()) };
        let limit = spec.timeouts.unwrap_or_default().execution_seconds.saturating_mul(1000);
        let margin = (limit / COMMIT_MARGIN.0).min(COMMIT_MARGIN.1);
        let began = if assignment.running_time_ms > 0 { assignment.running_time_ms } else { self.clock.now_ms };
        let wall = began.saturating_add(limit - margin).saturating_sub(self.clock.now_ms);
        if wall == 0 {
            return self
                .give_up(key, failure(Reason::NoResult, "too little of the execution timeout is left to run it"));
        }
        record.phase = Phase::Running;
        record.runs += 1;
        self.journal.put(record)?;
        info!(%key, run = record.runs, wall_ms = wall, "running");
        let cancel = CancellationToken::new();
        let run = Run {
            key,
            renter: record.renter.clone(),
            spec,
            wall: Duration::from_millis(wall),
            finish_by: Instant::now() + Duration::from_millis(wall + margin / 2),
            provider: self.provider,
            dir: WorkDir::new(&self.options.home, key),
            store: self.store.clone(),
            logs: self.logs.clone(),
            gate: Arc::clone(&self.gate),
            executor: Arc::clone(&self.executor),
            cancel: cancel.clone(),
            #[cfg(feature = "demo")]
            cheat: Arc::clone(&self.cheat),
        };
        self.tasks.insert(key, (Task::Run, cancel));
        self.running.fetch_add(1, Ordering::Relaxed);
        let events = self.events.clone();
        tokio::spawn(async move {
            let result = run.run().await;
            let _ = events.send(Event::Ran(key, result));
        });
        Ok(())
    }

    fn cancel(&mut self, key: Key) {
        if let Some((_, cancel)) = self.tasks.get(&key) {
            cancel.cancel();
        }
    }

    /// Sends a message about an assignment, once until there is an answer.
    fn say(&mut self, key: Key, say: Say) {
        let Some(record) = self.records.get(&key) else { return };
        let messages = match messages(record, say, &self.address, &self.options.public_endpoint) {
            Ok(messages) => messages,
            Err(error) => {
                error!(%key, %error, "the journal's result cannot be read");
                return;
            }
        };
        let wait = self.quiet.get(&key).map_or(QUIET.0, |q| q.wait);
        let events = self.events.clone();
        self.written += 1;
        let letter = self.written;
        let done = move |result| drop(events.send(Event::Sent(key, letter, result)));
        if self.letters.try_send(Letter { messages, done: Box::new(done) }).is_ok() {
            info!(%key, ?say, "sending");
            self.quiet.insert(key, Quiet { letter, until: None, wait });
        }
    }

    /// An assignment is no longer alive on chain.
    async fn conclude(&mut self, key: Key) -> Result<()> {
        self.cancel(key);
        self.looked.insert(key, self.clock.height);
        let found = match self.port.job(key.job).await {
            Ok(found) => found,
            Err(error) => {
                self.node_away(&error);
                return Ok(());
            }
        };
        let Some(record) = self.records.get_mut(&key) else { return Ok(()) };
        let (ended, end) = how_it_ended(key, found.as_ref());
        let phase = if ended { Phase::Done } else { Phase::Over };
        if record.phase == phase {
            return Ok(());
        }
        info!(%key, end, "{}", if ended { "job ended" } else { "assignment ended" });
        record.phase = phase;
        record.end = end;
        record.done_height = if ended { self.clock.height } else { 0 };
        self.journal.put(record)?;
        self.quiet.remove(&key);
        self.logs.end(key);
        self.clear(key);
        if ended {
            self.gate.release(key);
            self.looked.remove(&key);
            self.sweep()?;
        }
        Ok(())
    }

    /// Forgets what was kept long enough, and looks for content that is needed no more.
    fn sweep(&mut self) -> Result<()> {
        let height = self.clock.height;
        let keep = self.options.keep_blocks;
        let old = |r: &&Record| r.phase == Phase::Done && r.done_height.saturating_add(keep) <= height;
        let forgotten: Vec<Key> = self.records.values().filter(old).map(|r| r.key).collect();
        for key in forgotten {
            self.journal.remove(key)?;
            self.records.remove(&key);
            self.renters.remove(key);
            self.logs.remove(key);
            debug!(%key, "forgotten");
        }
        let (store, events) = (self.store.clone(), self.events.clone());
        spawn_blocking(move || match store.pins() {
            Ok(pins) => drop(events.send(Event::Pins(pins))),
            Err(error) => warn!(%error, "pins cannot be listed"),
        });
        Ok(())
    }

    /// Lets go of content that nothing needs. Keys are never used again, so a pin that is not needed now never will be.
    fn unpin(&self, pins: Vec<(Cid, String)>) {
        let needed = |tag: &str| {
            let phase = |slug: &str| Some(self.records.get(&Key::from_slug(slug)?)?.phase);
            if let Some(slug) = tag.strip_prefix("stage/") {
                phase(slug).is_some_and(|phase| phase <= Phase::Running)
            } else if let Some(slug) = tag.strip_prefix("result/") {
                phase(slug).is_some()
            } else {
                upload_expiry(tag).is_none_or(|expires| expires > self.clock.height)
            }
        };
        let victims: Vec<_> = pins.into_iter().filter(|(_, tag)| !needed(tag)).collect();
        let (store, quota) = (self.store.clone(), self.options.quota);
        spawn_blocking(move || {
            for (root, tag) in victims {
                if let Err(error) = store.unpin(&root, &tag) {
                    warn!(tag, %error, "not unpinned");
                }
            }
            let full = store.usage().is_ok_and(|usage| usage.bytes > quota / 100 * GC_PERCENT.0);
            if full && let Err(error) = store.gc(quota / 100 * GC_PERCENT.1) {
                warn!(%error, "garbage not collected");
            }
        });
    }
}

/// Whether the job has ended, and what to say about it.
fn how_it_ended(key: Key, found: Option<&QueryJobResponse>) -> (bool, String) {
    let Some(found) = found else { return (true, "the chain does not know the job".into()) };
    let assignment = found.assignments.iter().find(|a| Key::from(*a) == key);
    let own = assignment.map_or(String::new(), |a| {
        let reason = a.end.as_ref().map_or("", |end| end.reason().as_str_name());
        format!("{} {reason} paid {} slashed {}", a.state().as_str_name(), a.paid, a.slashed)
    });
    let state = match (&found.job, &found.receipt) {
        (Some(job), _) => job.state(),
        (None, Some(receipt)) => receipt.state(),
        (None, None) => return (true, own),
    };
    let ended = matches!(state, JobState::Completed | JobState::Failed | JobState::Cancelled | JobState::Expired);
    (ended, format!("{}; {own}", state.as_str_name()))
}

/// The messages of one letter. Those that are always due together go together.
fn messages(record: &Record, say: Say, operator: &str, endpoint: &str) -> Result<Vec<Any>> {
    let Key { job: job_id, attempt, replica } = record.key;
    let operator = operator.to_owned();
    let staging = || pack(&MsgBeginStaging { operator: operator.clone(), job_id, attempt, replica });
    let commit = || -> Result<Any> {
        let execution = record.execution.as_ref().context("no execution")?;
        let commitment = hex::decode(&execution.commitment)?;
        Ok(pack(&MsgCommitResult { operator: operator.clone(), job_id, attempt, replica, commitment }))
    };
    let reveal = || -> Result<Any> {
        let execution = record.execution.as_ref().context("no execution")?;
        let mut reveal = Reveal::decode(hex::decode(&execution.reveal)?.as_slice())?;
        reveal.locations = vec![endpoint.to_owned()];
        Ok(pack(&MsgRevealResult { operator: operator.clone(), job_id, attempt, replica, reveal: Some(reveal) }))
    };
    Ok(match say {
        Say::Acknowledge => {
            vec![pack(&MsgAcknowledge { operator: operator.clone(), job_id, attempt, replica }), staging()]
        }
        Say::BeginStaging => vec![staging()],
        Say::BeginRun => vec![pack(&MsgBeginRun { operator, job_id, attempt, replica })],
        Say::Commit => vec![commit()?],
        Say::CommitAndReveal => vec![commit()?, reveal()?],
        Say::Reveal => vec![reveal()?],
        Say::Failure => {
            let failure = record.failure.as_ref().context("no failure")?;
            let evidence = Sha256::digest(&failure.text).to_vec();
            vec![pack(&MsgReportFailure { operator, job_id, attempt, replica, reason: failure.reason, evidence })]
        }
    })
}
