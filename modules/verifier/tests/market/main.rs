//! The market from submission to payment: jobs, draws, commitments, verdicts and money together, over a chain in memory.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a test may panic, and its numbers are small"
)]

mod attacks;
mod chain;
mod faults;
mod happy;
mod money;
mod random;
mod refused;
mod seen;
