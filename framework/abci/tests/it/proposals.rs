use std::collections::BTreeMap;

use bytes::Bytes;
use gantry_abci::testing::{MAX_GAS, TestChain};
use gantry_keyring::TxBuilder;
use proptest::{prelude::*, sample::Index};
use prost::length_delimiter_len;

use crate::support::{BULK_PERCENT, FEE, Probe, User, app_state, coins, definition, users};

const GAS: u64 = MAX_GAS as u64;

fn chain() -> TestChain {
    TestChain::new(definition(&Probe::default()), &app_state())
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

#[test]
fn garbage_and_too_much_gas_are_not_proposed_and_not_accepted() {
    let chain = chain();
    let users = users();
    let tx = |user: usize, gas, sequence| in_lane(&users[user], "m", gas, sequence);
    let (half, more, rest) = (tx(0, GAS / 2, 0), tx(1, GAS / 2 + 1, 0), tx(2, GAS / 2, 0));
    let taken = chain.prepare([b"garbage".to_vec(), half.clone(), more.clone(), rest.clone()], 1 << 20);
    assert_eq!(taken, [half.clone(), rest.clone()].map(Bytes::from), "one that does not fit is passed over");
    assert!(!chain.process([b"garbage".to_vec()]));
    assert!(!chain.process([half.clone(), more]));
    assert!(chain.process([half.clone(), rest]));
    assert!(chain.process([half.clone(), half]), "what fails when it is executed is no reason to refuse a block");
    assert!(chain.process(Vec::<Vec<u8>>::new()));
}

#[test]
fn what_comes_behind_one_that_was_passed_over_is_passed_over_too() {
    let chain = chain();
    let users = users();
    let tx = |user: usize, gas, sequence| in_lane(&users[user], "m", gas, sequence);
    let mempool = [tx(0, GAS - 10, 0), tx(1, 20, 0), tx(1, 5, 1), tx(2, 5, 0), tx(2, 5, 0), tx(0, 5, 1)];
    let taken = chain.prepare(mempool.clone(), 1 << 20);
    let expected = [&mempool[0], &mempool[3], &mempool[5]].map(|tx| Bytes::from(tx.clone()));
    assert_eq!(taken, expected, "a gap in the sequence, and the same twice, would only fail");
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
    assert!(chain.process([tx(0, "", most, 0)]));
    assert!(!chain.process([tx(0, "", most + 1, 0)]));
    assert!(chain.process([tx(0, "m", GAS, 0)]));
    let filler = tx(0, "", most - 10, 0);
    let (too_much, rest) = (tx(1, "", 20, 0), tx(2, "m", GAS - most, 0));
    let taken = chain.prepare([filler.clone(), too_much, rest.clone()], 1 << 20);
    assert_eq!(taken, [rest, filler].map(Bytes::from));
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
    // Every one of them fills half a block; of 5,000, four blocks' worth and the rest of a chunk are decoded.
    let junk = std::iter::repeat_n(vec![0xff; 8], 4096);
    let mempool =
        (0..9).map(|sequence| with_gas(GAS / 2, sequence)).chain(junk).chain([in_lane(&users()[1], "s", 1, 0)]);
    assert_eq!(chain.prepare(mempool, 1 << 20).len(), 2, "what is that far behind waits for its turn");
}

/// A transaction of a mempool: who, lane, gas, and where in the mempool.
#[derive(Clone, Debug)]
enum Item {
    Tx { user: usize, lane: &'static str, gas: u64 },
    Again(Index),
    Junk(Vec<u8>),
}

fn item() -> impl Strategy<Value = Item> {
    let tx = (0..3usize, prop::sample::select(vec!["", "m", "s", "panic"]), 0..(GAS / 2));
    prop_oneof![
        8 => tx.prop_map(|(user, lane, gas)| Item::Tx { user, lane, gas }),
        1 => any::<Index>().prop_map(Item::Again),
        1 => prop::collection::vec(any::<u8>(), 0..64).prop_map(Item::Junk),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// R3 of ABCI's requirements: what a correct proposer builds, every correct validator accepts. It fits, it keeps each
    /// sender's order without a gap, and the same mempool gives the same block.
    #[test]
    fn whatever_is_prepared_is_accepted(items in prop::collection::vec(item(), 0..24), cut in 0_i64..8000) {
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
