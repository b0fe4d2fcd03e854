//! Queries from strangers against a market at work: an answer or a coded error, and never "internal error".

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use prost::Message;

use crate::{Target, chain::Player, mutate::Form, seeds};

/// [`Asked`].
pub const TARGET: Target = Target { name: "query", form: Form::Proto, run };

/// A query as CometBFT passes it on.
#[derive(Clone, PartialEq, Message)]
pub struct Asked {
    /// `/package.Service/Method`, or a path of the SDK's.
    #[prost(string, tag = "1")]
    pub path: String,
    /// The encoded request.
    #[prost(bytes = "vec", tag = "2")]
    pub data: Vec<u8>,
    /// The height; 0 for the last.
    #[prost(int64, tag = "3")]
    pub height: i64,
    /// Whether a proof is wanted.
    #[prost(bool, tag = "4")]
    pub prove: bool,
}

/// Jobs in all states. Queries change nothing, so that one chain serves all.
static CHAIN: LazyLock<Arc<Mutex<Player>>> = LazyLock::new(|| {
    let mut player = Player::new();
    for block in seeds::market().blocks {
        player.play(&block);
    }
    Arc::new(Mutex::new(player))
});

fn run(bytes: &[u8]) {
    let Ok(asked) = Asked::decode(bytes) else { return };
    let player = CHAIN.lock().unwrap_or_else(PoisonError::into_inner);
    let answer = player.chain.abci_query(&asked.path, asked.data.clone(), asked.height, asked.prove);
    assert!(!answer.log.contains("internal error") && !answer.log.contains("panicked"), "{asked:?}: {answer:?}");
    assert!(answer.code == 0 || !answer.codespace.is_empty(), "{asked:?}: {answer:?}");
    let again = player.chain.abci_query(&asked.path, asked.data, asked.height, asked.prove);
    assert_eq!(answer, again, "one state, two answers");
}
