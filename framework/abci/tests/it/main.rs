//! The engine, the socket server and their crashes, over real auth and bank.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod blocks;
mod candidates;
mod crash;
mod mempool;
mod proposals;
mod queries;
mod snapshots;
mod socket;
mod support;
