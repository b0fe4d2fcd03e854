//! Domain types. `TryFrom` the wire form is the only way in, for messages, stored rows and genesis alike.

use gantry_core::{Address, Coin, Error, sdk};
use gantry_matching::Selection;
use gantry_proto::gantry::{
    job::v1::{self as pb, Actor, AssignmentState, JobState, Reason},
    verifier::v1::{VerificationPolicy, verification_policy::Kind},
};
use gantry_store::value_via_proto;

use crate::{
    errors::JobError,
    table::{Facts, is_live},
};

/// What releases a job's money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// One worker, whose word is taken.
    Attested,
    /// `n` distinct owners, of whom `k` must agree.
    Quorum {
        /// Votes for a verdict: more than half of `n`.
        k: u32,
        /// Replicas.
        n: u32,
    },
}

impl Policy {
    /// Replicas that run the job.
    #[must_use]
    pub fn replicas(self) -> u32 {
        match self {
            Self::Attested => 1,
            Self::Quorum { n, .. } => n,
        }
    }

    /// Equal results that a verdict needs.
    #[must_use]
    pub fn votes(self) -> u32 {
        match self {
            Self::Attested => 1,
            Self::Quorum { k, .. } => k,
        }
    }

    /// How the matcher finds this many of its workers.
    #[must_use]
    pub fn selection(self, seats: u32) -> Selection {
        match self {
            Self::Attested => Selection::Attested,
            Self::Quorum { .. } => Selection::Quorum { seats: u16::try_from(seats).unwrap_or(u16::MAX) },
        }
    }
}

impl TryFrom<&VerificationPolicy> for Policy {
    type Error = Error;

    fn try_from(policy: &VerificationPolicy) -> Result<Self, Error> {
        match &policy.kind {
            None => Err(JobError::BadPolicy("none is given".into()).into()),
            Some(Kind::Attested(_)) => Ok(Self::Attested),
            Some(Kind::Quorum(q)) if q.k > q.n || u64::from(q.k) * 2 <= u64::from(q.n) => {
                Err(JobError::BadPolicy(format!("{} of {} is no majority", q.k, q.n)).into())
            }
            Some(Kind::Quorum(q)) => Ok(Self::Quorum { k: q.k, n: q.n }),
        }
    }
}

/// What money a job may cost, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What releases the money.
    pub policy: Policy,
    /// Highest price of one replica for a second.
    pub max_price: Coin,
    /// What is locked for all replicas together; same denom.
    pub max_total: Coin,
    /// Longest run that is paid for, in milliseconds.
    pub max_run_ms: u64,
}

impl Terms {
    /// The most that one replica can be paid: its share of what is locked, and no more than its longest run costs.
    #[must_use]
    pub fn replica_cap(&self) -> u128 {
        let share = self.max_total.amount() / u128::from(self.policy.replicas().max(1));
        share.min(cost(self.max_price.amount(), self.max_run_ms))
    }
}

impl TryFrom<&pb::JobSpec> for Terms {
    type Error = Error;

    fn try_from(spec: &pb::JobSpec) -> Result<Self, Error> {
        let policy = Policy::try_from(&spec.policy.unwrap_or_default())?;
        let max_price = Coin::from_field(spec.max_price_per_second.as_ref(), "max_price_per_second")?;
        let max_total = Coin::from_field(spec.max_price_total.as_ref(), "max_price_total")?;
        let seconds = spec.timeouts.unwrap_or_default().execution_seconds;
        let max_run_ms =
            seconds.checked_mul(1000).ok_or_else(|| JobError::BadTimeouts("the execution timeout overflows".into()))?;
        Ok(Self { policy, max_price, max_total, max_run_ms })
    }
}

/// What a time costs at a price for a second: floored, and held at the largest amount there is.
#[must_use]
pub fn cost(price_per_second: u128, ms: u64) -> u128 {
    let ms = u128::from(ms);
    // In two parts, so that only a result that does not fit is held.
    let whole = price_per_second.saturating_mul(ms / 1000);
    whole.saturating_add(price_per_second.saturating_mul(ms % 1000) / 1000)
}

/// How something ended otherwise than well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub reason: Reason,
    /// Whose act or silence it was.
    pub actor: Actor,
    /// Hash of what shows it, or empty.
    pub evidence: Vec<u8>,
}

impl From<&End> for pb::End {
    fn from(end: &End) -> Self {
        Self { reason: end.reason.into(), actor: end.actor.into(), evidence: end.evidence.clone() }
    }
}

