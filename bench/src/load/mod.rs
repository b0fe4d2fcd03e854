//! A load generator: streams of pre-signed transactions, one a sender, posted in order over keep-alive connections, and
//! the proof that they were executed.
//!
//! 1. [`Senders`] derives keys from numbers, so that a genesis can fund them ([`Payload`] says what they send).
//! 2. [`Senders::sign`] makes each one's next transactions before the clock starts.
//! 3. [`flood`] posts them, at a rate or as fast as they are taken, until all are executed.
//! 4. [`confirm`] reads the blocks back: only transactions with code 0 count. [`Senders::check_balances`] asks the
//!    application whether it agrees. [`run`] does 3 and 4, and posts again what a node took and dropped.

mod answer;
mod confirm;
mod flood;
mod gate;
mod rpc;
mod run;
mod senders;

pub use confirm::{Confirmed, confirm};
pub use flood::{Flood, FloodOptions, Seen, flood};
pub use rpc::Rpc;
pub use run::{Outcome, run};
pub use senders::{Bank, Payload, Senders, Stream};
