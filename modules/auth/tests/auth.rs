//! Genesis, numbering and queries.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use cosmos_sdk_proto::{
    Any,
    cosmos::auth::v1beta1::{
        AddressBytesToStringRequest, AddressBytesToStringResponse, AddressStringToBytesRequest,
        AddressStringToBytesResponse, BaseAccount, Bech32PrefixRequest, Bech32PrefixResponse, ModuleAccount,
        QueryAccountAddressByIdRequest, QueryAccountAddressByIdResponse, QueryAccountInfoRequest,
        QueryAccountInfoResponse, QueryAccountRequest, QueryAccountResponse, QueryAccountsRequest,
        QueryAccountsResponse, QueryModuleAccountByNameRequest, QueryModuleAccountByNameResponse,
        QueryModuleAccountsRequest, QueryModuleAccountsResponse, QueryParamsRequest, QueryParamsResponse,
    },
};
use gantry_auth::{Account, Auth, ModuleAccountSpec, keeper};
use gantry_core::{
    Address, BlockCtx, BlockInfo, Code, Empty, Error, InitCtx, Module, PubKey, QueryCtx, QueryRouter, Result, Status,
};
use gantry_store::Overlay;
use prost::{Message, Name};
use serde_json::{Value, json};

const AUTH: Auth = Auth {
    module_accounts: &[
        ModuleAccountSpec { name: "fee_collector", permissions: &[] },
        ModuleAccountSpec { name: "escrow", permissions: &["burner"] },
    ],
};

fn who(n: u8) -> Address {
    Address::new([n; 20]).unwrap()
}

fn base(address: &Address, number: u64) -> Value {
    json!({
        "@type": "/cosmos.auth.v1beta1.BaseAccount",
        "address": address.to_string(), "pub_key": null, "account_number": number.to_string(), "sequence": "0",
    })
}

fn genesis(accounts: Value) -> Value {
    let mut genesis = AUTH.default_genesis();
    genesis["accounts"] = accounts;
    genesis
}

fn init(genesis: &Value) -> Result<Overlay<Empty>> {
    let block = BlockInfo::default();
    let mut state = Overlay::new(Empty);
    AUTH.init_genesis(&mut InitCtx::new(&mut state, &block), genesis)?;
    for invariant in AUTH.invariants() {
        (invariant.check)(&state)?;
    }
    Ok(state)
}

fn ask<Q: Message, R: Message + Default>(state: &Overlay<Empty>, method: &str, request: &Q) -> Result<R, Status> {
    let (block, router) = (BlockInfo::default(), QueryRouter::new(AUTH.queries()));
    let path = format!("/cosmos.auth.v1beta1.Query/{method}");
    let bytes = router.call(&QueryCtx::new(state, &block), &path, &request.encode_to_vec())?;
    Ok(R::decode(&*bytes).unwrap())
}

#[test]
fn default_genesis_has_the_sdks_shape() {
    assert_eq!(
        AUTH.default_genesis(),
        json!({
            "params": {
                "max_memo_characters": "256", "tx_sig_limit": "7", "tx_size_cost_per_byte": "10",
                "sig_verify_cost_ed25519": "590", "sig_verify_cost_secp256k1": "1000",
            },
            "accounts": [],
        })
    );
}

#[test]
fn shared_account_numbers_are_replaced_by_free_ones() {
    let accounts = json!([base(&who(1), 0), base(&who(2), 2), base(&who(3), 0), base(&who(4), 2), base(&who(5), 0)]);
    let s = init(&genesis(accounts)).unwrap();
    let numbers: Vec<_> = (1..=5).map(|n| keeper::account(&s, &who(n)).unwrap().unwrap().number).collect();
    assert_eq!(numbers, [0, 2, 1, 4, 3]);
    assert_eq!(keeper::module_account(&s, "fee_collector").unwrap().number, 5);
    assert_eq!(keeper::module_account(&s, "escrow").unwrap().number, 6);
    assert!(keeper::is_module_account(&s, &Address::module("escrow")).unwrap());
    assert!(!keeper::is_module_account(&s, &who(1)).unwrap());
}

