//! What must hold of every record.

use gantry_core::{Error, Invariant, Result};
use gantry_proto::gantry::reputation::v1::Record;
use gantry_store::{KvRead, Order};

use crate::{keeper::MAX_SCORE, state::RECORDS};

/// Shares are shares, and the penalty is at most the whole score.
pub(crate) fn check_record(record: &Record) -> Result<()> {
    let shares = [
        (record.uptime_good, record.uptime_all),
        (record.response_good, record.response_all),
        (record.completion_good, record.completion_all),
        (record.disputes_lost, record.disputes_all),
    ];
    if shares.iter().any(|(part, all)| part > all) || record.penalty > MAX_SCORE {
        return Err(Error::fatal(format!("reputation of provider {} is out of bounds", record.provider_id)));
    }
    Ok(())
}

pub(crate) const BOUNDED: Invariant = Invariant { name: "reputation/bounded", every_block: false, check: bounded };

fn bounded(state: &dyn KvRead) -> Result<()> {
    for row in RECORDS.iter(state, Order::Ascending)? {
        check_record(&row?.1)?;
    }
    Ok(())
}
