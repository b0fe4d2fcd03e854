use std::{num::ParseIntError, path::PathBuf, str::FromStr, time::Duration};

use cosmos_sdk_proto::cosmos::base::v1beta1;

use crate::gate::UploadPolicy;

/// What a worker is told to be and do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of everything that the worker keeps.
    pub home: PathBuf,
    /// Its name on chain.
    pub moniker: String,
    /// Bond of a new provider.
    pub bond: Coin,
    /// Price of one slot for a second.
    pub ask: Coin,
    /// Assignments at once.
    pub capacity: u32,
    /// Most bytes of blocks that are kept.
    pub quota: u64,
    /// Where others reach the worker.
    pub public_endpoint: String,
    /// What strangers may upload.
    pub uploads: UploadPolicy,
    /// Blocks of the chain for which outputs and logs are kept after the end of their job.
    pub keep_blocks: u64,
    /// How often the chain is looked at.
    pub poll: Duration,
    /// How long content that nobody gives is asked for again.
    pub patience: Duration,
    /// Whether results are falsified on purpose.
    #[cfg(feature = "demo")]
    pub misbehave: Misbehave,
}

/// Whether a worker cheats.
#[cfg(feature = "demo")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Misbehave {
    /// Honest.
    #[default]
    Never,
    /// Its first good result is wrong.
    Once,
    /// Every result is wrong, in the same way as those of others that cheat.
    Always,
}

/// An amount of a denom, such as `5ugantry`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// How much.
    pub amount: u128,
    /// Of what.
    pub denom: String,
}

/// Why a text is no coin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCoin {
    /// No number before the denom, or one that is too large.
    #[error("an amount such as 5ugantry is needed: {0}")]
    Amount(#[from] ParseIntError),
    /// No denom, or one with other characters.
    #[error("a denom of 3 to 128 letters, digits and /:._- is needed after the amount, such as 5ugantry")]
    Denom,
}

impl FromStr for Coin {
    type Err = BadCoin;

    fn from_str(text: &str) -> Result<Self, BadCoin> {
        let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (amount, denom) = text.split_at(at);
        let amount = amount.parse()?;
        let good = (3..=128).contains(&denom.len())
            && denom.starts_with(|c: char| c.is_ascii_alphabetic())
            && denom.bytes().all(|b| b.is_ascii_alphanumeric() || b"/:._-".contains(&b));
        if good { Ok(Self { amount, denom: denom.to_owned() }) } else { Err(BadCoin::Denom) }
    }
}

impl From<&Coin> for v1beta1::Coin {
    fn from(coin: &Coin) -> Self {
        Self { denom: coin.denom.clone(), amount: coin.amount.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coins_are_read() {
        assert_eq!("5ugantry".parse(), Ok(Coin { amount: 5, denom: "ugantry".into() }));
        for bad in [
            "",
            "5",
            "ugantry",
            "-5ugantry",
            "5 ugantry",
            "5u",
            "5.0ugantry",
            "99999999999999999999999999999999999999999ugantry",
        ] {
            assert!(bad.parse::<Coin>().is_err(), "{bad}");
        }
    }
}
