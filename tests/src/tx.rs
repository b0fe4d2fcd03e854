//! Transactions byte by byte, and CometBFT's RPC without a client library between: for tests that send what no honest
//! client would, and look at the answer as it stands.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use cosmos_sdk_proto::cosmos::{
    auth::v1beta1::{BaseAccount, QueryAccountRequest},
    bank::v1beta1::MsgSend,
    base::v1beta1::Coin,
};
use gantry_client::Chain;
use gantry_keyring::{Signer, SignerData, TxBuilder};
use gantry_localnet::{Localnet, until};
use prost::Message;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Longest that a transaction may take into a block.
const BLOCK_LIMIT: Duration = Duration::from_secs(30);

/// Gas that any message of the tests can do with.
pub const GAS: u64 = 300_000;
/// The fee for [`GAS`] at the price of the test network.
pub const FEE: u128 = 750;

/// An amount of the native coin.
#[must_use]
pub fn ugantry(amount: u128) -> Coin {
    Coin { denom: "ugantry".into(), amount: amount.to_string() }
}

/// A transfer.
#[must_use]
pub fn send(from: &str, to: &str, amount: u128) -> MsgSend {
    MsgSend { from_address: from.into(), to_address: to.into(), amount: vec![ugantry(amount)] }
}

/// A transaction that pays enough.
#[must_use]
pub fn paid() -> TxBuilder {
    TxBuilder::new().gas_limit(GAS).fee(vec![ugantry(FEE)])
}

/// A key and what the chain knows of it.
pub struct Account {
    /// The key.
    pub signer: Signer,
    /// Chain id, account number and the sequence of the next transaction.
    pub data: SignerData,
}

impl Account {
    /// A key of the network's keyring, with its account as the chain has it now.
    pub async fn load(net: &Localnet, key: &str) -> Result<Self> {
        let chain = net.chain().await?;
        let signer = net.keyring().signer(key)?;
        let account = base_account(&chain, &signer.info.address).await?;
        let chain_id = chain.chain_id().to_owned();
        Ok(Self {
            data: SignerData { chain_id, account_number: account.account_number, sequence: account.sequence },
            signer,
        })
    }

    /// Bech32 address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.signer.info.address
    }

    /// Signs without taking a sequence.
    #[must_use]
    pub fn sign(&self, tx: &TxBuilder) -> Vec<u8> {
        tx.sign(&self.signer, &self.data)
    }

    /// Signs and takes a sequence.
    #[must_use]
    pub fn next(&mut self, tx: &TxBuilder) -> Vec<u8> {
        let bytes = self.sign(tx);
        self.data.sequence += 1;
        bytes
    }
}

/// An account as the chain has it.
pub async fn base_account(chain: &Chain, address: &str) -> Result<BaseAccount> {
    let any = chain.auth().account(QueryAccountRequest { address: address.into() }).await?.into_inner().account;
    Ok(BaseAccount::decode(any.context("account")?.value.as_slice())?)
}

/// What CheckTx or a block said of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// 0 is success.
    pub code: u64,
    /// Who defines the code.
    pub codespace: String,
    /// For people.
    pub log: String,
    /// Gas, where it ran in a block.
    pub gas_used: u64,
    /// Height of its block; 0 of a check.
    pub height: u64,
    /// Upper-case hexadecimal.
    pub hash: String,
}

impl Verdict {
    fn of(result: &Value, hash: &Value, height: &Value) -> Result<Self> {
        let number = |value: &Value| match value {
            Value::Null => Ok(0),
            Value::Number(n) => n.as_u64().context("negative"),
            other => other.as_str().context("no number")?.parse().context("number"),
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Self {
            code: number(&result["code"])?,
            codespace: text(&result["codespace"]),
            log: text(&result["log"]),
            gas_used: number(&result["gas_used"])?,
            height: number(height)?,
            hash: text(hash),
        })
    }

    /// Fails unless the code is this one of the SDK's and the log holds these words.
    pub fn expect(&self, what: &str, code: u64, words: &str) -> Result<()> {
        let codespace = if code == 0 { "" } else { "sdk" };
        ensure!(
            self.code == code && self.codespace == codespace && self.log.contains(words),
            "{what}: expected {codespace}/{code} with {words:?}, got {self:?}"
        );
        Ok(())
    }
}

