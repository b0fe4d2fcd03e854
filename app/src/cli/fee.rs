//! Gas and what is paid for it: integers and 18 decimal places, never floats.

use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use gantry_core::{Coin, Coins, validate_denom};

/// `--gas`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gas {
    Auto,
    Limit(u64),
}

impl FromStr for Gas {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            number => Ok(Self::Limit(number.parse().context("either integer or \"auto\" must be provided")?)),
        }
    }
}

impl std::fmt::Display for Gas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Limit(gas) => gas.fmt(f),
        }
    }
}

/// A positive number with up to 18 digits after the point, as the SDK's decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal(u128);

const ONE: u128 = 1_000_000_000_000_000_000;

impl Decimal {
    /// This many times a number, rounded up.
    pub(super) fn times(self, number: u64) -> Result<u128> {
        Ok(self.0.checked_mul(number.into()).context("the number is too large")?.div_ceil(ONE))
    }
}

impl FromStr for Decimal {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        ensure!(digits(whole) && digits(part) && part.len() <= 18, "{text:?} is no decimal number");
        let whole: u128 = whole.parse()?;
        let part: u128 = format!("{part:0<18}").parse()?;
        let sum = whole.checked_mul(ONE).and_then(|whole| whole.checked_add(part));
        Ok(Self(sum.with_context(|| format!("{text} is too large"))?))
    }
}

/// `--gas-prices`: decimal coins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GasPrices(Vec<(Decimal, String)>);

impl GasPrices {
    /// What the gas costs, each denom rounded up.
    pub(super) fn fee(&self, gas: u64) -> Result<Coins> {
        let mut fee = Coins::new();
        for (price, denom) in &self.0 {
            fee.add(&Coin::new(denom.as_str(), price.times(gas)?)?)?;
        }
        Ok(fee)
    }
}

impl FromStr for GasPrices {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let prices = text.split(',').map(|price| {
            let price = price.trim();
            let end = price.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(price.len());
            let (number, denom) = price.split_at(end);
            validate_denom(denom.trim()).with_context(|| format!("invalid decimal coin expression: {price}"))?;
            Ok((number.parse()?, denom.trim().to_owned()))
        });
        Ok(Self(prices.collect::<Result<_>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fees_are_prices_times_gas_rounded_up() {
        let prices: GasPrices = "0.025ugantry,1atom".parse().unwrap();
        assert_eq!(prices.fee(200_001).unwrap().to_string(), "200001atom,5001ugantry");
        assert_eq!("0.000000000000000001ugantry".parse::<GasPrices>().unwrap().fee(1).unwrap().to_string(), "1ugantry");
        for bad in ["ugantry", "1", ".5ugantry", "1.ugantry", "-1ugantry", "", "0.0000000000000000001ugantry"] {
            assert!(bad.parse::<GasPrices>().is_err(), "{bad}");
        }
        assert!("340282366920938463464ugantry".parse::<GasPrices>().is_err());
        assert!("340282366920938463463ugantry".parse::<GasPrices>().unwrap().fee(2).is_err());
    }

    #[test]
    fn gas_is_a_number_or_auto() {
        assert_eq!("auto".parse::<Gas>().unwrap(), Gas::Auto);
        assert_eq!("5".parse::<Gas>().unwrap(), Gas::Limit(5));
        assert!("-5".parse::<Gas>().is_err());
        assert_eq!("1.2".parse::<Decimal>().unwrap().times(101).unwrap(), 122);
    }
}
