//! The life of assignments and jobs, as data. Every change of state goes through [`step`]: what is not here cannot
//! happen. `by` says whose act (or whose silence) a step is; it becomes the actor of the end.

use gantry_proto::gantry::job::v1::{
    Actor, AssignmentState, JobState,
    Reason::{self, *},
};

/// One legal change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<S: 'static> {
    /// State before; unspecified for a new one.
    pub from: S,
    /// State after.
    pub to: S,
    /// Whose act or silence it is.
    pub by: Actor,
    /// Why; unspecified where all is well.
    pub reasons: &'static [Reason],
}

const WELL: &[Reason] = &[Unspecified];

/// What a worker may report: see `MsgReportFailure`.
pub const REPORTABLE: &[Reason] = &[ContentUnavailable, InvalidModule, NoResult, WorkerDeclined];

/// What as many workers as a verdict needs can end an attempt with: the job itself is at fault.
pub const FATAL_REPORTS: &[Reason] = &[ContentUnavailable, InvalidModule];

macro_rules! steps {
    ($state:ident: $($from:ident -> $to:ident, $by:ident, $reasons:expr;)*) => {
        &[$(Step { from: $state::$from, to: $state::$to, by: Actor::$by, reasons: $reasons }),*]
    };
}

/// The life of an assignment.
pub const ASSIGNMENT: &[Step<AssignmentState>] = steps! { AssignmentState:
    Unspecified -> Offered,   Chain,    WELL;
    Offered     -> Acked,     Provider, WELL;
    Acked       -> Staging,   Provider, WELL;
    Staging     -> Running,   Provider, WELL;
    Running     -> Committed, Provider, WELL;
    Committed   -> Revealed,  Provider, WELL;
    Revealed    -> Settled,   Chain,    WELL;
    // The worker is silent.
    Offered     -> Lapsed,    Provider, &[NoAcknowledgement];
    Acked       -> Failed,    Provider, &[StagingTimeout];
    Staging     -> Failed,    Provider, &[StagingTimeout];
    Running     -> Failed,    Provider, &[ExecutionTimeout];
    Committed   -> Failed,    Provider, &[RevealWithheld];
    // The worker gives up.
    Offered     -> Failed,    Provider, &[WorkerDeclined];
    Acked       -> Failed,    Provider, REPORTABLE;
    Staging     -> Failed,    Provider, REPORTABLE;
    Running     -> Failed,    Provider, REPORTABLE;
    // The others were faster, or the worker is wrong, or nobody can say.
    Offered     -> Failed,    Chain,    &[CommitLate, JobEnded];
    Acked       -> Failed,    Chain,    &[CommitLate, JobEnded];
    Staging     -> Failed,    Chain,    &[CommitLate, JobEnded];
    Running     -> Failed,    Chain,    &[CommitLate, JobEnded];
    Committed   -> Failed,    Chain,    &[JobEnded];
    Revealed    -> Failed,    Provider, &[WrongResult];
    Revealed    -> Failed,    Chain,    &[NoQuorum];
};

/// The life of a job.
pub const JOB: &[Step<JobState>] = steps! { JobState:
    Unspecified -> Pending,   Renter,   WELL;
    Unspecified -> Queued,    Renter,   WELL;
    Pending     -> Queued,    Chain,    WELL;
    Queued      -> Active,    Provider, WELL;
    // All workers at it were lost, or the attempt failed and another begins.
    Active      -> Queued,    Chain,    WELL;
    Active      -> Verifying, Chain,    WELL;
    Verifying   -> Queued,    Chain,    WELL;
    Verifying   -> Completed, Chain,    WELL;
    Pending     -> Cancelled, Renter,   &[CancelledByRenter];
    Queued      -> Cancelled, Renter,   &[CancelledByRenter];
    Active      -> Cancelled, Renter,   &[CancelledByRenter];
    Pending     -> Cancelled, Chain,    &[DependencyFailed];
    Queued      -> Expired,   Chain,    &[QueueTimeout, Deadline];
    Active      -> Expired,   Chain,    &[QueueTimeout, Deadline];
    Pending     -> Expired,   Chain,    &[Deadline];
    Verifying   -> Expired,   Chain,    &[Deadline];
    Queued      -> Failed,    Provider, &[ContentUnavailable, InvalidModule, RetriesExhausted];
    Active      -> Failed,    Provider, &[ContentUnavailable, InvalidModule, RetriesExhausted];
    Verifying   -> Failed,    Chain,    &[NoQuorum];
    Verifying   -> Failed,    Program,  &[ProgramFailed];
};

