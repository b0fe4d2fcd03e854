//! Whatever the bytes: a result, and books that balance.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Chain, address, send, trouble};
use cosmos_sdk_proto::Any;
use gantry_core::ExecMode;
use gantry_tx::MinGasPrices;
use proptest::prelude::*;

const MODES: [ExecMode; 4] = [ExecMode::Check, ExecMode::Recheck, ExecMode::Simulate, ExecMode::Finalize];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_bytes_give_a_coded_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for mode in MODES {
            let result = Chain::new().run_mode(&bytes, mode).unwrap();
            prop_assert!(result.code != 0 && !result.codespace.is_empty() && !result.log.is_empty());
        }
    }

    /// Any change of a signed transaction makes it void: it fails and takes nothing but what its signer agreed to.
    #[test]
    fn mutated_transactions_never_take_effect(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..5),
        mode in prop::sample::select(&MODES[..]),
    ) {
        let mut chain = Chain::new();
        let good = chain.draft("alice", vec![send("alice", "carol", 7)]).with(|d| d.body.memo = "tiles".into()).bytes();
        let mut bytes = good.clone();
        for (at, byte, kind) in edits {
            if bytes.is_empty() { break; }
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        let result = chain.run_mode(&bytes, mode).unwrap();
        if mode == ExecMode::Finalize && bytes != good {
            prop_assert!(result.code != 0, "{:?}", result);
            prop_assert_eq!(chain.balance(&address("alice")), 1_000_000);
            prop_assert_eq!(chain.sequence("alice"), 0);
        }
    }

    /// Random sends, some of them failing in every way: supply is conserved, sequences count what passed the ante, gas
    /// stays within its limit but for the last step.
    #[test]
    fn supply_is_conserved_over_random_blocks(
        steps in prop::collection::vec(
            (0usize..3, 0usize..4, 0u128..1_200_000, 0u8..6, 20_000u64..200_000),
            1..25,
        ),
    ) {
        let names = ["alice", "bob", "carol", "dave"];
        let mut chain = Chain::new();
        for (from, to, amount, extra, gas) in steps {
            let from = names[from];
            if gantry_auth::keeper::account(&chain.state, &address(from)).unwrap().is_none() {
                continue;
            }
            let (sequence, balance) = (chain.sequence(from), chain.balance(&address(from)));
            let mut messages: Vec<Any> = vec![send(from, names[to], amount)];
            match extra {
                1 => messages.push(trouble(from, "panic")),
                2 => messages.push(trouble(from, "refuse")),
                3 => messages.push(trouble(from, "gas")),
                4 => messages.push(trouble(from, "fine")),
                _ => {}
            }
            let tx = chain.draft(from, messages).with(|d| d.fee.gas_limit = gas).bytes();
            let result = chain.run(&tx);
            let passed = !result.fee_collected.is_empty();
            prop_assert_eq!(chain.sequence(from), sequence + u64::from(passed));
            if result.code != 0 {
                let fee = result.fee_collected.amount_of("ugantry");
                prop_assert_eq!(chain.balance(&address(from)), balance - fee, "{}", result.log);
                prop_assert!(result.gas_used < gas + 10_000);
            } else {
                prop_assert!(passed && result.gas_used <= gas);
            }
            if from == "carol" {
                chain.end_block();
            }
        }
        chain.end_block();
        prop_assert_eq!(gantry_bank::keeper::supply(&chain.state, "ugantry").unwrap(), 2_000_000);
    }

    #[test]
    fn prices_print_as_they_parse(whole in 0u64..1_000_000, part in 0u64..1_000_000_000_000_000_000) {
        let prices: MinGasPrices = format!("{whole}.{part:018}ugantry").parse().unwrap();
        prop_assert_eq!(prices.to_string(), format!("{whole}.{part:018}ugantry"));
    }
}

#[test]
fn every_prefix_of_a_transaction_is_refused() {
    let chain = Chain::new();
    let bytes = chain.draft("alice", vec![send("alice", "bob", 7)]).bytes();
    for cut in 0..bytes.len() {
        assert!(chain.decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    assert!(chain.decode(&bytes).is_ok());
}

#[test]
fn prices_that_make_no_sense_are_refused() {
    for text in [
        "ugantry",
        "1",
        "1.ugantry",
        ".5ugantry",
        "1.2.3ugantry",
        "-1ugantry",
        "0.0000000000000000001ugantry",
        "1ugantry,2ugantry",
    ] {
        assert!(text.parse::<MinGasPrices>().is_err(), "{text}");
    }
    assert_eq!("".parse::<MinGasPrices>().unwrap(), MinGasPrices::default());
}
