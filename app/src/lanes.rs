//! What a block serves first: duties with a deadline, then the market, then everything else.

use gantry_abci::{Kind, Lanes};
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
pub(crate) const LANES: Lanes = Lanes { kind_of, bulk_percent: 80 };

/// Messages of the market.
const MARKET: &str = "/gantry.";

/// The most gas that a duty may want: the last opening of the largest job, several times over.
const DUTY_GAS: u64 = 10_000_000;

/// A duty that is due now, alone in its transaction and modest; the market's if all messages are.
fn kind_of(state: &dyn KvRead, height: u64, tx: &CheckedTx) -> Result<Kind> {
    let messages = tx.messages();
    if !messages.iter().all(|message| message.type_url().starts_with(MARKET)) {
        return Ok(Kind::Bulk);
    }
    let [message] = messages else { return Ok(Kind::Market) };
    if tx.fee().gas_limit > DUTY_GAS {
        return Ok(Kind::Market);
    }
    let message = message.as_any();
    let duty = if let Some(heartbeat) = message.downcast_ref::<MsgHeartbeat>() {
        heartbeat_due(state, height, heartbeat)
    } else if let Some(reveal) = message.downcast_ref::<MsgRevealResult>() {
        reveal_due(state, reveal)
    } else {
        Ok(None)
    };
    match duty {
        Ok(Some(name)) => Ok(Kind::Duty(name)),
        // What it would be refused for is no duty.
        Ok(None) | Err(Error::User(_)) => Ok(Kind::Market),
        Err(fatal) => Err(fatal),
    }
}

/// The one heartbeat of an epoch.
fn heartbeat_due(state: &dyn KvRead, height: u64, heartbeat: &MsgHeartbeat) -> Result<Option<Vec<u8>>> {
    let Some(provider) = active(state, &heartbeat.operator)? else { return Ok(None) };
    let due = providers::heartbeat_due(&provider, height, &providers::params(state)?);
    Ok(due.then(|| [b"heartbeat ".as_slice(), &provider.id.to_be_bytes()].concat()))
}

/// The opening of a commitment, once all commitments are in. Looks at the job, which can be long, last.
fn reveal_due(state: &dyn KvRead, reveal: &MsgRevealResult) -> Result<Option<Vec<u8>>> {
    let Some(provider) = active(state, &reveal.operator)? else { return Ok(None) };
    let MsgRevealResult { job_id, attempt, replica, .. } = *reveal;
    let assignment = jobs::assignment(state, (job_id, attempt, replica))?;
    let due = assignment.provider_id == provider.id
        && assignment.state == AssignmentState::Committed
        && jobs::reveals_open(state, job_id)?;
    let name =
        || [b"reveal ".as_slice(), &job_id.to_be_bytes(), &attempt.to_be_bytes(), &replica.to_be_bytes()].concat();
    Ok(due.then(name))
}

/// The active provider for which an address acts.
fn active(state: &dyn KvRead, operator: &str) -> Result<Option<Provider>> {
    let provider = providers::find_by_address(state, &Address::parse(operator)?)?;
    Ok(provider.filter(|provider| provider.status == ProviderStatus::Active))
}
