//! Blocks executed before they are decided: whatever the rounds of a height do, the state is that of the decided block.

use std::sync::atomic::Ordering;

use gantry_abci::testing::TestChain;
use gantry_store::Store;

use crate::{
    blocks::balance,
    support::{FEE, Probe, START, app_state, definition, users},
};

fn chain() -> (TestChain, Probe) {
    let probe = Probe::default();
    (TestChain::new(definition(&probe), &app_state()), probe)
}

/// A block of one transfer of so much.
fn block(amount: u128, sequence: u64) -> [Vec<u8>; 1] {
    let users = users();
    [users[0].send(users[1].address(), amount, sequence)]
}

/// What a chain does that meets each block once, when it is decided.
fn undisturbed(blocks: &[[Vec<u8>; 1]]) -> Vec<u8> {
    let (mut chain, _) = chain();
    for block in blocks {
        chain.deliver(block.clone());
    }
    chain.info().last_block_app_hash.to_vec()
}

#[test]
fn rounds_that_fail_leave_nothing() {
    let (mut chain, probe) = chain();
    // Round 0 is ours and finds no majority, rounds 1 and 2 are others', round 3 brings the first back.
    chain.prepare(block(1, 0), 1 << 20);
    assert!(chain.process(block(1, 0)));
    assert!(chain.process(block(2, 0)));
    assert!(chain.process(block(3, 0)));
    assert!(chain.process(block(1, 0)));
    chain.deliver(block(1, 0));
    assert_eq!(balance(&chain, users()[0].address()), START - 1 - FEE);
    assert!(probe.executions() <= 3, "three blocks were met: {}", probe.executions());
    // The next height starts without what was left of this one.
    assert!(chain.process(block(2, 1)));
    chain.deliver(block(2, 1));
    assert_eq!(chain.info().last_block_app_hash, undisturbed(&[block(1, 0), block(2, 1)]));
}

#[test]
fn a_locked_node_decides_a_block_it_was_not_asked_about_again() {
    let (mut chain, probe) = chain();
    // It met the block in round 0 and locked on it; the decision comes in round 2, after another proposal.
    assert!(chain.process(block(1, 0)));
    assert!(chain.process(block(2, 0)));
    chain.deliver(block(1, 0));
    assert!(probe.executions() <= 2, "{}", probe.executions());
    assert_eq!(chain.info().last_block_app_hash, undisturbed(&[block(1, 0)]));
}

#[test]
fn a_decision_does_not_wait_for_executions_that_lost() {
    let (mut chain, probe) = chain();
    // The block of round 0 takes long; that of round 1 is decided, and then another height.
    probe.hold.store(true, Ordering::SeqCst);
    assert!(chain.process(block(1, 0)));
    probe.wait_until(|probe| probe.held.load(Ordering::SeqCst) == 1);
    probe.hold.store(false, Ordering::SeqCst);
    assert!(chain.process(block(2, 0)));
    chain.deliver(block(2, 0));
    chain.deliver(block(3, 1));
    assert_eq!(chain.info().last_block_app_hash, undisturbed(&[block(2, 0), block(3, 1)]));
    // The loser ends unheard.
    probe.release.store(true, Ordering::SeqCst);
    probe.wait_until(|probe| probe.held.load(Ordering::SeqCst) == 0);
    chain.deliver(block(4, 2));
    assert_eq!(chain.info().last_block_app_hash, undisturbed(&[block(2, 0), block(3, 1), block(4, 2)]));
}

#[test]
fn executions_that_lost_do_not_pile_up_over_heights() {
    let (mut chain, probe) = chain();
    for height in 1..=6 {
        let sequence = u64::from(height) - 1;
        probe.hold.store(true, Ordering::SeqCst);
        assert!(chain.process(block(100, sequence)));
        probe.wait_until(|probe| probe.held.load(Ordering::SeqCst) == u64::from(height.min(4_u32)));
        probe.hold.store(false, Ordering::SeqCst);
        chain.deliver(block(u128::from(height), sequence));
    }
    assert_eq!(probe.executions(), 4 + 6, "four lost ones, and each decided block");
    probe.release.store(true, Ordering::SeqCst);
    probe.wait_until(|probe| probe.held.load(Ordering::SeqCst) == 0);
}

#[test]
fn a_decision_waits_for_its_execution_and_does_not_repeat_it() {
    let (mut chain, probe) = chain();
    probe.hold.store(true, Ordering::SeqCst);
    assert!(chain.process(block(1, 0)));
    probe.wait_until(|probe| probe.held.load(Ordering::SeqCst) == 1);
    let deciding = std::thread::spawn(move || {
        chain.deliver(block(1, 0));
        chain
    });
    assert!(!deciding.is_finished());
    probe.release.store(true, Ordering::SeqCst);
    let chain = deciding.join().unwrap();
    assert_eq!(probe.executions(), 1);
    assert_eq!(chain.info().last_block_app_hash, undisturbed(&[block(1, 0)]));
}

#[test]
fn what_was_executed_is_dropped_when_cometbft_goes_away() {
    let (mut chain, probe) = chain();
    assert!(chain.process(block(1, 0)));
    chain.engine().drop_candidates();
    // It comes back and replays the block that was decided meanwhile.
    chain.deliver(block(1, 0));
    assert!((1..=2).contains(&probe.executions()));
    assert_eq!(chain.info().last_block_app_hash, undisturbed(&[block(1, 0)]));
}

#[test]
fn a_node_that_restarts_after_a_proposal_replays_the_decided_block() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let definition = definition(&Probe::default());
        let store = Store::open(folder.path(), &definition.stores(), gantry_store::StoreOptions::default()).unwrap();
        TestChain::on(store, definition, &app_state())
    };
    let mut before = open();
    before.deliver(block(1, 0));
    assert!(before.process(block(2, 1)));
    before.finalize(block(2, 1));
    drop(before);
    let mut after = open();
    assert_eq!(after.height(), 1);
    after.deliver(block(2, 1));
    assert_eq!(after.info().last_block_app_hash, undisturbed(&[block(1, 0), block(2, 1)]));
}
