//! Messages, queries, genesis and invariants.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use cosmos_sdk_proto::cosmos::{
    bank::v1beta1::{
        Input, MsgMultiSend, MsgSend, Output, QueryAllBalancesRequest, QueryAllBalancesResponse, QueryBalanceRequest,
        QueryBalanceResponse, QueryDenomMetadataRequest, QueryDenomMetadataResponse, QueryDenomOwnersRequest,
        QueryDenomOwnersResponse, QuerySendEnabledRequest, QuerySendEnabledResponse, QuerySupplyOfRequest,
        QuerySupplyOfResponse, QueryTotalSupplyRequest, QueryTotalSupplyResponse,
    },
    base::{query::v1beta1::PageRequest, v1beta1::Coin as ProtoCoin},
};
use gantry_auth::{Auth, ModuleAccountSpec};
use gantry_bank::{Bank, MultiSend, Send, check_supply, keeper};
use gantry_core::{
    Address, BlockInfo, Code, Coin, Coins, Empty, Error, ExecMode, GasMeter, Handler, InitCtx, Module, QueryCtx,
    QueryRouter, Result, Status, TxCtx, UserError,
};
use gantry_store::{KvWrite, Overlay};
use proptest::prelude::*;
use prost::Message;
use serde_json::{Value, json};

const AUTH: Auth = Auth { module_accounts: &[ModuleAccountSpec { name: "escrow", permissions: &[] }] };

fn who(n: u8) -> Address {
    Address::new([n; 20]).unwrap()
}

fn coins(text: &str) -> Coins {
    text.parse().unwrap()
}

fn user<T: std::fmt::Debug>(result: Result<T>) -> UserError {
    match result.unwrap_err() {
        Error::User(e) => e,
        Error::Fatal(f) => panic!("{f}"),
    }
}

/// Addresses 1 to 3 hold coins.
fn state() -> Overlay<Empty> {
    let mut genesis = Bank.default_genesis();
    genesis["send_enabled"] = json!([{"denom": "frozen", "enabled": false}]);
    state_of(&genesis)
}

fn state_of(genesis: &Value) -> Overlay<Empty> {
    let block = BlockInfo::default();
    let mut state = Overlay::new(Empty);
    let mut ctx = InitCtx::new(&mut state, &block);
    AUTH.init_genesis(&mut ctx, &AUTH.default_genesis()).unwrap();
    Bank.init_genesis(&mut ctx, genesis).unwrap();
    for n in 1..=3 {
        keeper::mint(&mut ctx, &who(n), &coins("1000atom,1000frozen,1000ugantry")).unwrap();
    }
    state
}

fn execute<H: Handler>(state: &mut Overlay<Empty>, msg: &H::Msg) -> Result<H::Response> {
    let (block, gas) = (BlockInfo::default(), GasMeter::unlimited());
    H::check(msg)?;
    H::execute(&mut TxCtx::new(state, &block, &gas, ExecMode::Finalize), msg)
}

fn send(from: &Address, to: &Address, amount: &str) -> MsgSend {
    MsgSend { from_address: from.to_string(), to_address: to.to_string(), amount: coins(amount).to_proto() }
}

fn input(n: u8, amount: &str) -> Input {
    Input { address: who(n).to_string(), coins: coins(amount).to_proto() }
}

fn output(n: u8, amount: &str) -> Output {
    Output { address: who(n).to_string(), coins: coins(amount).to_proto() }
}

fn ask<Q: Message, R: Message + Default>(state: &Overlay<Empty>, method: &str, request: &Q) -> Result<R, Status> {
    let (block, router) = (BlockInfo::default(), QueryRouter::new(Bank.queries()));
    let path = format!("/cosmos.bank.v1beta1.Query/{method}");
    let bytes = router.call(&QueryCtx::new(state, &block), &path, &request.encode_to_vec())?;
    Ok(R::decode(&*bytes).unwrap())
}

