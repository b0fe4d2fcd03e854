//! What halted or robbed other chains, tried on this one with all its modules. Which incident each test stands for, and
//! where the other lessons are tested, is in docs/reliability.md; `the_table_names_tests_that_exist` keeps that page true.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{collections::BTreeSet, fs, path::Path};

use cosmos_sdk_proto::cosmos::{
    bank::v1beta1::{Input, MsgMultiSend, MsgSend, Output},
    base::v1beta1::Coin,
};
use gantry_abci::{
    Engine, Options, Queries, Stop, call,
    testing::{TestChain, init_chain},
};
use gantry_core::Address;
use gantry_fuzz::{
    chain::{self, Block, FEE, Player, Tx, address},
    seeds,
};
use gantry_proto::gantry::{
    job::v1::{Job, JobState, QueryClockRequest, QueryClockResponse, QueryJobRequest, QueryJobResponse},
    verifier::v1::{QuerySlashesRequest, QuerySlashesResponse},
};
use gantry_store::Store;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, Value};
use serde_json::json;
use tendermint_proto::v0_38::{
    abci::{RequestInitChain, request::Value as Request},
    types::{AbciParams, BlockParams},
};

/// A chain that has played so many blocks of the market's script.
fn market(blocks: usize) -> Player {
    let mut player = Player::new();
    seeds::market().blocks.iter().take(blocks).for_each(|block| player.play(block));
    player
}

fn job(player: &Player, id: u64) -> Job {
    let response: QueryJobResponse =
        player.chain.query("/gantry.job.v1.Query/Job", &QueryJobRequest { job_id: id }).unwrap();
    response.job.unwrap()
}

fn clock(player: &Player) -> u64 {
    let response: QueryClockResponse = player.chain.query("/gantry.job.v1.Query/Clock", &QueryClockRequest {}).unwrap();
    response.now_ms
}

fn slashes(player: &Player) -> usize {
    let request = QuerySlashesRequest::default();
    let response: QuerySlashesResponse = player.chain.query("/gantry.verifier.v1.Query/Slashes", &request).unwrap();
    response.slashes.len()
}

fn balance(player: &Player, address: &Address) -> u128 {
    gantry_bank::keeper::balance(&player.chain.engine().latest().state, address, "ugantry").unwrap()
}

fn ugantry(amount: &str) -> Vec<Coin> {
    vec![Coin { denom: "ugantry".into(), amount: amount.into() }]
}

/// The seeds reach deep: without this, fuzzing them would try nothing but refusals.
#[test]
fn the_markets_script_ends_jobs_in_many_ways() {
    let player = market(usize::MAX);
    let states: Vec<JobState> = (1..=5).map(|id| job(&player, id).state()).collect();
    assert_eq!(
        states,
        [JobState::Completed, JobState::Completed, JobState::Expired, JobState::Cancelled, JobState::Expired]
    );
    assert!(slashes(&player) >= 1, "the third provider was wrong");
}

// --- time (CSA-2026-001) ----------------------------------------------------------------------------------------------

/// Whoever forges block times can bring a deadline no nearer than ten seconds a block, and move no clock back.
#[test]
fn forged_block_times_neither_end_jobs_nor_bill_nor_slash() {
    for seconds in [10 * 365 * 86_400, -10 * 365 * 86_400_i64] {
        // A job that runs.
        let mut player = market(3);
        let (before, state, money) = (clock(&player), job(&player, 1).state(), balance(&player, &address(0)));
        assert_eq!(state, JobState::Active);
        player.chain.skip_seconds(seconds);
        player.chain.advance(1);
        assert!((0..=10_000).contains(&(clock(&player) - before)), "{} ms", clock(&player) - before);
        assert_eq!((job(&player, 1).state(), balance(&player, &address(0))), (state, money));
        assert_eq!(slashes(&player), 0);
        // And the market goes on.
        for block in &seeds::market().blocks[3..5] {
            player.play(block);
        }
        assert_eq!(job(&player, 1).state(), JobState::Completed);
    }
}

// --- consensus parameters (ASA-2024-001) ------------------------------------------------------------------------------

fn start(change: impl FnOnce(&mut RequestInitChain)) -> Result<(), Stop> {
    let mut request = init_chain(&chain::app_state());
    change(&mut request);
    let definition = chain::definition();
    let store = Store::temporary(&definition.stores()).unwrap();
    let engine = Engine::new(definition, store, Options::default()).unwrap();
    call(&Queries::new(engine, []), Request::InitChain(request)).map(drop)
}

