//! Genesis: default, checks, import, export.

use std::collections::BTreeMap;

use gantry_core::{Ctx, Result};
use gantry_proto::gantry::escrow::v1::GenesisState;
use gantry_store::{KvRead, Order, Proto};

use crate::{
    Buckets, Escrow, EscrowError, Totals, invariants, keeper,
    params::{default_params, validate_params},
    state::{ESCROWS, PARAMS, TOTALS},
};

pub(crate) fn default() -> GenesisState {
    GenesisState { params: Some(default_params()), escrows: Vec::new(), totals: Vec::new() }
}

fn refuse<T>(why: impl std::fmt::Display) -> Result<T> {
    Err(EscrowError::Genesis(why.to_string()).into())
}

pub(crate) fn validate(state: &GenesisState) -> Result<()> {
    check(state).map(drop)
}

/// The rows of a genesis, if it is one.
fn check(state: &GenesisState) -> Result<(Vec<Escrow>, Vec<Totals>)> {
    let Some(params) = &state.params else { return refuse("params are missing") };
    validate_params(params)?;
    let mut sums: BTreeMap<&str, Buckets> = BTreeMap::new();
    let mut escrows: Vec<Escrow> = Vec::new();
    for message in &state.escrows {
        let escrow = Escrow::try_from(message.clone()).or_else(refuse)?;
        if escrows.last().is_some_and(|last| last.job_id >= escrow.job_id) {
            return refuse("escrows must ascend by job_id");
        }
        let sum = sums.entry(&message.denom).or_default();
        match sum.plus(&escrow.buckets) {
            Some(plus) => *sum = plus,
            None => return refuse("the sum of the escrows overflows"),
        }
        escrows.push(escrow);
    }
    let mut totals: Vec<Totals> = Vec::new();
    for message in &state.totals {
        let row = Totals::try_from(message.clone()).or_else(refuse)?;
        if totals.last().is_some_and(|last| last.denom >= row.denom) {
            return refuse("totals must ascend by denom");
        }
        if sums.remove(row.denom.as_str()).unwrap_or_default() != row.buckets {
            return refuse(format!("the totals of {} are not the sum of the escrows", row.denom));
        }
        totals.push(row);
    }
    match sums.keys().next() {
        Some(denom) => refuse(format!("the totals of {denom} are missing")),
        None => Ok((escrows, totals)),
    }
}

/// Writes the state. The bank's genesis comes first: the escrow account must hold what is locked and accrued.
pub(crate) fn init(ctx: &mut dyn Ctx, state: GenesisState) -> Result<()> {
    let (escrows, totals) = check(&state)?;
    PARAMS.set(ctx, &Proto(state.params.unwrap_or_else(default_params)))?;
    for escrow in escrows {
        ESCROWS.set(ctx, escrow.job_id, &escrow)?;
    }
    for row in totals {
        TOTALS.set(ctx, row.denom.clone(), &row)?;
    }
    invariants::conservation(ctx).or_else(refuse)
}

pub(crate) fn export(state: &dyn KvRead) -> Result<GenesisState> {
    let escrows = ESCROWS.iter(state, Order::Ascending)?.map(|row| Ok((&row?.1).into())).collect::<Result<_>>()?;
    let totals = TOTALS.iter(state, Order::Ascending)?.map(|row| Ok((&row?.1).into())).collect::<Result<_>>()?;
    Ok(GenesisState { params: Some(keeper::params(state)?), escrows, totals })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        EscrowModule,
        testing::{Chain, address, code},
    };
    use gantry_core::{Address, BlockInfo, Coin, Empty, InitCtx, Module, QueryCtx};
    use gantry_store::{Overlay, StoreName};

    /// Two jobs in two denoms, one of them half paid.
    fn used() -> Chain {
        let mut chain = Chain::new();
        let uatom = Coin::new("uatom", 70).unwrap();
        chain.keep(|ctx| keeper::open(ctx, 1, &address(1), Coin::base(1000))).unwrap();
        chain.keep(|ctx| keeper::open(ctx, 2, &address(2), uatom)).unwrap();
        chain.keep(|ctx| keeper::accrue(ctx, 1, 500)).unwrap();
        chain.keep(|ctx| keeper::release(ctx, 1, &address(9), 300)).unwrap();
        chain
    }

    fn rows(state: &Overlay<Empty>) -> Vec<(StoreName, Vec<u8>, Option<Vec<u8>>)> {
        state
            .changes()
            .iter()
            .filter(|(store, ..)| *store == crate::STORE)
            .map(|(store, key, value)| (store, key.to_vec(), value.map(<[u8]>::to_vec)))
            .collect()
    }

    #[test]
    fn an_exported_state_imports_as_itself() {
        let (chain, block) = (used(), BlockInfo::default());
        let json = EscrowModule.export_genesis(&QueryCtx::new(&chain.state, &block)).unwrap();
        EscrowModule.validate_genesis(&json).unwrap();

        let mut state = Overlay::new(Empty);
        let mut ctx = InitCtx::new(&mut state, &block);
        // Without its money the state is refused.
        EscrowModule.init_genesis(&mut ctx, &json).unwrap_err();
        let mut state = Overlay::new(Empty);
        let mut ctx = InitCtx::new(&mut state, &block);
        for coin in [Coin::base(700), Coin::new("uatom", 70).unwrap()] {
            gantry_bank::keeper::mint(&mut ctx, &Address::module(keeper::ACCOUNT), &coin.into()).unwrap();
        }
        EscrowModule.init_genesis(&mut ctx, &json).unwrap();
        assert_eq!(rows(&state), rows(&chain.state));
    }

    #[test]
    fn default_genesis_is_valid() {
        EscrowModule.validate_genesis(&EscrowModule.default_genesis()).unwrap();
    }

    #[test]
    fn a_state_in_which_money_is_missing_is_refused() {
        let good = export(&used().state).unwrap();
        validate(&good).unwrap();
        let broken: [fn(&mut GenesisState); 8] = [
            |s| s.params = None,
            |s| s.escrows[0].locked = "501".to_owned(),
            |s| s.escrows[0].locked = "-1".to_owned(),
            |s| s.escrows[0].renter = "gantry1".to_owned(),
            |s| s.escrows.swap(0, 1),
            |s| s.totals[0].locked = "71".to_owned(),
            |s| s.totals.clear(),
            |s| s.totals.swap(0, 1),
        ];
        for (i, breaks) in broken.into_iter().enumerate() {
            let mut state = good.clone();
            breaks(&mut state);
            assert_eq!(code(validate(&state)), 2, "case {i}");
        }
    }
}
