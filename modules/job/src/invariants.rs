//! What must hold after every block.

use std::collections::{BTreeMap, BTreeSet};

use gantry_core::{Error, Invariant, Result};
use gantry_escrow::keeper as escrow;
use gantry_provider::keeper as provider;
use gantry_store::{KvRead, Order};

use crate::{
    keeper::{admitted_at, assignments},
    state::{ASSIGNMENTS, DUE_TIME, FRESH, JOBS, WAITING},
    table::{derive, is_acked},
    types::{Assignment, Job, Task},
};

/// The stored state of each job is what follows from its assignments; jobs wait exactly if they want workers; a job at
/// work has distinct owners in one class, never more than it asks for; an ended job has nobody at work.
pub(crate) const LIFECYCLE: Invariant = Invariant { name: "job/lifecycle", every_block: false, check: own };

/// Each provider's reserved bond is that of its live assignments; an ended job's escrow is empty.
pub(crate) const HOLDINGS: Invariant = Invariant { name: "job/holdings", every_block: false, check: holdings };

fn broken(words: String) -> Result<()> {
    Err(Error::fatal(words))
}

pub(crate) fn own(state: &dyn KvRead) -> Result<()> {
    for row in FRESH.iter(state)? {
        let (due, (_, id, ..)) = row?;
        if WAITING.get(state, id)?.map(admitted_at) != Some(due) {
            return broken(format!("job {id} has a first draw at {due} and does not wait for it"));
        }
    }
    let mut waiting: BTreeSet<u64> =
        WAITING.iter(state, Order::Ascending)?.map(|row| Ok(row?.0)).collect::<Result<_>>()?;
    for row in JOBS.iter(state, Order::Ascending)? {
        let (id, job) = row?;
        let all = assignments(state, id, job.attempt)?;
        let derived = derive(job.facts(), all.iter().map(|a| a.state));
        if derived != job.state {
            return broken(format!("job {id} is stored as {:?} and derived as {derived:?}", job.state));
        }
        check_job(state, &job, &all, waiting.remove(&id))?;
    }
    match waiting.first() {
        Some(id) => broken(format!("job {id} waits and does not exist")),
        None => Ok(()),
    }
}

fn check_job(state: &dyn KvRead, job: &Job, all: &[Assignment], waits: bool) -> Result<()> {
    let id = job.id;
    let replicas = u64::from(job.terms.policy.replicas());
    let live: Vec<_> = all.iter().filter(|a| a.is_live()).collect();
    if live.len() as u64 > replicas {
        return broken(format!("job {id} has {} workers and asked for {replicas}", live.len()));
    }
    if job.is_ended() && (!live.is_empty() || waits) {
        return broken(format!("job {id} has ended and is still worked at or waited for"));
    }
    if waits && (job.open_dependencies > 0 || job.commit_close_height > 0 || live.len() as u64 == replicas) {
        return broken(format!("job {id} wants no workers and waits"));
    }
    let idle = !job.is_ended() && job.open_dependencies == 0 && live.is_empty() && job.reveal_close_height == 0;
    if idle && !waits {
        return broken(format!("job {id} has no workers and waits for none"));
    }
    // Too few workers: a timer runs.
    let acked = all.iter().filter(|a| is_acked(a.state)).count() as u64;
    let short = !job.is_ended()
        && job.open_dependencies == 0
        && job.commit_close_height == 0
        && acked < u64::from(job.terms.policy.votes());
    if short && !DUE_TIME.has(state, job.queue_timeout_ms(), Task::Queue(id).key())? {
        return broken(format!("job {id} waits for workers without an end"));
    }
    let mut owners = BTreeSet::new();
    for a in live {
        if !owners.insert(provider::get(state, a.provider_id)?.owner) {
            return broken(format!("two replicas of job {id} have one owner"));
        }
    }
    Ok(())
}

fn holdings(state: &dyn KvRead) -> Result<()> {
    let mut reserved: BTreeMap<u64, u128> = BTreeMap::new();
    for row in ASSIGNMENTS.iter(state, Order::Ascending)? {
        let (key, a) = row?;
        if !a.is_live() && a.reserved_bond > 0 {
            return broken(format!("assignment {key:?} has ended and holds bond"));
        }
        let sum = reserved.entry(a.provider_id).or_default();
        *sum = sum.saturating_add(a.reserved_bond);
    }
    for (id, sum) in reserved {
        let held = provider::get(state, id)?.reserved;
        if held != sum {
            return broken(format!("provider {id} has {held} reserved, its assignments hold {sum}"));
        }
    }
    for row in JOBS.iter(state, Order::Ascending)? {
        let (id, job) = row?;
        let left = escrow::get(state, id)?.map_or(0, |escrow| escrow.left());
        if job.is_ended() && left > 0 {
            return broken(format!("job {id} has ended and {left} of its escrow is left"));
        }
    }
    Ok(())
}