#[test]
fn sends_move_coins_and_refuse_what_cannot_be() {
    let mut s = state();
    execute::<Send>(&mut s, &send(&who(1), &who(9), "400atom,1ugantry")).unwrap();
    assert_eq!(keeper::all_balances(&s, &who(1)).unwrap(), coins("600atom,1000frozen,999ugantry"));
    assert_eq!(keeper::all_balances(&s, &who(9)).unwrap(), coins("400atom,1ugantry"));
    assert!(gantry_auth::keeper::has_account(&s, &who(9)).unwrap());

    let poor = user(execute::<Send>(&mut s, &send(&who(1), &who(2), "601atom")));
    assert_eq!((poor.codespace, poor.code), ("sdk", 5));
    assert_eq!(poor.log, "spendable balance 600atom is smaller than 601atom: insufficient funds");
    let frozen = user(execute::<Send>(&mut s, &send(&who(1), &who(2), "1frozen")));
    assert_eq!((frozen.codespace, frozen.code), ("bank", 5));
    assert_eq!(frozen.log, "frozen transfers are currently disabled: send transactions are disabled");
    let blocked = user(execute::<Send>(&mut s, &send(&who(1), &Address::module("escrow"), "1atom")));
    assert_eq!((blocked.codespace, blocked.code), ("sdk", 4));
    assert_eq!(blocked.log, format!("{} is not allowed to receive funds: unauthorized", Address::module("escrow")));
    // What a user may not do, a module may.
    let (block, gas) = (BlockInfo::default(), GasMeter::unlimited());
    let mut ctx = TxCtx::new(&mut s, &block, &gas, ExecMode::Finalize);
    keeper::send(&mut ctx, &who(1), &Address::module("escrow"), &coins("1frozen")).unwrap();
    check_supply(&s, &Coins::new()).unwrap();
}

#[test]
fn a_balance_that_is_all_spent_leaves_no_row() {
    let mut s = state();
    execute::<Send>(&mut s, &send(&who(1), &who(2), "1000atom")).unwrap();
    let owners: QueryDenomOwnersResponse =
        ask(&s, "DenomOwners", &QueryDenomOwnersRequest { denom: "atom".into(), pagination: None }).unwrap();
    let owners: Vec<_> = owners.denom_owners.iter().map(|o| o.address.parse::<Address>().unwrap()).collect();
    assert_eq!(owners, [who(2), who(3)]);
    check_supply(&s, &Coins::new()).unwrap();
}

#[test]
fn multi_sends_are_all_or_nothing() {
    let mut s = state();
    let msg = |inputs: Vec<Input>, outputs: Vec<Output>| MsgMultiSend { inputs, outputs };
    let good =
        msg(vec![input(1, "5atom,7ugantry")], vec![output(2, "5atom"), output(9, "4ugantry"), output(9, "3ugantry")]);
    execute::<MultiSend>(&mut s, &good).unwrap();
    assert_eq!(keeper::balance(&s, &who(9), "ugantry").unwrap(), 7);
    assert_eq!(MultiSend::signers(&good).unwrap(), [who(1)]);

    for (msg, codespace, code) in [
        (msg(vec![], vec![output(2, "5atom")]), "bank", 2),
        (msg(vec![input(1, "5atom")], vec![]), "bank", 3),
        (msg(vec![input(1, "5atom")], vec![output(2, "4atom")]), "bank", 4),
        (msg(vec![input(1, "5atom")], vec![output(2, "5ugantry")]), "bank", 4),
        (msg(vec![input(1, "5atom"), input(2, "5atom")], vec![output(3, "10atom")]), "bank", 9),
        (msg(vec![input(1, "")], vec![output(3, "10atom")]), "sdk", 10),
        (msg(vec![input(1, "5atom")], vec![output(3, "5atom"), output(3, "")]), "sdk", 10),
        (msg(vec![input(1, "5frozen")], vec![output(3, "5frozen")]), "bank", 5),
        (msg(vec![input(1, "5000atom")], vec![output(3, "5000atom")]), "sdk", 5),
    ] {
        let before = s.changes().clone();
        let error = user(execute::<MultiSend>(&mut s, &msg));
        assert_eq!((error.codespace, error.code), (codespace, code), "{msg:?}");
        assert_eq!(s.changes(), &before);
    }
    // Sums that overflow are refused, not wrapped.
    let max = ProtoCoin { denom: "atom".into(), amount: u128::MAX.to_string() };
    let mut overflow = msg(vec![input(1, "5atom")], vec![output(2, "6atom"), output(3, "1atom")]);
    overflow.outputs[1].coins = vec![max];
    assert_eq!(user(execute::<MultiSend>(&mut s, &overflow)).code, 10);
}

