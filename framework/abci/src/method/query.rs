use bytes::Bytes;
use gantry_core::{Code, Error, Result, Status, genesis_to_json, sdk};
use gantry_store::KvRead;
use tendermint_proto::v0_38::{
    abci::{RequestQuery, ResponseQuery},
    crypto::{ProofOp, ProofOps},
};

use crate::{
    engine::Engine,
    queries::{Queries, Simulation},
};

/// Answers by path: `/package.Service/Method` (the query router), `/store/NAME/key` (with a proof if asked for),
/// `/app/version` and `/app/simulate`.
///
/// Errors carry the SDK's codes and gRPC words, which clients parse; the height is never 0 once there is a block.
pub(crate) fn query(queries: &Queries, request: RequestQuery) -> ResponseQuery {
    let RequestQuery { data, path, height, prove } = request;
    let engine = queries.engine();
    if !queries.knows(&path) {
        return query_engine(engine, RequestQuery { data, path, height, prove });
    }
    let answer = || {
        let view = engine.view(wanted_height(height)?)?;
        let value = queries.call(&view, &path, &data).map_err(status_to_sdk)?;
        Ok(ResponseQuery { value: value.into(), height: abci_height(view.block.height), ..ResponseQuery::default() })
    };
    or_coded(engine, &path, height, answer())
}

/// Answers the paths that need no router: `/store/NAME/key`, `/app/version`, `/app/simulate`.
pub fn query_engine(engine: &Engine, request: RequestQuery) -> ResponseQuery {
    let RequestQuery { data, path, height, prove } = request;
    let answer = wanted_height(height).and_then(|height| answer(engine, &path, &data, height, prove));
    or_coded(engine, &path, height, answer)
}

/// The answer, or an error as a response.
fn or_coded(engine: &Engine, path: &str, height: i64, answer: Result<ResponseQuery>) -> ResponseQuery {
    match answer {
        Ok(response) => response,
        Err(error) => {
            let (codespace, code, log) = match error {
                Error::User(error) => (error.codespace, error.code, error.log),
                // Not the user's fault, and no reason to stop: nothing was written.
                Error::Fatal(fatal) => {
                    tracing::error!(path, %fatal, "query failed");
                    (sdk::CODESPACE, 1, "internal error".to_owned())
                }
            };
            ResponseQuery {
                code,
                codespace: codespace.to_owned(),
                log,
                height: if height > 0 { height } else { abci_height(engine.latest().block.height) },
                ..ResponseQuery::default()
            }
        }
    }
}

fn wanted_height(height: i64) -> Result<u64> {
    u64::try_from(height)
        .map_err(|_| sdk::invalid_height("cannot query with height < 0; please provide a valid height".to_owned()))
}

fn abci_height(height: u64) -> i64 {
    i64::try_from(height).unwrap_or(i64::MAX)
}

fn answer(engine: &Engine, path: &str, data: &Bytes, height: u64, prove: bool) -> Result<ResponseQuery> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["app", "version"] => Ok(ResponseQuery {
            codespace: sdk::CODESPACE.to_owned(),
            value: Bytes::from_static(engine.definition().version.as_bytes()),
            height: abci_height(if height == 0 { engine.latest().block.height } else { height }),
            ..ResponseQuery::default()
        }),
        ["app", "simulate"] => {
            let simulation = engine
                .simulate(data)
                .and_then(Simulation::into_proto)
                .map_err(|error| error.context("failed to simulate tx"))?;
            Ok(ResponseQuery {
                codespace: sdk::CODESPACE.to_owned(),
                value: genesis_to_json(&simulation)?.to_string().into(),
                height: abci_height(engine.latest().block.height),
                ..ResponseQuery::default()
            })
        }
        ["app", ..] => Err(sdk::unknown_request(format!("unknown query: {path}"))),
        ["store", name, "key"] => store_key(engine, name, data, height, prove),
        ["store", _, other] => Err(sdk::unknown_request(format!("unexpected query path: {other}"))),
        _ => Err(sdk::unknown_request("unknown query path".to_owned())),
    }
}

/// One row of a store, with its proof up to the app hash in the next block's header.
fn store_key(engine: &Engine, name: &str, key: &Bytes, height: u64, prove: bool) -> Result<ResponseQuery> {
    if key.is_empty() {
        return Err(sdk::tx_decode("query cannot be zero length"));
    }
    let store = engine
        .definition()
        .stores()
        .into_iter()
        .find(|store| store.as_str() == name)
        .ok_or_else(|| sdk::unknown_request(format!("no such store: {name}")))?;
    let (at, value, proof_ops) = if prove {
        // Two ICS-23 operations: the row in its store's tree, the store's root in the app hash.
        let (at, (value, ops)) = engine.prove(height, store, key)?;
        let ops = ops.into_iter().map(|op| ProofOp { r#type: op.type_, key: op.key, data: op.data }).collect();
        (at, value, Some(ProofOps { ops }))
    } else {
        let view = engine.view(height)?;
        (view.block.height, view.state.get(store, key)?, None)
    };
    Ok(ResponseQuery {
        key: key.clone(),
        value: value.unwrap_or_default().into(),
        proof_ops,
        height: abci_height(at),
        ..ResponseQuery::default()
    })
}

/// The SDK's way from gRPC codes to its own (`gRPCErrorToSDKError`); the gRPC words stay in the log.
fn status_to_sdk(status: Status) -> Error {
    match status.code {
        Code::NotFound => sdk::key_not_found(status),
        Code::InvalidArgument | Code::FailedPrecondition => sdk::invalid_request(status),
        Code::Unknown | Code::Unimplemented | Code::Internal | Code::Unavailable => sdk::unknown_request(status),
    }
}
