use nix::sys::signal::{Signal, kill};
use std::fs;

use crate::support::{Node, cometbft, wait_for};

#[test]
fn what_was_left_half_written_takes_no_room_from_a_start() {
    let Some(comet) = cometbft("what_was_left_half_written_takes_no_room_from_a_start") else { return };
    let node = Node::new(comet);
    let app_toml = node.home().join("config/app.toml");
    let text = fs::read_to_string(&app_toml).unwrap();
    fs::write(&app_toml, text.replace("min-free-bytes = ", "min-free-bytes = 9000000000")).unwrap();
    let litter = ["application.db/trees/7.partial", "snapshots/7/1.unfinished/0"]
        .map(|path| node.home().join("data").join(path));
    for file in &litter {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, b"half").unwrap();
    }
    let refused = node.command(&["start", "--abci-only"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(6), "{refused:?}");
    assert!(litter.iter().all(|file| !file.exists()));
}

#[test]
fn a_transfer_is_committed_found_and_served_by_every_front_end() {
    let Some(comet) = cometbft("a_transfer_is_committed_found_and_served_by_every_front_end") else { return };
    let mut node = Node::new(comet);
    node.start(&["--pruning", "nothing", "--minimum-gas-prices", "0.001ugantry"]);
    node.wait_for_height(2);
    let (alice, bob) = (node.address("alice"), node.address("bob"));
    let tx = node.send("alice", &bob, "1234ugantry");
    assert_eq!(tx["code"], 0, "{tx}");
    assert_eq!((node.balance(&bob), node.balance(&alice)), (1_000_001_234, 999_998_266));
    // Twice the same sequence, and more than there is.
    let poor = node
        .command(&[
            "tx",
            "bank",
            "send",
            "alice",
            &bob,
            "1ugantry",
            "--fees",
            "2000000000ugantry",
            "--gas",
            "200000",
            "-y",
            "--output",
            "json",
        ])
        .output()
        .unwrap();
    let refused: serde_json::Value = serde_json::from_slice(&poor.stdout).unwrap();
    assert_eq!((refused["codespace"].as_str(), refused["code"].as_u64()), (Some("sdk"), Some(5)), "{refused}");

    grpc::check(&node, &bob, tx["txhash"].as_str().unwrap());

    node.signal(Signal::SIGTERM);
    let started = std::time::Instant::now();
    assert_eq!(node.ended().code(), Some(0), "{}", node.log());
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    assert!(node.comets().is_empty());
}

mod grpc {
    use cosmos_sdk_proto::cosmos::{
        bank::v1beta1::{MsgSend, QueryBalanceRequest, query_client::QueryClient as Bank},
        base::tendermint::v1beta1::{
            AbciQueryRequest, GetBlockByHeightRequest, GetLatestBlockRequest, GetLatestValidatorSetRequest,
            GetNodeInfoRequest, GetSyncingRequest, service_client::ServiceClient as Comet,
        },
        base::v1beta1::Coin,
        tx::v1beta1::{
            BroadcastMode, BroadcastTxRequest, GetBlockWithTxsRequest, GetTxRequest, GetTxsEventRequest,
            SimulateRequest, TxDecodeRequest, TxEncodeRequest, service_client::ServiceClient as Txs,
        },
    };
    use gantry_keyring::{Keyring, SignerData, TxBuilder};
    use tonic::{Code, Request, transport::Channel};

    use crate::support::{CHAIN_ID, Node};

