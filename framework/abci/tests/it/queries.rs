use cosmos_sdk_proto::cosmos::{
    auth::v1beta1::QueryAccountRequest,
    bank::v1beta1::{QueryBalanceRequest, QueryBalanceResponse},
};
use gantry_abci::{Definition, Order, testing::TestChain};
use gantry_core::Address;
use gantry_store::{Store, StoreOptions};
use ics23::{
    CommitmentProof, HostFunctionsManager, iavl_spec, tendermint_spec, verify_membership, verify_non_membership,
};
use prost::Message;

use crate::support::{Probe, START, app_state, definition, users};

fn chain() -> TestChain {
    TestChain::new(definition(&Probe::default()), &app_state())
}

#[test]
fn grpc_paths_answer_at_a_height_and_say_which() {
    let mut chain = chain();
    let users = users();
    chain.advance(1);
    chain.deliver([users[0].send(users[1].address(), 5, 0)]);
    let request = QueryBalanceRequest { address: users[1].address().to_owned(), denom: "ugantry".to_owned() };
    let at = |height| {
        let answer = chain.abci_query("/cosmos.bank.v1beta1.Query/Balance", request.encode_to_vec(), height, false);
        assert_eq!((answer.code, answer.log.as_str()), (0, ""));
        let balance = QueryBalanceResponse::decode(answer.value).unwrap().balance.unwrap();
        (answer.height, balance.amount.parse::<u128>().unwrap())
    };
    assert_eq!(at(0), (2, START + 5));
    assert_eq!(at(2), (2, START + 5));
    assert_eq!(at(1), (1, START));
}

#[test]
fn errors_have_the_codes_and_words_that_clients_parse() {
    let mut chain = chain();
    let ask = |chain: &TestChain, path: &str, data: Vec<u8>, height, prove| {
        let answer = chain.abci_query(path, data, height, prove);
        assert_eq!(answer.codespace, "sdk");
        (answer.code, answer.log, answer.height)
    };
    let bank = "/cosmos.bank.v1beta1.Query/Balance";
    let (code, log, _) = ask(&chain, bank, Vec::new(), 0, false);
    assert_eq!((code, log.as_str()), (26, "testapp is not ready; please wait for first block: invalid height"));

    chain.advance(3);
    let absent = QueryAccountRequest { address: Address::module("nobody").to_string() };
    let (code, log, height) = ask(&chain, "/cosmos.auth.v1beta1.Query/Account", absent.encode_to_vec(), 0, false);
    assert_eq!((code, height), (22, 3));
    assert_eq!(log, format!("rpc error: code = NotFound desc = account {} not found: key not found", absent.address));
    let (code, log, _) = ask(&chain, bank, vec![0xff], 0, false);
    assert!(code == 18 && log.starts_with("rpc error: code = InvalidArgument desc = "), "{code} {log}");
    assert_eq!(ask(&chain, bank, Vec::new(), 4, false).0, 26, "a height to come");
    assert_eq!(ask(&chain, bank, Vec::new(), -1, false).0, 26, "a height before all");
    assert_eq!(ask(&chain, "/store/bank/key", vec![1], 1, true).0, 18, "no proof of the first height");
    assert_eq!(ask(&chain, "/store/nothing/key", vec![1], 0, false).0, 6);
    assert_eq!(ask(&chain, "/store/bank/subspace", vec![1], 0, false).0, 6);
    assert_eq!(ask(&chain, "/cosmos.bank.v1beta1.Query/Nothing", Vec::new(), 0, false).0, 6);
    assert_eq!(ask(&chain, "", Vec::new(), 0, false).0, 6);
    let (code, log, _) = ask(&chain, "/probe.Query/Panic", Vec::new(), 0, false);
    assert_eq!((code, log.as_str()), (6, "rpc error: code = Internal desc = the query panicked: unknown request"));
    assert_eq!(ask(&chain, "/app/simulate", vec![1], 0, false).0, 2);
}

#[test]
fn the_software_says_its_version() {
    let mut chain = chain();
    chain.advance(1);
    let answer = chain.abci_query("/app/version", Vec::new(), 0, false);
    assert_eq!((answer.code, &answer.value[..], answer.height), (0, &b"1.2.3"[..], 1));
}

