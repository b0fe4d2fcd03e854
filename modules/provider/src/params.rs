//! Parameters: bonds, heartbeats, and how much a provider may register.

use cosmos_sdk_proto::cosmos::base::v1beta1::Coin as ProtoCoin;
use gantry_core::{BASE_DENOM, Coin, Result};
use gantry_proto::gantry::provider::v1::Params;

use crate::ProviderError;

/// Blocks of a week at six seconds each.
const WEEK: u64 = 100_800;

/// The parameters of a fresh chain: 100 gantry of bond, a week of unbonding, an epoch of 20 blocks.
#[must_use]
pub fn default_params() -> Params {
    Params {
        min_bond: Some(ProtoCoin { denom: BASE_DENOM.to_owned(), amount: "100000000".to_owned() }),
        unbonding_blocks: WEEK,
        heartbeat_epoch_blocks: 20,
        heartbeat_grace_epochs: 3,
        max_offers: 32,
        max_operators: 8,
        max_endpoints: 4,
    }
}

/// Refuses parameters that would stop the market (no epoch, no grace, no offers) or make one provider's lists too long
/// to be read within a block.
pub fn validate_params(params: &Params) -> Result<()> {
    min_bond(params)?;
    let rules = [
        ("unbonding_blocks", params.unbonding_blocks, 1, 10_000_000),
        ("heartbeat_epoch_blocks", params.heartbeat_epoch_blocks, 1, 100_000),
        ("heartbeat_grace_epochs", params.heartbeat_grace_epochs, 1, 1000),
        ("max_offers", params.max_offers.into(), 1, 256),
        ("max_operators", params.max_operators.into(), 0, 64),
        ("max_endpoints", params.max_endpoints.into(), 1, 16),
    ];
    for (name, value, least, most) in rules {
        if !(least..=most).contains(&value) {
            return Err(ProviderError::Genesis(format!("{name} must be from {least} to {most}")).into());
        }
    }
    Ok(())
}

/// The smallest bond of an active provider; its denom is that of all bonds.
pub(crate) fn min_bond(params: &Params) -> Result<Coin> {
    let coin = Coin::from_field(params.min_bond.as_ref(), "min_bond")?;
    match coin.is_zero() {
        true => Err(ProviderError::Genesis("min_bond must be positive".to_owned()).into()),
        false => Ok(coin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_enforced() {
        validate_params(&default_params()).unwrap();
        let coin = |amount: &str| Some(ProtoCoin { denom: BASE_DENOM.to_owned(), amount: amount.to_owned() });
        for bad in [
            Params { min_bond: None, ..default_params() },
            Params { min_bond: coin("0"), ..default_params() },
            Params { min_bond: coin("-1"), ..default_params() },
            Params { unbonding_blocks: 0, ..default_params() },
            Params { heartbeat_epoch_blocks: 0, ..default_params() },
            Params { heartbeat_grace_epochs: 0, ..default_params() },
            Params { max_offers: 257, ..default_params() },
            Params { max_endpoints: 0, ..default_params() },
        ] {
            validate_params(&bad).unwrap_err();
        }
    }
}