    /// What real clients ask over gRPC.
    pub(super) fn check(node: &Node, bob: &str, hash: &str) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let channel = Channel::from_shared(node.grpc_url()).unwrap().connect().await.unwrap();
            bank(channel.clone(), bob).await;
            transactions(channel.clone(), hash).await;
            sending(channel.clone(), node).await;
            comet(channel).await;
        });
    }

    async fn bank(channel: Channel, bob: &str) {
        let ask = |height: u64| {
            let mut request =
                Request::new(QueryBalanceRequest { address: bob.to_owned(), denom: "ugantry".to_owned() });
            request.metadata_mut().insert("x-cosmos-block-height", height.into());
            request
        };
        let mut bank = Bank::new(channel);
        let now = bank.balance(ask(0)).await.unwrap();
        let height: u64 = now.metadata().get("x-cosmos-block-height").unwrap().to_str().unwrap().parse().unwrap();
        assert!(height > 1);
        assert_eq!(now.into_inner().balance.unwrap().amount, "1000001234");
        let first = bank.balance(ask(1)).await.unwrap();
        assert_eq!(first.metadata().get("x-cosmos-block-height").unwrap(), "1");
        assert_eq!(first.into_inner().balance.unwrap().amount, "1000000000");
        assert_eq!(bank.balance(ask(1_000_000)).await.unwrap_err().code(), Code::InvalidArgument);
        let mut bad = ask(0);
        bad.metadata_mut().insert("x-cosmos-block-height", "-1".parse().unwrap());
        assert_eq!(bank.balance(bad).await.unwrap_err().code(), Code::InvalidArgument);
    }

    async fn transactions(channel: Channel, hash: &str) {
        let mut txs = Txs::new(channel);
        let found = txs.get_tx(GetTxRequest { hash: hash.to_owned() }).await.unwrap().into_inner();
        let response = found.tx_response.unwrap();
        assert_eq!((response.txhash.as_str(), response.code), (hash, 0));
        assert!(response.events.iter().any(|event| event.r#type == "transfer"));
        assert!(response.timestamp.ends_with('Z') && response.timestamp.len() == 20, "{}", response.timestamp);
        // TxMsgData with the response of a MsgSend, in hex.
        assert!(response.data.starts_with("1226"), "{}", response.data);
        assert_eq!(found.tx.unwrap().body.unwrap().messages.len(), 1);

        let unknown = txs.get_tx(GetTxRequest { hash: "00".repeat(32) }).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound, "{unknown}");
        let query = GetTxsEventRequest { query: format!("tx.height={}", response.height), ..Default::default() };
        let page = txs.get_txs_event(query).await.unwrap().into_inner();
        assert_eq!((page.total, page.txs.len()), (1, 1));
        let block = GetBlockWithTxsRequest { height: response.height, pagination: None };
        assert_eq!(txs.get_block_with_txs(block).await.unwrap().into_inner().txs.len(), 1);
        let amino = cosmos_sdk_proto::cosmos::tx::v1beta1::TxDecodeAminoRequest::default();
        assert_eq!(txs.tx_decode_amino(amino).await.unwrap_err().code(), Code::Unimplemented);
    }

    async fn sending(channel: Channel, node: &Node) {
        let alice = Keyring::test(node.home()).signer("alice").unwrap();
        let address = alice.info.address.clone();
        let coin = |amount: &str| vec![Coin { denom: "ugantry".to_owned(), amount: amount.to_owned() }];
        let send = MsgSend { from_address: address.clone(), to_address: address, amount: coin("1") };
        let tx = TxBuilder::new().message(&send).fee(coin("500")).gas_limit(200_000);
        let account = SignerData { chain_id: CHAIN_ID.to_owned(), account_number: 0, sequence: 1 };
        let signed = tx.sign(&alice, &account);

        let mut txs = Txs::new(channel);
        // As Hermes and CosmJS (bytes), then as go-relayer (the deprecated field), without a signature.
        let unsigned = tx.simulate(Some(alice.public_key()), 1);
        let deprecated = txs.tx_decode(TxDecodeRequest { tx_bytes: unsigned.clone() }).await.unwrap().into_inner().tx;
        let encoded = txs.tx_encode(TxEncodeRequest { tx: deprecated.clone() }).await.unwrap().into_inner().tx_bytes;
        assert_eq!(encoded, unsigned);
        #[expect(deprecated, reason = "relayers send it")]
        let requests = [
            SimulateRequest { tx: None, tx_bytes: unsigned },
            SimulateRequest { tx: deprecated, tx_bytes: Vec::new() },
        ];
        for request in requests {
            let simulated = txs.simulate(request).await.unwrap().into_inner();
            assert!(simulated.gas_info.unwrap().gas_used > 20_000);
            assert_eq!(simulated.result.unwrap().msg_responses.len(), 1);
        }
        let stale = SimulateRequest { tx_bytes: tx.simulate(Some(alice.public_key()), 0), ..Default::default() };
        let refused = txs.simulate(stale).await.unwrap_err();
        assert!(refused.message().contains("account sequence mismatch, expected 1, got 0"), "{refused}");
        assert_eq!(refused.code(), Code::Unknown);

        let mut send = async |bytes: Vec<u8>, mode: BroadcastMode| {
            let request = BroadcastTxRequest { tx_bytes: bytes, mode: mode.into() };
            txs.broadcast_tx(request).await.map(|answer| answer.into_inner().tx_response.unwrap())
        };
        let sent = send(signed.clone(), BroadcastMode::Sync).await.unwrap();
        assert_eq!((sent.code, sent.txhash.len()), (0, 64), "{}", sent.raw_log);
        let again = send(signed, BroadcastMode::Sync).await.unwrap();
        assert_eq!((again.codespace.as_str(), again.code), ("sdk", 19), "{}", again.raw_log);
        let bad = send(b"garbage".to_vec(), BroadcastMode::Sync).await.unwrap();
        assert_eq!((bad.codespace.as_str(), bad.code), ("sdk", 2), "{}", bad.raw_log);
        assert_eq!(send(Vec::new(), BroadcastMode::Block).await.unwrap_err().code(), Code::InvalidArgument);
    }

    async fn comet(channel: Channel) {
        let mut comet = Comet::new(channel);
        let info = comet.get_node_info(GetNodeInfoRequest {}).await.unwrap().into_inner();
        assert_eq!(info.default_node_info.unwrap().network, CHAIN_ID);
        let version = info.application_version.unwrap();
        assert!(version.build_deps.iter().any(|module| module.path == "github.com/cosmos/cosmos-sdk"));
        let block = comet.get_latest_block(GetLatestBlockRequest {}).await.unwrap().into_inner();
        let proposer = block.sdk_block.unwrap().header.unwrap().proposer_address;
        assert!(proposer.starts_with("gantryvalcons1"), "{proposer}");
        let first = comet.get_block_by_height(GetBlockByHeightRequest { height: 1 }).await.unwrap().into_inner();
        assert_eq!(first.block.unwrap().header.unwrap().height, 1);
        let absent = comet.get_block_by_height(GetBlockByHeightRequest { height: 1 << 40 }).await.unwrap_err();
        assert_eq!(absent.code(), Code::InvalidArgument);
        assert!(!comet.get_syncing(GetSyncingRequest {}).await.unwrap().into_inner().syncing);
        let set = comet.get_latest_validator_set(GetLatestValidatorSetRequest { pagination: None }).await.unwrap();
        assert_eq!(set.into_inner().validators[0].address, proposer);
        let raw =
            AbciQueryRequest { path: "/store/consensus/key".into(), data: b"Block".to_vec(), height: 2, prove: true };
        let proven = comet.abci_query(raw).await.unwrap().into_inner();
        assert_eq!((proven.code, proven.height, proven.proof_ops.unwrap().ops.len()), (0, 2, 2));
    }
}