#[test]
fn consensus_parameters_that_would_halt_are_refused_at_genesis_and_never_change_later() {
    assert_eq!(start(|_| {}), Ok(()));
    let block = |max_bytes, max_gas| {
        move |request: &mut RequestInitChain| {
            request.consensus_params.as_mut().unwrap().block = Some(BlockParams { max_bytes, max_gas });
        }
    };
    let refused: [(&str, Result<(), Stop>); 1] = [(
        "vote extensions, which nobody makes",
        start(|request| {
            let abci = AbciParams { vote_extensions_enable_height: 10 };
            request.consensus_params.as_mut().unwrap().abci = Some(abci);
        }),
    )];
    for (what, result) in refused {
        assert!(matches!(result, Err(Stop::Fatal(_))), "{what}: {result:?}");
    }
    // Without a limit on gas a block is bounded by its bytes.
    assert_eq!(start(block(1 << 20, -1)), Ok(()));
    let mut player = Player::new();
    for block in &seeds::market().blocks {
        player.play(block);
        assert_eq!(player.chain.last().consensus_param_updates, None);
        assert!(player.chain.last().validator_updates.is_empty());
    }
}

// --- module accounts (ASA-2024-003) -----------------------------------------------------------------------------------

const MODULE_ACCOUNTS: [&str; 5] = ["fee_collector", "escrow", "market_fee", "provider_bond", "slash_pool"];

#[test]
fn module_accounts_are_there_from_the_first_block_and_nobody_else_can_be_one() {
    let mut player = Player::new();
    player.chain.advance(1);
    for name in MODULE_ACCOUNTS {
        let module = Address::module(name);
        let view = player.chain.engine().latest();
        assert!(gantry_auth::keeper::account(&view.state, &module).unwrap().is_some(), "{name} has no account");
        let send =
            MsgSend { from_address: address(0).to_string(), to_address: module.to_string(), amount: ugantry("5") };
        let outputs = vec![Output { address: module.to_string(), coins: ugantry("5") }];
        let inputs = vec![Input { address: address(0).to_string(), coins: ugantry("5") }];
        let before = balance(&player, &module);
        let txs = player.sign(&[Tx::of(&send), Tx::of(&MsgMultiSend { inputs, outputs })]);
        let results = player.chain.deliver(txs);
        assert_eq!(results.iter().map(|result| result.code).collect::<Vec<_>>(), [4, 4], "{name}");
        let fees = if name == "fee_collector" { 2 * FEE } else { 0 };
        assert_eq!(balance(&player, &module), before + fees);
    }
}

#[test]
fn a_genesis_in_which_somebody_sits_on_a_modules_address_is_refused_or_harmless() {
    for name in MODULE_ACCOUNTS {
        let mut state = chain::app_state();
        let address = Address::module(name).to_string();
        state["auth"]["accounts"].as_array_mut().unwrap().push(json!({
            "@type": "/cosmos.auth.v1beta1.BaseAccount", "address": address, "pub_key": null,
            "account_number": "77", "sequence": "0",
        }));
        let store = Store::temporary(&chain::definition().stores()).unwrap();
        let engine = Engine::new(chain::definition(), store, Options::default()).unwrap();
        if call(&Queries::new(engine, []), Request::InitChain(init_chain(&state))).is_ok() {
            let mut chain = TestChain::new(chain::definition(), &state);
            chain.advance(3);
        }
    }
}

// --- user data (Barberry, ASA-2025-003, GO-2025-3803, CWA-2024-003) ---------------------------------------------------

/// Every message of the market's script, with the number of the block that it is in.
fn messages() -> Vec<(usize, DynamicMessage)> {
    let pool = DescriptorPool::decode(gantry_proto::DESCRIPTOR_SET).unwrap();
    let mut seen = BTreeSet::new();
    let mut messages = Vec::new();
    for (at, block) in seeds::market().blocks.into_iter().enumerate() {
        for any in block.txs.into_iter().flat_map(|tx| tx.messages) {
            let kind = pool.get_message_by_name(any.type_url.trim_start_matches('/')).unwrap();
            if seen.insert((any.type_url.clone(), any.value.len())) {
                messages.push((at, DynamicMessage::decode(kind, any.value.as_slice()).unwrap()));
            }
        }
    }
    messages
}

fn tx(message: &DynamicMessage) -> Tx {
    use prost_reflect::ReflectMessage;
    let type_url = format!("/{}", message.descriptor().full_name());
    Tx { messages: vec![cosmos_sdk_proto::Any { type_url, value: message.encode_to_vec() }], ..Tx::default() }
}

