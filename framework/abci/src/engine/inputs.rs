//! Everything that the execution of a block may depend on, and a digest that names it.

use bytes::Bytes;
use gantry_core::BlockInfo;
use prost::Message;
use sha2::{Digest, Sha256};
use tendermint_proto::v0_38::abci::{CommitInfo, ExtendedCommitInfo, Misbehavior, VoteInfo};

/// The inputs of one execution. The hash of the block is not among them: a proposer executes before there is one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BlockInputs {
    /// Chain, height, time, proposer, app hash before.
    pub(crate) block: BlockInfo,
    /// The transactions as they came.
    pub(crate) txs: Vec<Bytes>,
    /// Who signed the block before.
    pub(crate) last_commit: CommitInfo,
    /// Evidence in this block.
    pub(crate) misbehavior: Vec<Misbehavior>,
}

/// Names a set of inputs: two executions with one key have one result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InputsKey([u8; 32]);

impl BlockInputs {
    /// SHA-256 over the inputs, each with its length, destructured so that a new input cannot be forgotten.
    pub(crate) fn key(&self) -> InputsKey {
        let Self { block, txs, last_commit, misbehavior } = self;
        let BlockInfo { chain_id, height, time, proposer, previous_app_hash } = block;
        let mut digest = Sha256::new();
        let mut part = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        part(chain_id.as_bytes());
        part(&height.to_be_bytes());
        part(&time.seconds.to_be_bytes());
        part(&time.nanos.to_be_bytes());
        part(proposer);
        part(previous_app_hash);
        part(&last_commit.encode_to_vec());
        part(&(misbehavior.len() as u64).to_be_bytes());
        for evidence in misbehavior {
            part(&evidence.encode_to_vec());
        }
        part(&(txs.len() as u64).to_be_bytes());
        for tx in txs {
            part(tx);
        }
        InputsKey(digest.finalize().into())
    }
}

/// What a proposer knows of the last commit, as the block will carry it.
pub(crate) fn without_extensions(commit: ExtendedCommitInfo) -> CommitInfo {
    CommitInfo {
        round: commit.round,
        votes: commit
            .votes
            .into_iter()
            .map(|vote| VoteInfo { validator: vote.validator, block_id_flag: vote.block_id_flag })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> BlockInputs {
        BlockInputs {
            block: BlockInfo { chain_id: "c".into(), height: 2, ..BlockInfo::default() },
            txs: vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")],
            last_commit: CommitInfo::default(),
            misbehavior: Vec::new(),
        }
    }

    #[test]
    fn every_input_changes_the_key() {
        type Change = fn(&mut BlockInputs);
        let changes: Vec<(&str, Change)> = vec![
            ("chain id", |i| i.block.chain_id.push('x')),
            ("height", |i| i.block.height += 1),
            ("seconds", |i| i.block.time.seconds += 1),
            ("nanos", |i| i.block.time.nanos += 1),
            ("proposer", |i| i.block.proposer.push(1)),
            ("app hash", |i| i.block.previous_app_hash[0] ^= 1),
            ("bytes move between transactions", |i| {
                i.txs = vec![Bytes::from_static(b"a"), Bytes::from_static(b"bc")];
            }),
            ("an empty transaction more", |i| i.txs.push(Bytes::new())),
            ("round", |i| i.last_commit.round = 1),
            ("a vote", |i| i.last_commit.votes.push(VoteInfo::default())),
            ("evidence", |i| i.misbehavior.push(Misbehavior::default())),
        ];
        for (what, change) in changes {
            let mut changed = inputs();
            change(&mut changed);
            assert_ne!(changed.key(), inputs().key(), "{what}");
        }
        assert_eq!(inputs().key(), inputs().key());
    }
}
