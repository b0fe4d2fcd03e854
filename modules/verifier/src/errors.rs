//! Errors of this module; the codes are frozen, because they enter consensus.

use gantry_core::ModuleError;

/// What a commitment or a reveal can do wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text says what it is")]
pub enum VerifierError {
    #[error("{what} has {have} bytes, 32 are needed")]
    NotAHash { what: &'static str, have: u64 },
    #[error("the reveal is missing")]
    NoReveal,
    #[error("invalid exit: {0}")]
    BadExit(&'static str),
    #[error("{have} locations given, at most {most} allowed")]
    TooManyLocations { have: u64, most: u64 },
    #[error("commitments of job {0} are still open")]
    RevealTooEarly(u64),
    #[error("replica {replica} of job {job} did not commit")]
    NoCommitment { job: u64, replica: u32 },
    #[error("replica {replica} of job {job} has revealed already")]
    AlreadyRevealed { job: u64, replica: u32 },
    #[error("reveals of job {0} are closed")]
    RevealTooLate(u64),
    #[error("what is revealed is not what was committed")]
    WrongOpening,
    #[error("commitments of job {0} are closed")]
    CommitTooLate(u64),
    #[error("replica {replica} of job {job} has committed already")]
    AlreadyCommitted { job: u64, replica: u32 },
}

impl ModuleError for VerifierError {
    const CODESPACE: &'static str = "verifier";

    fn code(&self) -> u32 {
        match self {
            Self::NotAHash { .. } => 2,
            Self::NoReveal => 3,
            Self::BadExit(_) => 4,
            Self::TooManyLocations { .. } => 5,
            Self::RevealTooEarly(_) => 6,
            Self::NoCommitment { .. } => 7,
            Self::AlreadyRevealed { .. } => 8,
            Self::RevealTooLate(_) => 9,
            Self::WrongOpening => 10,
            Self::CommitTooLate(_) => 11,
            Self::AlreadyCommitted { .. } => 12,
        }
    }
}
