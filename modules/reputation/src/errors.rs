//! Errors, with frozen codes.

use gantry_core::ModuleError;

/// What can be wrong with a request to this module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReputationError {
    /// A genesis or a parameter that cannot be.
    #[error("invalid reputation genesis: {0}")]
    Genesis(String),
}

impl ModuleError for ReputationError {
    const CODESPACE: &'static str = "reputation";

    fn code(&self) -> u32 {
        match self {
            Self::Genesis(_) => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_frozen() {
        assert_eq!(ReputationError::Genesis(String::new()).code(), 2);
    }
}
