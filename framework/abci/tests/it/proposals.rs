use std::collections::BTreeMap;

use bytes::Bytes;
use gantry_abci::testing::{MAX_GAS, TestChain, init_chain};
use gantry_keyring::TxBuilder;
use proptest::{prelude::*, sample::Index};
use prost::length_delimiter_len;
use tendermint_proto::v0_38::{abci::request::Value as Request, types::BlockParams};

use crate::support::{BULK_PERCENT, FEE, Probe, User, app_state, coins, definition, users};

const GAS: u64 = MAX_GAS as u64;
/// The most that one transaction may want.
const MOST: u64 = GAS / 10;

fn chain() -> TestChain {
    TestChain::new(definition(&Probe::default()), &app_state())
}

/// A chain with these limits of a block.
fn chain_with(max_bytes: i64, max_gas: i64) -> TestChain {
    let chain = chain();
    let mut request = init_chain(&app_state());
    request.consensus_params.as_mut().unwrap().block = Some(BlockParams { max_bytes, max_gas });
    chain.call(Request::InitChain(request)).unwrap();
    chain
}

/// A transfer in the lane that the memo names.
fn in_lane(from: &User, lane: &str, gas: u64, sequence: u64) -> Vec<u8> {
    let message = from.transfer(users()[1].address(), 1);
    from.sign(TxBuilder::new().message(&message).fee(coins(FEE)).gas_limit(gas).memo(lane), sequence)
}

fn with_gas(gas: u64, sequence: u64) -> Vec<u8> {
    in_lane(&users()[0], "m", gas, sequence)
}

fn size(tx: &[u8]) -> usize {
    1 + length_delimiter_len(tx.len()) + tx.len()
}

/// Transactions of a sender in a lane that want so much gas together, from sequence 0 on.
fn filling(from: &User, lane: &str, gas: u64) -> Vec<Vec<u8>> {
    let parts = (0..gas.div_ceil(MOST)).map(|sequence| (sequence, (gas - sequence * MOST).min(MOST)));
    parts.map(|(sequence, part)| in_lane(from, lane, part, sequence)).collect()
}

#[test]
fn garbage_and_too_much_gas_are_not_proposed_and_not_accepted() {
    let chain = chain();
    let users = users();
    let tx = |user: usize, gas, sequence| in_lane(&users[user], "m", gas, sequence);
    let most = filling(&users[0], "m", GAS - 20);
    let (more, rest) = (tx(1, 21, 0), tx(2, 20, 0));
    let mempool = [vec![b"garbage".to_vec()], most.clone(), vec![more.clone(), rest.clone()]].concat();
    let full = [most.clone(), vec![rest]].concat();
    assert_eq!(chain.prepare(mempool, 1 << 20), full, "one that does not fit is passed over");
    assert!(!chain.process([b"garbage".to_vec()]));
    assert!(!chain.process([most.clone(), vec![more]].concat()));
    assert!(chain.process(full));
    let twice = [most[0].clone(), most[0].clone()];
    assert!(chain.process(twice), "what fails when it is executed is no reason to refuse a block");
    assert!(chain.process(Vec::<Vec<u8>>::new()));

    // What one transaction wants is a tenth of a block at most: what it takes from others, it may not have to pay for.
    assert!(chain.process([tx(0, MOST, 0)]));
    assert!(!chain.process([tx(0, MOST + 1, 0)]));
    assert!(chain.prepare([tx(0, MOST + 1, 0)], 1 << 20).is_empty());
    let answer = chain.check(tx(0, MOST + 1, 0));
    assert_eq!((answer.codespace.as_str(), answer.code), ("sdk", 41));
}

#[test]
fn what_comes_behind_one_that_was_passed_over_is_passed_over_too() {
    let chain = chain();
    let users = users();
    let tx = |user: usize, gas, sequence| in_lane(&users[user], "m", gas, sequence);
    let most = filling(&users[0], "m", GAS - 10);
    let behind = [tx(1, 20, 0), tx(1, 5, 1), tx(2, 5, 0), tx(2, 5, 0), tx(0, 5, 10)];
    let taken = chain.prepare([most.as_slice(), behind.as_slice()].concat(), 1 << 20);
    let expected = [most, vec![behind[2].clone(), behind[4].clone()]].concat();
    assert_eq!(taken, expected, "a gap in the sequence, and the same twice, would only fail");
}

