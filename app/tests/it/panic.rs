//! With the feature `test-panic`: a transaction whose handler panics costs its sender a fee, and the chain nothing.

use cosmos_sdk_proto::cosmos::{
    auth::v1beta1::MsgUpdateParams,
    bank::v1beta1::{MsgSend, QueryBalanceRequest, QueryBalanceResponse},
    base::v1beta1::Coin,
};
use gantry_abci::testing::{CHAIN_ID, TestChain};
use gantry_keyring::{HdPath, Keyring, SignerData, TxBuilder};
use gantryd::modules;
use serde_json::json;

#[test]
fn a_panic_in_a_handler_is_one_transactions_failure() {
    let keyring = Keyring::memory();
    keyring.create("alice", HdPath::default()).unwrap();
    let alice = keyring.signer("alice").unwrap();
    let address = alice.info.address.clone();
    let mut state = modules::default_genesis().unwrap();
    state["auth"]["accounts"] = json!([{
        "@type": "/cosmos.auth.v1beta1.BaseAccount", "address": address, "pub_key": null,
        "account_number": "0", "sequence": "0",
    }]);
    let coins = json!([{"denom": "ugantry", "amount": "1000000"}]);
    state["bank"]["balances"] = json!([{"address": address, "coins": coins}]);
    state["bank"]["supply"] = coins;
    let mut chain = TestChain::new(modules::definition(), &state);

    let coin = |amount: &str| vec![Coin { denom: "ugantry".to_owned(), amount: amount.to_owned() }];
    let sign = |tx: TxBuilder, sequence| {
        let account = SignerData { chain_id: CHAIN_ID.to_owned(), account_number: 0, sequence };
        tx.fee(coin("500")).gas_limit(300_000).sign(&alice, &account)
    };
    let send = MsgSend { from_address: address.clone(), to_address: address.clone(), amount: coin("1") };
    let panic = MsgUpdateParams { authority: address.clone(), params: None };
    let (taken, results) = chain
        .propose([sign(TxBuilder::new().message(&send).message(&panic), 0), sign(TxBuilder::new().message(&send), 1)]);
    assert_eq!((taken.len(), results.len()), (2, 2));
    assert_eq!((results[0].codespace.as_str(), results[0].code), ("sdk", 111_222));
    assert_eq!(results[0].log, "panic in transaction execution: panic", "nothing of a machine's own words");
    assert!(results[0].data.is_empty());
    assert_eq!(results[1].code, 0, "{}", results[1].log);
    chain.advance(2);
    let request = QueryBalanceRequest { address, denom: "ugantry".to_owned() };
    let balance: QueryBalanceResponse = chain.query("/cosmos.bank.v1beta1.Query/Balance", &request).unwrap();
    assert_eq!(balance.balance.unwrap().amount, "999000", "both fees were kept");
}
