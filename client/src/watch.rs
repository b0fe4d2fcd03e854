//! Following jobs: what they are at now, and what changed since.

use std::{collections::BTreeMap, time::Duration};

use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use gantry_proto::gantry::{
    job::v1::{
        Assignment, AssignmentState, End, Job, JobState, QueryClockRequest, QueryGraphRequest, QueryJobRequest, Reason,
        Receipt,
    },
    provider::v1::QueryProviderRequest,
};

use crate::{Chain, ClientError, is_terminal};

/// How often the chain is asked whether it has a new block.
const POLL: Duration = Duration::from_millis(300);

/// What to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All jobs of a graph.
    Graph(u64),
    /// Some jobs.
    Jobs(Vec<u64>),
}

/// A worker's part in a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaView {
    /// Counts from 1.
    pub attempt: u32,
    /// Number within the attempt.
    pub replica: u32,
    /// What people call the provider.
    pub worker: String,
    /// How far it is.
    pub state: AssignmentState,
    /// Why it failed or lapsed, if it did.
    pub reason: Reason,
    /// What the worker got, after the fee.
    pub paid: u128,
    /// What it lost of its bond.
    pub slashed: u128,
}

/// A job and the workers at it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobView {
    /// Its id.
    pub id: u64,
    /// Its name in the graph.
    pub name: String,
    /// How far it is.
    pub state: JobState,
    /// How it ended, if not well.
    pub end: Option<End>,
    /// The current attempt, from 1.
    pub attempt: u32,
    /// Jobs that it still waits for.
    pub waits_for: u32,
    /// Market time of its submission, in milliseconds.
    pub submitted_ms: u64,
    /// Market time of its end, in milliseconds; 0 before.
    pub ended_ms: u64,
    /// Most that it may cost.
    pub max_total: Coin,
    /// What its workers got together.
    pub paid: u128,
    /// Workers of all attempts.
    pub replicas: Vec<ReplicaView>,
}

/// Jobs at one height.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The height.
    pub height: u64,
    /// Market time in milliseconds.
    pub now_ms: u64,
    /// The graph's label.
    pub label: String,
    /// The jobs, in the order of the graph or of the question.
    pub jobs: Vec<JobView>,
}

/// Something that happened between two snapshots.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A job came to another state.
    Job {
        /// The job as it is now.
        job: JobView,
        /// What it was; unset at the first look.
        from: Option<JobState>,
    },
    /// A worker's part came to another state.
    Replica {
        /// Id of the job.
        job: u64,
        /// Its name.
        name: String,
        /// The part as it is now.
        replica: ReplicaView,
        /// What it was; unset when it is new.
        from: Option<AssignmentState>,
        /// Denom of what is paid.
        denom: String,
    },
}

impl Snapshot {
    /// Whether no job will change any more.
    #[must_use]
    pub fn done(&self) -> bool {
        self.jobs.iter().all(|job| is_terminal(job.state))
    }

    /// Whether all jobs ended well.
    #[must_use]
    pub fn completed(&self) -> bool {
        self.jobs.iter().all(|job| job.state == JobState::Completed)
    }

    /// What is different from an earlier snapshot, in the order of the jobs; workers' steps before their job's.
    #[must_use]
    pub fn changes_since(&self, before: Option<&Self>) -> Vec<Change> {
        let mut changes = Vec::new();
        for job in &self.jobs {
            let old = before.and_then(|b| b.jobs.iter().find(|o| o.id == job.id));
            for replica in &job.replicas {
                let same = |r: &&ReplicaView| (r.attempt, r.replica) == (replica.attempt, replica.replica);
                let from = old.and_then(|o| o.replicas.iter().find(same)).map(|r| r.state);
                if from != Some(replica.state) {
                    let (name, denom) = (job.name.clone(), job.max_total.denom.clone());
                    changes.push(Change::Replica { job: job.id, name, replica: replica.clone(), from, denom });
                }
            }
            if old.is_none_or(|o| (o.state, o.attempt) != (job.state, job.attempt)) {
                changes.push(Change::Job { job: job.clone(), from: old.map(|o| o.state) });
            }
        }
        changes
    }

