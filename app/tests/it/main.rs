//! gantryd as a process, beside a real CometBFT.
//!
//! Without a CometBFT binary (`$GANTRY_COMETBFT` or PATH) these tests say so and pass; with `GANTRY_REQUIRE_COMETBFT` set
//! they fail instead.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod history;
mod node;
#[cfg(feature = "test-panic")]
mod panic;
mod support;
