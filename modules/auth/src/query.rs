//! Queries of `cosmos.auth.v1beta1.Query`, in the SDK's words.

use cosmos_sdk_proto::{
    Any,
    cosmos::auth::v1beta1::{
        AddressBytesToStringRequest, AddressBytesToStringResponse, AddressStringToBytesRequest,
        AddressStringToBytesResponse, Bech32PrefixRequest, Bech32PrefixResponse, QueryAccountAddressByIdRequest,
        QueryAccountAddressByIdResponse, QueryAccountInfoRequest, QueryAccountInfoResponse, QueryAccountRequest,
        QueryAccountResponse, QueryAccountsRequest, QueryAccountsResponse, QueryModuleAccountByNameRequest,
        QueryModuleAccountByNameResponse, QueryModuleAccountsRequest, QueryModuleAccountsResponse, QueryParamsRequest,
        QueryParamsResponse,
    },
};
use gantry_core::{ADDRESS_PREFIX, Address, Code, QueryCtx, QueryRoute, Status, page_request, page_response};
use gantry_store::All;

use crate::{
    keeper,
    state::ACCOUNTS,
    types::{Account, ModuleAccountSpec},
};

pub(crate) fn routes(module_accounts: &'static [ModuleAccountSpec]) -> Vec<QueryRoute> {
    vec![
        QueryRoute::new("/cosmos.auth.v1beta1.Query/Account", account),
        QueryRoute::new("/cosmos.auth.v1beta1.Query/Accounts", accounts),
        QueryRoute::new("/cosmos.auth.v1beta1.Query/AccountInfo", account_info),
        QueryRoute::new("/cosmos.auth.v1beta1.Query/AccountAddressByID", account_address_by_id),
        QueryRoute::new("/cosmos.auth.v1beta1.Query/Params", params),
        QueryRoute::new("/cosmos.auth.v1beta1.Query/ModuleAccounts", move |ctx, _: QueryModuleAccountsRequest| {
            let mut specs = module_accounts.to_vec();
            specs.sort_by_key(|spec| spec.name);
            let accounts = specs.iter().map(|spec| module_account(ctx, spec.name)).collect::<Result<_, _>>()?;
            Ok(QueryModuleAccountsResponse { accounts })
        }),
        QueryRoute::new("/cosmos.auth.v1beta1.Query/ModuleAccountByName", module_account_by_name),
        QueryRoute::new("/cosmos.auth.v1beta1.Query/Bech32Prefix", bech32_prefix),
        QueryRoute::new("/cosmos.auth.v1beta1.Query/AddressBytesToString", address_bytes_to_string),
        QueryRoute::new("/cosmos.auth.v1beta1.Query/AddressStringToBytes", address_string_to_bytes),
    ]
}

/// The account that a request names; `empty` is the text for a request that names none.
fn find(ctx: &QueryCtx<'_>, text: &str, empty: &str) -> Result<Account, Status> {
    if text.is_empty() {
        return Err(Status::invalid(empty));
    }
    let address = Address::parse(text)?;
    keeper::account(ctx, &address)?.ok_or_else(|| Status::not_found(format!("account {text} not found")))
}

fn account(ctx: &QueryCtx<'_>, request: QueryAccountRequest) -> Result<QueryAccountResponse, Status> {
    let account = find(ctx, &request.address, "Address cannot be empty")?;
    Ok(QueryAccountResponse { account: Some(Any::from(&account)) })
}

fn accounts(ctx: &QueryCtx<'_>, request: QueryAccountsRequest) -> Result<QueryAccountsResponse, Status> {
    let page = ACCOUNTS.paginate(ctx, All, &page_request(request.pagination))?;
    let pagination = page_response(&page);
    let accounts = page.items.iter().map(|(_, account)| Any::from(account)).collect();
    Ok(QueryAccountsResponse { accounts, pagination })
}

fn account_info(ctx: &QueryCtx<'_>, request: QueryAccountInfoRequest) -> Result<QueryAccountInfoResponse, Status> {
    let account = find(ctx, &request.address, "address cannot be empty")?;
    Ok(QueryAccountInfoResponse { info: Some(account.to_base()) })
}

fn account_address_by_id(
    ctx: &QueryCtx<'_>,
    request: QueryAccountAddressByIdRequest,
) -> Result<QueryAccountAddressByIdResponse, Status> {
    #[expect(deprecated, reason = "clients that still send it get the SDK's answer")]
    let id = request.id;
    if id != 0 {
        return Err(Status::invalid("requesting with id isn't supported, try to request using account-id"));
    }
    let number = request.account_id;
    let address = ACCOUNTS
        .indexes
        .number
        .get(ctx, number)?
        .ok_or_else(|| Status::not_found(format!("account address not found with account number {number}")))?;
    Ok(QueryAccountAddressByIdResponse { account_address: address.to_string() })
}

fn params(ctx: &QueryCtx<'_>, _: QueryParamsRequest) -> Result<QueryParamsResponse, Status> {
    Ok(QueryParamsResponse { params: Some(keeper::params(ctx)?) })
}

fn module_account(ctx: &QueryCtx<'_>, name: &str) -> Result<Any, Status> {
    let account = keeper::account(ctx, &Address::module(name))?.filter(|account| account.module.is_some());
    account.as_ref().map(Any::from).ok_or_else(|| Status::not_found(format!("account {name} not found")))
}

fn module_account_by_name(
    ctx: &QueryCtx<'_>,
    request: QueryModuleAccountByNameRequest,
) -> Result<QueryModuleAccountByNameResponse, Status> {
    if request.name.is_empty() {
        return Err(Status::invalid("module name is empty"));
    }
    Ok(QueryModuleAccountByNameResponse { account: Some(module_account(ctx, &request.name)?) })
}

fn bech32_prefix(_: &QueryCtx<'_>, _: Bech32PrefixRequest) -> Result<Bech32PrefixResponse, Status> {
    Ok(Bech32PrefixResponse { bech32_prefix: ADDRESS_PREFIX.to_owned() })
}

fn address_bytes_to_string(
    _: &QueryCtx<'_>,
    request: AddressBytesToStringRequest,
) -> Result<AddressBytesToStringResponse, Status> {
    if request.address_bytes.is_empty() {
        return Err(Status::new(Code::Unknown, "empty address bytes is not allowed"));
    }
    Ok(AddressBytesToStringResponse { address_string: Address::new(request.address_bytes)?.to_string() })
}

fn address_string_to_bytes(
    _: &QueryCtx<'_>,
    request: AddressStringToBytesRequest,
) -> Result<AddressStringToBytesResponse, Status> {
    if request.address_string.trim().is_empty() {
        return Err(Status::new(Code::Unknown, "empty address string is not allowed"));
    }
    Ok(AddressStringToBytesResponse { address_bytes: Address::parse(&request.address_string)?.as_bytes().to_vec() })
}
