//! Every row of this module.

use gantry_core::Address;
use gantry_proto::gantry::{
    job::v1::{Graph, Params, Receipt, ResolvedInput},
    verifier::v1::Slash,
};
use gantry_store::{DueQueue, IndexedMap, Item, Map, MultiIndex, Proto, Sequence, StoreName, index_list, prefixes};

use crate::types::{Assignment, AssignmentKey, Job, TaskKey};

/// The module's store.
pub const STORE: StoreName = StoreName::new("job");

prefixes! {
    PARAMS_KEY = b"\x00";
    CLOCK_KEY = b"\x01";
    LAST_BLOCK_KEY = b"\x02";
    NEXT_JOB = b"\x03";
    NEXT_GRAPH = b"\x04";
    CURSOR_KEY = b"\x05";
    NEXT_SLASH = b"\x06";
    JOB = b"\x10";
    JOB_BY_RENTER = b"\x11";
    GRAPH = b"\x12";
    ASSIGNMENT = b"\x13";
    ASSIGNMENT_BY_PROVIDER = b"\x14";
    EDGE = b"\x15";
    RESOLVED_INPUT = b"\x16";
    WAITING_JOB = b"\x17";
    BY_HEIGHT = b"\x18";
    BY_TIME = b"\x19";
    RECEIPT = b"\x1a";
    SLASH = b"\x1b";
    SLASH_BY_PROVIDER = b"\x1c";
    WORK_BY_HEIGHT = b"\x1d";
    WORK_BY_TIME = b"\x1e";
    FRESH_JOB = b"\x1f";
}

/// Parameters.
pub const PARAMS: Item<Proto<Params>> = Item::new(STORE, PARAMS_KEY);
/// Market time in milliseconds.
pub const CLOCK: Item<u64> = Item::new(STORE, CLOCK_KEY);
/// Header time of the last block in Unix milliseconds.
pub const LAST_BLOCK: Item<u64> = Item::new(STORE, LAST_BLOCK_KEY);
/// Ids of jobs, from 1.
pub const JOB_IDS: Sequence = Sequence::new(STORE, NEXT_JOB, 1);
/// Ids of graphs, from 1.
pub const GRAPH_IDS: Sequence = Sequence::new(STORE, NEXT_GRAPH, 1);
/// Ids of slashes, from 1.
pub const SLASH_IDS: Sequence = Sequence::new(STORE, NEXT_SLASH, 1);
/// The job that the next block's draws begin with.
pub const CURSOR: Item<u64> = Item::new(STORE, CURSOR_KEY);

index_list! {
    /// Indexes of jobs.
    pub struct JobIndexes for u64 => Job {
        /// Ids by renter.
        pub by_renter: MultiIndex<Address, u64, Job>,
    }
}

/// Jobs that have not shrunk to a receipt, by id.
pub const JOBS: IndexedMap<u64, Job, JobIndexes> = IndexedMap::new(
    STORE,
    JOB,
    JobIndexes { by_renter: MultiIndex::new(STORE, JOB_BY_RENTER, |_, job| Some(job.renter.clone())) },
);

/// The same rows, of which this is all that is read: who asks often does not decode 64 KiB each time.
pub const REVEAL_WINDOWS: Map<u64, Proto<RevealWindow>> = Map::new(STORE, JOB);

/// A part of the stored [`Job`](gantry_proto::gantry::job::v1::Job).
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RevealWindow {
    /// Height at which reveals close; 0 before commitments have closed.
    #[prost(uint64, tag = "20")]
    pub reveal_close_height: u64,
}

/// Graphs by id.
pub const GRAPHS: Map<u64, Proto<Graph>> = Map::new(STORE, GRAPH);

index_list! {
    /// Indexes of assignments.
    pub struct AssignmentIndexes for AssignmentKey => Assignment {
        /// Live ones by provider.
        pub live_by_provider: MultiIndex<u64, AssignmentKey, Assignment>,
    }
}

/// Assignments of jobs in [`JOBS`], by (job, attempt, replica).
pub const ASSIGNMENTS: IndexedMap<AssignmentKey, Assignment, AssignmentIndexes> = IndexedMap::new(
    STORE,
    ASSIGNMENT,
    AssignmentIndexes {
        live_by_provider: MultiIndex::new(STORE, ASSIGNMENT_BY_PROVIDER, |_, a| a.is_live().then_some(a.provider_id)),
    },
);

/// (job, job that waits for it), until the second has heard of the first one's end.
pub const EDGES: Map<(u64, u64), ()> = Map::new(STORE, EDGE);
/// Inputs taken from outputs, by (job, place in its spec).
pub const RESOLVED: Map<(u64, u32), Proto<ResolvedInput>> = Map::new(STORE, RESOLVED_INPUT);
/// Jobs that want workers, with the height at which they last came to want one; draws see them two blocks later.
///
/// Written by `keeper::want` and `keeper::want_no_more` alone.
pub const WAITING: Map<u64, u64> = Map::new(STORE, WAITING_JOB);
/// Those of them that no draw has looked at since, by the height of the first that may: they come before those that were
/// looked at in vain, so that no number of jobs which nobody can take holds up the others.
pub const FRESH: DueQueue<TaskKey> = DueQueue::new(STORE, FRESH_JOB);
/// Timers of workers by height. They have queues of their own, because behind each stands a place and bond, while renters
/// can make any number of timers fall due at once.
pub const WORK_HEIGHT: DueQueue<TaskKey> = DueQueue::new(STORE, WORK_BY_HEIGHT);
/// Timers of workers by market time.
pub const WORK_TIME: DueQueue<TaskKey> = DueQueue::new(STORE, WORK_BY_TIME);
/// Timers of jobs by height.
pub const DUE_HEIGHT: DueQueue<TaskKey> = DueQueue::new(STORE, BY_HEIGHT);
/// Timers of jobs by market time.
pub const DUE_TIME: DueQueue<TaskKey> = DueQueue::new(STORE, BY_TIME);
/// What is left of ended jobs.
pub const RECEIPTS: Map<u64, Proto<Receipt>> = Map::new(STORE, RECEIPT);

index_list! {
    /// Indexes of slashes.
    pub struct SlashIndexes for u64 => Proto<Slash> {
        /// Ids by provider.
        pub by_provider: MultiIndex<u64, u64, Proto<Slash>>,
    }
}

/// Every slash, by id. They lie here because a missed timeout costs bond too; `gantry.verifier.v1` serves them.
pub const SLASHES: IndexedMap<u64, Proto<Slash>, SlashIndexes> = IndexedMap::new(
    STORE,
    SLASH,
    SlashIndexes { by_provider: MultiIndex::new(STORE, SLASH_BY_PROVIDER, |_, slash| Some(slash.0.provider_id)) },
);

#[cfg(test)]
mod tests {
    use gantry_proto::gantry::job::v1 as pb;
    use prost::Message;

    use super::*;

    #[test]
    fn a_reveal_window_is_read_out_of_a_job() {
        let job = pb::Job { id: 3, commit_close_height: 5, reveal_close_height: 7, ..pb::Job::default() };
        assert_eq!(RevealWindow::decode(job.encode_to_vec().as_slice()), Ok(RevealWindow { reveal_close_height: 7 }));
    }
}
