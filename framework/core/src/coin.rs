//! Coins: a denom and an amount of its base unit. Amounts are `u128` with checked arithmetic; the SDK's 256-bit
//! integers above that are refused (docs/deviations.md).

use std::{collections::BTreeMap, fmt, str::FromStr};

use cosmos_sdk_proto::cosmos::base::v1beta1::Coin as ProtoCoin;

use crate::error::{Error, Result, sdk};

/// The unit that fees, bonds and prices are counted in.
pub const BASE_DENOM: &str = "ugantry";
/// 1 gantry = 10^6 ugantry.
pub const DISPLAY_DENOM: &str = "gantry";

/// The SDK's rule for denoms: a letter, then 2 to 127 of letters, digits and `/:._-`.
pub fn validate_denom(denom: &str) -> Result<()> {
    let mut bytes = denom.bytes();
    let valid = (3..=128).contains(&denom.len())
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"/:._-".contains(&b));
    if valid { Ok(()) } else { Err(sdk::invalid_coins(format!("invalid denom: {denom}"))) }
}

/// An amount of one denom. The denom is valid by construction; the amount may be zero.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Coin {
    denom: String,
    amount: u128,
}

impl Coin {
    /// A coin of a valid denom.
    pub fn new(denom: impl Into<String>, amount: u128) -> Result<Self> {
        let denom = denom.into();
        validate_denom(&denom)?;
        Ok(Self { denom, amount })
    }

    /// An amount of the base denom.
    #[must_use]
    pub fn base(amount: u128) -> Self {
        Self { denom: BASE_DENOM.to_owned(), amount }
    }

    /// Its denom.
    #[must_use]
    pub fn denom(&self) -> &str {
        &self.denom
    }

    /// Its amount.
    #[must_use]
    pub fn amount(&self) -> u128 {
        self.amount
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.amount == 0
    }

    /// Reads a client's coin; the amount must be a plain decimal integer.
    pub fn from_proto(coin: &ProtoCoin) -> Result<Self> {
        let amount =
            parse_amount(&coin.amount).ok_or_else(|| sdk::invalid_coins(format!("{}{}", coin.amount, coin.denom)))?;
        Self::new(coin.denom.clone(), amount)
    }

    /// Reads a field that must be set.
    pub fn from_field(coin: Option<&ProtoCoin>, field: &str) -> Result<Self> {
        Self::from_proto(coin.ok_or_else(|| sdk::invalid_coins(format!("{field} is missing")))?)
    }

    /// The wire form.
    #[must_use]
    pub fn to_proto(&self) -> ProtoCoin {
        ProtoCoin { denom: self.denom.clone(), amount: self.amount.to_string() }
    }
}

impl fmt::Display for Coin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.amount, self.denom)
    }
}

impl FromStr for Coin {
    type Err = Error;

    /// Parses `12ugantry`.
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (amount, denom) = text.split_at(digits);
        let amount = parse_amount(amount)
            .ok_or_else(|| sdk::invalid_coins(format!("invalid decimal coin expression: {text}")))?;
        Self::new(denom.trim(), amount)
    }
}

/// A decimal integer without sign, spaces or leading zeros.
fn parse_amount(text: &str) -> Option<u128> {
    let canonical =
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    canonical.then(|| text.parse().ok()).flatten()
}

/// A set of positive coins, ascending by denom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coins(BTreeMap<String, u128>);

impl Coins {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a client's list by the SDK's rules: ascending by denom, no duplicates, every amount positive.
    pub fn from_proto(coins: &[ProtoCoin]) -> Result<Self> {
        let mut set = BTreeMap::new();
        let mut last: Option<&str> = None;
        for coin in coins {
            let parsed = Coin::from_proto(coin)?;
            if parsed.is_zero() {
                return Err(sdk::invalid_coins(format!("coin {} amount is not positive", parsed.denom)));
            }
            match last {
                Some(l) if l == coin.denom => {
                    return Err(sdk::invalid_coins(format!("duplicate denomination {}", coin.denom)));
                }
                Some(l) if l > coin.denom.as_str() => {
                    return Err(sdk::invalid_coins(format!("denomination {} is not sorted", coin.denom)));
                }
                _ => {}
            }
            last = Some(&coin.denom);
            set.insert(parsed.denom, parsed.amount);
        }
        Ok(Self(set))
    }

