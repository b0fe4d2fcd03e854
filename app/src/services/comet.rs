//! CometBFT's RPC, for services that answer about blocks and the mempool.

use std::{future::Future, time::Duration};

use anyhow::{Context, Result};
use cosmos_sdk_proto::tendermint::types::{Block, BlockId};
use gantry_core::{Code, Status};
use tendermint::block::Height;
use tendermint_rpc::{Client as _, HttpClient, client::CompatMode, error::ErrorDetail};
use tokio::runtime::Handle;

/// Longest wait for an answer: a query in ABCI's one query connection holds up those behind it.
const PATIENCE: Duration = Duration::from_secs(5);

/// A client that blocks. To be used on threads where that is fine: the ABCI server's and gRPC's blocking ones.
#[derive(Clone, Debug)]
pub(super) struct Comet {
    rpc: HttpClient,
    runtime: Handle,
}

impl Comet {
    pub(super) fn new(url: &str, runtime: &Handle) -> Result<Self> {
        let url = url.parse().with_context(|| format!("CometBFT's RPC at {url}"))?;
        let rpc = HttpClient::builder(url)
            .compat_mode(CompatMode::V0_38)
            .timeout(PATIENCE)
            .build()
            .context("CometBFT's RPC client")?;
        Ok(Self { rpc, runtime: runtime.clone() })
    }

    /// Asks, and waits for the answer.
    pub(super) fn ask<'a, T, F>(&'a self, question: impl FnOnce(&'a HttpClient) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<T, tendermint_rpc::Error>>,
    {
        self.runtime.block_on(question(&self.rpc)).map_err(|error| match error.detail() {
            // CometBFT answered, with an error: its words are what clients look for.
            ErrorDetail::Response(response) => Status::new(Code::Unknown, response.source.to_string()),
            other => Status::new(Code::Unavailable, format!("CometBFT's RPC: {other}")),
        })
    }

    /// A block as the SDK shows it.
    pub(super) fn block(&self, height: u64) -> Result<(BlockId, Block), Status> {
        let at = Height::try_from(height).map_err(|error| Status::invalid(error.to_string()))?;
        let response = self.ask(|rpc| rpc.block(at))?;
        Ok((response.block_id.into(), response.block.into()))
    }
}
