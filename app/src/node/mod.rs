//! The node as a process: its home folder, its configuration, and CometBFT beside it.

pub mod config;
mod disk;
pub mod exit;
pub mod genesis;
pub mod home;
mod ports;
pub mod pruning;
pub mod start;
pub(crate) mod supervisor;
