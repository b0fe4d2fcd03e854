//! What somebody with keys, money and patience would try.

use gantry_core::Coin;
use gantry_proto::gantry::{
    job::v1::JobState,
    provider::v1::{MsgRemoveOffer, MsgUnbond},
};

use crate::chain::*;

/// Who commits last may choose the block, so it must not decide how long the others have to reveal.
#[test]
fn the_last_commitment_cannot_shorten_the_time_to_reveal() {
    // In the block that would have closed commitments anyway, and in the one before it.
    for early in [0, 1] {
        let mut c = Chain::new(3);
        let job = c.submit(vec![quorum("one", 2, 3)])[0];
        let drawn = c.start(job);
        c.block(|c| drawn[..2].iter().for_each(|a| c.commit(a, &good()).unwrap()));
        let close = c.job(job).commit_close_height;
        c.blocks(close - early - 1 - c.block.height);
        c.block(|c| c.commit(&drawn[2], &good()).unwrap());
        assert_eq!(c.job(job).reveal_close_height, close - early + 10);
        // The attacker reveals at once, the others within the time that they were given.
        c.block(|c| c.reveal(&drawn[2], &good()).unwrap());
        c.blocks(5);
        c.block(|c| drawn[..2].iter().for_each(|a| c.reveal(a, &good()).unwrap()));
        assert_eq!(c.state_of(job), JobState::Completed);
        assert_eq!(c.pool(), 0);
    }
}

/// The seed of a block is known before its transactions are: none of them may have a say in what is drawn with it.
#[test]
fn no_transaction_of_a_block_changes_what_is_drawn_in_it() {
    let drawn = |attack: &dyn Fn(&mut Chain)| {
        let mut c = Chain::new(12);
        let job = c.submit(vec![quorum("one", 2, 3)])[0];
        c.blocks(1);
        c.block(|c| attack(c));
        c.live(job).iter().map(|a| a.provider_id).collect::<Vec<_>>()
    };
    let fair = drawn(&|_| ());
    assert_eq!(fair.len(), 3);
    for amount in 1..=8 {
        let unbond = MsgUnbond { owner: account("owner1").to_string(), amount: Some(Coin::base(amount).to_proto()) };
        assert_eq!(drawn(&|c| drop(c.tx(&unbond).unwrap())), fair, "after taking {amount} of the bond out");
    }
    for n in (1..=12).filter(|n| !fair.contains(n)) {
        let remove = MsgRemoveOffer { operator: operator(n).to_string(), offer_id: 1 };
        assert_eq!(drawn(&|c| drop(c.tx(&remove).unwrap())), fair, "after withdrawing an offer of {n}");
    }
}
