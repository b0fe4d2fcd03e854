//! Messages from people with coins and keys: no block of any transactions panics, breaks an invariant of a module,
//! halts the chain, or is refused after it was prepared.

use prost::Message;

use crate::{
    Target,
    chain::{Player, Script},
    mutate::Form,
};

/// A [`Script`].
pub const TARGET: Target = Target { name: "chain", form: Form::Proto, run };

/// Blocks of a script that are played.
const MAX_BLOCKS: usize = 24;
/// Transactions of a block.
const MAX_TXS: usize = 64;

fn run(bytes: &[u8]) {
    let Ok(mut script) = Script::decode(bytes) else { return };
    script.blocks.truncate(MAX_BLOCKS);
    let mut player = Player::new();
    for block in &mut script.blocks {
        block.txs.truncate(MAX_TXS);
        player.play(block);
    }
}
