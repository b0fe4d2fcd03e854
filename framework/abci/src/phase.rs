//! Where in a height the application stands, and which calls may come next.
//!
//! The order is the grammar of ABCI 2.0 as CometBFT v0.38 speaks it, with what its recovery adds: InitChain again while
//! nothing is committed, proposals again in later rounds, FinalizeBlock without a proposal before it (replay, or a locked
//! node), FinalizeBlock again after a crash before Commit.

use std::fmt;

/// The last thing that happened at the height being decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing yet: a fresh start, or a new chain with or without its genesis.
    Unset,
    /// A proposal of ours was built.
    Prepared,
    /// A proposal was judged.
    Processed,
    /// The decided block was executed and waits for its commit.
    Executed,
    /// The block before was committed; nothing has happened at this height.
    Committed,
}

/// The phase machine: one per application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    step: Step,
    /// The height being decided; none before InitChain of a new chain.
    next: Option<u64>,
    /// Whether any block was ever committed.
    started: bool,
}

/// A call that the grammar does not allow here. Answering it would fork or corrupt the state, so the node stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfOrder {
    call: &'static str,
    height: Option<u64>,
    phase: Phase,
}

impl fmt::Display for OutOfOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.call)?;
        if let Some(height) = self.height {
            write!(f, "of height {height} ")?;
        }
        match self.phase.next {
            Some(next) => write!(f, "while height {next} is {:?}", self.phase.step),
            None => write!(f, "before InitChain"),
        }
    }
}

impl std::error::Error for OutOfOrder {}

impl Phase {
    /// The phase after a start with `committed` as the last committed height; 0 for an empty store.
    #[must_use]
    pub fn at_start(committed: u64) -> Self {
        Self { step: Step::Unset, next: (committed > 0).then_some(committed + 1), started: committed > 0 }
    }

    /// The last step.
    #[must_use]
    pub fn step(&self) -> Step {
        self.step
    }

    /// The height being decided; none before InitChain of a new chain.
    #[must_use]
    pub fn height(&self) -> Option<u64> {
        self.next
    }

    /// InitChain: any number of times until the first commit.
    pub fn init_chain(&mut self, initial_height: u64) -> Result<(), OutOfOrder> {
        if self.started {
            return Err(self.out_of_order("InitChain", None));
        }
        self.step = Step::Unset;
        self.next = Some(initial_height);
        Ok(())
    }

    /// The state of a snapshot took the place of nothing. No InitChain comes before it, or one of which nothing came.
    pub fn restored(&mut self, height: u64) -> Result<(), OutOfOrder> {
        if self.started {
            return Err(self.out_of_order("ApplySnapshotChunk", Some(height)));
        }
        *self = Self::at_start(height);
        Ok(())
    }

    /// PrepareProposal: any round of the height. After Executed it means that CometBFT came back without the block.
    pub fn prepare(&mut self, height: u64) -> Result<(), OutOfOrder> {
        self.at("PrepareProposal", height)?;
        self.step = Step::Prepared;
        Ok(())
    }

    /// ProcessProposal: as [`Phase::prepare`].
    pub fn process(&mut self, height: u64) -> Result<(), OutOfOrder> {
        self.at("ProcessProposal", height)?;
        self.step = Step::Processed;
        Ok(())
    }

    /// FinalizeBlock: from anywhere in the height, also again.
    pub fn finalize(&mut self, height: u64) -> Result<(), OutOfOrder> {
        self.at("FinalizeBlock", height)?;
        self.step = Step::Executed;
        Ok(())
    }

    /// Commit: only of what was executed. Gives the height committed.
    pub fn commit(&mut self) -> Result<u64, OutOfOrder> {
        match (self.step, self.next) {
            (Step::Executed, Some(height)) => {
                *self = Self { step: Step::Committed, next: Some(height + 1), started: true };
                Ok(height)
            }
            _ => Err(self.out_of_order("Commit", None)),
        }
    }

    fn at(&self, call: &'static str, height: u64) -> Result<(), OutOfOrder> {
        if self.next == Some(height) { Ok(()) } else { Err(self.out_of_order(call, Some(height))) }
    }

