//! What a block serves first: duties with a deadline, then the market, then everything else.

use gantry_abci::{Lane, Lanes};
use gantry_core::{Address, Error, Result};
use gantry_job::keeper as jobs;
use gantry_proto::gantry::{
    job::v1::AssignmentState,
    provider::v1::{MsgHeartbeat, ProviderStatus},
    verifier::v1::MsgRevealResult,
};
use gantry_provider::{Provider, keeper as providers};
use gantry_store::KvRead;
use gantry_tx::CheckedTx;

/// The lanes of Gantry. Transfers and the like leave a fifth of a block to the market, whatever they pay.
pub(crate) const LANES: Lanes = Lanes { lane_of, bulk_percent: 80 };

/// Messages of the market.
const MARKET: &str = "/gantry.";

/// System if all messages are duties that are due now; market if all are the market's.
fn lane_of(state: &dyn KvRead, height: u64, tx: &CheckedTx) -> Result<Lane> {
    let messages = tx.messages();
    if !messages.iter().all(|message| message.type_url().starts_with(MARKET)) {
        return Ok(Lane::Bulk);
    }
    for message in messages {
        let message = message.as_any();
        let due = if let Some(heartbeat) = message.downcast_ref::<MsgHeartbeat>() {
            heartbeat_due(state, height, heartbeat)
        } else if let Some(reveal) = message.downcast_ref::<MsgRevealResult>() {
            reveal_due(state, reveal)
        } else {
            Ok(false)
        };
        match due {
            Ok(true) => {}
            // What it would be refused for is no duty.
            Ok(false) | Err(Error::User(_)) => return Ok(Lane::Market),
            Err(fatal) => return Err(fatal),
        }
    }
    Ok(Lane::System)
}

/// The one heartbeat of an epoch.
fn heartbeat_due(state: &dyn KvRead, height: u64, heartbeat: &MsgHeartbeat) -> Result<bool> {
    let provider = active(state, &heartbeat.operator)?;
    let due = |provider| Ok(providers::heartbeat_due(&provider, height, &providers::params(state)?));
    provider.map_or(Ok(false), due)
}

/// The opening of a commitment, once all commitments are in.
fn reveal_due(state: &dyn KvRead, reveal: &MsgRevealResult) -> Result<bool> {
    if active(state, &reveal.operator)?.is_none() {
        return Ok(false);
    }
    let operator = Address::parse(&reveal.operator)?;
    let (job, assignment) = jobs::assigned(state, &operator, (reveal.job_id, reveal.attempt, reveal.replica))?;
    Ok(assignment.state == AssignmentState::Committed && job.reveal_close_height != 0)
}

/// The active provider for which an address acts.
fn active(state: &dyn KvRead, operator: &str) -> Result<Option<Provider>> {
    let provider = providers::find_by_address(state, &Address::parse(operator)?)?;
    Ok(provider.filter(|provider| provider.status == ProviderStatus::Active))
}
