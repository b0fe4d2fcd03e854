use gantry_keyring::KeyringError;

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
    Query(Box<tonic::Status>),
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
            Self::Query(s) => matches!(s.code(), tonic::Code::Unavailable | tonic::Code::DeadlineExceeded),
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

impl From<tonic::Status> for ClientError {
    fn from(status: tonic::Status) -> Self {
        Self::Query(Box::new(status))
    }
}

/// What a status says to people.
fn answer(status: &tonic::Status) -> String {
    match status.code() {
        tonic::Code::Unavailable | tonic::Code::DeadlineExceeded => {
            format!("the node does not answer: {}", status.message())
        }
        code => format!("{} (gRPC {code:?})", status.message()),
    }
}
