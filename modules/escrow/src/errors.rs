//! Errors, with frozen codes.

use gantry_core::ModuleError;

/// What can be wrong with a movement of money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EscrowError {
    /// A genesis or a parameter that cannot be.
    #[error("invalid escrow genesis: {0}")]
    Genesis(String),
    /// Prices in this denom are not taken.
    #[error("denom {0} is not accepted")]
    DenomNotAllowed(String),
    /// The job has an escrow already.
    #[error("job {0} has an escrow already")]
    Exists(u64),
    /// The job has none.
    #[error("job {0} has no escrow")]
    NotFound(u64),
    /// Nothing can be locked.
    #[error("an escrow must hold a positive amount")]
    Empty,
    /// More was asked for than is there.
    #[error("the escrow of job {job} has {left}, {asked} was asked for")]
    Exceeds {
        /// The job.
        job: u64,
        /// What was asked for.
        asked: u128,
        /// What is left for it.
        left: u128,
    },
    /// All of it was released or refunded.
    #[error("the escrow of job {0} is closed")]
    Closed(u64),
}

impl ModuleError for EscrowError {
    const CODESPACE: &'static str = "escrow";

    fn code(&self) -> u32 {
        match self {
            Self::Genesis(_) => 2,
            Self::DenomNotAllowed(_) => 3,
            Self::Exists(_) => 4,
            Self::NotFound(_) => 5,
            Self::Empty => 6,
            Self::Exceeds { .. } => 7,
            Self::Closed(_) => 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_frozen() {
        let errors = [
            EscrowError::Genesis(String::new()),
            EscrowError::DenomNotAllowed(String::new()),
            EscrowError::Exists(1),
            EscrowError::NotFound(1),
            EscrowError::Empty,
            EscrowError::Exceeds { job: 1, asked: 1, left: 0 },
            EscrowError::Closed(1),
        ];
        assert_eq!(errors.map(|e| e.code()), [2, 3, 4, 5, 6, 7, 8]);
    }
}
