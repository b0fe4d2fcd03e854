//! What is said to the chain: collected while a transaction is under way, and sent together in the next.

use std::sync::Arc;

use cosmos_sdk_proto::Any;
use prost::{Message, Name};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{ChainPort, PortError};

/// Most messages in one transaction: far below what a block takes.
const BATCH: usize = 32;

/// Messages that belong together, and how to tell what became of them.
pub(crate) struct Letter {
    pub(crate) messages: Vec<Any>,
    pub(crate) done: Box<dyn FnOnce(Result<(), PortError>) + Send>,
}

/// Packs a message for a transaction.
pub(crate) fn pack<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

/// Sends what comes in, one transaction at a time, until cancelled.
///
/// A transaction is all or nothing: when one of several letters spoils it, each is sent by itself, so that one refusal
/// holds up nobody else.
pub(crate) async fn run(port: Arc<dyn ChainPort>, mut letters: mpsc::Receiver<Letter>, stop: CancellationToken) {
    let work = async {
        let mut batch = Vec::new();
        while letters.recv_many(&mut batch, BATCH).await > 0 {
            send(port.as_ref(), std::mem::take(&mut batch)).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

async fn send(port: &dyn ChainPort, letters: Vec<Letter>) {
    let all = letters.iter().flat_map(|letter| letter.messages.iter().cloned()).collect();
    match port.submit(all).await {
        Err(PortError::Refused(why)) if letters.len() > 1 => {
            debug!(letters = letters.len(), why, "refused together, sending one by one");
            for letter in letters {
                let result = port.submit(letter.messages).await;
                (letter.done)(result);
            }
        }
        result => letters.into_iter().for_each(|letter| (letter.done)(result.clone())),
    }
}
