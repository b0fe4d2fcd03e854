//! Which past states and blocks a node keeps: the SDK's options by the SDK's names, and the window of proofs.

use anyhow::{Result, bail};
use gantry_store::StoreOptions;
use serde::{Deserialize, Deserializer};

use super::config::AppConfig;

/// Flags that say what is kept. What is not given comes from `app.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Flags {
    /// Which past states are kept: default, nothing (keep all), everything (keep the last two), custom
    #[arg(long)]
    pub pruning: Option<String>,
    /// Past heights that can be read; with --pruning custom
    #[arg(long)]
    pub pruning_keep_recent: Option<u64>,
    /// Heights between two prunings; with --pruning custom
    #[arg(long)]
    pub pruning_interval: Option<u64>,
    /// Past heights that can be proven
    #[arg(long)]
    pub proof_window: Option<u64>,
}

/// With `default` and `nothing`, versions go this many heights at a time: each time costs a synced write. The SDK takes
/// [`LEAST_INTERVAL`] for all strategies.
const INTERVAL: u64 = 100;
/// The smallest `custom` values, as in the SDK.
const LEAST_INTERVAL: u64 = 10;
const LEAST_RECENT: u64 = 2;

/// The options of the store under these flags and settings.
///
/// # Errors
/// In the SDK's words where the values contradict each other.
pub fn store_options(flags: &Flags, config: &AppConfig) -> Result<StoreOptions> {
    let defaults = StoreOptions::default();
    let keep_recent = flags.pruning_keep_recent.unwrap_or(config.pruning_keep_recent.0);
    let interval = flags.pruning_interval.unwrap_or(config.pruning_interval.0);
    let (keep_recent, prune_interval) = match flags.pruning.as_ref().unwrap_or(&config.pruning).to_lowercase().as_str()
    {
        "" | "default" => (defaults.keep_recent, INTERVAL),
        "nothing" => (u64::MAX, INTERVAL),
        "everything" => (LEAST_RECENT, LEAST_INTERVAL),
        "custom" if interval == 0 => {
            bail!("'pruning-interval' must not be 0. If you want to disable pruning, select pruning = \"nothing\"")
        }
        "custom" if interval < LEAST_INTERVAL => bail!(
            "'pruning-interval' must not be less than {LEAST_INTERVAL}. For the most aggressive pruning, select \
             pruning = \"everything\""
        ),
        "custom" if keep_recent < LEAST_RECENT => bail!(
            "'pruning-keep-recent' must not be less than {LEAST_RECENT}. For the most aggressive pruning, select \
             pruning = \"everything\""
        ),
        "custom" => (keep_recent, interval),
        other => bail!("unknown pruning strategy {other}: use default, nothing, everything or custom"),
    };
    Ok(StoreOptions {
        keep_recent,
        prune_interval,
        proof_window: flags.proof_window.unwrap_or(config.proof_window),
        row_cache_bytes: config.row_cache_bytes,
        ..defaults
    })
}

/// A number that the SDK's `app.toml` has in quotes; both are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quoted(pub u64);

impl<'de> Deserialize<'de> for Quoted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(Self(number)),
            Either::Text(text) => text.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(flags: Flags, toml: &str) -> Result<(u64, u64, u64)> {
        let options = store_options(&flags, &toml::from_str(toml).unwrap())?;
        Ok((options.keep_recent, options.prune_interval, options.proof_window))
    }

    fn flag(pruning: &str) -> Flags {
        Flags { pruning: Some(pruning.into()), ..Flags::default() }
    }

    #[test]
    fn strategies_have_the_names_and_the_limits_of_the_sdk() {
        let defaults = StoreOptions::default();
        let (recent, window) = (defaults.keep_recent, defaults.proof_window);
        assert_eq!(kept(Flags::default(), "").unwrap(), (recent, 100, window));
        assert_eq!(kept(Flags::default(), "pruning = \"default\"").unwrap(), (recent, 100, window));
        assert_eq!(kept(flag("nothing"), "pruning = \"everything\"").unwrap(), (u64::MAX, 100, window));
        assert_eq!(kept(flag("Everything"), "proof-window = 7").unwrap(), (2, 10, 7));
        let custom = "pruning = \"custom\"\npruning-keep-recent = \"50\"\npruning-interval = 20\n";
        assert_eq!(kept(Flags::default(), custom).unwrap(), (50, 20, window));
        let flags = Flags { pruning_keep_recent: Some(9), pruning_interval: Some(11), ..Flags::default() };
        assert_eq!(kept(Flags { proof_window: Some(3), ..flags }, custom).unwrap(), (9, 11, 3));

        let custom = |recent, interval| {
            let flags = Flags { pruning_keep_recent: Some(recent), pruning_interval: Some(interval), ..flag("custom") };
            kept(flags, "").unwrap_err().to_string()
        };
        assert!(custom(5, 0).contains("select pruning = \"nothing\""));
        assert!(custom(5, 9).contains("'pruning-interval' must not be less than 10"));
        assert!(custom(1, 10).contains("'pruning-keep-recent' must not be less than 2"));
        assert_eq!(
            kept(flag("some"), "").unwrap_err().to_string(),
            "unknown pruning strategy some: use default, nothing, everything or custom"
        );
        assert!(toml::from_str::<AppConfig>("pruning-interval = \"x\"").is_err());
        assert!(toml::from_str::<AppConfig>("pruning-interval = -1").is_err());
    }
}
