//! Chains of running nodes, read back from CometBFT's own stores and executed again.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tendermint::block::{CommitSig, Header};
use tendermint_proto::v0_38::{
    abci::{CommitInfo, RequestFinalizeBlock, RequestInitChain, Validator, VoteInfo},
    types::BlockIdFlag,
};
use tendermint_rpc::{Client, HttpClient, Paging};

use super::{Node, Recording, Way};

/// Reads the chain of a node up to a height, with the header after each block.
async fn read(rpc: &HttpClient, until: u32) -> Result<(Recording, Vec<Header>)> {
    let genesis = rpc.genesis::<Value>().await.context("genesis")?;
    let genesis = RequestInitChain {
        time: Some(genesis.genesis_time.into()),
        chain_id: genesis.chain_id.to_string(),
        consensus_params: Some(genesis.consensus_params.into()),
        // Nothing reads them: the validators are those of the genesis document.
        validators: Vec::new(),
        app_state_bytes: genesis.app_state.to_string().into(),
        initial_height: genesis.initial_height,
    };
    let first = u32::try_from(genesis.initial_height.max(1))?;
    let (mut blocks, mut headers) = (Vec::new(), Vec::new());
    for height in first..=until {
        blocks.push(block(rpc, height, first).await.with_context(|| format!("block {height}"))?);
        headers
            .push(rpc.commit(height + 1).await.with_context(|| format!("header {}", height + 1))?.signed_header.header);
    }
    Ok((Recording { genesis, blocks }, headers))
}

/// A block as CometBFT hands it to FinalizeBlock.
async fn block(rpc: &HttpClient, height: u32, first: u32) -> Result<RequestFinalizeBlock> {
    let answer = rpc.block(height).await?;
    let (block, header) = (&answer.block, &answer.block.header);
    ensure!(block.evidence.iter().next().is_none(), "evidence is not read back");
    let mut last_commit = CommitInfo::default();
    if let Some(commit) = block.last_commit.as_ref().filter(|_| height > first) {
        let validators = rpc.validators(height - 1, Paging::All).await?.validators;
        ensure!(validators.len() == commit.signatures.len(), "{} validators", validators.len());
        last_commit.round = commit.round.value().try_into()?;
        last_commit.votes = validators
            .iter()
            .zip(&commit.signatures)
            .map(|(validator, signature)| {
                let flag = match signature {
                    CommitSig::BlockIdFlagAbsent => BlockIdFlag::Absent,
                    CommitSig::BlockIdFlagCommit { .. } => BlockIdFlag::Commit,
                    CommitSig::BlockIdFlagNil { .. } => BlockIdFlag::Nil,
                };
                let power = i64::try_from(validator.power.value())?;
                let address = validator.address.as_bytes().to_vec().into();
                Ok(VoteInfo { validator: Some(Validator { address, power }), block_id_flag: flag.into() })
            })
            .collect::<Result<_>>()?;
    }
    Ok(RequestFinalizeBlock {
        txs: block.data.iter().map(|tx| tx.clone().into()).collect(),
        decided_last_commit: Some(last_commit),
        misbehavior: Vec::new(),
        hash: answer.block_id.hash.as_bytes().to_vec().into(),
        height: height.into(),
        time: Some(header.time.into()),
        next_validators_hash: header.next_validators_hash.as_bytes().to_vec().into(),
        proposer_address: header.proposer_address.as_bytes().to_vec().into(),
    })
}

/// Executes the whole chain of a running node again, in a fresh application, and compares the state and the results of
/// every height with what the node put into its headers. Gives the number of blocks and of transactions compared.
///
/// # Errors
/// The first height that came out otherwise.
pub async fn executed_again(rpc: &HttpClient) -> Result<(usize, usize)> {
    let latest = rpc.status().await?.sync_info.latest_block_height.value();
    let (recording, headers) = read(rpc, u32::try_from(latest)? - 1).await?;
    let mut next = headers.iter();
    let mut wrong = None;
    Node::temporary()?.play(&recording, Way::Decided, |block, outcome| {
        wrong = match next.next() {
            Some(header) if header.app_hash.as_bytes() != outcome.app_hash => Some("another state"),
            Some(header) if header.last_results_hash.is_none_or(|hash| hash.as_bytes() != outcome.results) => {
                Some("other results")
            }
            Some(_) => None,
            None => Some("no header"),
        }
        .map(|what| {
            format!(
                "height {}: the node's chain has {what} than its blocks come to when they are executed again ({} \
                 transactions; app hash {} here)",
                block.height,
                block.txs.len(),
                hex::encode(&outcome.app_hash)
            )
        });
        wrong.is_none()
    })?;
    ensure!(wrong.is_none(), "{}", wrong.unwrap_or_default());
    Ok((headers.len(), recording.blocks.iter().map(|block| block.txs.len()).sum()))
}
