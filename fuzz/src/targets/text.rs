//! Words that people and messages write: addresses, amounts, prices. One thing has one text.

use std::str;

use cosmos_sdk_proto::cosmos::base::v1beta1::Coin as ProtoCoin;
use gantry_core::{Address, Coin, Coins};
use gantry_tx::MinGasPrices;

use crate::{Target, mutate::Form};

/// Text.
pub const TARGET: Target = Target { name: "text", form: Form::Bytes, run };

fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(address) = Address::parse(text) {
        let written = address.to_string();
        assert!(written == text || written.to_uppercase() == text, "mixed case makes two texts of one address: {text}");
        assert_eq!(Address::parse(&written).as_ref(), Ok(&address));
    }
    if let Ok(prices) = text.parse::<MinGasPrices>() {
        assert_eq!(prices.to_string().parse::<MinGasPrices>().map(|p| p.to_string()), Ok(prices.to_string()));
    }
    // An amount and a denom in one: as a message has them.
    let (amount, denom) = text.split_once(' ').unwrap_or((text, "ugantry"));
    let proto = ProtoCoin { amount: amount.to_owned(), denom: denom.to_owned() };
    if let Ok(coins) = Coins::from_proto(std::slice::from_ref(&proto)) {
        assert_eq!(coins.to_proto(), std::slice::from_ref(&proto), "an amount has one text");
    }
    let _ = Coin::from_proto(&proto);
    let _ = gantry_client::coin(text);
    let _ = gantry_client::coins(text);
    let _ = gantry_client::policy_from_text(text);
}