    /// The wire form.
    #[must_use]
    pub fn to_proto(&self) -> Vec<ProtoCoin> {
        self.iter().map(|c| c.to_proto()).collect()
    }

    /// The coins, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Coin> + '_ {
        self.0.iter().map(|(denom, amount)| Coin { denom: denom.clone(), amount: *amount })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The amount of a denom, 0 where there is none.
    #[must_use]
    pub fn amount_of(&self, denom: &str) -> u128 {
        self.0.get(denom).copied().unwrap_or(0)
    }

    /// Adds a coin.
    pub fn add(&mut self, coin: &Coin) -> Result<()> {
        if coin.is_zero() {
            return Ok(());
        }
        let entry = self.0.entry(coin.denom.clone()).or_insert(0);
        *entry =
            entry.checked_add(coin.amount).ok_or_else(|| sdk::invalid_coins(format!("{} overflows", coin.denom)))?;
        Ok(())
    }
}

impl From<Coin> for Coins {
    fn from(coin: Coin) -> Self {
        let mut set = BTreeMap::new();
        if coin.amount > 0 {
            set.insert(coin.denom, coin.amount);
        }
        Self(set)
    }
}

impl fmt::Display for Coins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (denom, amount)) in self.0.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{amount}{denom}")?;
        }
        Ok(())
    }
}

impl FromStr for Coins {
    type Err = Error;

    /// Parses `5atom,12ugantry` in any order; empty text is no coins.
    fn from_str(text: &str) -> Result<Self> {
        let mut coins = Self::new();
        for part in text.split(',').filter(|p| !p.trim().is_empty()) {
            let coin: Coin = part.parse()?;
            if coins.0.contains_key(coin.denom()) {
                return Err(sdk::invalid_coins(format!("duplicate denomination {}", coin.denom())));
            }
            coins.add(&coin)?;
        }
        Ok(coins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proto(denom: &str, amount: &str) -> ProtoCoin {
        ProtoCoin { denom: denom.into(), amount: amount.into() }
    }

    #[test]
    fn client_lists_follow_the_sdks_rules() {
        assert!(Coins::from_proto(&[proto("atom", "5"), proto("ugantry", "7")]).is_ok());
        let too_big = format!("{}0", u128::MAX);
        for bad in [
            vec![proto("ugantry", "7"), proto("atom", "5")],
            vec![proto("atom", "5"), proto("atom", "5")],
            vec![proto("atom", "0")],
            vec![proto("atom", "-1")],
            vec![proto("atom", "+1")],
            vec![proto("atom", "01")],
            vec![proto("atom", " 1")],
            vec![proto("atom", "")],
            vec![proto("atom", &too_big)],
            vec![proto("a", "5")],
            vec![proto("1atom", "5")],
            vec![proto("at om", "5")],
        ] {
            let error = Coins::from_proto(&bad).expect_err("refused");
            assert!(matches!(error, Error::User(e) if e.codespace == "sdk" && e.code == 10), "{bad:?}");
        }
    }

    #[test]
    fn text_round_trips_and_sorts() {
        let coins: Coins = "12ugantry,5atom".parse().expect("valid");
        assert_eq!(coins.to_string(), "5atom,12ugantry");
        assert!("12ugantry,5ugantry".parse::<Coins>().is_err());
        assert!("ugantry".parse::<Coin>().is_err());
    }

    #[test]
    fn sums_never_wrap() {
        let mut coins = Coins::from(Coin::base(u128::MAX));
        assert!(coins.add(&Coin::base(1)).is_err());
        assert_eq!(coins.amount_of(BASE_DENOM), u128::MAX);
    }
}