    /// What was paid, and the most that living jobs may still cost, by denom.
    #[must_use]
    pub fn money(&self) -> BTreeMap<&str, (u128, u128)> {
        let mut money: BTreeMap<&str, (u128, u128)> = BTreeMap::new();
        for job in &self.jobs {
            let (paid, open) = money.entry(&job.max_total.denom).or_default();
            *paid = paid.saturating_add(job.paid);
            if !is_terminal(job.state) {
                *open = open.saturating_add(job.max_total.amount.parse().unwrap_or(0));
            }
        }
        money
    }

    /// Market time since the first of the jobs was submitted, in milliseconds.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        let first = self.jobs.iter().map(|job| job.submitted_ms).filter(|ms| *ms > 0).min();
        first.map_or(0, |first| self.now_ms.saturating_sub(first))
    }
}

/// Follows jobs block by block.
#[derive(Debug)]
pub struct Watcher {
    chain: Chain,
    target: Target,
    names: BTreeMap<u64, String>,
    height: u64,
}

impl Watcher {
    /// Follows some jobs.
    #[must_use]
    pub fn new(chain: Chain, target: Target) -> Self {
        Self { chain, target, names: BTreeMap::new(), height: 0 }
    }

    /// The jobs at the next height that the node has; the first call answers at once.
    ///
    /// # Errors
    /// Those of the queries. After one that [is transient](ClientError::is_transient) another call goes on.
    pub async fn next(&mut self) -> Result<Snapshot, ClientError> {
        loop {
            let clock = self.chain.jobs().clock(QueryClockRequest {}).await?.into_inner();
            if clock.height > self.height {
                let (label, jobs) = self.read().await?;
                self.height = clock.height;
                return Ok(Snapshot { height: clock.height, now_ms: clock.now_ms, label, jobs });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn read(&mut self) -> Result<(String, Vec<JobView>), ClientError> {
        match self.target.clone() {
            Target::Graph(graph_id) => {
                let answer = self.chain.jobs().graph(QueryGraphRequest { graph_id }).await?.into_inner();
                let graph = answer.graph.ok_or_else(|| ClientError::Protocol("a graph without content".into()))?;
                let mut jobs = Vec::with_capacity(graph.job_ids.len());
                for id in graph.job_ids {
                    match answer.jobs.iter().find(|job| job.id == id) {
                        Some(job) => {
                            let own = answer.assignments.iter().filter(|a| a.job_id == id);
                            jobs.push(self.view(job, own).await?);
                        }
                        // Ended long ago: only a receipt is left.
                        None => jobs.push(self.job(id).await?),
                    }
                }
                Ok((graph.label, jobs))
            }
            Target::Jobs(ids) => {
                let mut jobs = Vec::with_capacity(ids.len());
                for id in ids {
                    jobs.push(self.job(id).await?);
                }
                Ok((String::new(), jobs))
            }
        }
    }

    async fn job(&mut self, id: u64) -> Result<JobView, ClientError> {
        let answer = self.chain.jobs().job(QueryJobRequest { job_id: id }).await?.into_inner();
        match (answer.job, answer.receipt) {
            (Some(job), _) => self.view(&job, answer.assignments.iter()).await,
            (None, Some(receipt)) => Ok(of_receipt(receipt)),
            (None, None) => Err(ClientError::Protocol(format!("job {id} without content"))),
        }
    }

    async fn view(&mut self, job: &Job, own: impl Iterator<Item = &Assignment>) -> Result<JobView, ClientError> {
        let mut replicas = Vec::new();
        for assignment in own {
            let worker = self.name(assignment.provider_id).await?;
            replicas.push(ReplicaView {
                attempt: assignment.attempt,
                replica: assignment.replica,
                worker,
                state: assignment.state(),
                reason: assignment.end.as_ref().map_or(Reason::Unspecified, End::reason),
                paid: assignment.paid.parse().unwrap_or(0),
                slashed: assignment.slashed.parse().unwrap_or(0),
            });
        }
        let spec = job.spec.clone().unwrap_or_default();
        Ok(JobView {
            id: job.id,
            name: spec.name,
            state: job.state(),
            end: job.end.clone(),
            attempt: job.attempt,
            waits_for: job.open_dependencies,
            submitted_ms: job.submitted_time_ms,
            ended_ms: job.ended_time_ms,
            max_total: spec.max_price_total.unwrap_or_default(),
            paid: replicas.iter().map(|r| r.paid).sum(),
            replicas,
        })
    }

    async fn name(&mut self, id: u64) -> Result<String, ClientError> {
        if let Some(name) = self.names.get(&id) {
            return Ok(name.clone());
        }
        let answer = self.chain.providers().provider(QueryProviderRequest { id }).await?.into_inner();
        let moniker = answer.provider.map(|p| p.moniker).filter(|moniker| !moniker.is_empty());
        let name = moniker.unwrap_or_else(|| format!("provider {id}"));
        self.names.insert(id, name.clone());
        Ok(name)
    }
}

fn of_receipt(receipt: Receipt) -> JobView {
    let state = receipt.state();
    let paid = receipt.paid.unwrap_or_default();
    JobView {
        id: receipt.job_id,
        name: format!("job {}", receipt.job_id),
        state,
        end: receipt.end,
        attempt: receipt.attempts,
        waits_for: 0,
        submitted_ms: 0,
        ended_ms: receipt.ended_time_ms,
        paid: paid.amount.parse().unwrap_or(0),
        max_total: paid,
        replicas: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(number: u32, state: AssignmentState) -> ReplicaView {
        ReplicaView {
            attempt: 1,
            replica: number,
            worker: format!("worker-{number}"),
            state,
            reason: Reason::Unspecified,
            paid: 0,
            slashed: 0,
        }
    }

    fn job(id: u64, state: JobState, replicas: Vec<ReplicaView>) -> JobView {
        JobView {
            id,
            name: format!("tile-{id}"),
            state,
            end: None,
            attempt: 1,
            waits_for: 0,
            submitted_ms: 1_000 * id,
            ended_ms: 0,
            max_total: Coin { denom: "ugantry".into(), amount: "100".into() },
            paid: 7,
            replicas,
        }
    }

    #[test]
    fn changes_are_what_differs_and_nothing_else() {
        let first = Snapshot {
            jobs: vec![job(1, JobState::Queued, vec![]), job(2, JobState::Pending, vec![])],
            ..Snapshot::default()
        };
        assert_eq!(first.changes_since(None).len(), 2);
        assert_eq!(first.changes_since(Some(&first)), []);

        let mut second = first.clone();
        second.jobs[0] = job(1, JobState::Active, vec![replica(0, AssignmentState::Offered)]);
        let [Change::Replica { from: None, job: 1, .. }, Change::Job { from: Some(JobState::Queued), .. }] =
            &second.changes_since(Some(&first))[..]
        else {
            panic!("a new worker, then the job's new state");
        };

        let mut third = second.clone();
        third.jobs[0].replicas[0].state = AssignmentState::Running;
        let [Change::Replica { from: Some(AssignmentState::Offered), replica, .. }] =
            &third.changes_since(Some(&second))[..]
        else {
            panic!("one worker's step");
        };
        assert_eq!(replica.state, AssignmentState::Running);

        // Another attempt in the same state is news too.
        let mut fourth = third.clone();
        fourth.jobs[0].attempt = 2;
        assert_eq!(fourth.changes_since(Some(&third)).len(), 1);
    }

    #[test]
    fn money_and_time_are_summed_over_the_jobs() {
        let snapshot = Snapshot {
            now_ms: 5_500,
            jobs: vec![job(1, JobState::Completed, vec![]), job(2, JobState::Active, vec![])],
            ..Snapshot::default()
        };
        assert_eq!(snapshot.money(), BTreeMap::from([("ugantry", (14, 100))]));
        assert_eq!(snapshot.elapsed_ms(), 4_500);
        assert!(!snapshot.done() && !snapshot.completed());
        let ended =
            Snapshot { jobs: vec![job(1, JobState::Completed, vec![]), job(2, JobState::Failed, vec![])], ..snapshot };
        assert!(ended.done() && !ended.completed());
    }
}
