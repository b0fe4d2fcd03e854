//! What to do about an error, where there is something to do.

use gantry_client::{ClientError, JobFileError, LogsError, ResultError, SubmitError};
use gantry_keyring::KeyringError;
use tonic::Code;

/// The remedy for the first cause that has one.
pub(crate) fn of(error: &anyhow::Error) -> Option<&'static str> {
    error.chain().find_map(|cause| {
        None.or_else(|| cause.downcast_ref().and_then(client))
            .or_else(|| cause.downcast_ref().and_then(keyring))
            .or_else(|| cause.downcast_ref().and_then(logs))
            .or_else(|| cause.downcast_ref().and_then(result))
            .or_else(|| cause.downcast_ref().and_then(submit))
            .or_else(|| cause.downcast_ref().and_then(job_file))
    })
}

fn client(error: &ClientError) -> Option<&'static str> {
    const NODE: &str = "Does a node run there? Give its addresses with --rpc and --grpc (or GANTRY_RPC, GANTRY_GRPC).";
    match error {
        ClientError::Unreachable { .. } => Some(NODE),
        ClientError::Query(_) if error.is_transient() => Some(NODE),
        ClientError::Query(status) => match status.code() {
            Code::NotFound if status.message().contains("account") => {
                Some("An account exists once it has received coins.")
            }
            Code::NotFound => Some("`gantry jobs` lists your jobs, `gantry offers` the providers on the market."),
            _ => None,
        },
        ClientError::Rejected { codespace, code, .. } => match (codespace.as_str(), code) {
            ("sdk", 5) => Some("The account holds too little: see `gantry balance`. Jobs lock their max_total."),
            ("sdk", 13) => Some("The node wants a higher fee: give --gas-price."),
            ("sdk", 20) => Some("The node is busy: try again later."),
            ("job", 6) => Some("Give the key that submitted the job with --from."),
            ("job", 7) => Some("A result is on the way: it is paid at the verdict, and the rest comes back."),
            _ => None,
        },
        ClientError::Expired(_) => Some("It has no effect and never will have: send it again."),
        ClientError::Key(error) => keyring(error),
        ClientError::Protocol(_) => Some("Are the node and this program of the same version?"),
    }
}

fn keyring(error: &KeyringError) -> Option<&'static str> {
    match error {
        KeyringError::NotFound(_) => {
            Some("`gantry keys list` shows the keys there are; choose others with --keyring-backend and --keyring-dir.")
        }
        KeyringError::AlreadyExists(_) => Some("Choose another name, or `gantry keys delete` the old key."),
        _ => None,
    }
}

fn job_file(error: &JobFileError) -> Option<&'static str> {
    match error {
        JobFileError::Read { .. } => None,
        JobFileError::Schema(_) | JobFileError::Job { .. } => Some("docs/job-files.md describes job files."),
    }
}

fn logs(error: &LogsError) -> Option<&'static str> {
    match error {
        LogsError::NotRenter { .. } => Some("Give the renter's key with --from."),
        LogsError::NotRunning { .. } => Some("Wait for it with --follow; `gantry explain` says what it waits for."),
        LogsError::Client(error) => client(error),
        _ => None,
    }
}

fn result(error: &ResultError) -> Option<&'static str> {
    match error {
        ResultError::NotYet { .. } => Some("Wait for it with `gantry watch`."),
        ResultError::None { .. } => Some("`gantry job` shows what happened, `gantry logs` what it printed."),
        ResultError::Fetch(_) => Some("What the workers hold is theirs to serve: try again when they are up."),
        ResultError::Client(error) => client(error),
        _ => None,
    }
}

fn submit(error: &SubmitError) -> Option<&'static str> {
    match error {
        SubmitError::NoHome | SubmitError::NoHomeTook(_) => {
            Some("Name a worker that takes uploads with --home-endpoint http://HOST:PORT.")
        }
        SubmitError::Client(error) => client(error),
        _ => None,
    }
}