#[test]
fn lists_page_as_the_sdk_does() {
    let s = state();
    let all = |page: PageRequest| -> QueryAllBalancesResponse {
        let request =
            QueryAllBalancesRequest { address: who(1).to_string(), pagination: Some(page), resolve_denom: false };
        ask(&s, "AllBalances", &request).unwrap()
    };
    let denoms = |r: &QueryAllBalancesResponse| r.balances.iter().map(|c| c.denom.clone()).collect::<Vec<_>>();
    let first = all(PageRequest { limit: 2, count_total: true, ..PageRequest::default() });
    assert_eq!(denoms(&first), ["atom", "frozen"]);
    let page = first.pagination.unwrap();
    assert_eq!((page.next_key.as_slice(), page.total), (&b"ugantry"[..], 3));
    let second = all(PageRequest { key: page.next_key, limit: 2, ..PageRequest::default() });
    assert_eq!(denoms(&second), ["ugantry"]);
    assert_eq!(second.pagination.unwrap().next_key, b"");
    let reverse = all(PageRequest { limit: 1, reverse: true, ..PageRequest::default() });
    assert_eq!(denoms(&reverse), ["ugantry"]);
    let none: QueryAllBalancesResponse =
        ask(&s, "AllBalances", &QueryAllBalancesRequest { address: who(8).to_string(), ..Default::default() }).unwrap();
    assert!(none.balances.is_empty());

    let total: QueryTotalSupplyResponse =
        ask(&s, "TotalSupply", &QueryTotalSupplyRequest { pagination: None }).unwrap();
    assert_eq!(Coins::from_proto(&total.supply).unwrap(), coins("3000atom,3000frozen,3000ugantry"));
    assert_eq!(total.pagination.unwrap().total, 3);
    let owners: QueryDenomOwnersResponse = ask(
        &s,
        "DenomOwners",
        &QueryDenomOwnersRequest {
            denom: "atom".into(),
            pagination: Some(PageRequest { limit: 1, offset: 1, ..PageRequest::default() }),
        },
    )
    .unwrap();
    assert_eq!(owners.denom_owners[0].address, who(2).to_string());
    let flags: QuerySendEnabledResponse = ask(
        &s,
        "SendEnabled",
        &QuerySendEnabledRequest { denoms: vec!["atom".into(), "frozen".into()], pagination: None },
    )
    .unwrap();
    assert_eq!(flags.send_enabled.len(), 1);
    assert!(!flags.send_enabled[0].enabled);
}

#[test]
fn queries_refuse_in_the_sdks_words() {
    let s = state();
    let balance = |address: &str, denom: &str| -> Result<QueryBalanceResponse, Status> {
        ask(&s, "Balance", &QueryBalanceRequest { address: address.into(), denom: denom.into() })
    };
    assert_eq!(balance(&who(1).to_string(), "none").unwrap().balance.unwrap().amount, "0");
    let error = balance(&who(1).to_string(), "").unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (Code::InvalidArgument, "invalid denom: "));
    // Keplr tests for a feature with the address "test".
    let error = balance("test", "atom").unwrap_err();
    assert_eq!(error.code, Code::InvalidArgument);
    assert!(error.message.starts_with("invalid address: decoding bech32 failed"), "{}", error.message);
    assert!(!error.message.ends_with("invalid address"), "{}", error.message);

    let supply: QuerySupplyOfResponse = ask(&s, "SupplyOf", &QuerySupplyOfRequest { denom: "none".into() }).unwrap();
    assert_eq!(supply.amount.unwrap().amount, "0");
    let found: QueryDenomMetadataResponse =
        ask(&s, "DenomMetadata", &QueryDenomMetadataRequest { denom: "ugantry".into() }).unwrap();
    assert_eq!(found.metadata.unwrap().display, "gantry");
    let error =
        ask::<_, QueryDenomMetadataResponse>(&s, "DenomMetadata", &QueryDenomMetadataRequest { denom: "none".into() })
            .unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (Code::NotFound, "client metadata for denom none"));
}

#[test]
fn genesis_states_that_do_not_add_up_are_refused() {
    let balance =
        |n: u8, amount: &str| json!({"address": who(n).to_string(), "coins": [{"denom": "atom", "amount": amount}]});
    let with = |key: &str, value: Value| {
        let mut genesis = Bank.default_genesis();
        genesis["balances"] = json!([balance(1, "5")]);
        genesis[key] = value;
        genesis
    };
    Bank.validate_genesis(&with("supply", json!([{"denom": "atom", "amount": "5"}]))).unwrap();
    Bank.validate_genesis(&with("supply", json!([]))).unwrap();
    let metadata = Bank.default_genesis()["denom_metadata"][0].clone();
    for (genesis, words) in [
        (
            with("supply", json!([{"denom": "atom", "amount": "6"}])),
            "genesis supply is incorrect, expected 6atom, got 5atom",
        ),
        (with("balances", json!([balance(1, "5"), balance(1, "5")])), "duplicate balance for address"),
        (with("balances", json!([balance(1, "0")])), "amount is not positive"),
        (with("balances", json!([balance(1, "-5")])), "invalid coins"),
        (with("balances", json!([balance(1, &u128::MAX.to_string()), balance(2, "1")])), "overflows"),
        (with("balances", json!([{"address": "gantry1none", "coins": []}])), "decoding bech32 failed"),
        (
            with("send_enabled", json!([{"denom": "atom", "enabled": true}, {"denom": "atom", "enabled": false}])),
            "duplicate send enabled",
        ),
        (with("denom_metadata", json!([metadata, metadata])), "duplicate client metadata"),
        (with("denom_metadata", json!([{"base": "ugantry"}])), "name field cannot be blank"),
        (with("params", Value::Null), "params are missing"),
        (with("unknown", json!(1)), "unknown"),
    ] {
        let error = Bank.validate_genesis(&genesis).unwrap_err().to_string();
        assert!(error.contains(words), "{error:?} lacks {words:?}");
        let mut state = Overlay::new(Empty);
        let block = BlockInfo::default();
        assert!(Bank.init_genesis(&mut InitCtx::new(&mut state, &block), &genesis).is_err());
    }
}

