use std::{str::FromStr, time::Duration};

use cosmos_sdk_proto::{
    Any,
    cosmos::{
        auth::v1beta1::{BaseAccount, QueryAccountRequest, query_client::QueryClient as AuthQuery},
        bank::v1beta1::{QueryBalanceRequest, query_client::QueryClient as BankQuery},
        tx::v1beta1::{SimulateRequest, service_client::ServiceClient as TxService},
    },
};
use gantry_proto::gantry::{
    escrow::v1::query_client::QueryClient as EscrowQuery, job::v1::query_client::QueryClient as JobQuery,
    matching::v1::query_client::QueryClient as MatchingQuery, provider::v1::query_client::QueryClient as ProviderQuery,
    reputation::v1::query_client::QueryClient as ReputationQuery,
    verifier::v1::query_client::QueryClient as VerifierQuery,
};
use prost::{Message, Name};
use tendermint::Hash;
use tendermint_rpc::{Client, HttpClient, endpoint};
use tonic::transport::Channel;

use crate::ClientError;

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// CometBFT RPC, for instance `http://127.0.0.1:26657`.
    pub rpc: String,
    /// gRPC, for instance `http://127.0.0.1:9090`.
    pub grpc: String,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self { rpc: "http://127.0.0.1:26657".into(), grpc: "http://127.0.0.1:9090".into() }
    }
}

/// Fee per unit of gas as a fraction, in a denom: integers, so that a fee is the same everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GasPrice {
    /// Denom of the fee.
    pub denom: String,
    /// Amount for a million units of gas.
    pub per_million: u128,
}

impl Default for GasPrice {
    /// 0.0025ugantry.
    fn default() -> Self {
        Self { denom: "ugantry".into(), per_million: 2_500 }
    }
}

impl GasPrice {
    /// The fee for a gas limit, rounded up.
    #[must_use]
    pub fn fee(&self, gas: u64) -> u128 {
        (u128::from(gas).saturating_mul(self.per_million)).div_ceil(1_000_000)
    }
}

impl FromStr for GasPrice {
    type Err = String;

    /// Reads `0.0025ugantry`: a decimal with at most six places and a denom.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text}: not a gas price such as 0.0025ugantry");
        let end = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, denom) = text.split_at(end);
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if denom.is_empty() || whole.is_empty() || part.len() > 6 {
            return Err(bad());
        }
        let per_million = format!("{whole}{part:0<6}").parse().map_err(|_| bad())?;
        Ok(Self { denom: denom.into(), per_million })
    }
}

/// An account, as far as signing needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccountState {
    pub(crate) number: u64,
    pub(crate) sequence: u64,
}

/// A node of a chain: cheap to clone, reconnects by itself.
#[derive(Clone, Debug)]
pub struct Chain {
    endpoints: Endpoints,
    chain_id: String,
    channel: Channel,
    rpc: HttpClient,
}

/// How long one call to a node may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

macro_rules! query_clients {
    ($($(#[$doc:meta])* $name:ident: $client:ident;)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(&self) -> $client<Channel> {
                $client::new(self.channel.clone()).max_decoding_message_size(64 << 20)
            }
        )*
    };
}

impl Chain {
    /// Connects, and learns the chain's id.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] naming the endpoint that does not answer.
    pub async fn connect(endpoints: Endpoints) -> Result<Self, ClientError> {
        let unreachable =
            |endpoint: &str, reason: String| ClientError::Unreachable { endpoint: endpoint.into(), reason };
        let channel = Channel::from_shared(endpoints.grpc.clone())
            .map_err(|e| unreachable(&endpoints.grpc, e.to_string()))?
            .timeout(CALL_TIMEOUT)
            .connect_timeout(CALL_TIMEOUT)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .connect_lazy();
        let rpc = HttpClient::new(endpoints.rpc.as_str()).map_err(|e| unreachable(&endpoints.rpc, said(&e)))?;
        let status = rpc.status().await.map_err(|e| unreachable(&endpoints.rpc, said(&e)))?;
        Ok(Self { chain_id: status.node_info.network.to_string(), endpoints, channel, rpc })
    }

    /// The chain's id.
    #[must_use]
    pub fn chain_id(&self) -> &str {
        &self.chain_id
    }

