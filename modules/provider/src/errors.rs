//! Errors, with frozen codes.

use gantry_core::{Coin, ModuleError};

/// What can be wrong with a request to this module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// A genesis or a parameter that cannot be.
    #[error("invalid provider genesis: {0}")]
    Genesis(String),
    /// No provider has this id.
    #[error("provider {0} does not exist")]
    NotFound(u64),
    /// The address neither owns nor operates a provider.
    #[error("{0} is no operator of a provider")]
    NotOperator(String),
    /// The address does not own a provider.
    #[error("{0} owns no provider")]
    NotOwner(String),
    /// The address owns or operates another provider.
    #[error("{address} belongs to provider {provider_id} already")]
    AddressTaken {
        /// The address.
        address: String,
        /// The provider that has it.
        provider_id: u64,
    },
    /// A text, endpoint or list that is not acceptable.
    #[error("invalid {field}: {why}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Bonds are in one denom.
    #[error("the bond must be in {want}, got {got}")]
    BondDenom {
        /// The bond denom.
        want: String,
        /// What was sent.
        got: String,
    },
    /// A first bond below the minimum.
    #[error("the bond must be at least {min}, got {got}")]
    BondTooLow {
        /// The minimum.
        min: Coin,
        /// What was sent.
        got: Coin,
    },
    /// Assignments in flight hold the rest.
    #[error("{free} of the bond of provider {provider_id} is free, {asked} was asked for")]
    InsufficientFreeBond {
        /// The provider.
        provider_id: u64,
        /// Bond that is not reserved.
        free: u128,
        /// What was asked for.
        asked: u128,
    },
    /// Less is reserved than was to be released.
    #[error("{reserved} of the bond of provider {provider_id} is reserved, {asked} was asked for")]
    InsufficientReserved {
        /// The provider.
        provider_id: u64,
        /// Bond that is reserved.
        reserved: u128,
        /// What was asked for.
        asked: u128,
    },
    /// Too many withdrawals under way.
    #[error("at most {0} unbondings at once")]
    TooManyUnbondings(usize),
    /// The provider has no such offer.
    #[error("provider {provider_id} has no offer {offer_id}")]
    OfferNotFound {
        /// The provider.
        provider_id: u64,
        /// The offer.
        offer_id: u32,
    },
    /// The provider has as many offers as it may.
    #[error("at most {0} offers")]
    TooManyOffers(u32),
    /// What is in use can be neither taken away nor changed.
    #[error("offer {offer_id} is in use by {in_use} assignments: {why}")]
    OfferInUse {
        /// The offer.
        offer_id: u32,
        /// Assignments on it.
        in_use: u32,
        /// What cannot be done.
        why: &'static str,
    },
    /// All slots of the offer are taken.
    #[error("offer {offer_id} of provider {provider_id} has no free slot")]
    NoFreeSlot {
        /// The provider.
        provider_id: u64,
        /// The offer.
        offer_id: u32,
    },
    /// A second heartbeat in one epoch.
    #[error("a heartbeat was counted in this epoch; the next epoch begins at height {0}")]
    HeartbeatTooEarly(u64),
}

impl ModuleError for ProviderError {
    const CODESPACE: &'static str = "provider";

    fn code(&self) -> u32 {
        match self {
            Self::Genesis(_) => 2,
            Self::NotFound(_) => 3,
            Self::NotOperator(_) => 4,
            Self::NotOwner(_) => 5,
            Self::AddressTaken { .. } => 6,
            Self::Invalid { .. } => 7,
            Self::BondDenom { .. } => 8,
            Self::BondTooLow { .. } => 9,
            Self::InsufficientFreeBond { .. } => 10,
            Self::InsufficientReserved { .. } => 11,
            Self::TooManyUnbondings(_) => 12,
            Self::OfferNotFound { .. } => 13,
            Self::TooManyOffers(_) => 14,
            Self::OfferInUse { .. } => 15,
            Self::NoFreeSlot { .. } => 16,
            Self::HeartbeatTooEarly(_) => 17,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_frozen() {
        let (provider_id, offer_id) = (1, 1);
        let errors = [
            ProviderError::Genesis(String::new()),
            ProviderError::NotFound(1),
            ProviderError::NotOperator(String::new()),
            ProviderError::NotOwner(String::new()),
            ProviderError::AddressTaken { address: String::new(), provider_id },
            ProviderError::Invalid { field: "moniker", why: String::new() },
            ProviderError::BondDenom { want: String::new(), got: String::new() },
            ProviderError::BondTooLow { min: Coin::base(2), got: Coin::base(1) },
            ProviderError::InsufficientFreeBond { provider_id, free: 0, asked: 1 },
            ProviderError::InsufficientReserved { provider_id, reserved: 0, asked: 1 },
            ProviderError::TooManyUnbondings(1),
            ProviderError::OfferNotFound { provider_id, offer_id },
            ProviderError::TooManyOffers(1),
            ProviderError::OfferInUse { offer_id, in_use: 1, why: "" },
            ProviderError::NoFreeSlot { provider_id, offer_id },
            ProviderError::HeartbeatTooEarly(1),
        ];
        assert!(errors.iter().map(ModuleError::code).eq(2..=17));
    }
}
