//! Every row of this module.

use gantry_proto::gantry::verifier::v1::{Params, Submission, Verdict};
use gantry_store::{DueQueue, Item, Map, Proto, StoreName, prefixes};

/// The module's store.
pub const STORE: StoreName = StoreName::new("verifier");

prefixes! {
    PARAMS_KEY = b"\x00";
    SUBMISSION = b"\x10";
    VERDICT = b"\x11";
    WINDOW = b"\x12";
    PRUNE = b"\x13";
}

/// Parameters.
pub const PARAMS: Item<Proto<Params>> = Item::new(STORE, PARAMS_KEY);
/// Commitments and reveals by (job, attempt, replica).
pub const SUBMISSIONS: Map<(u64, u32, u32), Proto<Submission>> = Map::new(STORE, SUBMISSION);
/// The last verdict on each job.
pub const VERDICTS: Map<u64, Proto<Verdict>> = Map::new(STORE, VERDICT);
/// (job, attempt) by the height at which its commitments close or its reveals are judged.
pub const WINDOWS: DueQueue<(u64, u32)> = DueQueue::new(STORE, WINDOW);
/// Jobs by the height at which what lies here about them may go.
pub const PRUNES: DueQueue<u64> = DueQueue::new(STORE, PRUNE);