impl TryFrom<pb::End> for End {
    type Error = Error;

    fn try_from(end: pb::End) -> Result<Self, Error> {
        Ok(Self { reason: known(end.reason, "reason")?, actor: known(end.actor, "actor")?, evidence: end.evidence })
    }
}

/// A job. Fields without words here are those of `gantry.job.v1.Job`.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "described in the .proto file")]
pub struct Job {
    pub id: u64,
    pub graph_id: u64,
    pub renter: Address,
    pub spec: pb::JobSpec,
    /// What `spec` says about money.
    pub terms: Terms,
    pub state: JobState,
    pub end: Option<End>,
    pub attempt: u32,
    pub next_replica: u32,
    pub class_id: String,
    /// In the job's denom; 0 before the first draw of an attempt.
    pub price_per_second: u128,
    pub submitted_height: u64,
    pub submitted_time_ms: u64,
    pub queued_time_ms: u64,
    pub queued_height: u64,
    pub ended_height: u64,
    pub ended_time_ms: u64,
    pub dependencies: Vec<u64>,
    pub open_dependencies: u32,
    pub commit_close_height: u64,
    pub reveal_close_height: u64,
    pub output_cid: String,
    pub output_digest: Vec<u8>,
    pub output_locations: Vec<String>,
}

impl Job {
    /// An amount in its denom.
    #[must_use]
    pub fn coin(&self, amount: u128) -> Coin {
        Coin::new(self.terms.max_price.denom(), amount).expect("the denom was checked when the price was read")
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended_height > 0
    }

    /// What its state follows from, beside the assignments.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts {
            ended: self.is_ended().then(|| self.end.as_ref().map_or(Reason::Unspecified, |end| end.reason)),
            open_dependencies: self.open_dependencies,
            closed: self.reveal_close_height > 0,
        }
    }

    /// Market time at which it stops waiting for workers.
    #[must_use]
    pub fn queue_timeout_ms(&self) -> u64 {
        self.queued_time_ms.saturating_add(ms(self.timeouts().queue_seconds))
    }

    /// Market time by which it must have ended, if there is one.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        (self.spec.deadline_seconds > 0).then(|| self.submitted_time_ms.saturating_add(ms(self.spec.deadline_seconds)))
    }

    /// Its timeouts.
    #[must_use]
    pub fn timeouts(&self) -> pb::Timeouts {
        self.spec.timeouts.unwrap_or_default()
    }
}

/// Seconds as milliseconds, held at the end of time.
#[must_use]
pub(crate) fn ms(seconds: u64) -> u64 {
    seconds.saturating_mul(1000)
}

impl From<&Job> for pb::Job {
    fn from(job: &Job) -> Self {
        Self {
            id: job.id,
            graph_id: job.graph_id,
            renter: job.renter.to_string(),
            spec: Some(job.spec.clone()),
            state: job.state.into(),
            end: job.end.as_ref().map(Into::into),
            attempt: job.attempt,
            next_replica: job.next_replica,
            class_id: job.class_id.clone(),
            price_per_second: (job.price_per_second > 0).then(|| job.coin(job.price_per_second).to_proto()),
            submitted_height: job.submitted_height,
            submitted_time_ms: job.submitted_time_ms,
            queued_time_ms: job.queued_time_ms,
            queued_height: job.queued_height,
            ended_height: job.ended_height,
            ended_time_ms: job.ended_time_ms,
            dependencies: job.dependencies.clone(),
            open_dependencies: job.open_dependencies,
            commit_close_height: job.commit_close_height,
            reveal_close_height: job.reveal_close_height,
            output_cid: job.output_cid.clone(),
            output_digest: job.output_digest.clone(),
            output_locations: job.output_locations.clone(),
        }
    }
}

impl TryFrom<pb::Job> for Job {
    type Error = Error;

