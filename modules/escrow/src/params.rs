//! Parameters: the fee, and in what prices may be given.

use gantry_core::{BASE_DENOM, Result, validate_denom};
use gantry_proto::gantry::escrow::v1::Params;

use crate::EscrowError;

/// Parts per million in one.
const MILLION: u128 = 1_000_000;
/// The largest fee: a fifth.
pub const MAX_FEE_PPM: u64 = 200_000;
/// Most denoms in the allow-list.
const MAX_DENOMS: usize = 32;

/// The parameters of a fresh chain: 2 % and the base denom.
#[must_use]
pub fn default_params() -> Params {
    Params { fee_ppm: 20_000, denoms: vec![BASE_DENOM.to_owned()] }
}

/// Refuses a fee over [`MAX_FEE_PPM`], and a list of denoms that is empty, too long, or not strictly ascending.
pub fn validate_params(params: &Params) -> Result<()> {
    let refuse = |why: String| Err(EscrowError::Genesis(why).into());
    if params.fee_ppm > MAX_FEE_PPM {
        return refuse(format!("fee_ppm must be at most {MAX_FEE_PPM}"));
    }
    if params.denoms.is_empty() || params.denoms.len() > MAX_DENOMS {
        return refuse(format!("there must be 1 to {MAX_DENOMS} denoms"));
    }
    for (i, denom) in params.denoms.iter().enumerate() {
        validate_denom(denom)?;
        if i > 0 && params.denoms[i - 1] >= *denom {
            return refuse("denoms must ascend".to_owned());
        }
    }
    Ok(())
}

/// The fee out of an amount: `floor(amount * fee_ppm / 10^6)`, without overflow for any amount.
pub(crate) fn fee_of(amount: u128, fee_ppm: u64) -> u128 {
    let ppm = u128::from(fee_ppm);
    // amount = whole * 10^6 + rest, so the fee is whole * ppm + floor(rest * ppm / 10^6); ppm < 10^6 keeps it below amount.
    (amount / MILLION) * ppm + (amount % MILLION) * ppm / MILLION
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fees_are_floored_and_never_overflow(amount: u128, fee_ppm in 0..=MAX_FEE_PPM) {
            let fee = fee_of(amount, fee_ppm);
            prop_assert!(fee <= amount / 5);
            let small = u128::from(u64::try_from(amount >> 64).unwrap());
            prop_assert_eq!(fee_of(small, fee_ppm), small * u128::from(fee_ppm) / MILLION);
        }
    }

    #[test]
    fn bounds_are_enforced() {
        validate_params(&default_params()).unwrap();
        let denoms = |list: &[&str]| list.iter().map(|d| (*d).to_owned()).collect::<Vec<_>>();
        for bad in [
            Params { fee_ppm: MAX_FEE_PPM + 1, ..default_params() },
            Params { denoms: vec![], ..default_params() },
            Params { denoms: denoms(&["ugantry", "ugantry"]), ..default_params() },
            Params { denoms: denoms(&["ugantry", "uatom"]), ..default_params() },
            Params { denoms: denoms(&["1x"]), ..default_params() },
        ] {
            validate_params(&bad).unwrap_err();
        }
    }
}
