//! Errors of this module; the codes are frozen, because they enter consensus.

use gantry_core::ModuleError;

/// What a message can do wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text says what it is")]
pub enum JobError {
    #[error("job {0} does not exist")]
    UnknownJob(u64),
    #[error("job {job} has no replica {replica} in attempt {attempt}")]
    UnknownAssignment { job: u64, attempt: u32, replica: u32 },
    #[error("provider {provider} is not the one that replica {replica} of job {job} is assigned to")]
    NotAssigned { job: u64, replica: u32, provider: u64 },
    #[error("{what} is not possible: the assignment is {state}")]
    IllegalState { what: &'static str, state: String },
    #[error("only its renter may cancel job {0}")]
    NotRenter(u64),
    #[error("job {0} cannot be cancelled any more: a result is committed")]
    Committed(u64),
    #[error("job {0} has ended")]
    Ended(u64),
    #[error("job {0:?}: invalid name; use [a-z0-9][a-z0-9._-]{{0,63}}")]
    BadName(String),
    #[error("job name {0:?} is used twice")]
    DuplicateName(String),
    #[error("job {job:?} depends on {dependency:?}, which is not in the graph")]
    UnknownDependency { job: String, dependency: String },
    #[error("the dependencies of job {0:?} form a cycle")]
    Cycle(String),
    #[error("{what}: {have} given, at most {most} allowed")]
    TooMany { what: &'static str, have: u64, most: u64 },
    #[error("invalid path {path:?}: {why}")]
    BadPath { path: String, why: &'static str },
    #[error("{0:?} is not a CIDv1 in lower-case base 32")]
    BadCid(String),
    #[error("invalid price: {0}")]
    BadPrice(String),
    #[error("invalid verification policy: {0}")]
    BadPolicy(String),
    #[error("invalid resources: {0}")]
    BadResources(String),
    #[error("invalid timeouts: {0}")]
    BadTimeouts(String),
    #[error("invalid limits: {0}")]
    BadLimits(&'static str),
    #[error("invalid image: {0}")]
    BadImage(&'static str),
    #[error("{0} cannot be reported")]
    BadReason(String),
    #[error("nothing to run: the message has no jobs")]
    NoJobs,
    #[error("invalid text in {0}")]
    BadText(&'static str),
    #[error("job {job:?} names {dependency:?} twice among its dependencies")]
    RepeatedDependency { job: String, dependency: String },
}

impl ModuleError for JobError {
    const CODESPACE: &'static str = "job";

    fn code(&self) -> u32 {
        match self {
            Self::UnknownJob(_) => 2,
            Self::UnknownAssignment { .. } => 3,
            Self::NotAssigned { .. } => 4,
            Self::IllegalState { .. } => 5,
            Self::NotRenter(_) => 6,
            Self::Committed(_) => 7,
            Self::Ended(_) => 8,
            Self::BadName(_) => 9,
            Self::DuplicateName(_) => 10,
            Self::UnknownDependency { .. } => 11,
            Self::Cycle(_) => 12,
            Self::TooMany { .. } => 13,
            Self::BadPath { .. } => 14,
            Self::BadCid(_) => 15,
            Self::BadPrice(_) => 16,
            Self::BadPolicy(_) => 17,
            Self::BadResources(_) => 18,
            Self::BadTimeouts(_) => 19,
            Self::BadLimits(_) => 20,
            Self::BadImage(_) => 21,
            Self::BadReason(_) => 22,
            Self::NoJobs => 23,
            Self::BadText(_) => 24,
            Self::RepeatedDependency { .. } => 25,
        }
    }
}
