//! Queries of `cosmos.bank.v1beta1.Query`, in the SDK's words. Nothing is locked yet, so all that is held is spendable.

use cosmos_sdk_proto::cosmos::{
    bank::v1beta1::{
        DenomOwner, Metadata, Params, QueryAllBalancesRequest, QueryAllBalancesResponse, QueryBalanceRequest,
        QueryBalanceResponse, QueryDenomMetadataByQueryStringRequest, QueryDenomMetadataByQueryStringResponse,
        QueryDenomMetadataRequest, QueryDenomMetadataResponse, QueryDenomOwnersByQueryRequest,
        QueryDenomOwnersByQueryResponse, QueryDenomOwnersRequest, QueryDenomOwnersResponse, QueryDenomsMetadataRequest,
        QueryDenomsMetadataResponse, QueryParamsRequest, QueryParamsResponse, QuerySendEnabledRequest,
        QuerySendEnabledResponse, QuerySpendableBalanceByDenomRequest, QuerySpendableBalanceByDenomResponse,
        QuerySpendableBalancesRequest, QuerySpendableBalancesResponse, QuerySupplyOfRequest, QuerySupplyOfResponse,
        QueryTotalSupplyRequest, QueryTotalSupplyResponse, SendEnabled,
    },
    base::{
        query::v1beta1::{PageRequest, PageResponse},
        v1beta1::Coin,
    },
};
use gantry_core::{Address, Error, QueryCtx, QueryRoute, Status, page_request, page_response, validate_denom};
use gantry_store::All;

use crate::{
    keeper,
    state::{METADATA, SEND_ENABLED, SUPPLY, balances, owners},
};

type Answer<T> = Result<T, Status>;

pub(crate) fn routes() -> Vec<QueryRoute> {
    vec![
        QueryRoute::new("/cosmos.bank.v1beta1.Query/Balance", balance),
        QueryRoute::new("/cosmos.bank.v1beta1.Query/AllBalances", all_balances),
        QueryRoute::new("/cosmos.bank.v1beta1.Query/SpendableBalances", spendable_balances),
        QueryRoute::new("/cosmos.bank.v1beta1.Query/SpendableBalanceByDenom", spendable_balance_by_denom),
        QueryRoute::new("/cosmos.bank.v1beta1.Query/TotalSupply", total_supply),
        QueryRoute::new("/cosmos.bank.v1beta1.Query/SupplyOf", supply_of),
        QueryRoute::new("/cosmos.bank.v1beta1.Query/Params", params),
        QueryRoute::new("/cosmos.bank.v1beta1.Query/DenomMetadata", denom_metadata),
        QueryRoute::new("/cosmos.bank.v1beta1.Query/DenomMetadataByQueryString", denom_metadata_by_query_string),
        QueryRoute::new("/cosmos.bank.v1beta1.Query/DenomsMetadata", denoms_metadata),
        QueryRoute::new("/cosmos.bank.v1beta1.Query/DenomOwners", denom_owners),
        QueryRoute::new("/cosmos.bank.v1beta1.Query/DenomOwnersByQuery", denom_owners_by_query),
        QueryRoute::new("/cosmos.bank.v1beta1.Query/SendEnabled", send_enabled),
    ]
}

/// The caller's words without the registered text that a code appends: queries answer with a gRPC code instead.
fn words(error: &Error, registered: &str) -> String {
    let text = error.to_string();
    text.strip_suffix(registered).map_or_else(|| text.clone(), str::to_owned)
}

fn address(text: &str) -> Answer<Address> {
    Address::parse(text).map_err(|e| Status::invalid(format!("invalid address: {}", words(&e, ": invalid address"))))
}

fn denom(text: &str) -> Answer<&str> {
    validate_denom(text).map_err(|e| Status::invalid(words(&e, ": invalid coins")))?;
    Ok(text)
}

fn coin(denom: &str, amount: u128) -> Coin {
    Coin { denom: denom.to_owned(), amount: amount.to_string() }
}

fn balance(ctx: &QueryCtx<'_>, request: QueryBalanceRequest) -> Answer<QueryBalanceResponse> {
    let denom = denom(&request.denom)?;
    let amount = keeper::balance(ctx, &address(&request.address)?, denom)?;
    Ok(QueryBalanceResponse { balance: Some(coin(denom, amount)) })
}

fn page_of_balances(
    ctx: &QueryCtx<'_>,
    owner: &str,
    pagination: Option<PageRequest>,
) -> Answer<(Vec<Coin>, Option<PageResponse>)> {
    let owner = address(owner)?;
    let page = balances()
        .paginate(ctx, &owner, &page_request(pagination))
        .map_err(|e| Status::invalid(format!("paginate: {e}")))?;
    let coins = page.items.iter().map(|((_, denom), amount)| coin(denom, amount.0)).collect();
    Ok((coins, page_response(&page)))
}

fn all_balances(ctx: &QueryCtx<'_>, request: QueryAllBalancesRequest) -> Answer<QueryAllBalancesResponse> {
    let (mut balances, pagination) = page_of_balances(ctx, &request.address, request.pagination)?;
    if request.resolve_denom {
        for coin in &mut balances {
            if let Some(metadata) = keeper::metadata(ctx, &coin.denom)? {
                coin.denom = metadata.display;
            }
        }
    }
    Ok(QueryAllBalancesResponse { balances, pagination })
}

