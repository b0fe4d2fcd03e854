//! Past states: reading them within the window, going back to one, exporting one, dropping them.

use std::{fs, path::Path, process::Output};

use cosmos_sdk_proto::cosmos::{
    bank::v1beta1::{QueryBalanceRequest, query_client::QueryClient as Bank},
    base::node::v1beta1::{ConfigRequest, StatusRequest, service_client::ServiceClient as NodeService},
};
use nix::sys::signal::Signal;
use serde_json::Value;
use tonic::{Code, Request, transport::Channel};

use crate::support::{Node, cometbft};

fn stop(node: &mut Node) {
    node.signal(Signal::SIGTERM);
    assert_eq!(node.ended().code(), Some(0), "{}", node.log());
}

fn error_of(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn past_states_are_read_within_the_window_and_refused_outside_it() {
    let Some(comet) = cometbft("past_states_are_read_within_the_window_and_refused_outside_it") else { return };
    let mut node = Node::new(comet);
    let app_toml = node.home().join("config/app.toml");
    edit(&app_toml, "pruning = \"default\"", "pruning = \"custom\"");
    edit(&app_toml, "pruning-keep-recent = \"0\"", "pruning-keep-recent = \"5\"");
    edit(&app_toml, "proof-window = 1000", "proof-window = 3");
    assert!(error_of(&node.command(&["start"]).output().unwrap()).contains("'pruning-interval' must not be 0"));
    node.start(&["--pruning-interval", "10", "--min-retain-blocks", "1"]);
    let bob = node.address("bob");
    node.wait_for_height(2);
    let sent: u64 = node.send("alice", &bob, "5ugantry")["height"].as_str().unwrap().parse().unwrap();
    node.wait_for_height(sent + 1);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let channel = Channel::from_shared(node.grpc_url()).unwrap().connect().await.unwrap();
        let mut bank = Bank::new(channel.clone());
        let ask = |height: u64| {
            let mut request =
                Request::new(QueryBalanceRequest { address: bob.to_owned(), denom: "ugantry".to_owned() });
            request.metadata_mut().insert("x-cosmos-block-height", height.into());
            request
        };
        for (height, amount) in [(sent - 1, "1000000000"), (sent, "1000000005"), (sent + 1, "1000000005")] {
            let answer = bank.balance(ask(height)).await.unwrap();
            assert_eq!(answer.metadata().get("x-cosmos-block-height").unwrap(), &height.to_string());
            assert_eq!(answer.into_inner().balance.unwrap().amount, amount, "height {height}");
        }
        let mut service = NodeService::new(channel);
        let config = service.config(ConfigRequest {}).await.unwrap().into_inner();
        assert_eq!((config.pruning_keep_recent.as_str(), config.pruning_interval.as_str()), ("5", "10"));

        // The window moves on.
        node.wait_for_height(sent + 6);
        let gone = bank.balance(ask(sent - 1)).await.unwrap_err();
        assert_eq!(gone.code(), Code::InvalidArgument);
        assert!(gone.message().starts_with(&format!("failed to load state at height {}; ", sent - 1)), "{gone}");
        let ahead = bank.balance(ask(1 << 40)).await.unwrap_err();
        assert!(ahead.message().contains("cannot query with height in the future"), "{ahead}");
        let status = service.status(StatusRequest {}).await.unwrap().into_inner();
        assert_eq!(status.earliest_store_height, status.height - 5);
    });

    let query =
        |height: u64| node.rpc(&format!("abci_query?path=\"/store/consensus/key\"&data=0x426c6f636b&height={height}"));
    let last = node.wait_for_height(1);
    let answer = query(last - 1)["result"]["response"].clone();
    assert_eq!((&answer["code"], &answer["height"]), (&Value::from(0), &Value::from((last - 1).to_string())));
    let refused = query(1)["result"]["response"].clone();
    assert_eq!((&refused["code"], &refused["codespace"]), (&Value::from(18), &Value::from("sdk")), "{refused}");
    // Evidence may need any block of so short a chain.
    assert_eq!(node.rpc("status")["result"]["sync_info"]["earliest_block_height"], "1");
    stop(&mut node);
}

