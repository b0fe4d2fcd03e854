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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Chain, address};
    use gantry_core::{BlockInfo, QueryCtx, QueryRouter};
    use prost::Message;

    fn ask<R: Message + Default>(chain: &Chain, name: &str, request: &impl Message) -> Result<R, Status> {
        let block = BlockInfo::default();
        let router = QueryRouter::new(routes());
        let path = format!("/gantry.escrow.v1.Query/{name}");
        let bytes = router.call(&QueryCtx::new(&chain.state, &block), &path, &request.encode_to_vec())?;
        Ok(R::decode(bytes.as_slice()).unwrap())
    }

    #[test]
    fn escrows_and_totals_are_served() {
        let mut chain = Chain::new();
        chain.keep(|ctx| keeper::open(ctx, 3, &address(1), Coin::base(500))).unwrap();
        let found: QueryEscrowResponse = ask(&chain, "Escrow", &QueryEscrowRequest { job_id: 3 }).unwrap();
        assert_eq!(found.escrow.unwrap().locked, "500");
        let missing = ask::<QueryEscrowResponse>(&chain, "Escrow", &QueryEscrowRequest { job_id: 4 });
        assert_eq!(missing.unwrap_err().code, Code::NotFound);
        let params: QueryParamsResponse = ask(&chain, "Params", &QueryParamsRequest {}).unwrap();
        assert_eq!(params.params.unwrap().fee_ppm, 20_000);

        let totals: QueryTotalsResponse = ask(&chain, "Totals", &QueryTotalsRequest {}).unwrap();
        assert!(totals.conserved);
        assert_eq!((totals.totals.len(), totals.held[0].amount.as_str()), (1, "500"));
        // Money that went missing behind the module's back shows.
        let account = Address::module(keeper::ACCOUNT);
        let mut state = gantry_store::Overlay::new(&chain.state);
        let block = BlockInfo::default();
        let mut ctx = gantry_core::BlockCtx::new(&mut state, &block);
        gantry_bank::keeper::send(&mut ctx, &account, &address(1), &Coin::base(1).into()).unwrap();
        assert!(!super::totals(&ctx).unwrap().conserved);
    }
}
