//! The methods of ABCI 2.0, one file each. Every request is destructured whole, so that no field is ignored unseen.

mod apply_snapshot_chunk;
mod check_tx;
mod commit;
mod echo;
mod extend_vote;
mod finalize_block;
mod flush;
mod info;
mod init_chain;
mod list_snapshots;
mod load_snapshot_chunk;
mod offer_snapshot;
mod prepare_proposal;
mod process_proposal;
mod query;
mod verify_vote_extension;

pub use self::query::query_engine;
pub(crate) use self::{
    apply_snapshot_chunk::apply_snapshot_chunk, check_tx::check_tx, commit::commit, echo::echo,
    extend_vote::extend_vote, finalize_block::finalize_block, flush::flush, info::info, init_chain::init_chain,
    list_snapshots::list_snapshots, load_snapshot_chunk::load_snapshot_chunk, offer_snapshot::offer_snapshot,
    prepare_proposal::prepare_proposal, process_proposal::process_proposal, query::query,
    verify_vote_extension::verify_vote_extension,
};

use crate::stop::Stop;

/// A height as the engine counts.
fn height(height: i64) -> Result<u64, Stop> {
    u64::try_from(height).map_err(|_| Stop::fatal(format!("CometBFT sent height {height}")))
}
