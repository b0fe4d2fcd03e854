//! The SDK's bank events, which every wallet and indexer reads.

use gantry_core::{Address, Coins, Event, attr};

pub(crate) fn coin_spent(spender: &Address, amount: &Coins) -> Event {
    Event::new("coin_spent", [attr("spender", spender), attr("amount", amount)])
}

pub(crate) fn coin_received(receiver: &Address, amount: &Coins) -> Event {
    Event::new("coin_received", [attr("receiver", receiver), attr("amount", amount)])
}

pub(crate) fn transfer(from: &Address, to: &Address, amount: &Coins) -> Event {
    Event::new("transfer", [attr("recipient", to), attr("sender", from), attr("amount", amount)])
}

pub(crate) fn sender(from: &Address) -> Event {
    Event::new("message", [attr("sender", from)])
}
