use gantry_abci::testing::{MAX_GAS, TestChain};
use gantry_keyring::TxBuilder;

use tendermint_proto::v0_38::abci::ResponseCheckTx;

use crate::support::{FEE, Probe, START, app_state, coins, definition, users};

fn chain() -> TestChain {
    TestChain::new(definition(&Probe::default()), &app_state())
}

#[test]
fn the_check_state_counts_sequences_ahead_and_starts_anew_with_each_block() {
    let mut chain = chain();
    let users = users();
    let tx = |sequence| users[0].send(users[1].address(), 1, sequence);
    // The mempool opens before the first block.
    assert_eq!(chain.check(tx(0)).code, 0);
    assert_eq!(chain.check(tx(0)).code, 32, "the same again");
    assert_eq!(chain.check(tx(1)).code, 0);
    assert_eq!(chain.check(tx(3)).code, 32, "a gap");
    // One of them is in the block; the mempool is checked again.
    chain.deliver([tx(0)]);
    assert_eq!(chain.recheck(tx(0)).code, 32);
    assert_eq!(chain.recheck(tx(1)).code, 0);
    assert_eq!(chain.check(tx(2)).code, 0);
}

#[test]
fn checks_see_fees_that_the_mempool_will_take() {
    let chain = chain();
    let users = users();
    let rich = |fee, sequence| {
        let tx = TxBuilder::new().message(&users[0].transfer(users[1].address(), 1)).fee(coins(fee)).gas_limit(200_000);
        users[0].sign(tx, sequence)
    };
    assert_eq!(chain.check(rich(START - 10, 0)).code, 0);
    let poor = chain.check(rich(FEE, 1));
    assert_eq!((poor.codespace.as_str(), poor.code), ("sdk", 5));
}

/// CometBFT offers what came first, so what is in a hurry may not have many blocks' worth before it.
#[test]
fn what_waits_leaves_room_for_the_market_and_for_duties() {
    let mut chain = chain();
    let users = users();
    let next = std::cell::Cell::new(0);
    let tx = |lane: &str| {
        let sequence = next.get();
        next.set(sequence + 1);
        let tx = TxBuilder::new().message(&users[0].transfer(users[1].address(), 1)).fee(coins(1)).memo(lane);
        users[0].sign(tx.gas_limit(MAX_GAS as u64 / 10), sequence)
    };
    let full = |answer: ResponseCheckTx| {
        next.set(next.get() - 1);
        assert_eq!((answer.codespace.as_str(), answer.code), ("sdk", 20), "{answer:?}");
    };
    let mut waiting = Vec::new();
    let mut wait = |chain: &TestChain, lane, times| {
        for _ in 0..times {
            let tx = tx(lane);
            assert_eq!(chain.check(tx.clone()).code, 0);
            waiting.push(tx);
        }
    };
    // Five blocks' worth, of which bulk has four fifths.
    wait(&chain, "", 40);
    full(chain.check(tx("")));
    wait(&chain, "m", 10);
    full(chain.check(tx("m")));
    wait(&chain, "s1", 1);
    full(chain.check(tx("s1")));
    wait(&chain, "s2", 1);

    // A block of what came first; what is checked again is never refused for that.
    let block: Vec<_> = waiting.drain(..9).collect();
    chain.deliver(block);
    for tx in &waiting {
        assert_eq!(chain.recheck(tx.clone()).code, 0);
    }
    for _ in 0..7 {
        assert_eq!(chain.check(tx("m")).code, 0);
    }
    full(chain.check(tx("m")));
    full(chain.check(tx("")));
}

#[test]
fn bad_bytes_are_refused_with_a_code() {
    let chain = chain();
    for bytes in [Vec::new(), vec![0xff; 40], vec![0; 2 << 20]] {
        let answer = chain.check(bytes);
        assert!(answer.code != 0 && answer.codespace == "sdk", "{answer:?}");
    }
}

#[test]
fn a_simulation_sees_the_mempool_and_leaves_nothing() {
    let chain = chain();
    let users = users();
    let simulated = |sequence| {
        TxBuilder::new()
            .message(&users[0].transfer(users[1].address(), 1))
            .fee(coins(FEE))
            .simulate(Some(users[0].signer.public_key()), sequence)
    };
    let ask = |tx: Vec<u8>| chain.engine().simulate(&tx).unwrap().into_proto();
    let gas = ask(simulated(0)).unwrap().gas_info.unwrap().gas_used;
    assert!(gas > 20_000, "{gas}");
    assert!(ask(simulated(0)).is_ok(), "nothing was kept");
    assert_eq!(chain.check(users[0].send(users[1].address(), 1, 0)).code, 0);
    let stale = ask(simulated(0)).unwrap_err().to_string();
    assert!(stale.contains("account sequence mismatch, expected 1, got 0"), "{stale}");
    assert!(stale.contains("with gas used: '"), "{stale}");
    assert!(ask(simulated(1)).is_ok());
}