    /// Where the node listens.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    query_clients! {
        /// Queries of `gantry.job.v1`.
        jobs: JobQuery;
        /// Queries of `gantry.provider.v1`.
        providers: ProviderQuery;
        /// Queries of `gantry.escrow.v1`.
        escrow: EscrowQuery;
        /// Queries of `gantry.verifier.v1`.
        verifier: VerifierQuery;
        /// Queries of `gantry.matching.v1`.
        matching: MatchingQuery;
        /// Queries of `gantry.reputation.v1`.
        reputation: ReputationQuery;
        /// Queries of `cosmos.bank.v1beta1`.
        bank: BankQuery;
        /// Queries of `cosmos.auth.v1beta1`.
        auth: AuthQuery;
    }

    /// CometBFT's RPC.
    #[must_use]
    pub fn rpc(&self) -> &HttpClient {
        &self.rpc
    }

    /// Height of the last committed block.
    pub async fn height(&self) -> Result<u64, ClientError> {
        let status = self.rpc.status().await.map_err(|e| self.unreachable(&e))?;
        Ok(status.sync_info.latest_block_height.value())
    }

    /// Balance of an account; 0 where it does not exist.
    pub async fn balance(&self, address: &str, denom: &str) -> Result<u128, ClientError> {
        let request = QueryBalanceRequest { address: address.into(), denom: denom.into() };
        let coin = self.bank().balance(request).await?.into_inner().balance;
        coin.map_or(Ok(0), |c| c.amount.parse().map_err(|_| ClientError::Protocol(format!("amount {}", c.amount))))
    }

    pub(crate) async fn account(&self, address: &str) -> Result<AccountState, ClientError> {
        let request = QueryAccountRequest { address: address.into() };
        let any = self
            .auth()
            .account(request)
            .await?
            .into_inner()
            .account
            .ok_or_else(|| ClientError::Protocol("account without content".into()))?;
        if any.type_url != BaseAccount::type_url() {
            return Err(ClientError::Protocol(format!("{} cannot sign", any.type_url)));
        }
        let account = BaseAccount::decode(any.value.as_slice()).map_err(|e| ClientError::Protocol(e.to_string()))?;
        Ok(AccountState { number: account.account_number, sequence: account.sequence })
    }

    /// Gas that a transaction would use now; what it would be rejected for, with the code.
    pub(crate) async fn simulate(&self, tx_bytes: Vec<u8>) -> Result<u64, ClientError> {
        #[expect(deprecated, reason = "the field exists in the message; it stays unset")]
        let request = SimulateRequest { tx: None, tx_bytes: tx_bytes.clone() };
        let gas = match TxService::new(self.channel.clone()).simulate(request).await {
            Ok(response) => response.into_inner().gas_info,
            Err(status) => return Err(self.code_of(status.into(), tx_bytes).await),
        };
        gas.map(|g| g.gas_used).ok_or_else(|| ClientError::Protocol("simulation without gas".into()))
    }

    /// A failed simulation's code and codespace, which gRPC does not carry: ABCI's simulation tells them.
    async fn code_of(&self, error: ClientError, tx: Vec<u8>) -> ClientError {
        if error.is_transient() {
            return error;
        }
        match self.rpc.abci_query(Some("/app/simulate".into()), tx, None, false).await {
            Ok(answer) if answer.code.is_err() => ClientError::Rejected {
                codespace: answer.codespace,
                code: answer.code.value(),
                log: answer.log,
                hash: None,
            },
            _ => error,
        }
    }

    /// Hands a transaction to the mempool.
    pub(crate) async fn broadcast(&self, tx: Vec<u8>) -> Result<Hash, ClientError> {
        let response = self.rpc.broadcast_tx_sync(tx).await.map_err(|e| self.classify(&e))?;
        if response.code.is_err() {
            return Err(ClientError::Rejected {
                codespace: response.codespace,
                code: response.code.value(),
                log: response.log,
                hash: None,
            });
        }
        Ok(response.hash)
    }

    /// A transaction's place in the chain; `None` while it has none.
    pub(crate) async fn transaction(&self, hash: Hash) -> Result<Option<endpoint::tx::Response>, ClientError> {
        match self.rpc.tx(hash, false).await {
            Ok(response) => Ok(Some(response)),
            Err(e) if e.to_string().contains("not found") => Ok(None),
            Err(e) => Err(self.unreachable(&e)),
        }
    }

    fn unreachable(&self, error: &tendermint_rpc::Error) -> ClientError {
        ClientError::Unreachable { endpoint: self.endpoints.rpc.clone(), reason: said(error) }
    }

    /// CometBFT answers mempool trouble with JSON-RPC errors: the SDK's clients map them to codes by their text.
    fn classify(&self, error: &tendermint_rpc::Error) -> ClientError {
        let text = said(error);
        let code = if text.contains("tx already exists in cache") {
            19
        } else if text.contains("mempool is full") {
            20
        } else if text.contains("Tx too large") {
            21
        } else {
            return self.unreachable(error);
        };
        ClientError::Rejected { codespace: "sdk".into(), code, log: text, hash: None }
    }
}

/// What an error says in one line. Its own text goes on with a report for programmers: where it arose, and a stack.
fn said(error: &tendermint_rpc::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !matches!(*line, "Location:" | "Stack backtrace:"));
    lines.filter(|line| !line.is_empty() && *line != "Caused by:").collect::<Vec<_>>().join(": ")
}

/// Packs a message for a transaction.
pub(crate) fn pack<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_that_is_not_there_is_one_line() {
        let nowhere = "http://127.0.0.1:1".to_owned();
        let error = Chain::connect(Endpoints { rpc: nowhere.clone(), grpc: nowhere }).await.unwrap_err().to_string();
        assert!(error.starts_with("cannot reach http://127.0.0.1:1: ") && error.contains("refused"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }

    #[test]
    fn gas_prices_are_decimals_with_a_denom() {
        assert_eq!("0.0025ugantry".parse(), Ok(GasPrice::default()));
        assert_eq!("2uatom".parse(), Ok(GasPrice { denom: "uatom".into(), per_million: 2_000_000 }));
        for bad in ["", "ugantry", "0.0025", ".5ugantry", "0.0000001ugantry", "1.2.3ugantry"] {
            assert!(bad.parse::<GasPrice>().is_err(), "{bad}");
        }
        assert_eq!(GasPrice::default().fee(1), 1, "rounded up");
        assert_eq!(GasPrice::default().fee(400_000), 1_000);
    }
}
