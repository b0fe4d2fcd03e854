//! Blocks executed before they are decided.

use std::thread::{self, JoinHandle};

use super::{block::Executed, inputs::InputsKey};
use crate::{server::or_abort, stop::Stop};

/// Executions that nobody has asked for yet, with those that nobody will; more proposals than this wait for FinalizeBlock.
const MAX_CANDIDATES: usize = 4;

/// The executions under way or done at the height being decided.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    at_height: Vec<Candidate>,
    /// Threads of heights before, still at work.
    forgotten: Vec<Execution>,
}

type Execution = JoinHandle<Result<Executed, Stop>>;

#[derive(Debug)]
struct Candidate {
    key: InputsKey,
    result: Execution,
}

impl Candidates {
    /// Starts `execute` on a thread of its own, unless these inputs are under way already or there are too many.
    pub(crate) fn start(&mut self, key: InputsKey, execute: impl FnOnce() -> Result<Executed, Stop> + Send + 'static) {
        self.forgotten.retain(|thread| !thread.is_finished());
        if self.at_height.len() + self.forgotten.len() >= MAX_CANDIDATES || self.has(key) {
            return;
        }
        let thread = thread::Builder::new()
            .name("execute".into())
            .spawn(move || or_abort("the execution of a proposal", execute));
        match thread {
            Ok(result) => self.at_height.push(Candidate { key, result }),
            Err(error) => tracing::warn!(%error, "no thread for a proposal; FinalizeBlock will execute it"),
        }
    }

    /// Whether these inputs are under way.
    pub(crate) fn has(&self, key: InputsKey) -> bool {
        self.at_height.iter().any(|candidate| candidate.key == key)
    }

    /// Waits for the execution of these inputs, if there is one.
    pub(crate) fn take(&mut self, key: InputsKey) -> Option<Result<Executed, Stop>> {
        let at = self.at_height.iter().position(|candidate| candidate.key == key)?;
        let candidate = self.at_height.swap_remove(at);
        Some(candidate.result.join().unwrap_or_else(|_| {
            // `or_abort` has ended the process before a panic could get here.
            Err(Stop::fatal("the execution of a proposal panicked"))
        }))
    }

    /// Forgets all; threads still at work finish unheard, on a snapshot that nobody else writes, and count until they do.
    pub(crate) fn clear(&mut self) {
        self.forgotten.extend(self.at_height.drain(..).map(|candidate| candidate.result));
    }
}
