//! From what the chain wants and what this worker has done to what is to be done next: a pure function.
//!
//! The chain's list of live assignments is the truth. Nothing here remembers: a worker that missed a hundred blocks, or
//! was killed between any two steps, does what is due now. An action may come again until its effect shows.

use std::collections::BTreeMap;

use gantry_proto::gantry::job::v1::AssignmentState;

use crate::{Key, journal::Phase};

/// A live assignment, as the chain has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Desired {
    /// How far it is on chain.
    pub state: AssignmentState,
    /// Commitments of the job are closed: reveals are taken.
    pub reveals_open: bool,
    /// Nobody else commits: the reveal may follow the commitment in one transaction.
    pub alone: bool,
    /// This worker can run it.
    pub takeable: bool,
}

/// What this worker is doing for an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Fetching content and laying it out.
    Stage,
    /// Running the program.
    Run,
}

/// An assignment, as this worker has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// How far it is in the journal.
    pub phase: Phase,
    /// It was given up before it was acknowledged.
    pub declined: bool,
    /// What is under way in this process.
    pub task: Option<Task>,
    /// Its files are laid out for the run.
    pub ready: bool,
    /// A message about it is on its way, or was refused a moment ago.
    pub quiet: bool,
}

/// A message about an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// Acknowledge, and begin to stage.
    Acknowledge,
    /// Begin to stage.
    BeginStaging,
    /// The program runs.
    BeginRun,
    /// The commitment.
    Commit,
    /// The commitment and, since nobody else commits, the reveal.
    CommitAndReveal,
    /// The reveal.
    Reveal,
    /// The reason why there is no result.
    Failure,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Take it: write it down.
    Accept,
    /// Refuse it: write that down.
    Decline,
    /// Fetch its content and lay it out.
    Stage,
    /// Start the program.
    Run,
    /// Send a message.
    Say(Say),
    /// Write down what the chain shows.
    Note(Phase),
    /// The chain has a commitment that the journal knows nothing of: nothing can be revealed.
    Abandon,
    /// It is no longer alive on chain: stop what is under way and find out how it ended.
    Conclude,
}

/// What is to be done now, in order, at most a few steps per assignment.
#[must_use]
pub fn reconcile(desired: &BTreeMap<Key, Desired>, observed: &BTreeMap<Key, Observed>) -> Vec<(Key, Action)> {
    let mut actions = Vec::new();
    for (key, desired) in desired {
        one(desired, observed.get(key), |action| actions.push((*key, action)));
    }
    let gone = observed.iter().filter(|(key, o)| !desired.contains_key(key) && o.phase != Phase::Done);
    actions.extend(gone.map(|(key, _)| (*key, Action::Conclude)));
    actions
}

