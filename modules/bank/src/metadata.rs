//! What wallets show of a denom, and its rules.

use std::collections::BTreeSet;

use cosmos_sdk_proto::cosmos::bank::v1beta1::{DenomUnit, Metadata};
use gantry_core::{BASE_DENOM, DISPLAY_DENOM, Result, sdk, validate_denom};

/// The chain's own denom: 1 gantry = 10^6 ugantry.
pub(crate) fn base() -> Metadata {
    Metadata {
        description: "The coin of Gantry: fees, bonds and prices.".to_owned(),
        denom_units: vec![
            DenomUnit { denom: BASE_DENOM.to_owned(), exponent: 0, aliases: vec!["microgantry".to_owned()] },
            DenomUnit { denom: DISPLAY_DENOM.to_owned(), exponent: 6, aliases: Vec::new() },
        ],
        base: BASE_DENOM.to_owned(),
        display: DISPLAY_DENOM.to_owned(),
        name: "Gantry".to_owned(),
        symbol: "GANTRY".to_owned(),
        uri: String::new(),
        uri_hash: String::new(),
    }
}

/// The SDK's rules: names are set, units ascend from the base denom, the display denom is one of them.
pub(crate) fn validate(metadata: &Metadata) -> Result<()> {
    let refuse = |text: String| Err(sdk::invalid_request(text));
    if metadata.name.trim().is_empty() {
        return refuse("name field cannot be blank".to_owned());
    }
    if metadata.symbol.trim().is_empty() {
        return refuse("symbol field cannot be blank".to_owned());
    }
    validate_denom(&metadata.base).map_err(|e| e.context("invalid metadata base denom"))?;
    validate_denom(&metadata.display).map_err(|e| e.context("invalid metadata display denom"))?;
    if metadata.denom_units.first().is_none_or(|unit| unit.denom != metadata.base || unit.exponent != 0) {
        return refuse(format!(
            "metadata's first denomination unit must be the one with base denom '{}' and exponent 0",
            metadata.base
        ));
    }
    if !metadata.denom_units.is_sorted_by(|a, b| a.exponent < b.exponent) {
        return refuse("denom units should be sorted asc by exponent".to_owned());
    }
    let mut units = BTreeSet::new();
    for unit in &metadata.denom_units {
        validate_denom(&unit.denom).map_err(|e| e.context("invalid denom unit"))?;
        if !units.insert(&unit.denom) {
            return refuse(format!("duplicate denomination unit {}", unit.denom));
        }
        let mut aliases = BTreeSet::new();
        for alias in &unit.aliases {
            if alias.trim().is_empty() {
                return refuse(format!("alias for denom unit {} cannot be blank", unit.denom));
            }
            if !aliases.insert(alias) {
                return refuse(format!("duplicate denomination unit alias {alias}"));
            }
        }
    }
    if !units.contains(&metadata.display) {
        return refuse(format!("metadata must contain a denomination unit with display denom '{}'", metadata.display));
    }
    Ok(())
}