#[test]
fn gas_is_not_counted_where_it_has_no_limit() {
    let chain = chain_with(4 << 20, -1);
    let users = users();
    let greedy = [0, 1].map(|user: usize| in_lane(&users[user], "m", (1 << 63) - 1, 0));
    let mempool = [greedy.to_vec(), vec![in_lane(&users[2], "", 200_000, 0)]].concat();
    assert_eq!(chain.prepare(mempool.clone(), 1 << 20), mempool);
    assert!(chain.process(mempool));
}

#[test]
fn bytes_are_counted_as_fields_of_the_block() {
    let chain = chain();
    let (tx, next) = (with_gas(200_000, 0), with_gas(200_000, 1));
    let size = i64::try_from(size(&tx)).unwrap();
    assert_eq!(chain.prepare([tx.clone()], size).len(), 1);
    assert_eq!(chain.prepare([tx.clone()], size - 1).len(), 0);
    assert_eq!(chain.prepare([tx, next.clone()], size + i64::try_from(self::size(&next)).unwrap()).len(), 2);
    assert_eq!(chain.prepare([with_gas(1, 0)], -1).len(), 0);
}

#[test]
fn lanes_come_in_their_order_and_bulk_leaves_room() {
    let chain = chain();
    let users = users();
    let tx = |user: usize, lane, gas, sequence| in_lane(&users[user], lane, gas, sequence);
    let (bulk, market, system) = (tx(0, "", 100, 0), tx(1, "m", 100, 0), tx(2, "s", 100, 0));
    let taken = chain.prepare([bulk.clone(), market.clone(), system.clone()], 1 << 20);
    assert_eq!(taken, [&system, &market, &bulk].map(|tx| Bytes::from(tx.clone())));
    assert!(!chain.process([bulk.clone(), system.clone()]));
    assert!(!chain.process([market, system]));

    // Sequences come before lanes: what is behind bulk of the same sender is bulk.
    let behind = tx(0, "s", 100, 1);
    let own = [bulk, behind];
    assert_eq!(chain.prepare(own.clone(), 1 << 20), own.clone().map(Bytes::from));
    assert!(chain.process(own));

    // A block full of bulk has room for the market.
    let most = GAS / 100 * BULK_PERCENT;
    assert!(chain.process(filling(&users[0], "", most)));
    assert!(!chain.process(filling(&users[0], "", most + 1)));
    assert!(chain.process(filling(&users[0], "m", GAS)));
    let filler = filling(&users[0], "", most - 10);
    let (too_much, rest) = (tx(1, "", 20, 0), filling(&users[2], "m", GAS - most));
    let taken = chain.prepare([filler.clone(), vec![too_much], rest.clone()].concat(), 1 << 20);
    assert_eq!(taken, [rest, filler].concat());
}

#[test]
fn of_a_duty_the_first_transaction_alone_is_served_first() {
    let chain = chain();
    let users = users();
    let (market, first, again) =
        (in_lane(&users[0], "m", 100, 0), in_lane(&users[1], "s1", 100, 0), in_lane(&users[2], "s1", 100, 0));
    let other = in_lane(&users[2], "s2", 100, 0);
    let block = [&first, &market, &again].map(Clone::clone);
    assert_eq!(chain.prepare([&market, &first, &again].map(Clone::clone), 1 << 20), block.to_vec());
    assert!(chain.process(block));
    assert!(!chain.process([&first, &market, &other].map(Clone::clone)), "another duty comes before the market");
    assert!(!chain.process([&market, &first].map(Clone::clone)));

    // Where the first finds no room, the second must not take its place: in the block it would be the first.
    let long = users[1].transfer(users[0].address(), 1);
    let long = (0..4).fold(TxBuilder::new(), |tx, _| tx.message(&long)).fee(coins(FEE)).gas_limit(100).memo("s1");
    let long = users[1].sign(long, 0);
    let room = i64::try_from(size(&market) + size(&again)).unwrap();
    let taken = chain.prepare([&market, &long, &again].map(Clone::clone), room);
    assert_eq!(taken, [market]);
}

#[test]
fn a_panic_in_the_choice_of_a_lane_is_bulk() {
    let chain = chain();
    let odd = in_lane(&users()[0], "panic", 100, 0);
    assert_eq!(chain.prepare([odd.clone()], 1 << 20), [Bytes::from(odd.clone())]);
    assert!(chain.process([odd]));
}