fn one(desired: &Desired, observed: Option<&Observed>, mut act: impl FnMut(Action)) {
    use AssignmentState::{Acked, Committed, Offered, Revealed, Running, Staging};
    let state = desired.state;
    let Some(o) = observed else {
        return act(match state {
            Offered if !desired.takeable => Action::Decline,
            Offered | Acked | Staging | Running => Action::Accept,
            // Not ours to continue: its nonce is lost.
            _ => Action::Abandon,
        });
    };
    let mut say = |say| {
        if !o.quiet {
            act(Action::Say(say));
        }
    };
    // What the chain waits for.
    match (state, o.phase) {
        (_, Phase::Over | Phase::Done) => return,
        (Offered, Phase::Failed) if o.declined => return say(Say::Failure),
        (Offered, _) => say(Say::Acknowledge),
        (Acked | Staging | Running, Phase::Failed) => return say(Say::Failure),
        (Acked, _) => say(Say::BeginStaging),
        (Staging, Phase::Running | Phase::Executed) => say(Say::BeginRun),
        (Running, Phase::Executed) if desired.alone => say(Say::CommitAndReveal),
        (Running, Phase::Executed) => say(Say::Commit),
        (Committed, Phase::Executed) => act(Action::Note(Phase::Committed)),
        (Committed, Phase::Committed) if desired.reveals_open => say(Say::Reveal),
        (Revealed, Phase::Executed | Phase::Committed) => act(Action::Note(Phase::Revealed)),
        (Committed | Revealed, Phase::Accepted | Phase::Staged | Phase::Running | Phase::Failed) => {
            return act(Action::Abandon);
        }
        _ => {}
    }
    // What this worker has to do for it. A run starts when the chain can take word of it.
    match (o.phase, o.task) {
        (Phase::Accepted | Phase::Staged | Phase::Running, None) if !o.ready => act(Action::Stage),
        (Phase::Staged | Phase::Running, None) if matches!(state, Staging | Running) => act(Action::Run),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use AssignmentState::*;

    use super::*;

    const KEY: Key = Key { job: 1, attempt: 1, replica: 0 };

    fn desired(state: AssignmentState) -> Desired {
        Desired { state, reveals_open: false, alone: false, takeable: true }
    }

    fn observed(phase: Phase) -> Observed {
        Observed { phase, declined: false, task: None, ready: true, quiet: false }
    }

    fn actions(desired: Option<Desired>, observed: Option<Observed>) -> Vec<Action> {
        let desired = desired.map(|d| (KEY, d)).into_iter().collect();
        let observed = observed.map(|o| (KEY, o)).into_iter().collect();
        reconcile(&desired, &observed).into_iter().map(|(_, action)| action).collect()
    }

    /// State on chain, row in the journal, and what follows.
    #[test]
    fn the_table() {
        use Action::{Abandon, Accept, Conclude, Note, Run, Stage};
        let say = Action::Say;
        let unready = |phase| Observed { ready: false, ..observed(phase) };
        let busy = |phase, task| Observed { task: Some(task), ready: task == Task::Run, ..observed(phase) };
        let cases: &[(AssignmentState, Option<Observed>, &[Action])] = &[
            // A straight life.
            (Offered, None, &[Accept]),
            (Offered, Some(unready(Phase::Accepted)), &[say(Say::Acknowledge), Stage]),
            (Offered, Some(busy(Phase::Accepted, Task::Stage)), &[say(Say::Acknowledge)]),
            (Offered, Some(observed(Phase::Staged)), &[say(Say::Acknowledge)]),
            (Acked, Some(busy(Phase::Accepted, Task::Stage)), &[say(Say::BeginStaging)]),
            (Staging, Some(busy(Phase::Accepted, Task::Stage)), &[]),
            (Staging, Some(observed(Phase::Staged)), &[Run]),
            (Staging, Some(busy(Phase::Running, Task::Run)), &[say(Say::BeginRun)]),
            (Running, Some(busy(Phase::Running, Task::Run)), &[]),
            (Staging, Some(observed(Phase::Executed)), &[say(Say::BeginRun)]),
            (Running, Some(observed(Phase::Executed)), &[say(Say::Commit)]),
            (Committed, Some(observed(Phase::Executed)), &[Note(Phase::Committed)]),
            (Committed, Some(observed(Phase::Committed)), &[]),
            (Revealed, Some(observed(Phase::Committed)), &[Note(Phase::Revealed)]),
            (Revealed, Some(observed(Phase::Executed)), &[Note(Phase::Revealed)]),
            (Revealed, Some(observed(Phase::Revealed)), &[]),
            // After a crash: the files are gone from memory, the journal is not.
            (Staging, Some(unready(Phase::Accepted)), &[Stage]),
            (Staging, Some(unready(Phase::Staged)), &[Stage]),
            (Running, Some(unready(Phase::Running)), &[Stage]),
            (Running, Some(observed(Phase::Running)), &[Run]),
            (Staging, Some(observed(Phase::Running)), &[say(Say::BeginRun), Run]),
            (Running, Some(unready(Phase::Executed)), &[say(Say::Commit)]),
            // The journal is lost, or of another machine.
            (Acked, None, &[Accept]),
            (Running, None, &[Accept]),
            (Committed, None, &[Abandon]),
            (Revealed, None, &[Abandon]),
            (Committed, Some(unready(Phase::Accepted)), &[Abandon]),
            // Given up.
            (Offered, Some(unready(Phase::Failed)), &[say(Say::Acknowledge)]),
            (Acked, Some(unready(Phase::Failed)), &[say(Say::Failure)]),
            (Running, Some(unready(Phase::Failed)), &[say(Say::Failure)]),
            (Committed, Some(unready(Phase::Over)), &[]),
        ];
        for (state, row, expected) in cases {
            assert_eq!(actions(Some(desired(*state)), *row), *expected, "{state:?} {row:?}");
        }
        for phase in [Phase::Accepted, Phase::Running, Phase::Committed, Phase::Failed, Phase::Over] {
            assert_eq!(actions(None, Some(observed(phase))), [Conclude], "{phase:?}");
        }
        assert_eq!(actions(None, Some(observed(Phase::Done))), []);
    }

    #[test]
    fn reveals_wait_until_commitments_are_closed() {
        let open = Desired { reveals_open: true, ..desired(Committed) };
        assert_eq!(actions(Some(open), Some(observed(Phase::Committed))), [Action::Say(Say::Reveal)]);
        assert_eq!(actions(Some(desired(Committed)), Some(observed(Phase::Committed))), []);
        let alone = Desired { alone: true, ..desired(Running) };
        assert_eq!(actions(Some(alone), Some(observed(Phase::Executed))), [Action::Say(Say::CommitAndReveal)]);
    }

    #[test]
    fn what_cannot_be_run_is_declined_before_the_acknowledgement() {
        let heavy = Desired { takeable: false, ..desired(Offered) };
        assert_eq!(actions(Some(heavy), None), [Action::Decline]);
        let declined = Observed { declined: true, ready: false, ..observed(Phase::Failed) };
        assert_eq!(actions(Some(heavy), Some(declined)), [Action::Say(Say::Failure)]);
    }

    #[test]
    fn nothing_is_said_twice_while_word_is_on_its_way() {
        for state in [Offered, Acked, Staging, Running, Committed, Revealed] {
            for phase in [Phase::Accepted, Phase::Staged, Phase::Running, Phase::Executed, Phase::Committed] {
                let quiet = Observed { quiet: true, ..observed(phase) };
                let open = Desired { reveals_open: true, ..desired(state) };
                let said = actions(Some(open), Some(quiet)).into_iter().any(|a| matches!(a, Action::Say(_)));
                assert!(!said, "{state:?} {phase:?}");
            }
        }
    }

    #[test]
    fn a_finished_execution_never_runs_again() {
        for state in [Offered, Acked, Staging, Running, Committed, Revealed] {
            for phase in [Phase::Executed, Phase::Committed, Phase::Revealed, Phase::Failed, Phase::Over, Phase::Done] {
                for ready in [false, true] {
                    let row = Observed { ready, ..observed(phase) };
                    let again = actions(Some(desired(state)), Some(row))
                        .into_iter()
                        .any(|a| matches!(a, Action::Run | Action::Stage | Action::Accept));
                    assert!(!again, "{state:?} {phase:?}");
                }
            }
        }
    }
}
