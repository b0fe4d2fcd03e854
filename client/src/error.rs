use std::error::Error as _;

use gantry_keyring::KeyringError;
use tonic::{Code, Status};

/// What can go wrong between a program and a chain.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The node does not answer; trying again may help.
    #[error("cannot reach {endpoint}: {reason}")]
    Unreachable {
        /// The address tried.
        endpoint: String,
        /// What the transport says.
        reason: String,
    },
    /// The node answered a query with an error.
    #[error("{}", answer(.0))]
    Query(Box<Status>),
    /// The transaction was refused before or in its block.
    #[error("{log} (codespace {codespace}, code {code}{})", .hash.as_ref().map(|h| format!(", tx {h}")).unwrap_or_default())]
    Rejected {
        /// Module that defines the code.
        codespace: String,
        /// Its code.
        code: u32,
        /// What the node says.
        log: String,
        /// Hash, where the transaction was in a block.
        hash: Option<String>,
    },
    /// Not in a block by its timeout height: it never will be.
    #[error("transaction {0} was not included in time and has expired")]
    Expired(String),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyringError),
    /// The node answered something that is not what its protocol says.
    #[error("unexpected answer from the node: {0}")]
    Protocol(String),
}

impl ClientError {
    /// Whether trying the same again later may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Expired(_) => true,
            Self::Query(s) => is_away(s),
            // Sequence moved; in the mempool already; mempool full.
            Self::Rejected { codespace, code, .. } => codespace == "sdk" && matches!(code, 19 | 20 | 32),
            Self::Key(_) | Self::Protocol(_) => false,
        }
    }

    /// Whether the chain refused with this code.
    #[must_use]
    pub fn is_code(&self, space: &str, wanted: u32) -> bool {
        matches!(self, Self::Rejected { codespace, code, .. } if codespace == space && *code == wanted)
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        Self::Query(Box::new(status))
    }
}

/// Whether a status comes of the connection: one with a source arose here, and a call is cancelled when its connection
/// breaks before an answer.
fn is_away(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled) || status.source().is_some()
}

/// What a status says to people.
fn answer(status: &Status) -> String {
    if is_away(status) {
        format!("the node does not answer: {}", status.message())
    } else {
        format!("{} (gRPC {:?})", status.message(), status.code())
    }
}

#[cfg(test)]
mod tests {
    use gantry_proto::gantry::job::v1::{QueryClockRequest, query_client::QueryClient};
    use tokio::net::TcpListener;
    use tonic::transport::Endpoint;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_breaks_is_worth_another_try_and_a_refusal_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        // Takes connections and drops them, as a node that is killed does.
        tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        let channel = Endpoint::from_shared(address).unwrap().connect_lazy();
        let status = QueryClient::new(channel).clock(QueryClockRequest {}).await.unwrap_err();
        let error = ClientError::from(status);
        assert!(error.is_transient(), "{error:?}");
        assert!(error.to_string().starts_with("the node does not answer"), "{error}");

        for code in [Code::Unknown, Code::Internal, Code::NotFound] {
            let error = ClientError::from(Status::new(code, "no such job"));
            assert!(!error.is_transient());
            assert_eq!(error.to_string(), format!("no such job (gRPC {code:?})"));
        }
    }
}
