//! The market from submission to payment: jobs, draws, commitments, verdicts and money together, over a chain in memory.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, missing_docs, unreachable_pub, reason = "tests")]

mod chain;
mod happy;