#[test]
fn a_node_goes_back_one_block_and_on_again() {
    let Some(comet) = cometbft("a_node_goes_back_one_block_and_on_again") else { return };
    let mut node = Node::new(comet.clone());
    let rollback = |node: &Node, more: &[&str]| {
        let mut command = node.command(&["rollback", "--cometbft", comet.to_str().unwrap()]);
        command.args(more);
        command
    };
    assert!(error_of(&rollback(&node, &[]).output().unwrap()).contains("there is no state in this home yet"));
    node.start(&[]);
    let bob = node.address("bob");
    node.wait_for_height(2);
    node.send("alice", &bob, "5ugantry");
    node.wait_for_height(4);
    assert!(error_of(&rollback(&node, &[]).output().unwrap()).contains("stop the node first"));
    stop(&mut node);
    let said = |output: Output| {
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        let said = said.strip_prefix("Rolled back state to height ").unwrap_or_else(|| panic!("{said}"));
        let (height, hash) = said.trim().split_once(" and hash ").unwrap();
        (height.parse::<u64>().unwrap(), hash.to_owned())
    };
    let snapshots = |node: &Node| node.run(&["snapshots", "list"]).lines().count();
    node.run(&["snapshots", "export"]);
    assert_eq!(snapshots(&node), 1);
    // Killed on the way, and called again: one block in all.
    let crash = |place: &str| {
        let output = rollback(&node, &[]).env("GANTRY_FAIL", format!("{place}#1")).output().unwrap();
        assert!(!output.status.success(), "{place} was not reached");
    };
    crash("rollback: CometBFT is back");
    assert_eq!(snapshots(&node), 1);
    crash("roll back: written");
    assert_eq!(snapshots(&node), 0, "it was of the state that is no more");
    let (height, hash) = said(rollback(&node, &[]).output().unwrap());
    assert_eq!(said(rollback(&node, &[]).output().unwrap()), (height, hash.clone()), "the block is still there");

    node.start(&[]);
    node.wait_for_height(height + 3);
    // What the block after it carries is what CometBFT had agreed on.
    assert_eq!(node.app_hash_in(height + 1), hash);
    assert_eq!(node.balance(&bob), 1_000_000_005);

    // A follower may forget a block, too: it gets it again.
    let mut follower = node.follower();
    follower.start(&[]);
    follower.wait_for_height(height + 2);
    stop(&mut follower);
    let (back, _) = said(rollback(&follower, &["--hard"]).output().unwrap());
    follower.start(&[]);
    let reached = follower.wait_for_height(back + 3);
    assert_eq!(follower.app_hash_in(reached), node.app_hash_in(reached));
    stop(&mut follower);
    stop(&mut node);
}

#[test]
fn an_exported_state_is_a_genesis_and_pruning_leaves_the_window() {
    let Some(comet) = cometbft("an_exported_state_is_a_genesis_and_pruning_leaves_the_window") else { return };
    let mut node = Node::new(comet.clone());
    node.start(&[]);
    let (alice, bob) = (node.address("alice"), node.address("bob"));
    node.wait_for_height(2);
    let sent: u64 = node.send("alice", &bob, "5ugantry")["height"].as_str().unwrap().parse().unwrap();
    node.wait_for_height(sent + 3);
    assert!(error_of(&node.command(&["export"]).output().unwrap()).contains("stop the node first"));
    stop(&mut node);

    let file = node.home().join("exported.json");
    node.run(&["export", "--output-document", file.to_str().unwrap()]);
    let exported: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let last: u64 = exported["initial_height"].as_str().unwrap().parse::<u64>().unwrap() - 1;
    assert!(last >= sent + 3);
    let old: Value =
        serde_json::from_str(&fs::read_to_string(node.home().join("config/genesis.json")).unwrap()).unwrap();
    for same in ["chain_id", "validators", "consensus_params"] {
        assert_eq!(exported[same], old[same], "{same}");
    }
    assert!(exported["genesis_time"].as_str().unwrap() > old["genesis_time"].as_str().unwrap());
    let bobs = |genesis: &Value| {
        let balances = genesis["app_state"]["bank"]["balances"].as_array().unwrap().clone();
        balances.into_iter().find(|row| row["address"] == bob.as_str()).unwrap()["coins"][0]["amount"].clone()
    };
    assert_eq!(bobs(&exported), "1000000005");
    let past: Value = serde_json::from_str(&node.run(&["export", "--height", &(sent - 1).to_string()])).unwrap();
    assert_eq!((bobs(&past), &past["initial_height"]), ("1000000000".into(), &sent.to_string().into()));
    let gone = node.command(&["export", "--height", "1000"]).output().unwrap();
    assert!(error_of(&gone).contains("cannot query with height in the future"));

    // Pruned by hand, the state is the same and its past is gone.
    let error = error_of(&node.command(&["prune", "some"]).output().unwrap());
    assert!(error.contains("unknown pruning strategy some"), "{error}");
    node.run(&["prune", "everything", "--proof-window", "2"]);
    let again: Value = serde_json::from_str(&node.run(&["export"])).unwrap();
    assert_eq!(again, exported);
    let gone = node.command(&["export", "--height", &(sent - 1).to_string()]).output().unwrap();
    assert!(error_of(&gone).contains("failed to load state at height"), "{gone:?}");

    // A new chain starts from it, at the next height, with the same accounts.
    node.run(&["genesis", "validate", file.to_str().unwrap()]);
    node.run(&["unsafe-reset-all"]);
    fs::copy(&file, node.home().join("config/genesis.json")).unwrap();
    node.start(&[]);
    node.wait_for_height(last + 2);
    assert_eq!((node.balance(&bob), node.balance(&alice)), (1_000_000_005, 999_999_495));
    let second: u64 = node.send("alice", &bob, "6ugantry")["height"].as_str().unwrap().parse().unwrap();
    assert!(second > last);
    assert_eq!(node.balance(&bob), 1_000_000_011);
    stop(&mut node);
}