/// Copies of a message, each with one of its fields, at any depth, as `change` wants it; none where it returns `None`.
fn variants(message: &DynamicMessage, change: &dyn Fn(&Kind, bool, &Value) -> Vec<Value>) -> Vec<DynamicMessage> {
    use prost_reflect::ReflectMessage;
    let mut out = Vec::new();
    for field in message.descriptor().fields() {
        let value = message.get_field(&field).into_owned();
        let mut changed = change(&field.kind(), field.is_list(), &value);
        match &value {
            Value::Message(inner) if message.has_field(&field) => {
                changed.extend(variants(inner, change).into_iter().map(Value::Message));
            }
            Value::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    let Value::Message(inner) = item else { continue };
                    for inner in variants(inner, change) {
                        let mut items = items.clone();
                        items[at] = Value::Message(inner);
                        changed.push(Value::List(items));
                    }
                }
            }
            _ => {}
        }
        for value in changed {
            let mut copy = message.clone();
            copy.set_field(&field, value);
            out.push(copy);
        }
    }
    out
}

/// Amounts that are none are refused at the door, in whatever field they stand.
#[test]
fn no_field_of_any_message_takes_an_amount_that_is_none() {
    let bad = |kind: &Kind, list: bool, _: &Value| match kind {
        Kind::Message(message) if message.full_name() == "cosmos.base.v1beta1.Coin" && !list => {
            ["-1", "+1", "", "1.5", "1e3", " 1", "0x1", &"9".repeat(78)]
                .iter()
                .map(|amount| (*amount, "ugantry"))
                .chain([("1", ""), ("1", "u"), ("1", "9x9"), ("1", &"d".repeat(200)[..])])
                .map(|(amount, denom)| {
                    let mut coin = DynamicMessage::new(message.clone());
                    coin.set_field_by_name("amount", Value::String(amount.into()));
                    coin.set_field_by_name("denom", Value::String(denom.into()));
                    Value::Message(coin)
                })
                .collect()
        }
        _ => Vec::new(),
    };
    let player = market(1);
    let mut tried = 0;
    for (_, message) in messages() {
        for variant in variants(&message, &bad) {
            let bytes = player.sign(&[tx(&variant)]);
            let checked = player.chain.check(bytes[0].clone());
            assert!(checked.code != 0 && checked.code != 111_222, "{variant:?}: {checked:?}");
            tried += 1;
        }
    }
    assert!(tried > 50, "only {tried}");
}

/// Whatever number a user puts where, the blocks after it go on, and every invariant holds after each.
#[test]
fn no_number_in_any_message_stops_a_later_block() {
    let extreme = |kind: &Kind, list: bool, value: &Value| {
        if list {
            return Vec::new();
        }
        match kind {
            Kind::Uint32 => [0, 1, u32::MAX].map(Value::U32).into(),
            Kind::Uint64 => [0, 1, u64::from(u32::MAX), u64::MAX / 1000, u64::MAX].map(Value::U64).into(),
            Kind::Int64 => [i64::MIN, 0, i64::MAX].map(Value::I64).into(),
            Kind::Enum(_) => [0, 2, 99].map(Value::EnumNumber).into(),
            Kind::Message(message) if message.full_name() == "cosmos.base.v1beta1.Coin" => {
                ["0", "1", "999999999999", "340282366920938463463374607431768211455"]
                    .map(|amount| {
                        let mut coin = value.as_message().unwrap().clone();
                        coin.set_field_by_name("amount", Value::String(amount.into()));
                        coin.set_field_by_name("denom", Value::String("ugantry".into()));
                        Value::Message(coin)
                    })
                    .into()
            }
            _ => Vec::new(),
        }
    };
    let blocks = seeds::market().blocks;
    let mut player = Player::new();
    let all = messages();
    let mut tried = 0;
    for (at, block) in blocks.iter().enumerate() {
        let mut block = block.clone();
        for (_, message) in all.iter().filter(|(of, _)| *of == at) {
            block.txs.extend(variants(message, &extreme).iter().map(tx));
        }
        tried += block.txs.len();
        player.play(&block);
    }
    assert!(tried > 200, "only {tried}");
    // Beyond the longest window, in blocks and in time.
    player.play(&Block { txs: Vec::new(), skip_seconds: 86_400, empty_after: 150 });
}

