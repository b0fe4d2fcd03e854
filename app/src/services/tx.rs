//! `cosmos.tx.v1beta1.Service`: transactions, simulated, sent and found.

use std::collections::BTreeMap;

use cosmos_sdk_proto::{
    Any,
    cosmos::{
        base::abci::v1beta1::TxResponse,
        tx::v1beta1::{
            BroadcastMode, BroadcastTxRequest, BroadcastTxResponse, GetBlockWithTxsRequest, GetBlockWithTxsResponse,
            GetTxRequest, GetTxResponse, GetTxsEventRequest, GetTxsEventResponse, OrderBy, SimulateRequest,
            SimulateResponse, Tx, TxDecodeRequest, TxDecodeResponse, TxEncodeRequest, TxEncodeResponse,
        },
    },
};
use gantry_abci::Engine;
use gantry_core::{Code, QueryCtx, QueryRoute, Status};
use prost::Message;
use sha2::{Digest, Sha256};
use tendermint::{Hash, block::Height};
use tendermint_rpc::{Client as _, Order, endpoint::tx, query::Query};

use super::{comet::Comet, page};
use crate::tx_response::{timestamp, tx_response};

/// Transactions on a page of a search: CometBFT's own limit.
const MAX_PAGE: u64 = 100;

pub(super) fn routes(engine: &Engine, comet: &Comet) -> Vec<QueryRoute> {
    macro_rules! route {
        ($method:literal, $handler:ident) => {{
            let comet = comet.clone();
            QueryRoute::new(concat!("/cosmos.tx.v1beta1.Service/", $method), move |ctx, request| {
                $handler(&comet, ctx, request)
            })
        }};
    }
    let engine = engine.clone();
    vec![
        QueryRoute::new("/cosmos.tx.v1beta1.Service/Simulate", move |_, request| simulate(&engine, request)),
        QueryRoute::new("/cosmos.tx.v1beta1.Service/TxDecode", |_, request| tx_decode(&request)),
        QueryRoute::new("/cosmos.tx.v1beta1.Service/TxEncode", |_, request| tx_encode(&request)),
        route!("GetTx", get_tx),
        route!("BroadcastTx", broadcast),
        route!("GetTxsEvent", search),
        route!("GetBlockWithTxs", block_with_txs),
    ]
}

/// Runs a transaction on the check state. The bytes may come in the deprecated field `tx`, as relayers send them.
fn simulate(engine: &Engine, request: SimulateRequest) -> Result<SimulateResponse, Status> {
    #[expect(deprecated, reason = "relayers still send `tx`")]
    let SimulateRequest { tx, tx_bytes } = request;
    let bytes = match tx {
        _ if !tx_bytes.is_empty() => tx_bytes,
        Some(tx) => tx.encode_to_vec(),
        None => return Err(Status::invalid("empty txBytes is not allowed")),
    };
    let done = engine
        .simulate(&bytes)
        .and_then(gantry_abci::Simulation::into_proto)
        .map_err(|error| Status::new(Code::Unknown, error.to_string()))?;
    Ok(SimulateResponse { gas_info: done.gas_info, result: done.result })
}

fn tx_decode(request: &TxDecodeRequest) -> Result<TxDecodeResponse, Status> {
    if request.tx_bytes.is_empty() {
        return Err(Status::invalid("invalid empty tx bytes"));
    }
    let tx = Tx::decode(request.tx_bytes.as_slice()).map_err(|error| Status::invalid(error.to_string()))?;
    Ok(TxDecodeResponse { tx: Some(tx) })
}

fn tx_encode(request: &TxEncodeRequest) -> Result<TxEncodeResponse, Status> {
    let tx = request.tx.as_ref().ok_or_else(|| Status::invalid("invalid empty tx"))?;
    Ok(TxEncodeResponse { tx_bytes: tx.encode_to_vec() })
}

fn get_tx(comet: &Comet, _: &QueryCtx<'_>, GetTxRequest { hash }: GetTxRequest) -> Result<GetTxResponse, Status> {
    if hash.is_empty() {
        return Err(Status::invalid("tx hash cannot be empty"));
    }
    let bytes = hex::decode(&hash).map_err(|error| Status::invalid(format!("tx hash {hash}: {error}")))?;
    let id = Hash::try_from(bytes).map_err(|error| Status::invalid(format!("tx hash {hash}: {error}")))?;
    let found = comet.ask(|rpc| rpc.tx(id, false)).map_err(|status| {
        if status.message.contains("not found") { Status::not_found(format!("tx not found: {hash}")) } else { status }
    })?;
    let response = response(found, &mut Times::new(comet))?;
    Ok(GetTxResponse { tx: response.tx.as_ref().and_then(decode), tx_response: Some(response) })
}

