//! What an operator asks for gas. Not consensus: only CheckTx looks at it.

use std::{fmt, str::FromStr};

use gantry_core::{Coin, Coins, Error, Result, sdk, validate_denom};

/// Decimal places of a price.
const PLACES: u32 = 18;
const ONE: u128 = 10u128.pow(PLACES);

/// Minimum prices per unit of gas; a fee that reaches any one of them is enough. Empty or zero asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MinGasPrices(Vec<(String, u128)>);

impl MinGasPrices {
    /// Refuses fees under every price: sdk/13.
    pub(crate) fn require(&self, fee: &Coins, gas: u64) -> Result<()> {
        let required: Vec<Coin> = self
            .0
            .iter()
            .filter(|(_, price)| *price > 0)
            .map(|(denom, price)| Coin::new(denom.clone(), fee_for(*price, gas)))
            .collect::<Result<_>>()?;
        let enough = |coin: &Coin| fee.amount_of(coin.denom()) >= coin.amount().max(1);
        if required.is_empty() || required.iter().any(enough) {
            return Ok(());
        }
        let required = required.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        Err(sdk::insufficient_fee(format!("insufficient fees; got: {fee} required: {required}")))
    }
}

/// ceil(price x gas); more than any supply where it does not fit.
fn fee_for(price: u128, gas: u64) -> u128 {
    let (whole, part) = (price / ONE, price % ONE);
    let gas = u128::from(gas);
    // part < 10^18 and gas < 2^64, so their product fits.
    whole.checked_mul(gas).and_then(|w| w.checked_add((part * gas).div_ceil(ONE))).unwrap_or(u128::MAX)
}

impl FromStr for MinGasPrices {
    type Err = Error;

    /// Parses `0.025ugantry,0.1uatom`; semicolons separate as well.
    fn from_str(text: &str) -> Result<Self> {
        let mut prices: Vec<(String, u128)> = Vec::new();
        for part in text.split([',', ';']).map(str::trim).filter(|part| !part.is_empty()) {
            let invalid = || sdk::invalid_coins(format!("invalid decimal coin expression: {part}"));
            let split = part.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
            let (amount, denom) = part.split_at(split);
            validate_denom(denom)?;
            let price = parse_decimal(amount).ok_or_else(invalid)?;
            if prices.iter().any(|(d, _)| d == denom) {
                return Err(sdk::invalid_coins(format!("duplicate denomination {denom}")));
            }
            prices.push((denom.to_owned(), price));
        }
        prices.sort();
        Ok(Self(prices))
    }
}

fn parse_decimal(text: &str) -> Option<u128> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    if whole.is_empty() || part.is_empty() || part.contains('.') {
        return None;
    }
    let places = u32::try_from(part.len()).ok().filter(|places| *places <= PLACES)?;
    let part = part.parse::<u128>().ok()? * 10u128.pow(PLACES - places);
    whole.parse::<u128>().ok()?.checked_mul(ONE)?.checked_add(part)
}

impl fmt::Display for MinGasPrices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (denom, price)) in self.0.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{}.{:018}{denom}", price / ONE, price % ONE)?;
        }
        Ok(())
    }
}