#[test]
fn accounts_are_numbered_in_the_order_they_appear() {
    let mut s = init(&AUTH.default_genesis()).unwrap();
    let block = BlockInfo::default();
    let mut ctx = BlockCtx::new(&mut s, &block);
    let first = keeper::ensure_account(&mut ctx, &who(7)).unwrap();
    assert_eq!((first.number, first.sequence, first.pub_key), (2, 0, None));
    assert_eq!(keeper::ensure_account(&mut ctx, &who(8)).unwrap().number, 3);
    assert_eq!(keeper::ensure_account(&mut ctx, &who(7)).unwrap(), first);
    keeper::increment_sequence(&mut ctx, &who(7)).unwrap();
    keeper::set_pub_key(&mut ctx, &who(7), &PubKey::from([2; 33])).unwrap();
    let account = keeper::require_account(&ctx, &who(7)).unwrap();
    assert_eq!((account.sequence, account.pub_key), (1, Some(PubKey::from([2; 33]))));
    let unknown = keeper::increment_sequence(&mut ctx, &who(9)).unwrap_err();
    assert!(matches!(&unknown, Error::User(e) if e.code == 9), "{unknown}");
}

#[test]
fn genesis_states_that_make_no_sense_are_refused() {
    let key = |address: &Address| {
        let mut account = base(address, 0);
        account["pub_key"] =
            json!({"@type": "/cosmos.crypto.secp256k1.PubKey", "key": "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC"});
        account
    };
    let owner = PubKey::from([2; 33]).address();
    init(&genesis(json!([key(&owner)]))).unwrap();
    let module = |name: &str, address: &Address| {
        json!({
            "@type": "/cosmos.auth.v1beta1.ModuleAccount", "name": name, "permissions": [],
            "base_account": {"address": address.to_string(), "account_number": "0", "sequence": "0"},
        })
    };
    init(&genesis(json!([module("escrow", &Address::module("escrow"))]))).unwrap();
    for (accounts, words) in [
        (json!([base(&who(1), 0), base(&who(1), 1)]), "duplicate account found in genesis state; address: "),
        (json!([key(&who(1))]), "account address and pubkey address do not match"),
        (json!([module("escrow", &who(1))]), "cannot be derived from the module name 'escrow'"),
        (json!([module(" ", &who(1))]), "module account name cannot be blank"),
        (json!([base(&Address::module("escrow"), 0)]), "belongs to module account escrow"),
        (json!([base(&who(1), u64::MAX)]), "account number too large"),
        (json!([{"@type": "/cosmos.bank.v1beta1.MsgSend"}]), "no concrete type registered for type URL"),
        (json!([{"@type": "/cosmos.auth.v1beta1.BaseAccount", "address": "gantry1none"}]), "decoding bech32 failed"),
        (json!([{"@type": "/cosmos.auth.v1beta1.BaseAccount", "owner": ""}]), "owner"),
    ] {
        let error = init(&genesis(accounts)).unwrap_err().to_string();
        assert!(error.contains(words), "{error:?} lacks {words:?}");
    }
    for name in [
        "max_memo_characters",
        "tx_sig_limit",
        "tx_size_cost_per_byte",
        "sig_verify_cost_ed25519",
        "sig_verify_cost_secp256k1",
    ] {
        let mut zero = AUTH.default_genesis();
        zero["params"][name] = json!("0");
        assert!(AUTH.validate_genesis(&zero).is_err(), "{name}");
    }
}

