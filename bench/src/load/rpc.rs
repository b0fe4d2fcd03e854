//! JSON-RPC over one keep-alive connection, with as little work as can be: the generator shares the processors with
//! what it measures.

use anyhow::{Context, Result, anyhow, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// A connection to a node's RPC.
#[derive(Debug)]
pub struct Rpc {
    address: String,
    connection: http1::SendRequest<Full<Bytes>>,
}

impl Rpc {
    /// Connects to `HOST:PORT`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(address: &str) -> Result<Self> {
        Ok(Self { address: address.to_owned(), connection: open(address).await? })
    }

    /// Posts a body and returns the answer's.
    ///
    /// # Errors
    /// When the connection ends before the answer does (what was posted may have been taken), or the node refuses.
    pub async fn post(&mut self, body: Bytes) -> Result<Bytes> {
        if self.connection.is_closed() {
            // A node closes what was idle for ten seconds.
            self.connection = open(&self.address).await?;
        }
        self.connection.ready().await?;
        let request = Request::post("/")
            .header(header::HOST, self.address.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let answer: hyper::Response<Incoming> = self.connection.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        // CometBFT answers some errors of a call with 500 and a JSON-RPC error.
        ensure!(status == StatusCode::OK || body.starts_with(b"{"), "{status}: {}", String::from_utf8_lossy(&body));
        Ok(body)
    }

    /// Calls a method and returns its result.
    ///
    /// # Errors
    /// As [`Rpc::post`]; with the node's words when the answer is an error.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = self.post(serde_json::to_vec(&body)?.into()).await.with_context(|| method.to_owned())?;
        let mut answer: Value = serde_json::from_slice(&answer).with_context(|| format!("the answer to {method}"))?;
        match answer["error"].take() {
            Value::Null => Ok(answer["result"].take()),
            error => Err(anyhow!("{method}: {error}")),
        }
    }

    /// The last height that the application has committed.
    ///
    /// # Errors
    /// As [`Rpc::call`].
    pub async fn height(&mut self) -> Result<u64> {
        let info = self.call("abci_info", json!({})).await?;
        // proto3 JSON leaves out a zero.
        Ok(integer(&info["response"]["last_block_height"]).unwrap_or(0))
    }

    /// How many transactions a block has.
    ///
    /// # Errors
    /// As [`Rpc::call`].
    pub async fn txs_of(&mut self, height: u64) -> Result<u64> {
        let range = json!({"minHeight": height.to_string(), "maxHeight": height.to_string()});
        let metas = self.call("blockchain", range).await?;
        integer(&metas["block_metas"][0]["num_txs"]).context("num_txs of a block")
    }

    /// How many transactions wait in the node's mempool.
    ///
    /// # Errors
    /// As [`Rpc::call`].
    pub async fn waiting(&mut self) -> Result<u64> {
        let pool = self.call("num_unconfirmed_txs", json!({})).await?;
        integer(&pool["n_txs"]).context("n_txs of num_unconfirmed_txs")
    }

    /// Answers of the application to a query; raises its errors.
    ///
    /// # Errors
    /// As [`Rpc::call`]; when the code is not 0.
    pub async fn query(&mut self, path: &str, data: &[u8]) -> Result<Vec<u8>> {
        let params = json!({"path": path, "data": hex::encode(data)});
        let answer = self.call("abci_query", params).await?;
        let response = &answer["response"];
        ensure!(integer(&response["code"]).unwrap_or(0) == 0, "query {path}: {response}");
        Ok(BASE64_STANDARD.decode(response["value"].as_str().unwrap_or_default())?)
    }
}

async fn open(address: &str) -> Result<http1::SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
    stream.set_nodelay(true)?;
    let (connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the connection; a caller learns of that by its next request.
    tokio::spawn(driver);
    Ok(connection)
}

/// CometBFT writes 64-bit integers as strings, smaller ones as numbers.
fn integer(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