#[test]
fn rows_are_proven_against_the_app_hash_of_their_height() {
    let mut chain = chain();
    let mut app_hashes = vec![Vec::new()];
    for _ in 0..4 {
        chain.advance(1);
        app_hashes.push(chain.last().app_hash.to_vec());
    }
    for (height, path) in [(2, "/store/probe/key"), (3, "store/probe/key"), (4, "/store/probe/key")] {
        for (key, present) in [(&b"blocks"[..], true), (b"blocka", false), (b"zz", false)] {
            let answer = chain.abci_query(path, key.to_vec(), height, true);
            assert_eq!((answer.code, answer.height), (0, height));
            let ops = answer.proof_ops.unwrap().ops;
            assert_eq!(ops.iter().map(|op| op.r#type.as_str()).collect::<Vec<_>>(), ["ics23:iavl", "ics23:simple"]);
            assert_eq!((&ops[0].key[..], &ops[1].key[..]), (key, &b"probe"[..]));
            let row = CommitmentProof::decode(ops[0].data.as_slice()).unwrap();
            let store = CommitmentProof::decode(ops[1].data.as_slice()).unwrap();
            let root = ics23::calculate_existence_root::<HostFunctionsManager>(exist(&store)).unwrap();
            assert_eq!(root, app_hashes[usize::try_from(height).unwrap()], "the store is under the app hash");
            let store_root = exist(&store).value.clone();
            assert!(verify_membership::<HostFunctionsManager>(
                &store,
                &tendermint_spec(),
                &root,
                b"probe",
                &store_root
            ));
            assert_eq!(answer.value.is_empty(), !present);
            assert!(if present {
                verify_membership::<HostFunctionsManager>(&row, &iavl_spec(), &store_root, key, &answer.value)
            } else {
                verify_non_membership::<HostFunctionsManager>(&row, &iavl_spec(), &store_root, key)
            });
        }
    }
}

#[test]
fn proofs_have_a_window_of_their_own() {
    let dir = tempfile::TempDir::new().unwrap();
    let definition = definition(&Probe::default());
    let windows = StoreOptions { keep_recent: 2, proof_window: 5, ..StoreOptions::default() };
    let store = Store::open(dir.path(), &definition.stores(), windows).unwrap();
    let mut chain = TestChain::on(store, definition, &app_state());
    chain.advance(9);
    let code = |height, prove| {
        let answer = chain.abci_query("/store/probe/key", b"blocks".to_vec(), height, prove);
        assert_eq!(answer.height, if height == 0 { 9 } else { height });
        (answer.code, answer.value.last().copied(), answer.proof_ops.is_some())
    };
    let refused = (18, None, false);
    assert_eq!([code(0, true), code(9, true)], [(0, Some(9), true); 2]);
    assert_eq!([code(4, true), code(4, false)], [(0, Some(4), true), refused]);
    assert_eq!([code(3, true), code(7, false)], [refused, (0, Some(7), false)]);
    assert_eq!(code(10, true).0, 26);
}

#[test]
fn a_store_is_not_proven_before_it_began() {
    let dir = tempfile::TempDir::new().unwrap();
    let open =
        |definition: &Definition| Store::open(dir.path(), &definition.stores(), StoreOptions::default()).unwrap();
    let mut old = definition(&Probe::default());
    old.modules.pop();
    let before: &[&str] = &["auth", "bank"];
    old.order = Order { init_genesis: before, begin_block: before, end_block: before };
    let mut genesis = app_state();
    genesis.as_object_mut().unwrap().remove("probe");
    let mut chain = TestChain::on(open(&old), old, &genesis);
    chain.advance(2);
    drop(chain);
    let new = definition(&Probe::default());
    let mut chain = TestChain::on(open(&new), new, &app_state());
    let ask = |chain: &TestChain, height| {
        let answer = chain.abci_query("/store/probe/key", b"blocks".to_vec(), height, true);
        (answer.code, answer.log)
    };
    let unknown = |height| (6, format!("no such store: probe at height {height}: unknown request"));
    assert_eq!(ask(&chain, 2), unknown(2));
    chain.advance(1);
    assert_eq!((ask(&chain, 2), ask(&chain, 3)), (unknown(2), (0, String::new())));
}

fn exist(proof: &CommitmentProof) -> &ics23::ExistenceProof {
    match &proof.proof {
        Some(ics23::commitment_proof::Proof::Exist(exist)) => exist,
        other => panic!("{other:?}"),
    }
}
