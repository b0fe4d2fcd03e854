//! Genesis: default, checks, import, export. Windows follow from the jobs, so jobs must be in place before.

use gantry_core::{Ctx, Result, sdk};
use gantry_job::state::{JOBS, SLASH_IDS, SLASHES};
use gantry_proto::gantry::verifier::v1::GenesisState;
use gantry_store::{KvRead, Order, Proto};

use crate::{
    keeper, params,
    state::{PARAMS, SUBMISSIONS, VERDICTS, WINDOWS},
};

pub(crate) fn default() -> GenesisState {
    GenesisState { params: Some(params::default_params()), ..GenesisState::default() }
}

pub(crate) fn validate(genesis: &GenesisState) -> Result<()> {
    let refuse = |why: &str| Err(sdk::invalid_request(format!("app_state.verifier: {why}")));
    let Some(params) = &genesis.params else { return refuse("params are missing") };
    params::validate(params)?;
    if genesis.slashes.windows(2).any(|pair| pair[0].id >= pair[1].id) || genesis.slashes.iter().any(|s| s.id == 0) {
        return refuse("slashes must ascend by id, from 1");
    }
    if genesis.submissions.iter().any(|s| s.commitment.len() != 32) {
        return refuse("a commitment has 32 bytes");
    }
    Ok(())
}

pub(crate) fn init(ctx: &mut dyn Ctx, genesis: GenesisState) -> Result<()> {
    validate(&genesis)?;
    PARAMS.set(ctx, &Proto(genesis.params.unwrap_or_else(params::default_params)))?;
    for row in genesis.submissions {
        keeper::first_submission(ctx, row.job_id)?;
        SUBMISSIONS.set(ctx, (row.job_id, row.attempt, row.replica), &row.into())?;
    }
    for row in genesis.verdicts {
        VERDICTS.set(ctx, row.job_id, &row.into())?;
    }
    for row in genesis.slashes {
        SLASH_IDS.set(ctx, row.id.saturating_add(1))?;
        SLASHES.set(ctx, row.id, &row.into())?;
    }
    let windows = JOBS
        .iter(&*ctx, Order::Ascending)?
        .filter_map(|row| match row {
            Ok((id, job)) if !job.is_ended() && job.commit_close_height > 0 => {
                let close = if job.reveal_close_height > 0 { job.reveal_close_height } else { job.commit_close_height };
                Some(Ok((close, (id, job.attempt))))
            }
            Ok(_) => None,
            Err(e) => Some(Err(e.into())),
        })
        .collect::<Result<Vec<_>>>()?;
    for (close, key) in windows {
        WINDOWS.schedule(ctx, close, key)?;
    }
    Ok(())
}

pub(crate) fn export(state: &dyn KvRead) -> Result<GenesisState> {
    let order = Order::Ascending;
    Ok(GenesisState {
        params: Some(params::get(state)?),
        submissions: SUBMISSIONS.iter(state, order)?.map(|row| Ok(row?.1.0)).collect::<Result<_>>()?,
        verdicts: VERDICTS.iter(state, order)?.map(|row| Ok(row?.1.0)).collect::<Result<_>>()?,
        slashes: SLASHES.iter(state, order)?.map(|row| Ok(row?.1.0)).collect::<Result<_>>()?,
    })
}