    fn out_of_order(&self, call: &'static str, height: Option<u64>) -> OutOfOrder {
        OutOfOrder { call, height, phase: self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Call {
        Init(u64),
        Restore(u64),
        Prepare(u64),
        Process(u64),
        Finalize(u64),
        Commit,
    }
    use Call::*;

    fn run(committed: u64, calls: &[Call]) -> Result<Phase, OutOfOrder> {
        let mut phase = Phase::at_start(committed);
        for call in calls {
            match *call {
                Init(h) => phase.init_chain(h)?,
                Restore(h) => phase.restored(h)?,
                Prepare(h) => phase.prepare(h)?,
                Process(h) => phase.process(h)?,
                Finalize(h) => phase.finalize(h)?,
                Commit => drop(phase.commit()?),
            }
        }
        Ok(phase)
    }

    #[test]
    fn legal_orders() {
        for (what, committed, calls, step, next) in [
            (
                "clean start, we propose",
                0,
                vec![Init(1), Prepare(1), Process(1), Finalize(1), Commit],
                Step::Committed,
                2,
            ),
            ("clean start, another proposes", 0, vec![Init(1), Process(1), Finalize(1), Commit], Step::Committed, 2),
            ("initial height", 0, vec![Init(7), Finalize(7), Commit, Prepare(8)], Step::Prepared, 8),
            ("several rounds", 4, vec![Process(5), Prepare(5), Process(5), Process(5), Finalize(5)], Step::Executed, 5),
            ("block sync", 4, vec![Finalize(5), Commit, Finalize(6), Commit], Step::Committed, 7),
            (
                "crash before the first commit",
                0,
                vec![Init(1), Finalize(1), Init(1), Finalize(1), Commit],
                Step::Committed,
                2,
            ),
            ("crash after InitChain", 0, vec![Init(1), Init(1), Prepare(1)], Step::Prepared, 1),
            (
                "CometBFT replays a block it had finalized",
                4,
                vec![Finalize(5), Finalize(5), Commit],
                Step::Committed,
                6,
            ),
            (
                "CometBFT comes back without the block",
                4,
                vec![Finalize(5), Process(5), Finalize(5), Commit],
                Step::Committed,
                6,
            ),
            ("state sync", 0, vec![Restore(7), Finalize(8), Commit], Step::Committed, 9),
            ("state sync after InitChain", 0, vec![Init(1), Restore(7), Process(8)], Step::Processed, 8),
            ("restart after a commit", 5, vec![Process(6), Finalize(6), Commit], Step::Committed, 7),
        ] {
            let phase = run(committed, &calls).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!((phase.step(), phase.height()), (step, Some(next)), "{what}");
        }
    }

    #[test]
    fn illegal_orders() {
        for (what, committed, calls) in [
            ("InitChain on a chain that has blocks", 3, vec![Init(1)]),
            ("InitChain after the first commit", 0, vec![Init(1), Finalize(1), Commit, Init(1)]),
            ("a block before InitChain", 0, vec![Finalize(1)]),
            ("a proposal before InitChain", 0, vec![Prepare(1)]),
            ("Commit of nothing", 3, vec![Commit]),
            ("Commit twice", 3, vec![Finalize(4), Commit, Commit]),
            ("Commit of a proposal", 3, vec![Process(4), Commit]),
            ("Commit after InitChain", 0, vec![Init(1), Commit]),
            ("state sync on a chain that has blocks", 3, vec![Restore(7)]),
            ("state sync twice", 0, vec![Restore(7), Restore(8)]),
            ("InitChain after state sync", 0, vec![Restore(7), Init(1)]),
            ("a block before the state", 0, vec![Restore(7), Finalize(7)]),
            ("a height skipped", 3, vec![Finalize(5)]),
            ("a height repeated", 3, vec![Finalize(3)]),
            ("a proposal for another height", 3, vec![Process(5)]),
            ("the first block at another height", 0, vec![Init(7), Finalize(1)]),
        ] {
            assert!(run(committed, &calls).is_err(), "{what}");
        }
    }

    #[test]
    fn the_error_names_call_and_place() {
        assert_eq!(
            run(3, &[Finalize(5)]).unwrap_err().to_string(),
            "FinalizeBlock of height 5 while height 4 is Unset"
        );
        assert_eq!(run(0, &[Finalize(1)]).unwrap_err().to_string(), "FinalizeBlock of height 1 before InitChain");
    }
}