fn search(comet: &Comet, _: &QueryCtx<'_>, request: GetTxsEventRequest) -> Result<GetTxsEventResponse, Status> {
    #[expect(deprecated, reason = "older clients send `events` and `pagination`")]
    let GetTxsEventRequest { events, pagination: _, order_by, page, limit, query } = request;
    let query = if query.is_empty() { events.join(" AND ") } else { query };
    if query.is_empty() {
        return Err(Status::invalid("query cannot be empty"));
    }
    let query: Query = query.parse().map_err(|error| Status::invalid(format!("query {query:?}: {error}")))?;
    let order = match OrderBy::try_from(order_by) {
        Ok(OrderBy::Desc) => Order::Descending,
        Ok(OrderBy::Asc | OrderBy::Unspecified) | Err(_) => Order::Ascending,
    };
    let limit = if limit == 0 { MAX_PAGE } else { limit.min(MAX_PAGE) };
    let page = u32::try_from(page.max(1)).map_err(|_| Status::invalid("page is out of range"))?;
    let per_page = u8::try_from(limit).unwrap_or(u8::MAX);
    let found = comet.ask(|rpc| rpc.tx_search(query, false, page, per_page, order))?;
    let mut times = Times::new(comet);
    let total = u64::from(found.total_count);
    let tx_responses = found.txs.into_iter().map(|tx| response(tx, &mut times)).collect::<Result<Vec<_>, _>>()?;
    let txs = tx_responses.iter().filter_map(|response| decode(response.tx.as_ref()?)).collect();
    #[expect(deprecated, reason = "`pagination` gave way to `total`")]
    Ok(GetTxsEventResponse { txs, tx_responses, pagination: None, total })
}

/// Hands a transaction to the mempool. What CheckTx refuses is a response with its code, not an error.
fn broadcast(comet: &Comet, _: &QueryCtx<'_>, request: BroadcastTxRequest) -> Result<BroadcastTxResponse, Status> {
    let BroadcastTxRequest { tx_bytes, mode } = request;
    let hash = hex::encode_upper(Sha256::digest(&tx_bytes));
    let answer = match BroadcastMode::try_from(mode) {
        Ok(BroadcastMode::Sync) => comet
            .ask(|rpc| rpc.broadcast_tx_sync(tx_bytes))
            .map(|answer| (answer.code.value(), answer.codespace, answer.log)),
        Ok(BroadcastMode::Async) => comet
            .ask(|rpc| rpc.broadcast_tx_async(tx_bytes))
            .map(|answer| (answer.code.value(), String::new(), answer.log)),
        _ => return Err(Status::invalid(format!("unsupported return type {mode}; supported types: sync, async"))),
    };
    let (code, codespace, raw_log) = match answer {
        Ok(answer) => answer,
        Err(status) => refused(&status.message).ok_or(status)?,
    };
    Ok(BroadcastTxResponse {
        tx_response: Some(TxResponse { txhash: hash, code, codespace, raw_log, ..TxResponse::default() }),
    })
}

/// The mempool's refusals as the SDK's codes.
fn refused(words: &str) -> Option<(u32, String, String)> {
    let words = words.to_lowercase();
    let (code, log) = if words.contains("tx already exists in cache") {
        (19, "tx already in mempool")
    } else if words.contains("mempool is full") {
        (20, "mempool is full")
    } else if words.contains("tx too large") {
        (21, "tx too large")
    } else {
        return None;
    };
    Some((code, "sdk".to_owned(), log.to_owned()))
}

fn block_with_txs(
    comet: &Comet,
    ctx: &QueryCtx<'_>,
    request: GetBlockWithTxsRequest,
) -> Result<GetBlockWithTxsResponse, Status> {
    let GetBlockWithTxsRequest { height, pagination } = request;
    let latest = ctx.block().height;
    let height = u64::try_from(height).ok().filter(|height| (1..=latest).contains(height)).ok_or_else(|| {
        Status::invalid(format!(
            "requested height {height} but height must not be less than 1 or greater than the current height {latest}"
        ))
    })?;
    let (block_id, block) = comet.block(height)?;
    let all = block.data.as_ref().map(|data| data.txs.clone()).unwrap_or_default();
    let (shown, pagination) = page(all, pagination);
    // A decided block may hold bytes that are no transaction: they have a result, and nothing to show here.
    let txs = shown.iter().filter_map(|bytes| Tx::decode(bytes.as_slice()).ok()).collect();
    Ok(GetBlockWithTxsResponse { txs, block_id: Some(block_id), block: Some(block), pagination: Some(pagination) })
}

/// Times of blocks, each asked once.
struct Times<'a> {
    comet: &'a Comet,
    known: BTreeMap<Height, String>,
}

impl<'a> Times<'a> {
    fn new(comet: &'a Comet) -> Self {
        Self { comet, known: BTreeMap::new() }
    }

    fn of(&mut self, height: Height) -> Result<String, Status> {
        if let Some(time) = self.known.get(&height) {
            return Ok(time.clone());
        }
        let time = timestamp(self.comet.ask(|rpc| rpc.header(height))?.header.time);
        self.known.insert(height, time.clone());
        Ok(time)
    }
}

fn response(found: tx::Response, times: &mut Times<'_>) -> Result<TxResponse, Status> {
    let timestamp = times.of(found.height)?;
    tx_response(found, timestamp).map_err(|error| Status::new(Code::Internal, error.to_string()))
}

/// `Tx` reads the bytes of `TxRaw`: they have one wire format.
fn decode(any: &Any) -> Option<Tx> {
    Tx::decode(any.value.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_the_mempool_have_the_codes_of_the_sdk() {
        let code = |words: &str| refused(words).map(|(code, _, _)| code);
        assert_eq!(code("Internal error: tx already exists in cache"), Some(19));
        assert_eq!(code("mempool is full: number of txs 5000 (max: 5000)"), Some(20));
        assert_eq!(code("Tx too large. Max size is 1, but got 2"), Some(21));
        assert_eq!(code("connection refused"), None);
    }
}
