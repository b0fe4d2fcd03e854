//! What is fuzzed, one file a target.

pub mod abci;
pub mod chain;
pub mod content;
pub mod frames;
pub mod genesis;
pub mod jobfile;
pub mod query;
pub mod snapshot;
pub mod text;
pub mod token;
pub mod tree;
pub mod tx;

use crate::Target;

/// All targets.
pub const ALL: &[Target] = &[
    abci::TARGET,
    chain::TARGET,
    content::TARGET,
    frames::TARGET,
    genesis::TARGET,
    jobfile::TARGET,
    query::TARGET,
    snapshot::TARGET,
    text::TARGET,
    token::TARGET,
    tree::TARGET,
    tx::TARGET,
];