    fn try_from(job: pb::Job) -> Result<Self, Error> {
        let spec = job.spec.ok_or_else(|| sdk::invalid_request("a job without spec"))?;
        Ok(Self {
            terms: Terms::try_from(&spec)?,
            renter: Address::parse(&job.renter)?,
            state: known(job.state, "job state")?,
            end: job.end.map(TryInto::try_into).transpose()?,
            price_per_second: match &job.price_per_second {
                Some(price) => Coin::from_proto(price)?.amount(),
                None => 0,
            },
            spec,
            id: job.id,
            graph_id: job.graph_id,
            attempt: job.attempt,
            next_replica: job.next_replica,
            class_id: job.class_id,
            submitted_height: job.submitted_height,
            submitted_time_ms: job.submitted_time_ms,
            queued_time_ms: job.queued_time_ms,
            queued_height: job.queued_height,
            ended_height: job.ended_height,
            ended_time_ms: job.ended_time_ms,
            dependencies: job.dependencies,
            open_dependencies: job.open_dependencies,
            commit_close_height: job.commit_close_height,
            reveal_close_height: job.reveal_close_height,
            output_cid: job.output_cid,
            output_digest: job.output_digest,
            output_locations: job.output_locations,
        })
    }
}

value_via_proto!(Job => pb::Job);

/// (job, attempt, replica).
pub type AssignmentKey = (u64, u32, u32);

/// One worker at work on a job. Fields without words here are those of `gantry.job.v1.Assignment`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "described in the .proto file")]
pub struct Assignment {
    pub job_id: u64,
    pub attempt: u32,
    pub replica: u32,
    pub provider_id: u64,
    pub offer_id: u32,
    pub state: AssignmentState,
    pub end: Option<End>,
    /// In the bond denom; 0 once it has ended.
    pub reserved_bond: u128,
    pub offered_height: u64,
    pub acked_time_ms: u64,
    pub staging_time_ms: u64,
    pub running_time_ms: u64,
    pub committed_time_ms: u64,
    pub paid: u128,
    pub slashed: u128,
    pub committed_height: u64,
    pub revealed_height: u64,
    pub acked_height: u64,
    pub running_height: u64,
}

impl Assignment {
    /// What it is found by.
    #[must_use]
    pub fn key(&self) -> AssignmentKey {
        (self.job_id, self.attempt, self.replica)
    }

    /// Whether it is at work.
    #[must_use]
    pub fn is_live(&self) -> bool {
        is_live(self.state)
    }

    /// Why it ended, if it ended otherwise than well.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.end.as_ref().map_or(Reason::Unspecified, |end| end.reason)
    }

    /// Billed time of a committed run in milliseconds.
    #[must_use]
    pub fn run_ms(&self) -> u64 {
        self.committed_time_ms.saturating_sub(self.running_time_ms)
    }
}

impl From<&Assignment> for pb::Assignment {
    fn from(a: &Assignment) -> Self {
        Self {
            job_id: a.job_id,
            attempt: a.attempt,
            replica: a.replica,
            provider_id: a.provider_id,
            offer_id: a.offer_id,
            state: a.state.into(),
            end: a.end.as_ref().map(Into::into),
            reserved_bond: a.reserved_bond.to_string(),
            offered_height: a.offered_height,
            acked_time_ms: a.acked_time_ms,
            staging_time_ms: a.staging_time_ms,
            running_time_ms: a.running_time_ms,
            committed_time_ms: a.committed_time_ms,
            paid: a.paid.to_string(),
            slashed: a.slashed.to_string(),
            committed_height: a.committed_height,
            revealed_height: a.revealed_height,
            acked_height: a.acked_height,
            running_height: a.running_height,
        }
    }
}

impl TryFrom<pb::Assignment> for Assignment {
    type Error = Error;

    fn try_from(a: pb::Assignment) -> Result<Self, Error> {
        Ok(Self {
            job_id: a.job_id,
            attempt: a.attempt,
            replica: a.replica,
            provider_id: a.provider_id,
            offer_id: a.offer_id,
            state: known(a.state, "assignment state")?,
            end: a.end.map(TryInto::try_into).transpose()?,
            reserved_bond: integer(&a.reserved_bond)?,
            offered_height: a.offered_height,
            acked_time_ms: a.acked_time_ms,
            staging_time_ms: a.staging_time_ms,
            running_time_ms: a.running_time_ms,
            committed_time_ms: a.committed_time_ms,
            paid: integer(&a.paid)?,
            slashed: integer(&a.slashed)?,
            committed_height: a.committed_height,
            revealed_height: a.revealed_height,
            acked_height: a.acked_height,
            running_height: a.running_height,
        })
    }
}

value_via_proto!(Assignment => pb::Assignment);

/// A number that must be one of an enum's.
fn known<T: TryFrom<i32>>(number: i32, what: &str) -> Result<T, Error> {
    T::try_from(number).map_err(|_| sdk::invalid_request(format!("unknown {what} {number}")))
}

