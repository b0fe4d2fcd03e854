//! Queries: pure reads.

use gantry_core::{Address, Code, Coin, Error, QueryRoute, Result, Status};
use gantry_proto::gantry::escrow::v1::{
    QueryEscrowRequest, QueryEscrowResponse, QueryParamsRequest, QueryParamsResponse, QueryTotalsRequest,
    QueryTotalsResponse,
};
use gantry_store::{KvRead, Order};

use crate::{invariants, keeper, state::TOTALS};

/// All queries.
pub(crate) fn routes() -> Vec<QueryRoute> {
    vec![
        QueryRoute::new("/gantry.escrow.v1.Query/Params", |ctx, _: QueryParamsRequest| {
            Ok(QueryParamsResponse { params: Some(keeper::params(ctx)?) })
        }),
        QueryRoute::new("/gantry.escrow.v1.Query/Escrow", |ctx, request: QueryEscrowRequest| {
            let escrow = keeper::get(ctx, request.job_id)?
                .ok_or_else(|| Status::new(Code::NotFound, format!("job {} has no escrow", request.job_id)))?;
            Ok(QueryEscrowResponse { escrow: Some((&escrow).into()) })
        }),
        QueryRoute::new("/gantry.escrow.v1.Query/Totals", |ctx, _: QueryTotalsRequest| Ok(totals(ctx)?)),
    ]
}

fn totals(state: &dyn KvRead) -> Result<QueryTotalsResponse> {
    let account = Address::module(keeper::ACCOUNT);
    let mut response = QueryTotalsResponse::default();
    for row in TOTALS.iter(state, Order::Ascending)? {
        let (denom, totals) = row?;
        let balance = gantry_bank::keeper::balance(state, &account, &denom)?;
        response.held.push(Coin::new(denom, balance)?.to_proto());
        response.totals.push((&totals).into());
    }
    response.conserved = match invariants::conservation(state) {
        Ok(()) => true,
        Err(Error::Fatal(_)) => false,
        Err(other) => return Err(other),
    };
    Ok(response)
}
