use cosmos_sdk_proto::cosmos::{
    auth::v1beta1::{MsgUpdateParams, Params},
    bank::v1beta1::{QueryBalanceRequest, QueryBalanceResponse},
};
use gantry_abci::{
    EMPTY_APP_HASH, Engine, Options, Queries, Stop, call,
    testing::{TestChain, init_chain},
};
use gantry_core::Address;
use gantry_keyring::TxBuilder;
use gantry_store::Store;
use prost::Message;
use tendermint_proto::v0_38::abci::{RequestCommit, RequestFinalizeBlock, request::Value as Request};

use crate::support::{FEE, Probe, START, app_state, coins, definition, users};

fn chain() -> (TestChain, Probe) {
    let probe = Probe::default();
    (TestChain::new(definition(&probe), &app_state()), probe)
}

pub(crate) fn balance(chain: &TestChain, address: &str) -> u128 {
    let request = QueryBalanceRequest { address: address.to_owned(), denom: "ugantry".to_owned() };
    let response: QueryBalanceResponse = chain.query("/cosmos.bank.v1beta1.Query/Balance", &request).unwrap();
    response.balance.unwrap().amount.parse().unwrap()
}

#[test]
fn a_transfer_moves_coins_and_its_fee_is_credited_at_the_end() {
    let (mut chain, _) = chain();
    let users = users();
    let results = chain.deliver([users[0].send(users[1].address(), 7, 0)]);
    assert_eq!((results[0].code, results[0].log.as_str()), (0, ""));
    assert!(!results[0].data.is_empty() && results[0].gas_used > 0);
    assert!(results[0].events.iter().all(|event| event.attributes.iter().all(|a| !a.key.is_empty())));
    assert_eq!(balance(&chain, users[0].address()), START - 7 - FEE);
    assert_eq!(balance(&chain, users[1].address()), START + 7);
    let collector = Address::module(gantry_bank::FEE_COLLECTOR).to_string();
    assert_eq!(balance(&chain, &collector), FEE);
    let probe = chain.last().events.iter().find(|event| event.r#type == "probe").unwrap();
    assert_eq!(probe.attributes[0].value, "1");
    assert_eq!((probe.attributes[1].key.as_str(), probe.attributes[1].value.as_str()), ("mode", "BeginBlock"));
}

#[test]
fn every_transaction_gets_a_result_whatever_its_bytes() {
    let (mut chain, _) = chain();
    let users = users();
    let good = users[0].send(users[1].address(), 1, 0);
    let truncated = good[..good.len() - 1].to_vec();
    let bytes =
        vec![Vec::new(), vec![0xff; 7], truncated, vec![0; 1 << 20], vec![0; (1 << 20) + 1], good, b"text".to_vec()];
    let results = chain.deliver(bytes.clone());
    assert_eq!(results.len(), bytes.len());
    assert_eq!(results.iter().filter(|result| result.code == 0).count(), 1);
    assert!(results.iter().all(|result| result.code == 0 || result.codespace == "sdk"));
    assert_eq!(chain.height(), 1);
}

#[test]
fn a_failed_message_keeps_its_fee_and_nothing_else() {
    let (mut chain, _) = chain();
    let users = users();
    let results = chain.deliver([users[0].send(users[1].address(), START * 2, 0)]);
    assert_eq!((results[0].codespace.as_str(), results[0].code), ("sdk", 5));
    assert_eq!(balance(&chain, users[0].address()), START - FEE);
    assert_eq!(balance(&chain, users[1].address()), START);
    // The sequence was used up.
    assert_eq!(chain.deliver([users[0].send(users[1].address(), 1, 0)])[0].code, 32);
    assert_eq!(chain.deliver([users[0].send(users[1].address(), 1, 1)])[0].code, 0);
}

#[test]
fn a_panic_in_a_message_is_one_transactions_failure() {
    let (mut chain, _) = chain();
    let users = users();
    let panicking = |max_memo_characters, sequence| {
        let params = Some(Params { max_memo_characters, ..Params::default() });
        let message = MsgUpdateParams { authority: users[0].address().to_owned(), params };
        users[0].sign(TxBuilder::new().message(&message).fee(coins(FEE)).gas_limit(200_000), sequence)
    };
    let (in_check, in_execution) = (panicking(1, 0), panicking(2, 0));
    assert_eq!(chain.check(in_check.clone()).code, 111_222);
    assert!(!chain.process([in_check.clone()]), "no honest node proposes it");
    let results = chain.deliver([in_check, in_execution, users[0].send(users[1].address(), 1, 1)]);
    assert_eq!(results.iter().map(|result| result.code).collect::<Vec<_>>(), [111_222, 111_222, 0]);
    assert!(results[..2].iter().all(|result| result.log == "panic in transaction execution: panic"));
    assert_eq!(balance(&chain, users[0].address()), START - 1 - 2 * FEE, "one fee was never taken");
}

#[test]
fn a_block_is_executed_once_however_it_came() {
    let (mut chain, probe) = chain();
    let users = users();
    // We propose: prepared, judged, decided.
    chain.propose([users[0].send(users[1].address(), 1, 0)]);
    assert_eq!(probe.executions(), 1);
    // Another proposes.
    let tx = users[0].send(users[1].address(), 1, 1);
    assert!(chain.process([tx.clone()]));
    chain.deliver([tx]);
    assert_eq!(probe.executions(), 2);
    // Block sync: no proposal before.
    chain.advance(1);
    assert_eq!(probe.executions(), 3);
    // Decided otherwise than proposed: what was executed ahead is of no use.
    assert!(chain.process([users[0].send(users[1].address(), 1, 2)]));
    let before = balance(&chain, users[0].address());
    chain.advance(1);
    assert_eq!(balance(&chain, users[0].address()), before);
    // FinalizeBlock again, as after a crash of CometBFT, asks nothing twice.
    let first = chain.finalize([users[0].send(users[1].address(), 1, 2)]);
    let executions = probe.executions();
    assert_eq!(chain.finalize([users[0].send(users[1].address(), 1, 2)]), first);
    assert_eq!(probe.executions(), executions);
    chain.commit();
}

#[test]
fn at_most_four_proposals_of_a_height_are_executed_ahead() {
    let (mut chain, probe) = chain();
    let users = users();
    for amount in 1..=6 {
        assert!(chain.process([users[0].send(users[1].address(), amount, 0)]));
    }
    let results = chain.deliver([users[0].send(users[1].address(), 6, 0)]);
    assert_eq!(results[0].code, 0, "the sixth is executed when it is decided");
    chain.advance(1);
    // Candidates that nobody took may still have been waiting for a thread; they never exceed four.
    assert!((3..=6).contains(&probe.executions()), "{}", probe.executions());
}

#[test]
fn finalize_block_writes_nothing() {
    let (mut chain, _) = chain();
    let users = users();
    chain.advance(2);
    let before = chain.info();
    let finalized = chain.finalize([users[0].send(users[1].address(), 7, 0)]);
    assert_eq!(chain.info(), before);
    assert_eq!(balance(&chain, users[0].address()), START);
    chain.commit();
    assert_eq!(chain.info().last_block_height, 3);
    assert_eq!(chain.info().last_block_app_hash, finalized.app_hash);
}

#[test]
fn init_chain_runs_again_until_the_first_commit_and_then_never() {
    let (mut chain, _) = chain();
    assert_eq!(chain.info().last_block_height, 0);
    let first = chain.finalize(Vec::<Vec<u8>>::new()).app_hash;
    chain.init_chain(&app_state());
    assert_eq!(chain.finalize(Vec::<Vec<u8>>::new()).app_hash, first);
    assert_ne!(first, EMPTY_APP_HASH.to_vec());
    chain.commit();
    let again = chain.call(Request::InitChain(init_chain(&app_state())));
    assert!(matches!(again, Err(Stop::Fatal(_))), "{again:?}");
}

#[test]
fn calls_out_of_order_stop_the_node() {
    let (chain, _) = chain();
    let finalize = |height| Request::FinalizeBlock(RequestFinalizeBlock { height, ..RequestFinalizeBlock::default() });
    for bad in [Request::Commit(RequestCommit {}), finalize(2), finalize(0), finalize(-1)] {
        let answer = chain.call(bad);
        assert!(matches!(answer, Err(Stop::Fatal(_))), "{answer:?}");
    }
}

#[test]
fn a_broken_invariant_stops_the_node_before_commit() {
    let probe = Probe { break_at: 2, ..Probe::default() };
    let mut chain = TestChain::new(definition(&probe), &app_state());
    chain.advance(1);
    let request = RequestFinalizeBlock { height: 2, ..RequestFinalizeBlock::default() };
    // Executed ahead, it harms nobody: the block may never be decided.
    assert!(chain.process(Vec::<Vec<u8>>::new()));
    let Err(Stop::Fatal(fatal)) = chain.call(Request::FinalizeBlock(request)) else { panic!("a fatal stop") };
    assert!(fatal.0.contains("probe/whole"), "{fatal}");
    assert_eq!(chain.info().last_block_height, 1);
}

#[test]
fn a_genesis_that_no_module_reads_or_that_breaks_a_rule_is_refused() {
    let probe = Probe::default();
    for (what, change) in [
        (
            "an unknown section",
            Box::new(|s: &mut serde_json::Value| s["typo"] = serde_json::json!({})) as Box<dyn Fn(&mut _)>,
        ),
        ("supply that is no sum", Box::new(|s: &mut serde_json::Value| s["bank"]["supply"][0]["amount"] = "1".into())),
        ("no object", Box::new(|s: &mut serde_json::Value| *s = serde_json::Value::Null)),
    ] {
        let mut state = app_state();
        change(&mut state);
        let store = Store::temporary(&definition(&probe).stores()).unwrap();
        let engine = Engine::new(definition(&probe), store, Options::default()).unwrap();
        let answer = call(&Queries::new(engine, []), Request::InitChain(init_chain(&state)));
        assert!(matches!(answer, Err(Stop::Fatal(_))), "{what}: {answer:?}");
    }
}

#[test]
fn the_configured_last_height_is_committed_and_none_after_it() {
    let probe = Probe::default();
    let store = Store::temporary(&definition(&probe).stores()).unwrap();
    let options = Options { halt_height: 1, ..Options::default() };
    let engine = Engine::new(definition(&probe), store, options).unwrap();
    let queries = Queries::new(engine, []);
    let finalize = |height| Request::FinalizeBlock(RequestFinalizeBlock { height, ..RequestFinalizeBlock::default() });
    call(&queries, Request::InitChain(init_chain(&app_state()))).unwrap();
    call(&queries, finalize(1)).unwrap();
    call(&queries, Request::Commit(RequestCommit {})).unwrap();
    assert!(matches!(call(&queries, finalize(2)), Err(Stop::Planned(_))));
}

/// Blocks with transfers, failures, garbage and several transactions of one sender.
pub(crate) fn script() -> Vec<Vec<Vec<u8>>> {
    let users = users();
    let to = |user: usize| users[user].address().to_owned();
    let memo = TxBuilder::new()
        .message(&users[2].transfer(&to(0), 5))
        .message(&users[2].transfer(&to(1), START * 9))
        .fee(coins(FEE))
        .gas_limit(300_000);
    vec![
        vec![users[0].send(&to(1), 10, 0), users[0].send(&to(2), 11, 1), users[1].send(&to(0), 12, 0)],
        vec![b"garbage".to_vec(), users[2].sign(memo, 0), users[1].send(&to(2), START * 3, 1)],
        Vec::new(),
        vec![users[2].send(&to(0), 13, 1), users[2].send(&to(0), 13, 1), users[0].send(&to(1), 1, 2)],
        vec![users[1].send(&to(0), 14, 2)],
    ]
}

#[test]
fn one_block_has_one_result_on_any_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (mut chain, _) = chain();
            script()
                .into_iter()
                .map(|txs| {
                    chain.deliver(txs);
                    chain.last().encode_to_vec()
                })
                .collect::<Vec<_>>()
        })
    };
    let alone = run(1);
    assert_eq!(alone.len(), 5);
    for threads in [2, 4, 7] {
        assert_eq!(run(threads), alone, "{threads} threads");
    }
}