fn integer(text: &str) -> Result<u128, Error> {
    text.parse().map_err(|_| sdk::invalid_request(format!("{text:?} is not an amount")))
}

/// Work that falls due: at a height, or at a market time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Height: the acknowledgement is overdue.
    Lapse(AssignmentKey),
    /// Height: what a job's end means for those that wait for it.
    Cascade(u64),
    /// Height: an ended job shrinks to its receipt.
    Shrink(u64),
    /// Height: draws see the job from now on. They take these themselves.
    FirstDraw(u64),
    /// Time: the run should have begun.
    Staging(AssignmentKey),
    /// Time: the result should be committed.
    Execution(AssignmentKey),
    /// Time: enough workers should have acknowledged.
    Queue(u64),
    /// Time: the job should have ended.
    Deadline(u64),
}

/// (task, job, attempt, replica): how a task stands in a queue.
pub(crate) type TaskKey = (u8, u64, u32, u32);

impl Task {
    /// Whether it falls due by market time.
    #[must_use]
    pub(crate) fn by_time(self) -> bool {
        matches!(self, Self::Staging(_) | Self::Execution(_) | Self::Queue(_) | Self::Deadline(_))
    }

    /// Whether it is about a worker, rather than about a job.
    #[must_use]
    pub(crate) fn of_worker(self) -> bool {
        matches!(self, Self::Lapse(_) | Self::Staging(_) | Self::Execution(_))
    }

    /// Its key.
    #[must_use]
    pub(crate) fn key(self) -> TaskKey {
        let of = |task, (job, attempt, replica): AssignmentKey| (task, job, attempt, replica);
        match self {
            Self::Lapse(key) => of(1, key),
            Self::Cascade(job) => (2, job, 0, 0),
            Self::Shrink(job) => (3, job, 0, 0),
            Self::Staging(key) => of(4, key),
            Self::Execution(key) => of(5, key),
            Self::Queue(job) => (6, job, 0, 0),
            Self::Deadline(job) => (7, job, 0, 0),
            Self::FirstDraw(job) => (8, job, 0, 0),
        }
    }

    /// The task of a key.
    pub(crate) fn of((task, job, attempt, replica): TaskKey) -> Result<Self, Error> {
        let key = (job, attempt, replica);
        Ok(match task {
            1 => Self::Lapse(key),
            2 => Self::Cascade(job),
            3 => Self::Shrink(job),
            4 => Self::Staging(key),
            5 => Self::Execution(key),
            6 => Self::Queue(job),
            7 => Self::Deadline(job),
            8 => Self::FirstDraw(job),
            _ => return Err(Error::fatal(format!("no task has the number {task}"))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_proto::gantry::verifier::v1::Quorum;

    #[test]
    fn a_quorum_is_a_majority() {
        let policy = |k, n| Policy::try_from(&VerificationPolicy { kind: Some(Kind::Quorum(Quorum { k, n })) });
        for (k, n) in [(0, 0), (0, 1), (1, 2), (2, 4), (4, 3), (u32::MAX, 1), (1, u32::MAX)] {
            assert!(policy(k, n).is_err(), "{k} of {n}");
        }
        for (k, n) in [(1, 1), (2, 2), (2, 3), (3, 4), (u32::MAX, u32::MAX)] {
            assert_eq!(policy(k, n).unwrap(), Policy::Quorum { k, n });
        }
        assert!(Policy::try_from(&VerificationPolicy { kind: None }).is_err());
    }

    #[test]
    fn costs_are_floored_and_held() {
        assert_eq!(cost(10, 1500), 15);
        assert_eq!(cost(1, 999), 0);
        assert_eq!(cost(7, 1), 0);
        assert_eq!(cost(u128::MAX, 1000), u128::MAX);
        assert_eq!(cost(u128::MAX, u64::MAX), u128::MAX);
        assert_eq!(cost(u128::MAX / 1001, 500), (u128::MAX / 1001) * 500 / 1000);
    }

    #[test]
    fn tasks_survive_their_keys() {
        let key = (7, 2, 3);
        for task in [
            Task::Lapse(key),
            Task::Cascade(7),
            Task::Shrink(7),
            Task::Staging(key),
            Task::Execution(key),
            Task::Queue(7),
            Task::Deadline(7),
            Task::FirstDraw(7),
        ] {
            assert_eq!(Task::of(task.key()).unwrap(), task);
        }
        assert!(Task::of((0, 1, 1, 1)).is_err());
    }
}