#[test]
fn sending_can_be_off_by_default() {
    let mut genesis = Bank.default_genesis();
    genesis["params"]["default_send_enabled"] = json!(false);
    genesis["send_enabled"] = json!([{"denom": "atom", "enabled": true}]);
    let mut s = state_of(&genesis);
    execute::<Send>(&mut s, &send(&who(1), &who(2), "1atom")).unwrap();
    assert_eq!(user(execute::<Send>(&mut s, &send(&who(1), &who(2), "1ugantry"))).code, 5);
    let block = BlockInfo::default();
    let exported = Bank.export_genesis(&QueryCtx::new(&s, &block)).unwrap();
    assert_eq!(exported["params"]["default_send_enabled"], json!(false));
}

#[test]
fn the_supply_invariant_sees_every_kind_of_damage() {
    let key = |prefix: u8, rest: &[u8]| [&[prefix][..], rest].concat();
    let balance = key(2, &[&[20], &[1; 20][..], b"atom"].concat());
    let owner = key(3, &[b"atom\0", &[20][..], &[1; 20][..]].concat());
    for (damage, value) in [
        (balance.clone(), Some("1001")),
        (balance.clone(), Some("0")),
        (balance, None),
        (owner, None),
        (key(0, b"atom"), Some("2999")),
        (key(0, b"atom"), None),
        (key(3, &[b"none\0", &[20][..], &[1; 20][..]].concat()), Some("\u{1}")),
    ] {
        let mut s = state();
        check_supply(&s, &Coins::new()).unwrap();
        match value {
            Some(value) => s.set(gantry_bank::STORE, damage.clone(), value.as_bytes().to_vec()).unwrap(),
            None => s.remove(gantry_bank::STORE, &damage).unwrap(),
        }
        assert!(check_supply(&s, &Coins::new()).is_err(), "{damage:02x?}");
    }
    let mut s = state();
    let block = BlockInfo::default();
    let mut ctx = gantry_core::BlockCtx::new(&mut s, &block);
    let fee = Coins::from(Coin::new("atom", 7).unwrap());
    keeper::take_fee(&mut ctx, &who(1), &fee).unwrap();
    assert!(check_supply(&s, &Coins::new()).is_err());
    check_supply(&s, &fee).unwrap();
}

proptest! {
    /// Whatever is sent, by whom and in which form: nothing is made and nothing lost, and a refusal changes nothing.
    #[test]
    fn sends_conserve_supply(
        steps in prop::collection::vec((1u8..6, 1u8..6, 0u128..1500, 0u128..1500, any::<bool>()), 1..40)
    ) {
        let mut s = state();
        for (from, to, atoms, gantries, multi) in steps {
            let mut amount = Coins::new();
            amount.add(&Coin::new("atom", atoms).unwrap()).unwrap();
            amount.add(&Coin::new("ugantry", gantries).unwrap()).unwrap();
            let text = amount.to_string();
            let before = s.changes().clone();
            let mut layer = Overlay::new(Empty);
            layer.apply(before);
            let result = if multi {
                let msg = MsgMultiSend { inputs: vec![input(from, &text)], outputs: vec![output(to, &text)] };
                execute::<MultiSend>(&mut layer, &msg).map(drop)
            } else {
                execute::<Send>(&mut layer, &send(&who(from), &who(to), &text)).map(drop)
            };
            if result.is_ok() {
                s = layer;
            }
            check_supply(&s, &Coins::new()).unwrap();
        }
        prop_assert_eq!(keeper::supply(&s, "atom").unwrap(), 3000);
    }
}
