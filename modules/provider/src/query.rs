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
