use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use cosmos_sdk_proto::{
    Any,
    cosmos::base::{abci::v1beta1::TxMsgData, v1beta1::Coin},
};
use gantry_keyring::{Signer, SignerData, TxBuilder};
use prost::{Message, Name};
use tendermint::Hash;
use tokio::sync::Mutex;
use tracing::{debug, warn};

use crate::{
    Chain, ClientError, GasPrice,
    chain::{AccountState, pack},
};

/// Blocks after which a transaction that is in none has expired.
const TIMEOUT_BLOCKS: u64 = 30;
/// How often the chain is asked whether a transaction is in a block.
const POLL: Duration = Duration::from_millis(100);
/// Gas asked for over what a simulation used, in percent, and gas on top: a message that happens to be the last of several
/// (of the commitments of a job, say) also does what comes after them, which its simulation did not see.
const GAS_HEADROOM_PERCENT: u64 = 140;
const GAS_ON_TOP: u64 = 15_000;
/// Times that a transaction is signed anew after a sequence that moved, a full mempool or an expiry.
const ATTEMPTS: u32 = 5;

/// A transaction in a block, with code 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its hash, in upper-case hex.
    pub hash: String,
    /// Height of its block.
    pub height: u64,
    /// Gas used.
    pub gas_used: u64,
    /// Responses, one for each message.
    pub responses: Vec<Any>,
}

impl Committed {
    /// The response of a message, decoded.
    pub fn response<M: Message + Name + Default>(&self, index: usize) -> Result<M, ClientError> {
        let any = self
            .responses
            .get(index)
            .ok_or_else(|| ClientError::Protocol(format!("no response for message {index}")))?;
        if any.type_url != M::type_url() {
            return Err(ClientError::Protocol(format!("response is {}, not {}", any.type_url, M::type_url())));
        }
        M::decode(any.value.as_slice()).map_err(|e| ClientError::Protocol(e.to_string()))
    }
}

/// Signs and sends for one key, one transaction after another. Clones share the sequence.
#[derive(Clone)]
pub struct Sender {
    chain: Chain,
    signer: Arc<Signer>,
    gas_price: GasPrice,
    /// The account as this sender last knew it; `None` before it asked, and after a surprise.
    account: Arc<Mutex<Option<AccountState>>>,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Sender {
    /// A sender over a chain.
    #[must_use]
    pub fn new(chain: Chain, signer: Signer, gas_price: GasPrice) -> Self {
        Self { chain, signer: Arc::new(signer), gas_price, account: Arc::default() }
    }

    /// Bech32 address of the key.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.signer.info.address
    }

    /// The key.
    #[must_use]
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The chain.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Sends one message; see [`Sender::send_all`].
    pub async fn send<M: Message + Name>(&self, message: &M) -> Result<Committed, ClientError> {
        self.send_all(vec![pack(message)]).await
    }

    /// Sends messages in one transaction and waits until it is in a block.
    ///
    /// A transaction whose fate is unknown (the node went away after it took it) is waited for until its timeout
    /// height has passed, so it is never sent twice.
    ///
    /// # Errors
    /// [`ClientError::Rejected`] with the chain's code, or [`ClientError::Expired`] after several attempts.
    pub async fn send_all(&self, messages: Vec<Any>) -> Result<Committed, ClientError> {
        let mut account = self.account.lock().await;
        let mut last = None;
        for attempt in 0..ATTEMPTS {
            match self.try_send(&mut account, &messages).await {
                Ok(committed) => return Ok(committed),
                Err(e) if e.is_transient() => {
                    debug!(attempt, error = %e, "sending again");
                    *account = None;
                    last = Some(e);
                    // The next block is the earliest that the cause can have gone.
                    tokio::time::sleep(POLL.saturating_mul(2)).await;
                }
                Err(e) => {
                    *account = None;
                    return Err(e);
                }
            }
        }
        Err(last.unwrap_or_else(|| ClientError::Protocol("no attempt was made".into())))
    }

    async fn try_send(&self, account: &mut Option<AccountState>, messages: &[Any]) -> Result<Committed, ClientError> {
        let known = match *account {
            Some(known) => known,
            None => *account.insert(self.chain.account(self.address()).await?),
        };
        let timeout = self.chain.height().await?.saturating_add(TIMEOUT_BLOCKS);
        let mut tx = messages.iter().cloned().fold(TxBuilder::new(), TxBuilder::any).timeout_height(timeout);
        let used = self.chain.simulate(tx.simulate(Some(self.signer.public_key()), known.sequence)).await?;
        let gas = (used.saturating_mul(GAS_HEADROOM_PERCENT) / 100).saturating_add(GAS_ON_TOP);
        let fee = Coin { denom: self.gas_price.denom.clone(), amount: self.gas_price.fee(gas).to_string() };
        tx = tx.gas_limit(gas).fee(vec![fee]);
        let data = SignerData {
            chain_id: self.chain.chain_id().to_owned(),
            account_number: known.number,
            sequence: known.sequence,
        };
        let bytes = tx.sign(&self.signer, &data);
        let hash = self.chain.broadcast(bytes.clone()).await?;
        *account = Some(AccountState { sequence: known.sequence + 1, ..known });
        self.confirm(hash, &bytes, timeout).await
    }

    /// Waits for a block with the transaction; hands it in again after the node was away, since a mempool is memory.
    async fn confirm(&self, hash: Hash, bytes: &[u8], timeout: u64) -> Result<Committed, ClientError> {
        let mut tick = tokio::time::interval(POLL);
        let mut was_away = false;
        loop {
            tick.tick().await;
            match self.chain.transaction(hash).await {
                Ok(Some(found)) => return committed(&found),
                Ok(None) => {}
                Err(e) => {
                    if !was_away {
                        warn!(%hash, error = %e, "the node is away; its answer will be awaited");
                    }
                    was_away = true;
                    continue;
                }
            }
            // A block after the timeout height exists and the transaction is in none: it can never be.
            match self.chain.height().await {
                Ok(height) if height > timeout => {
                    return match self.chain.transaction(hash).await? {
                        Some(found) => committed(&found),
                        None => Err(ClientError::Expired(hash.to_string())),
                    };
                }
                Ok(_) if was_away => {
                    was_away = self.chain.broadcast(bytes.to_vec()).await.is_err_and(|e| !e.is_code("sdk", 19));
                }
                Ok(_) => {}
                Err(_) => was_away = true,
            }
        }
    }
}

fn committed(found: &tendermint_rpc::endpoint::tx::Response) -> Result<Committed, ClientError> {
    let result = &found.tx_result;
    if result.code.is_err() {
        return Err(ClientError::Rejected {
            codespace: result.codespace.clone(),
            code: result.code.value(),
            log: result.log.clone(),
            hash: Some(found.hash.to_string()),
        });
    }
    // tendermint-rpc 0.40 leaves this field in the base64 of the JSON.
    let data = STANDARD.decode(&result.data).map_err(|e| ClientError::Protocol(e.to_string()))?;
    let data = TxMsgData::decode(data.as_slice()).map_err(|e| ClientError::Protocol(e.to_string()))?;
    Ok(Committed {
        hash: found.hash.to_string(),
        height: found.height.value(),
        gas_used: u64::try_from(result.gas_used).unwrap_or(0),
        responses: data.msg_responses,
    })
}