/// CometBFT's RPC of one node.
#[derive(Clone, Debug)]
pub struct Rpc {
    host: String,
}

impl Rpc {
    /// The RPC of a network's validator.
    #[must_use]
    pub fn new(net: &Localnet) -> Self {
        Self { host: net.endpoints().rpc.trim_start_matches("http://").to_owned() }
    }

    /// Posts a body; status line and body of the answer.
    pub async fn post(&self, body: &str) -> Result<(String, String)> {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        let mut stream = TcpStream::connect(&self.host).await?;
        stream.write_all(head.as_bytes()).await?;
        // A server that refuses a large body need not read it to its end.
        let sent = stream.write_all(body.as_bytes()).await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(BLOCK_LIMIT, stream.read_to_end(&mut answer)).await.context("no answer")?;
        if answer.is_empty() {
            sent.and(read.map(drop))?;
            bail!("the connection was closed without an answer");
        }
        let answer = String::from_utf8(answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no end of headers")?;
        let status = head.lines().next().unwrap_or_default().to_owned();
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        Ok((status, if chunked { unchunk(body)? } else { body.to_owned() }))
    }

    /// Calls a method; its result, or the error as CometBFT words it.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let (status, answer) = self.post(&body).await?;
        let answer: Value = serde_json::from_str(&answer).with_context(|| format!("{status}: {answer}"))?;
        match &answer["error"] {
            Value::Null => Ok(answer["result"].clone()),
            error => bail!("{} {}", error["message"].as_str().unwrap_or_default(), error["data"]),
        }
    }

    /// `broadcast_tx_sync`.
    pub async fn broadcast(&self, tx: &[u8]) -> Result<Verdict> {
        let result = self.call("broadcast_tx_sync", json!({ "tx": STANDARD.encode(tx) })).await?;
        Verdict::of(&result, &result["hash"], &Value::Null)
    }

    /// `check_tx`: what the application says now, whatever the mempool remembers.
    pub async fn check(&self, tx: &[u8]) -> Result<Verdict> {
        let result = self.call("check_tx", json!({ "tx": STANDARD.encode(tx) })).await?;
        Verdict::of(&result, &Value::Null, &Value::Null)
    }

    /// A transaction that is in a block.
    pub async fn find(&self, hash: &str) -> Result<Option<Verdict>> {
        let hash = STANDARD.encode(hex::decode(hash)?);
        match self.call("tx", json!({ "hash": hash })).await {
            Ok(found) => Ok(Some(Verdict::of(&found["tx_result"], &found["hash"], &found["height"])?)),
            Err(error) if error.to_string().contains("not found") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Broadcasts and waits for the block.
    pub async fn commit(&self, tx: &[u8]) -> Result<Verdict> {
        let check = self.broadcast(tx).await?;
        ensure!(check.code == 0, "refused: {check:?}");
        self.committed(&check.hash).await
    }

    /// Waits for the block with a transaction.
    pub async fn committed(&self, hash: &str) -> Result<Verdict> {
        until("the transaction is in a block", BLOCK_LIMIT, async || self.find(hash).await).await
    }

    /// Height of the last block.
    pub async fn height(&self) -> Result<u64> {
        let status = self.call("status", json!({})).await?;
        Ok(status["sync_info"]["latest_block_height"].as_str().context("height")?.parse()?)
    }

    /// The app hash after a height: what the next block's header says. Waits for that block.
    pub async fn app_hash(&self, height: u64) -> Result<Vec<u8>> {
        until("the next header", BLOCK_LIMIT, async || Ok((self.height().await? > height).then_some(()))).await?;
        let commit = self.call("commit", json!({ "height": (height + 1).to_string() })).await?;
        Ok(hex::decode(commit["signed_header"]["header"]["app_hash"].as_str().context("app hash")?)?)
    }
}

/// The body of an answer that came in chunks.
fn unchunk(mut text: &str) -> Result<String> {
    let mut body = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16)?;
        if size == 0 {
            break;
        }
        body.push_str(rest.get(..size).context("a chunk is cut off")?);
        text = rest.get(size..).and_then(|rest| rest.strip_prefix("\r\n")).context("a chunk has no end")?;
    }
    Ok(body)
}