#[test]
fn queries_answer_as_the_sdks() {
    let s = init(&genesis(json!([base(&who(1), 0), base(&who(2), 1)]))).unwrap();
    let one = who(1).to_string();
    let found: QueryAccountResponse = ask(&s, "Account", &QueryAccountRequest { address: one.clone() }).unwrap();
    let any = found.account.unwrap();
    assert_eq!(any.type_url, "/cosmos.auth.v1beta1.BaseAccount");
    assert_eq!(BaseAccount::decode(&*any.value).unwrap(), BaseAccount { address: one.clone(), ..Default::default() });

    let missing = who(9).to_string();
    let error =
        ask::<_, QueryAccountResponse>(&s, "Account", &QueryAccountRequest { address: missing.clone() }).unwrap_err();
    assert_eq!((error.code, error.message), (Code::NotFound, format!("account {missing} not found")));
    let error = ask::<_, QueryAccountResponse>(&s, "Account", &QueryAccountRequest::default()).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (Code::InvalidArgument, "Address cannot be empty"));
    let error = ask::<_, QueryAccountInfoResponse>(&s, "AccountInfo", &QueryAccountInfoRequest::default()).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (Code::InvalidArgument, "address cannot be empty"));
    let info: QueryAccountInfoResponse =
        ask(&s, "AccountInfo", &QueryAccountInfoRequest { address: one.clone() }).unwrap();
    assert_eq!(info.info.unwrap().address, one);

    let all: QueryAccountsResponse = ask(&s, "Accounts", &QueryAccountsRequest { pagination: None }).unwrap();
    assert_eq!((all.accounts.len(), all.pagination.unwrap().total), (4, 4));
    let modules: QueryModuleAccountsResponse = ask(&s, "ModuleAccounts", &QueryModuleAccountsRequest {}).unwrap();
    let names: Vec<_> = modules.accounts.iter().map(|a| ModuleAccount::decode(&*a.value).unwrap().name).collect();
    assert_eq!(names, ["escrow", "fee_collector"]);
    let escrow: QueryModuleAccountByNameResponse =
        ask(&s, "ModuleAccountByName", &QueryModuleAccountByNameRequest { name: "escrow".into() }).unwrap();
    assert_eq!(ModuleAccount::decode(&*escrow.account.unwrap().value).unwrap().permissions, ["burner"]);
    let error = ask::<_, QueryModuleAccountByNameResponse>(
        &s,
        "ModuleAccountByName",
        &QueryModuleAccountByNameRequest { name: "none".into() },
    )
    .unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (Code::NotFound, "account none not found"));

    let by_id = |account_id| -> Result<QueryAccountAddressByIdResponse, Status> {
        ask(&s, "AccountAddressByID", &QueryAccountAddressByIdRequest { account_id, ..Default::default() })
    };
    assert_eq!(by_id(1).unwrap().account_address, who(2).to_string());
    let error = by_id(99).unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (Code::NotFound, "account address not found with account number 99")
    );

    let params: QueryParamsResponse = ask(&s, "Params", &QueryParamsRequest {}).unwrap();
    assert_eq!(params.params.unwrap(), gantry_auth::default_params());
    let prefix: Bech32PrefixResponse = ask(&s, "Bech32Prefix", &Bech32PrefixRequest {}).unwrap();
    assert_eq!(prefix.bech32_prefix, "gantry");
    let text: AddressBytesToStringResponse =
        ask(&s, "AddressBytesToString", &AddressBytesToStringRequest { address_bytes: vec![1; 20] }).unwrap();
    assert_eq!(text.address_string, one);
    let bytes: AddressStringToBytesResponse =
        ask(&s, "AddressStringToBytes", &AddressStringToBytesRequest { address_string: one }).unwrap();
    assert_eq!(bytes.address_bytes, vec![1; 20]);
}

#[test]
fn accounts_have_one_wire_form() {
    let account = Account {
        address: Address::module("escrow"),
        pub_key: None,
        number: 6,
        sequence: 0,
        module: Some(("escrow".into(), vec!["burner".into()])),
    };
    let any = Any::from(&account);
    assert_eq!(any.type_url, ModuleAccount::type_url());
    assert_eq!(Account::try_from(any).unwrap(), account);
}
