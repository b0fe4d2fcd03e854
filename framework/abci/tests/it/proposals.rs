use bytes::Bytes;
use gantry_abci::testing::{MAX_GAS, TestChain};
use gantry_keyring::TxBuilder;
use proptest::prelude::*;
use prost::length_delimiter_len;

use crate::support::{FEE, Probe, app_state, coins, definition, users};

fn chain() -> TestChain {
    TestChain::new(definition(&Probe::default()), &app_state())
}

fn with_gas(gas: u64, sequence: u64) -> Vec<u8> {
    let users = users();
    let tx = TxBuilder::new().message(&users[0].transfer(users[1].address(), 1)).fee(coins(FEE)).gas_limit(gas);
    users[0].sign(tx, sequence)
}

#[test]
fn garbage_and_too_much_gas_are_not_proposed_and_not_accepted() {
    let chain = chain();
    let max = u64::try_from(MAX_GAS).unwrap();
    let (half, more) = (with_gas(max / 2, 0), with_gas(max / 2 + 1, 1));
    let taken = chain.prepare([b"garbage".to_vec(), half.clone(), more.clone(), half.clone()], 1 << 20);
    assert_eq!(taken, [half.clone(), half.clone()].map(Bytes::from), "one that does not fit is passed over");
    assert!(!chain.process([b"garbage".to_vec()]));
    assert!(!chain.process([half.clone(), more]));
    assert!(chain.process([half.clone(), half]));
    assert!(chain.process(Vec::<Vec<u8>>::new()));
}

#[test]
fn bytes_are_counted_as_fields_of_the_block() {
    let chain = chain();
    let tx = with_gas(200_000, 0);
    let size = i64::try_from(1 + length_delimiter_len(tx.len()) + tx.len()).unwrap();
    assert_eq!(chain.prepare([tx.clone()], size).len(), 1);
    assert_eq!(chain.prepare([tx.clone()], size - 1).len(), 0);
    assert_eq!(chain.prepare([tx.clone(), tx], 2 * size).len(), 2);
    assert_eq!(chain.prepare([with_gas(1, 0)], -1).len(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// R3 of ABCI's requirements: what a correct proposer builds, every correct validator accepts.
    #[test]
    fn whatever_is_prepared_is_accepted(
        gases in prop::collection::vec(0..(2 * u64::try_from(MAX_GAS).unwrap()), 0..12),
        junk in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..6),
        cut in 0_i64..6000,
    ) {
        let (proposer, validator) = (chain(), chain());
        let mut mempool: Vec<Vec<u8>> =
            gases.into_iter().enumerate().map(|(sequence, gas)| with_gas(gas, sequence as u64)).collect();
        for (at, bytes) in junk.into_iter().enumerate() {
            mempool.insert((at * 3).min(mempool.len()), bytes);
        }
        let txs = proposer.prepare(mempool, cut);
        let size: usize = txs.iter().map(|tx| 1 + length_delimiter_len(tx.len()) + tx.len()).sum();
        prop_assert!(i64::try_from(size).unwrap() <= cut);
        prop_assert!(validator.process(txs.clone()));
        prop_assert!(proposer.process(txs));
    }
}