#[test]
fn kill_9_of_either_process_loses_nothing() {
    let Some(comet) = cometbft("kill_9_of_either_process_loses_nothing") else { return };
    let mut node = Node::new(comet);
    node.start(&[]);
    node.wait_for_height(2);
    let bob = node.address("bob");
    node.send("alice", &bob, "1ugantry");

    // The node dies: CometBFT dies with it, and both come back.
    let before = node.wait_for_height(4);
    let hashes: Vec<_> = (1..=before).map(|height| node.app_hash_in(height)).collect();
    node.signal(Signal::SIGKILL);
    node.ended();
    wait_for("CometBFT's end", || node.comets().is_empty().then_some(()));
    node.start(&[]);
    node.wait_for_height(before + 2);
    node.send("alice", &bob, "2ugantry");

    // CometBFT dies: the node stays, answers, and starts it again.
    let comets = node.comets();
    assert_eq!(comets.len(), 1);
    let before_second = node.height().unwrap();
    kill(comets[0], Signal::SIGKILL).unwrap();
    wait_for("another CometBFT", || node.comets().into_iter().find(|pid| *pid != comets[0]));
    node.wait_for_height(before_second + 2);
    node.send("alice", &bob, "3ugantry");
    assert_eq!(node.balance(&bob), 1_000_000_006);

    let again: Vec<_> = (1..=before).map(|height| node.app_hash_in(height)).collect();
    assert_eq!(again, hashes, "history did not change");
    assert!(node.log().contains("queries stay up, starting it again"), "{}", node.log());
    node.signal(Signal::SIGTERM);
    assert_eq!(node.ended().code(), Some(0));
}

