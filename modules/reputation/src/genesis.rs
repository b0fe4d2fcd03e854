//! Genesis: default, checks, import, export.

use gantry_core::{Ctx, Result};
use gantry_proto::gantry::reputation::v1::GenesisState;
use gantry_store::{KvRead, Order, Proto};

use crate::{
    ReputationError,
    invariants::check_record,
    keeper,
    params::{default_params, validate_params},
    state::{PARAMS, RECORDS},
};

pub(crate) fn default() -> GenesisState {
    GenesisState { params: Some(default_params()), records: Vec::new() }
}

pub(crate) fn validate(state: &GenesisState) -> Result<()> {
    let refuse = |why: String| Err(ReputationError::Genesis(why).into());
    let Some(params) = &state.params else {
        return refuse("params are missing".to_owned());
    };
    validate_params(params)?;
    for (i, record) in state.records.iter().enumerate() {
        if record.provider_id == 0 || check_record(record).is_err() {
            return refuse(format!("record {i} is out of bounds"));
        }
        if i > 0 && state.records[i - 1].provider_id >= record.provider_id {
            return refuse("records must ascend by provider_id".to_owned());
        }
    }
    Ok(())
}

pub(crate) fn init(ctx: &mut dyn Ctx, state: GenesisState) -> Result<()> {
    validate(&state)?;
    PARAMS.set(ctx, &Proto(state.params.unwrap_or_else(default_params)))?;
    for record in state.records {
        RECORDS.set(ctx, record.provider_id, &Proto(record))?;
    }
    Ok(())
}

pub(crate) fn export(state: &dyn KvRead) -> Result<GenesisState> {
    let records = RECORDS.iter(state, Order::Ascending)?.map(|row| Ok(row?.1.0)).collect::<Result<_>>()?;
    Ok(GenesisState { params: Some(keeper::params(state)?), records })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, outcome::newcomer};
    use gantry_core::{BlockInfo, Empty, InitCtx};
    use gantry_store::Overlay;

    #[test]
    fn an_exported_state_imports_as_itself() {
        let block = BlockInfo::default();
        let mut first = Overlay::new(Empty);
        let mut ctx = InitCtx::new(&mut first, &block);
        init(&mut ctx, default()).unwrap();
        keeper::record(&mut ctx, 7, Outcome::DataFraud).unwrap();
        keeper::record(&mut ctx, 3, Outcome::Completed).unwrap();

        let mut second = Overlay::new(Empty);
        init(&mut InitCtx::new(&mut second, &block), export(&first).unwrap()).unwrap();
        assert_eq!(first.changes(), second.changes());
    }

    #[test]
    fn impossible_records_are_refused() {
        let with = |records| GenesisState { records, ..default() };
        let mut broken = newcomer(1);
        broken.uptime_good = broken.uptime_all + 1;
        for records in [vec![broken], vec![newcomer(0)], vec![newcomer(2), newcomer(2)], vec![newcomer(2), newcomer(1)]]
        {
            validate(&with(records)).unwrap_err();
        }
        validate(&GenesisState::default()).unwrap_err();
        validate(&with(vec![newcomer(1), newcomer(2)])).unwrap();
    }
}