/// The step between two states for a reason, if it is legal.
pub fn step<S: Copy + PartialEq>(
    table: &'static [Step<S>],
    from: S,
    to: S,
    reason: Reason,
) -> Option<&'static Step<S>> {
    table.iter().find(|step| step.from == from && step.to == to && step.reasons.contains(&reason))
}

/// Whether an assignment is at work: it holds bond and a place, and its worker is waited for.
#[must_use]
pub fn is_live(state: AssignmentState) -> bool {
    is_acked(state) || state == AssignmentState::Offered
}

/// Whether its worker has acknowledged it and has not ended.
#[must_use]
pub fn is_acked(state: AssignmentState) -> bool {
    use AssignmentState::{Acked, Committed, Revealed, Running, Staging};
    matches!(state, Acked | Staging | Running | Committed | Revealed)
}

/// Whether a result is bound to it.
#[must_use]
pub fn is_committed(state: AssignmentState) -> bool {
    matches!(state, AssignmentState::Committed | AssignmentState::Revealed)
}

/// Whether a job has ended.
#[must_use]
pub fn is_terminal(state: JobState) -> bool {
    use JobState::{Cancelled, Completed, Expired, Failed};
    matches!(state, Completed | Failed | Cancelled | Expired)
}

/// The state that a job ends in for a reason; unspecified is the good end.
#[must_use]
pub fn end_state(reason: Reason) -> JobState {
    JOB.iter()
        .find(|step| is_terminal(step.to) && step.reasons.contains(&reason))
        .map_or(JobState::Failed, |step| step.to)
}

/// What a job's state follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// How it ended, if it has: unspecified is the good end.
    pub ended: Option<Reason>,
    /// Jobs that it waits for.
    pub open_dependencies: u32,
    /// Whether commitments of this attempt are closed.
    pub closed: bool,
}