#[test]
fn a_comet_that_keeps_dying_ends_the_node_with_its_own_code() {
    let root = tempfile::tempdir().unwrap();
    let fake = root.path().join("cometbft");
    fs::write(&fake, "#!/bin/sh\nexit 7\n").unwrap();
    fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut node = Node::new(fake);
    let app = node.home().join("config/app.toml");
    let text = fs::read_to_string(&app).unwrap().replace("max-restarts = 5", "max-restarts = 2");
    fs::write(app, text).unwrap();
    node.start(&[]);
    assert_eq!(node.ended().code(), Some(4), "{}", node.log());
    assert!(node.log().contains("exit status: 7"), "{}", node.log());
}

#[test]
fn a_second_node_in_one_home_and_a_missing_binary_have_codes_of_their_own() {
    let mut node = Node::new("/nonexistent/cometbft".into());
    node.start(&[]);
    assert_eq!(node.ended().code(), Some(5), "{}", node.log());

    node.start(&["--abci-only"]);
    wait_for("the first node", || node.log().contains("ABCI server listens").then_some(()));
    let held = fs::File::open(node.home().join("data/gantryd.lock")).unwrap();
    assert!(!fs4::fs_std::FileExt::try_lock_exclusive(&held).unwrap(), "the home is locked");
    node.signal(Signal::SIGINT);
    assert_eq!(node.ended().code(), Some(0), "{}", node.log());
}

#[test]
fn the_last_height_of_the_configuration_ends_the_node_well() {
    let Some(comet) = cometbft("the_last_height_of_the_configuration_ends_the_node_well") else { return };
    let mut node = Node::new(comet);
    node.start(&["--halt-height", "3"]);
    assert_eq!(node.ended().code(), Some(0), "{}", node.log());
    assert!(node.log().contains("halted after height 3"), "{}", node.log());
    // Without it the chain goes on.
    node.start(&[]);
    node.wait_for_height(5);
}

#[test]
fn a_full_node_that_syncs_from_genesis_reaches_the_same_app_hash() {
    let Some(comet) = cometbft("a_full_node_that_syncs_from_genesis_reaches_the_same_app_hash") else { return };
    let mut first = Node::new(comet);
    first.start(&[]);
    first.wait_for_height(2);
    let bob = first.address("bob");
    let tx = first.send("alice", &bob, "77ugantry");
    let behind = first.wait_for_height(8);

    let mut second = first.follower();
    second.start(&[]);
    let height = second.wait_for_height(behind + 3);
    assert_eq!(second.app_hash_in(height), first.app_hash_in(height));
    assert_eq!(second.balance(&bob), 1_000_000_077);
    let at: i64 = tx["height"].as_str().unwrap().parse().unwrap();
    let results = |node: &Node| node.rpc(&format!("block_results?height={at}"))["result"]["txs_results"].clone();
    assert_eq!(results(&second), results(&first));
}

#[test]
fn an_external_cometbft_is_served_over_tcp() {
    let Some(comet) = cometbft("an_external_cometbft_is_served_over_tcp") else { return };
    let mut node = Node::new(comet);
    node.start(&["--abci-only", "--address", "tcp://127.0.0.1:0"]);
    let address = wait_for("the ABCI server", || {
        let log = node.log();
        let (_, rest) = log.split_once("tcp://127.0.0.1:")?;
        Some(format!("tcp://127.0.0.1:{}", rest.chars().take_while(char::is_ascii_digit).collect::<String>()))
    });
    let mut external = node.cometbft_by_hand(&address);
    node.wait_for_height(3);
    external.kill().unwrap();
    external.wait().unwrap();
    node.signal(Signal::SIGTERM);
    assert_eq!(node.ended().code(), Some(0), "{}", node.log());
}
