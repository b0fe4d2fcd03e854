//! The market from submission to payment: jobs, draws, commitments, verdicts and money together, over a chain in memory.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod attacks;
mod chain;
mod faults;
mod happy;
mod money;
mod random;
mod refused;
mod seen;
