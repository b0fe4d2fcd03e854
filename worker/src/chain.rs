//! The few things that a worker asks of a chain, as a trait: a node in production, a model of the chain in tests.

use async_trait::async_trait;
use cosmos_sdk_proto::Any;
use gantry_client::{Chain, ClientError, Sender};
use gantry_proto::gantry::{
    job::v1::{LiveAssignment, QueryAssignmentsRequest, QueryClockRequest, QueryJobRequest, QueryJobResponse},
    provider::v1::{Offer, Params, Provider, QueryOffersRequest, QueryParamsRequest, QueryProviderByAddressRequest},
};

/// Where the chain is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Height of the last block.
    pub height: u64,
    /// Market time in milliseconds.
    pub now_ms: u64,
}

/// Why the chain did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// It does not answer, or was too busy: the same may be asked again.
    #[error("{0}")]
    Away(String),
    /// It refused: asking again changes nothing before its state does.
    #[error("{0}")]
    Refused(String),
}

impl From<ClientError> for PortError {
    fn from(error: ClientError) -> Self {
        if error.is_transient() { Self::Away(error.to_string()) } else { Self::Refused(error.to_string()) }
    }
}

impl From<tonic::Status> for PortError {
    fn from(status: tonic::Status) -> Self {
        ClientError::from(status).into()
    }
}

/// What a worker asks of a chain.
#[async_trait]
pub trait ChainPort: Send + Sync + 'static {
    /// The chain's id.
    fn chain_id(&self) -> &str;
    /// Height and market time.
    async fn clock(&self) -> Result<Clock, PortError>;
    /// Live assignments of a provider.
    async fn assignments(&self, provider: u64) -> Result<Vec<LiveAssignment>, PortError>;
    /// A job, or its receipt; `None` where the chain does not know it.
    async fn job(&self, job: u64) -> Result<Option<QueryJobResponse>, PortError>;
    /// The provider that an address owns or operates.
    async fn provider(&self, address: &str) -> Result<Option<Provider>, PortError>;
    /// The offers of a provider.
    async fn offers(&self, provider: u64) -> Result<Vec<Offer>, PortError>;
    /// Parameters of `gantry.provider`.
    async fn provider_params(&self) -> Result<Params, PortError>;
    /// Sends messages in one transaction, all or none, and waits until it is in a block.
    async fn submit(&self, messages: Vec<Any>) -> Result<(), PortError>;
}

/// A node.
#[derive(Clone, Debug)]
pub struct NodePort {
    chain: Chain,
    sender: Sender,
}

impl NodePort {
    /// Through a sender, whose key is that of the provider's owner or operator.
    #[must_use]
    pub fn new(sender: Sender) -> Self {
        Self { chain: sender.chain().clone(), sender }
    }
}

/// An answer, or `None` where the node says that there is no such thing.
fn found<T>(answer: Result<tonic::Response<T>, tonic::Status>) -> Result<Option<T>, PortError> {
    match answer {
        Ok(response) => Ok(Some(response.into_inner())),
        Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
        Err(status) => Err(status.into()),
    }
}

#[async_trait]
impl ChainPort for NodePort {
    fn chain_id(&self) -> &str {
        self.chain.chain_id()
    }

    async fn clock(&self) -> Result<Clock, PortError> {
        let clock = self.chain.jobs().clock(QueryClockRequest {}).await?.into_inner();
        Ok(Clock { height: clock.height, now_ms: clock.now_ms })
    }

    async fn assignments(&self, provider: u64) -> Result<Vec<LiveAssignment>, PortError> {
        let request = QueryAssignmentsRequest { provider_id: provider };
        Ok(self.chain.jobs().assignments(request).await?.into_inner().assignments)
    }

    async fn job(&self, job: u64) -> Result<Option<QueryJobResponse>, PortError> {
        found(self.chain.jobs().job(QueryJobRequest { job_id: job }).await)
    }

    async fn provider(&self, address: &str) -> Result<Option<Provider>, PortError> {
        let request = QueryProviderByAddressRequest { address: address.to_owned() };
        Ok(found(self.chain.providers().provider_by_address(request).await)?.and_then(|r| r.provider))
    }

    async fn offers(&self, provider: u64) -> Result<Vec<Offer>, PortError> {
        let request = QueryOffersRequest { provider_id: provider, pagination: None };
        Ok(self.chain.providers().offers(request).await?.into_inner().offers)
    }

    async fn provider_params(&self) -> Result<Params, PortError> {
        let response = self.chain.providers().params(QueryParamsRequest {}).await?.into_inner();
        response.params.ok_or_else(|| PortError::Away("the node answered without parameters".into()))
    }

    async fn submit(&self, messages: Vec<Any>) -> Result<(), PortError> {
        Ok(self.sender.send_all(messages).await.map(drop)?)
    }
}