#[test]
fn a_proposer_does_not_read_a_mempool_of_many_blocks() {
    let chain = chain();
    // Every one of them fills a tenth of a block; four blocks' worth and the rest of a chunk are decoded.
    let junk = std::iter::repeat_n(vec![0xff; 8], 4096);
    let mempool = (0..41).map(|sequence| with_gas(MOST, sequence)).chain(junk).chain([in_lane(&users()[1], "s", 1, 0)]);
    assert_eq!(chain.prepare(mempool, 1 << 20).len(), 10, "what is that far behind waits for its turn");
}

/// A transaction of a mempool: who, lane, gas, and where in the mempool.
#[derive(Clone, Debug)]
enum Item {
    Tx { user: usize, lane: &'static str, gas: u64 },
    Again(Index),
    Junk(Vec<u8>),
}

fn item() -> impl Strategy<Value = Item> {
    let tx = (0..3usize, prop::sample::select(vec!["", "m", "s1", "s2", "panic"]), 0..=MOST + 1);
    prop_oneof![
        8 => tx.prop_map(|(user, lane, gas)| Item::Tx { user, lane, gas }),
        1 => any::<Index>().prop_map(Item::Again),
        1 => prop::collection::vec(any::<u8>(), 0..64).prop_map(Item::Junk),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What the mempool takes, a block takes: else it would wait for ever at the head of CometBFT's mempool, which hands out
    /// nothing that is behind one that does not fit.
    #[test]
    fn what_is_checked_alone_is_taken_alone(
        messages in 1..16usize, gas in prop_oneof![Just(MOST), 1..=GAS], limited: bool, max_bytes in 500_i64..8000,
        lane in prop::sample::select(vec!["", "m", "s1"]),
    ) {
        let chain = chain_with(max_bytes, if limited { MAX_GAS } else { -1 });
        let users = users();
        let transfer = users[0].transfer(users[1].address(), 1);
        let tx = (0..messages).fold(TxBuilder::new(), |tx, _| tx.message(&transfer));
        let tx = users[0].sign(tx.fee(coins(FEE)).gas_limit(gas).memo(lane), 0);
        // What CometBFT leaves of a block to its transactions, or more.
        let room = max_bytes * 9 / 10;
        let fits = size(&tx) as u64 <= max_bytes as u64 / 100 * BULK_PERCENT && (!limited || gas <= MOST);
        let code = chain_with(max_bytes, if limited { MAX_GAS } else { -1 }).recheck(tx.clone()).code;
        let answer = chain.check(tx.clone());
        prop_assert_eq!(code, answer.code);
        prop_assert!(fits || answer.code != 0);
        prop_assert!(!fits || gas < 1_000_000 || answer.code == 0, "{:?}", answer);
        if answer.code == 0 {
            prop_assert_eq!(chain.prepare([tx.clone()], room), [tx.clone()]);
            prop_assert!(chain.process([tx]));
        }
    }

    /// R3 of ABCI's requirements: what a correct proposer builds, every correct validator accepts. It fits, it keeps each
    /// sender's order without a gap, and the same mempool gives the same block.
    #[test]
    fn whatever_is_prepared_is_accepted(items in prop::collection::vec(item(), 0..32), cut in 0_i64..8000) {
        let users = users();
        let mut next: BTreeMap<usize, u64> = BTreeMap::new();
        let mut mempool: Vec<Vec<u8>> = Vec::new();
        let mut sent: BTreeMap<Vec<u8>, (usize, u64)> = BTreeMap::new();
        for item in items {
            let tx = match item {
                Item::Tx { user, lane, gas } => {
                    let sequence = next.entry(user).or_default();
                    let tx = in_lane(&users[user], lane, gas, *sequence);
                    sent.insert(tx.clone(), (user, *sequence));
                    *sequence += 1;
                    tx
                }
                Item::Again(at) if !mempool.is_empty() => mempool[at.index(mempool.len())].clone(),
                Item::Again(_) => continue,
                Item::Junk(bytes) => bytes,
            };
            mempool.push(tx);
        }
        let (proposer, validator) = (chain(), chain());
        let txs = proposer.prepare(mempool.clone(), cut);
        prop_assert_eq!(&txs, &validator.prepare(mempool, cut));
        let bytes: usize = txs.iter().map(|tx| size(tx)).sum();
        prop_assert!(i64::try_from(bytes).unwrap() <= cut);
        let mut seen: BTreeMap<usize, u64> = BTreeMap::new();
        for tx in &txs {
            let (user, sequence) = sent[&tx[..]];
            let expected = seen.entry(user).or_default();
            prop_assert_eq!(sequence, *expected);
            *expected += 1;
        }
        prop_assert!(validator.process(txs.clone()));
        prop_assert!(proposer.process(txs));
    }
}
