//! Rows, events and genesis of auth and bank against those of the Go SDK's keepers (`framework/tx/golden/main.go`).
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use gantry_auth::{Auth, ModuleAccountSpec};
use gantry_bank::{Bank, MultiSend, keeper};
use gantry_core::{
    Address, BlockInfo, Coins, Empty, Event, ExecMode, GasMeter, Handler, InitCtx, Module, QueryCtx, TxCtx,
};
use gantry_store::{KvRead, Order, Overlay, StoreName};
use serde_json::Value;

const fn plain(name: &'static str) -> ModuleAccountSpec {
    ModuleAccountSpec { name, permissions: &[] }
}

const AUTH: Auth = Auth {
    module_accounts: &[
        plain("fee_collector"),
        plain("escrow"),
        plain("provider_bond"),
        plain("slash_pool"),
        plain("market_fee"),
    ],
};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../framework/tx/golden/vectors.json")).unwrap()
}

fn rows(s: &dyn KvRead, store: StoreName) -> Vec<(String, String)> {
    s.scan(store, None, None, Order::Ascending)
        .unwrap()
        .map(|row| row.map(|(key, value)| (hex::encode(key), hex::encode(value))).unwrap())
        .collect()
}

/// The SDK's rows, with the values that we keep where it stores nothing.
fn sdk_rows(rows: &Value) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let row = |row: &Value| {
        let (key, value) = (text(&row["key"]), text(&row["value"]));
        let value = match (&key[..2], value.as_str()) {
            ("03", "") => "01".to_owned(),
            ("04", "") => "0800".to_owned(),
            _ => value,
        };
        (key, value)
    };
    rows.as_array().unwrap().iter().map(row).collect()
}

fn sdk_events(events: &Value) -> Vec<Event> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let event = |e: &Value| {
        let attributes = e["attributes"].as_array().unwrap();
        Event::new(&text(&e["type"]), attributes.iter().map(|a| (text(&a[0]), text(&a[1]))))
    };
    events.as_array().unwrap().iter().map(event).collect()
}

/// The SDK writes an absent message (the key of an account) as null; we leave it out, which every reader takes alike.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        Value::Object(fields) => {
            fields.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect()
        }
        other => other.clone(),
    }
}

/// Addresses by the names of the generator, in its genesis.
fn find(v: &Value, index: usize) -> Address {
    v["bank_genesis"]["balances"][index]["address"].as_str().unwrap().parse().unwrap()
}

#[test]
fn rows_events_and_genesis_are_the_sdks() {
    let v = vectors();
    let block = BlockInfo::default();
    let mut state = Overlay::new(Empty);
    let mut init = InitCtx::new(&mut state, &block);
    AUTH.init_genesis(&mut init, &v["auth_genesis"]).unwrap();
    Bank.init_genesis(&mut init, &v["bank_genesis"]).unwrap();

    let (alice, bob) = (find(&v, 0), find(&v, 1));
    let events = sdk_events(&v["events"]);
    let received_by = |i: usize| -> Address {
        events.iter().filter(|e| e.kind == "coin_received").nth(i).unwrap().attributes[0].1.parse().unwrap()
    };
    let (erin, frank) = (received_by(1), received_by(5));
    let coins = |text: &str| text.parse::<Coins>().unwrap();

    let gas = GasMeter::unlimited();
    let mut ctx = TxCtx::new(&mut state, &block, &gas, ExecMode::Finalize);
    keeper::send(&mut ctx, &alice, &bob, &coins("10atom,250ugantry")).unwrap();
    keeper::send(&mut ctx, &alice, &erin, &coins("1ugantry")).unwrap();
    keeper::send(&mut ctx, &bob, &alice, &coins("10atom")).unwrap();
    keeper::send(&mut ctx, &bob, &bob, &coins("254ugantry")).unwrap();
    MultiSend::execute(
        &mut ctx,
        &cosmos_sdk_proto::cosmos::bank::v1beta1::MsgMultiSend {
            inputs: vec![input(&alice, "5atom,5ugantry")],
            outputs: vec![output(&bob, "5atom"), output(&frank, "5ugantry")],
        },
    )
    .unwrap();
    assert_eq!(ctx.take_events(), events);

    assert_eq!(rows(&state, gantry_auth::STORE), sdk_rows(&v["acc"]));
    assert_eq!(rows(&state, gantry_bank::STORE), sdk_rows(&v["bank"]));
    gantry_bank::check_supply(&state, &Coins::new()).unwrap();

    let query = QueryCtx::new(&state, &block);
    let exported_auth = AUTH.export_genesis(&query).unwrap();
    let exported_bank = Bank.export_genesis(&query).unwrap();
    assert_eq!(exported_auth, without_nulls(&v["exported_auth_genesis"]));
    assert_eq!(exported_bank, without_nulls(&v["exported_bank_genesis"]));

    // What was exported gives the same state.
    let mut again = Overlay::new(Empty);
    let mut init = InitCtx::new(&mut again, &block);
    AUTH.init_genesis(&mut init, &exported_auth).unwrap();
    Bank.init_genesis(&mut init, &exported_bank).unwrap();
    assert_eq!(rows(&again, gantry_auth::STORE), rows(&state, gantry_auth::STORE));
    assert_eq!(rows(&again, gantry_bank::STORE), rows(&state, gantry_bank::STORE));
    for invariant in AUTH.invariants().into_iter().chain(Bank.invariants()) {
        (invariant.check)(&again).unwrap();
    }
}

fn input(address: &Address, coins: &str) -> cosmos_sdk_proto::cosmos::bank::v1beta1::Input {
    cosmos_sdk_proto::cosmos::bank::v1beta1::Input {
        address: address.to_string(),
        coins: coins.parse::<Coins>().unwrap().to_proto(),
    }
}

fn output(address: &Address, coins: &str) -> cosmos_sdk_proto::cosmos::bank::v1beta1::Output {
    cosmos_sdk_proto::cosmos::bank::v1beta1::Output {
        address: address.to_string(),
        coins: coins.parse::<Coins>().unwrap().to_proto(),
    }
}
