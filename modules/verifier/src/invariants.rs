//! What must hold after every block.

use gantry_core::{Error, Invariant, Result};
use gantry_job::{Assignment, state::JOBS, table::is_committed};
use gantry_proto::gantry::job::v1::AssignmentState;
use gantry_store::{KvRead, Order};

use crate::state::{SUBMISSIONS, WINDOWS};

/// Each committed assignment has a commitment here, each revealed one a reveal; each open window has its end in the
/// queue, so that no job can verify for ever.
pub(crate) const WINDOWED: Invariant = Invariant { name: "verifier/windowed", every_block: false, check };

fn check(state: &dyn KvRead) -> Result<()> {
    for row in JOBS.iter(state, Order::Ascending)? {
        let (id, job) = row?;
        if job.is_ended() {
            continue;
        }
        let committed = |a: &Assignment| is_committed(a.state);
        for a in gantry_job::keeper::live(state, &job)?.into_iter().filter(committed) {
            let row = SUBMISSIONS.get(state, a.key())?;
            let opened = row.as_ref().is_some_and(|row| row.0.reveal.is_some());
            if row.is_none() || opened != (a.state == AssignmentState::Revealed) {
                return Err(Error::fatal(format!(
                    "job {id}: the submission of replica {} is not as the assignment says",
                    a.replica
                )));
            }
        }
        let close = if job.reveal_close_height > 0 { job.reveal_close_height } else { job.commit_close_height };
        if close > 0 && !WINDOWS.has(state, close, (id, job.attempt))? {
            return Err(Error::fatal(format!("job {id}: nothing ends the window that closes at {close}")));
        }
    }
    Ok(())
}