fn spendable_balances(
    ctx: &QueryCtx<'_>,
    request: QuerySpendableBalancesRequest,
) -> Answer<QuerySpendableBalancesResponse> {
    let (balances, pagination) = page_of_balances(ctx, &request.address, request.pagination)?;
    Ok(QuerySpendableBalancesResponse { balances, pagination })
}

fn spendable_balance_by_denom(
    ctx: &QueryCtx<'_>,
    request: QuerySpendableBalanceByDenomRequest,
) -> Answer<QuerySpendableBalanceByDenomResponse> {
    let owner = address(&request.address)?;
    let denom = denom(&request.denom)?;
    Ok(QuerySpendableBalanceByDenomResponse { balance: Some(coin(denom, keeper::balance(ctx, &owner, denom)?)) })
}

fn total_supply(ctx: &QueryCtx<'_>, request: QueryTotalSupplyRequest) -> Answer<QueryTotalSupplyResponse> {
    let page = SUPPLY.paginate(ctx, All, &page_request(request.pagination))?;
    let pagination = page_response(&page);
    let supply = page.items.iter().map(|(denom, amount)| coin(denom, amount.0)).collect();
    Ok(QueryTotalSupplyResponse { supply, pagination })
}

fn supply_of(ctx: &QueryCtx<'_>, request: QuerySupplyOfRequest) -> Answer<QuerySupplyOfResponse> {
    let denom = denom(&request.denom)?;
    Ok(QuerySupplyOfResponse { amount: Some(coin(denom, keeper::supply(ctx, denom)?)) })
}

fn params(ctx: &QueryCtx<'_>, _: QueryParamsRequest) -> Answer<QueryParamsResponse> {
    let default_send_enabled = keeper::default_send_enabled(ctx)?;
    Ok(QueryParamsResponse { params: Some(Params { default_send_enabled, ..Params::default() }) })
}

fn find_metadata(ctx: &QueryCtx<'_>, name: &str) -> Answer<Option<Metadata>> {
    let metadata = keeper::metadata(ctx, denom(name)?)?;
    Ok(Some(metadata.ok_or_else(|| Status::not_found(format!("client metadata for denom {name}")))?))
}

fn denom_metadata(ctx: &QueryCtx<'_>, request: QueryDenomMetadataRequest) -> Answer<QueryDenomMetadataResponse> {
    Ok(QueryDenomMetadataResponse { metadata: find_metadata(ctx, &request.denom)? })
}

fn denom_metadata_by_query_string(
    ctx: &QueryCtx<'_>,
    request: QueryDenomMetadataByQueryStringRequest,
) -> Answer<QueryDenomMetadataByQueryStringResponse> {
    Ok(QueryDenomMetadataByQueryStringResponse { metadata: find_metadata(ctx, &request.denom)? })
}

fn denoms_metadata(ctx: &QueryCtx<'_>, request: QueryDenomsMetadataRequest) -> Answer<QueryDenomsMetadataResponse> {
    let page = METADATA.paginate(ctx, All, &page_request(request.pagination))?;
    let pagination = page_response(&page);
    let metadatas = page.items.into_iter().map(|(_, metadata)| metadata.0).collect();
    Ok(QueryDenomsMetadataResponse { metadatas, pagination })
}

fn page_of_owners(
    ctx: &QueryCtx<'_>,
    name: &str,
    pagination: Option<PageRequest>,
) -> Answer<(Vec<DenomOwner>, Option<PageResponse>)> {
    let name = denom(name)?;
    let page = owners().paginate(ctx, name, &page_request(pagination))?;
    let mut rows = Vec::new();
    for ((_, owner), ()) in &page.items {
        let balance = Some(coin(name, keeper::balance(ctx, owner, name)?));
        rows.push(DenomOwner { address: owner.to_string(), balance });
    }
    Ok((rows, page_response(&page)))
}

fn denom_owners(ctx: &QueryCtx<'_>, request: QueryDenomOwnersRequest) -> Answer<QueryDenomOwnersResponse> {
    let (denom_owners, pagination) = page_of_owners(ctx, &request.denom, request.pagination)?;
    Ok(QueryDenomOwnersResponse { denom_owners, pagination })
}

fn denom_owners_by_query(
    ctx: &QueryCtx<'_>,
    request: QueryDenomOwnersByQueryRequest,
) -> Answer<QueryDenomOwnersByQueryResponse> {
    let (denom_owners, pagination) = page_of_owners(ctx, &request.denom, request.pagination)?;
    Ok(QueryDenomOwnersByQueryResponse { denom_owners, pagination })
}

fn send_enabled(ctx: &QueryCtx<'_>, request: QuerySendEnabledRequest) -> Answer<QuerySendEnabledResponse> {
    let mut send_enabled = Vec::new();
    if request.denoms.is_empty() {
        let page = SEND_ENABLED.paginate(ctx, All, &page_request(request.pagination))?;
        let pagination = page_response(&page);
        send_enabled.extend(page.items.into_iter().map(|(denom, flag)| SendEnabled { denom, enabled: flag.0 }));
        return Ok(QuerySendEnabledResponse { send_enabled, pagination });
    }
    for denom in request.denoms {
        if let Some(enabled) = keeper::send_enabled(ctx, &denom)? {
            send_enabled.push(SendEnabled { denom, enabled });
        }
    }
    Ok(QuerySendEnabledResponse { send_enabled, pagination: None })
}
