//! Queries: pure reads.

use gantry_core::{Address, QueryCtx, QueryRoute, Result, Status, page_request, page_response};
use gantry_proto::gantry::provider::v1::{
    QueryClassesRequest, QueryClassesResponse, QueryOffersRequest, QueryOffersResponse, QueryParamsRequest,
    QueryParamsResponse, QueryProviderByAddressRequest, QueryProviderRequest, QueryProviderResponse,
    QueryProvidersRequest, QueryProvidersResponse,
};
use gantry_store::All;

use crate::{
    Provider, keeper,
    state::{CLASSES, OFFERS, PROVIDERS},
};

/// All queries.
pub(crate) fn routes() -> Vec<QueryRoute> {
    vec![
        QueryRoute::new("/gantry.provider.v1.Query/Params", |ctx, _: QueryParamsRequest| {
            Ok(QueryParamsResponse { params: Some(keeper::params(ctx)?) })
        }),
        QueryRoute::new("/gantry.provider.v1.Query/Provider", |ctx, request: QueryProviderRequest| {
            let provider = PROVIDERS.get(ctx, request.id)?;
            respond(ctx, provider, || format!("provider {} does not exist", request.id))
        }),
        QueryRoute::new(
            "/gantry.provider.v1.Query/ProviderByAddress",
            |ctx, request: QueryProviderByAddressRequest| {
                let provider = keeper::find_by_address(ctx, &Address::parse(&request.address)?)?;
                respond(ctx, provider, || format!("{} neither owns nor operates a provider", request.address))
            },
        ),
        QueryRoute::new("/gantry.provider.v1.Query/Providers", |ctx, request: QueryProvidersRequest| {
            let page = PROVIDERS.paginate(ctx, All, &page_request(request.pagination))?;
            Ok(QueryProvidersResponse {
                pagination: page_response(&page),
                providers: page.items.iter().map(|(_, provider)| provider.into()).collect(),
            })
        }),
        QueryRoute::new("/gantry.provider.v1.Query/Offers", |ctx, request: QueryOffersRequest| {
            let pagination = page_request(request.pagination);
            let page = match request.provider_id {
                0 => OFFERS.paginate(ctx, All, &pagination)?,
                id => OFFERS.paginate(ctx, id, &pagination)?,
            };
            Ok(QueryOffersResponse {
                pagination: page_response(&page),
                offers: page.items.iter().map(|(_, offer)| offer.into()).collect(),
            })
        }),
        QueryRoute::new("/gantry.provider.v1.Query/Classes", |ctx, request: QueryClassesRequest| {
            let page = CLASSES.paginate(ctx, All, &page_request(request.pagination))?;
            Ok(QueryClassesResponse {
                pagination: page_response(&page),
                classes: page.items.into_iter().map(|(_, class)| class.0).collect(),
            })
        }),
    ]
}

fn respond(
    ctx: &QueryCtx<'_>,
    provider: Option<Provider>,
    missing: impl Fn() -> String,
) -> Result<QueryProviderResponse, Status> {
    let provider = provider.ok_or_else(|| Status::not_found(missing()))?;
    let unbondings = keeper::unbondings(ctx, provider.id)?.iter().map(Into::into).collect();
    Ok(QueryProviderResponse { provider: Some((&provider).into()), unbondings })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Chain, MIN_BOND, address};
    use cosmos_sdk_proto::cosmos::base::query::v1beta1::PageRequest;
    use gantry_core::{Code, QueryRouter};
    use prost::Message;

    fn ask<R: Message + Default>(chain: &Chain, name: &str, request: &impl Message) -> Result<R, Status> {
        let block = chain.block();
        let router = QueryRouter::new(routes());
        let path = format!("/gantry.provider.v1.Query/{name}");
        let bytes = router.call(&QueryCtx::new(&chain.state, &block), &path, &request.encode_to_vec())?;
        Ok(R::decode(bytes.as_slice()).unwrap())
    }

    fn market() -> Chain {
        let mut chain = Chain::new();
        for n in 1..=3 {
            chain.register(n, MIN_BOND).unwrap();
            chain.set_offer(n, 0, 1).unwrap();
        }
        chain.set_offer(2, 0, 5).unwrap();
        chain.unbond(2, 5).unwrap();
        chain
    }

    #[test]
    fn a_provider_is_found_by_id_and_by_its_keys() {
        let chain = market();
        let by_id: QueryProviderResponse = ask(&chain, "Provider", &QueryProviderRequest { id: 2 }).unwrap();
        assert_eq!(by_id.unbondings.len(), 1);
        for key in [2, 20] {
            let request = QueryProviderByAddressRequest { address: address(key).to_string() };
            assert_eq!(ask::<QueryProviderResponse>(&chain, "ProviderByAddress", &request).unwrap(), by_id);
        }
        let missing = ask::<QueryProviderResponse>(&chain, "Provider", &QueryProviderRequest { id: 9 });
        assert_eq!(missing.unwrap_err().code, Code::NotFound);
        let bad = QueryProviderByAddressRequest { address: "nobody".to_owned() };
        let bad = ask::<QueryProviderResponse>(&chain, "ProviderByAddress", &bad);
        assert_eq!(bad.unwrap_err().code, Code::InvalidArgument);
        let params: QueryParamsResponse = ask(&chain, "Params", &QueryParamsRequest {}).unwrap();
        assert_eq!(params.params, Some(crate::testing::test_params()));
    }

    #[test]
    fn lists_come_in_pages() {
        let chain = market();
        let page = |key: Vec<u8>| Some(PageRequest { key, limit: 2, ..PageRequest::default() });
        let first: QueryProvidersResponse =
            ask(&chain, "Providers", &QueryProvidersRequest { pagination: page(vec![]) }).unwrap();
        let next = first.pagination.unwrap().next_key;
        let second: QueryProvidersResponse =
            ask(&chain, "Providers", &QueryProvidersRequest { pagination: page(next) }).unwrap();
        let ids: Vec<u64> = first.providers.iter().chain(&second.providers).map(|p| p.id).collect();
        assert_eq!(ids, [1, 2, 3]);
        assert!(second.pagination.unwrap().next_key.is_empty());

        let offers = |provider_id| {
            let request = QueryOffersRequest { provider_id, pagination: None };
            let response: QueryOffersResponse = ask(&chain, "Offers", &request).unwrap();
            response.offers.iter().map(|o| (o.provider_id, o.offer_id)).collect::<Vec<_>>()
        };
        assert_eq!(offers(0), [(1, 1), (2, 1), (2, 2), (3, 1)]);
        assert_eq!(offers(2), [(2, 1), (2, 2)]);
        assert!(offers(9).is_empty());
        let classes: QueryClassesResponse = ask(&chain, "Classes", &QueryClassesRequest { pagination: None }).unwrap();
        assert_eq!(classes.classes.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(), ["wasm-48-x86_64"]);
    }
}