/// Lists are bounded: by a limit, or by the gas that each of their items costs.
#[test]
fn long_lists_are_refused_or_paid_for() {
    const MANY: usize = 3000;
    let long = |kind: &Kind, list: bool, value: &Value| {
        let Value::List(items) = value else { return Vec::new() };
        let item = match kind {
            _ if !list => return Vec::new(),
            Kind::String => Value::String("a".into()),
            Kind::Message(message) => Value::Message(DynamicMessage::new(message.clone())),
            _ => return Vec::new(),
        };
        vec![Value::List(vec![items.first().cloned().unwrap_or(item); MANY])]
    };
    let mut player = market(1);
    let mut tried = 0;
    for (_, message) in messages() {
        for variant in variants(&message, &long) {
            let bytes = player.sign(&[tx(&variant)]);
            let started = std::time::Instant::now();
            // Some limits are parameters, which the door does not know.
            let result = player.chain.deliver(bytes).remove(0);
            // Bytes cost, and so does every item.
            let paid = result.gas_used > i64::try_from(MANY).unwrap() * 200;
            assert!(
                (result.code != 0 || paid) && result.code != 111_222,
                "{}: {result:?}",
                tx(&variant).messages[0].type_url
            );
            assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
            tried += 1;
        }
    }
    assert!(tried > 10, "only {tried}");
    // The one message of the SDK's that has no limit pays for each receiver.
    let mut player = Player::new();
    let outputs = |n: usize| MsgMultiSend {
        inputs: vec![Input { address: address(0).to_string(), coins: ugantry(&n.to_string()) }],
        outputs: (0..n).map(|user| Output { address: address(100 + user).to_string(), coins: ugantry("1") }).collect(),
    };
    let txs = player.sign(&[Tx::of(&outputs(1)), Tx::of(&outputs(101))]);
    let results = player.chain.deliver(txs);
    let each = (results[1].gas_used - results[0].gas_used) / 100;
    assert!(results.iter().all(|result| result.code == 0) && each > 5000, "{each} gas a receiver");
}

// --- a block full of transfers (Osmosis) ------------------------------------------------------------------------------

#[test]
fn a_flood_of_transfers_fills_no_block_beyond_its_gas() {
    let player = Player::new();
    let send = |n: usize| {
        let to = address(1000 + n).to_string();
        Tx::of(&MsgSend { from_address: address(n % 8).to_string(), to_address: to, amount: ugantry("1") })
    };
    // Each says that it may use ten million; a block has a hundred, bulk four fifths of it.
    let mempool = player.sign(&(0..400).map(send).collect::<Vec<_>>());
    let proposed = player.chain.prepare(mempool.clone(), 4 << 20);
    assert!((7..=8).contains(&proposed.len()), "{}", proposed.len());
    assert!(player.chain.process(proposed));
    assert!(!player.chain.process(mempool), "nobody accepts what no honest node proposes");
}

// --- lanes ------------------------------------------------------------------------------------------------------------

/// Who has a duty could otherwise fill the lane before all others: with attempts that fail, and leave it due.
#[test]
fn a_duty_is_served_first_once_and_alone_in_its_transaction() {
    let mut player = Player::new();
    let market = seeds::market();
    let (before, rest) = market.blocks.split_at(4);
    before.iter().for_each(|block| player.play(block));
    let submit = before[1].txs[0].clone();
    // Everybody tries to open every commitment; what is due may not stand behind the market.
    let is_due = |tx: &&Tx| !player.chain.process(player.sign(&[submit.clone(), Tx::clone(tx)]));
    let due: Vec<&Tx> = rest[0].txs.iter().filter(is_due).collect();
    let [one, two, three] = due[..] else { panic!("{} reveals are due", due.len()) };
    let twice = Tx { messages: [two.messages.clone(), two.messages.clone()].concat(), ..Tx::default() };
    let mempool = player.sign(&[submit, one.clone(), twice, three.clone(), three.clone()]);
    let proposed = [1, 3, 0, 2, 4].map(|n: usize| mempool[n].clone());
    assert_eq!(player.chain.prepare(mempool, 4 << 20), proposed);
    assert!(player.chain.process(proposed.clone()));
    assert!(!player.chain.process([proposed[2].clone(), proposed[0].clone()]), "duties come first");
    let results = player.chain.deliver(proposed);
    assert_eq!(results.iter().map(|result| result.code == 0).collect::<Vec<_>>(), [true, true, true, false, false]);
}

// --- the table --------------------------------------------------------------------------------------------------------

/// A test that is renamed or removed cannot stay in the table.
#[test]
fn the_table_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    let mut named = 0;
    for link in page.split('`').filter(|text| text.contains(".rs::")) {
        let (file, test) = link.split_once("::").unwrap();
        let source = fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let found = source.contains(&format!("fn {test}(")) || (file == "fuzz/tests/short.rs" && source.contains(test));
        assert!(found, "{file} has no {test}");
        assert!(source.contains("#[test]") || source.contains("#[tokio::test"), "{file} has no tests");
        named += 1;
    }
    assert!(named > 50, "only {named} tests are named");
    // And nothing is left out: each line of the tables says what holds it, or why nothing has to.
    let lessons = page.split("## Fuzzing").next().unwrap().lines();
    for line in lessons.filter(|line| line.starts_with("| ") && !line.starts_with("| Id")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        assert!(cells.len() == 5 && cells[1..4].iter().all(|cell| !cell.is_empty()), "{line}");
        let held = cells[3].contains(".rs::") || cells[3].starts_with("Cannot:") || cells[3].starts_with("Not yet:");
        assert!(held, "{line}");
    }
}