/// A job's state: a pure function of the assignments of its attempt and of these facts.
pub fn derive(facts: Facts, assignments: impl IntoIterator<Item = AssignmentState>) -> JobState {
    match facts {
        Facts { ended: Some(reason), .. } => end_state(reason),
        Facts { open_dependencies: 1.., .. } => JobState::Pending,
        Facts { closed: true, .. } => JobState::Verifying,
        _ if assignments.into_iter().any(is_acked) => JobState::Active,
        _ => JobState::Queued,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeSet, VecDeque};

    fn all_reasons() -> Vec<Reason> {
        (0..64).filter_map(|n| Reason::try_from(n).ok()).collect()
    }

    /// Walks a table from the start: what is reached, and that nothing leads out of an end or to itself.
    fn walk<S: Copy + PartialEq + Ord + std::fmt::Debug>(
        table: &'static [Step<S>],
        start: S,
        ends: &[S],
    ) -> BTreeSet<S> {
        let mut seen = BTreeSet::from([start]);
        let mut queue = VecDeque::from([start]);
        while let Some(from) = queue.pop_front() {
            for step in table.iter().filter(|s| s.from == from) {
                assert!(!ends.contains(&from), "{step:?} leads out of an end");
                assert_ne!(step.from, step.to);
                assert!(!step.reasons.is_empty());
                // Ends otherwise than well have a reason, all else has none.
                if seen.insert(step.to) {
                    queue.push_back(step.to);
                }
            }
        }
        seen
    }

    #[test]
    fn every_state_is_reached_and_every_live_one_can_end() {
        use AssignmentState as A;
        let ends = [A::Settled, A::Lapsed, A::Failed];
        let seen = walk(ASSIGNMENT, A::Unspecified, &ends);
        assert_eq!(seen.len(), 10, "{seen:?}");
        for state in seen.into_iter().filter(|s| *s != A::Unspecified) {
            assert_eq!(is_live(state), !ends.contains(&state), "{state:?}");
            if is_live(state) {
                assert!(
                    ASSIGNMENT.iter().any(|s| s.from == state && s.to == A::Failed && s.by == Actor::Provider
                        || s.from == state && s.to == A::Lapsed
                        || state == A::Committed),
                    "{state:?} has no fault of its own"
                );
            }
        }

        let ends = [JobState::Completed, JobState::Failed, JobState::Cancelled, JobState::Expired];
        let seen = walk(JOB, JobState::Unspecified, &ends);
        assert_eq!(seen.len(), 9, "{seen:?}");
        for state in seen.into_iter().filter(|s| *s != JobState::Unspecified) {
            assert_eq!(is_terminal(state), ends.contains(&state));
            let can_expire = step(JOB, state, JobState::Expired, Deadline).is_some();
            assert_eq!(can_expire, !is_terminal(state), "{state:?}");
        }
    }

    #[test]
    fn a_step_is_unique_and_a_reason_goes_with_an_end() {
        for reason in all_reasons() {
            for one in ASSIGNMENT {
                let same =
                    |s: &&Step<AssignmentState>| (s.from, s.to) == (one.from, one.to) && s.reasons.contains(&reason);
                assert!(ASSIGNMENT.iter().filter(same).count() <= 1, "{reason:?} {one:?}");
                let fails = matches!(one.to, AssignmentState::Failed | AssignmentState::Lapsed);
                assert_eq!(fails, !one.reasons.contains(&Unspecified), "{one:?}");
            }
            let targets: BTreeSet<_> =
                JOB.iter().filter(|s| is_terminal(s.to) && s.reasons.contains(&reason)).map(|s| s.to).collect();
            assert!(targets.len() <= 1, "{reason:?} leads to {targets:?}");
            for one in JOB {
                let same = |s: &&Step<JobState>| (s.from, s.to) == (one.from, one.to) && s.reasons.contains(&reason);
                assert!(JOB.iter().filter(same).count() <= 1, "{reason:?} {one:?}");
            }
        }
        assert_eq!(end_state(Unspecified), JobState::Completed);
        assert_eq!(end_state(QueueTimeout), JobState::Expired);
        assert_eq!(end_state(DependencyFailed), JobState::Cancelled);
        assert_eq!(end_state(ProgramFailed), JobState::Failed);
    }

    #[test]
    fn a_committed_job_cannot_be_cancelled_by_its_table() {
        assert_eq!(step(JOB, JobState::Verifying, JobState::Cancelled, CancelledByRenter), None);
        assert_eq!(step(ASSIGNMENT, AssignmentState::Offered, AssignmentState::Running, Unspecified), None);
        assert_eq!(step(ASSIGNMENT, AssignmentState::Committed, AssignmentState::Failed, NoResult), None);
    }

    /// A table as the module's page shows it.
    fn page<S: Copy + std::fmt::Debug>(table: &'static [Step<S>]) -> String {
        let name = |text: String| if text == "Unspecified" { String::new() } else { text };
        let row = |step: &Step<S>| {
            let reasons: Vec<String> =
                step.reasons.iter().map(|r| name(r.as_str_name().trim_start_matches("REASON_").to_owned())).collect();
            let reasons = reasons.join(", ").replace("UNSPECIFIED", "");
            let by = format!("{:?}", step.by).to_lowercase();
            format!("| {} | {:?} | {by} | {reasons} |\n", name(format!("{:?}", step.from)), step.to).replace("  ", " ")
        };
        let head = "| from | to | whose act or silence | reason |\n|---|---|---|---|\n";
        head.to_owned() + &table.iter().map(row).collect::<String>()
    }

    #[test]
    fn the_page_shows_the_tables() {
        let readme = include_str!("../README.md");
        for table in [page(ASSIGNMENT), page(JOB)] {
            assert!(readme.contains(&table), "README.md should hold:\n{table}");
        }
    }
}
