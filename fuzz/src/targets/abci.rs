//! Calls from CometBFT in any order and with anything in them: an answer or a typed stop, never a panic.

use gantry_abci::Stop;
use prost::Message;
use tendermint_proto::v0_38::abci::{Request, request::Value};

use crate::{Target, chain::Player, mutate::Form};

/// [`Requests`].
pub const TARGET: Target = Target { name: "abci", form: Form::Proto, run };

/// Calls one after another.
#[derive(Clone, PartialEq, Message)]
pub struct Requests {
    /// In order.
    #[prost(message, repeated, tag = "1")]
    pub requests: Vec<Request>,
}

/// Calls that are made.
const MAX_CALLS: usize = 32;

fn run(bytes: &[u8]) {
    let Ok(Requests { requests }) = Requests::decode(bytes) else { return };
    let mut player = Player::new();
    player.chain.advance(1);
    for request in requests.into_iter().filter_map(|request| request.value).take(MAX_CALLS) {
        let user_made = matches!(request, Value::Query(_) | Value::CheckTx(_));
        match player.chain.call(request) {
            Ok(_) => {}
            // Out of order, at a wrong height, or a genesis that is none: the node stops, and nothing is committed.
            Err(Stop::Planned(halt)) => panic!("no halt is configured: {halt}"),
            Err(stop) => {
                assert!(!user_made, "a user stops the node: {stop}");
                return;
            }
        }
    }
}
