//! Chains as ABCI saw them, played again: into the application alone, without CometBFT, as often and in as many ways as a
//! test wants. What comes out must be the same each time, to the byte.

mod chain;
mod node;
mod script;

use std::{fmt, path::Path};

use anyhow::{Context, Result};
use prost::Message;
use sha2::{Digest, Sha256};
use tendermint_proto::v0_38::abci::{ExecTxResult, RequestFinalizeBlock, RequestInitChain, ResponseFinalizeBlock};

pub use chain::executed_again;
pub use node::{Node, Way};
pub use script::{Seen, record};

/// Everything that a chain was made of: its genesis and its decided blocks, as requests.
#[derive(Clone, PartialEq, Message)]
pub struct Recording {
    /// Genesis.
    #[prost(message, required, tag = "1")]
    pub genesis: RequestInitChain,
    /// One decided block after another.
    #[prost(message, repeated, tag = "2")]
    pub blocks: Vec<RequestFinalizeBlock>,
}

impl Recording {
    /// Reads one from a file.
    ///
    /// # Errors
    /// When the file is no recording.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        Self::decode(bytes.as_slice()).with_context(|| format!("{} is no recording", path.display()))
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.encode_to_vec()).with_context(|| path.display().to_string())
    }
}

/// What one block was and came to. Equal inputs must give equal outcomes on every machine and in every build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Height.
    pub height: i64,
    /// Digest of what was decided: a difference here is a difference of the inputs.
    pub block: [u8; 32],
    /// The state after it: consensus.
    pub app_hash: Vec<u8>,
    /// `last_results_hash` of the next header: consensus.
    pub results: [u8; 32],
    /// Digest of all that the application answered, logs and events too: what clients see.
    pub answer: [u8; 32],
}

impl Outcome {
    /// The outcome of a block with the answer that it got.
    #[must_use]
    pub fn of(block: &RequestFinalizeBlock, answer: &ResponseFinalizeBlock) -> Self {
        Self {
            height: block.height,
            block: Sha256::digest(block.encode_to_vec()).into(),
            app_hash: answer.app_hash.to_vec(),
            results: results_hash(&answer.tx_results),
            answer: Sha256::digest(answer.encode_to_vec()).into(),
        }
    }

    /// The part that consensus holds, with the digest of the inputs: a line of the golden file.
    #[must_use]
    pub fn golden(&self) -> String {
        let [block, results] = [&self.block, &self.results].map(|hash| hex::encode(&hash[..8]));
        format!("{} {block} {} {results}", self.height, hex::encode(&self.app_hash))
    }
}

/// One line: height, block, app hash, results, answer.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { height, block, app_hash, results, answer } = self;
        let [block, results, answer] = [block, results, answer].map(hex::encode);
        write!(f, "{height} {block} {} {results} {answer}", hex::encode(app_hash))
    }
}

/// CometBFT's `LastResultsHash`: the RFC 6962 root over what is deterministic of each result, encoded.
#[must_use]
pub fn results_hash(results: &[ExecTxResult]) -> [u8; 32] {
    let leaves: Vec<Vec<u8>> = results
        .iter()
        .map(|result| {
            let ExecTxResult { code, data, gas_wanted, gas_used, log: _, info: _, events: _, codespace: _ } = result;
            ExecTxResult {
                code: *code,
                data: data.clone(),
                gas_wanted: *gas_wanted,
                gas_used: *gas_used,
                ..ExecTxResult::default()
            }
            .encode_to_vec()
        })
        .collect();
    tendermint::merkle::simple_hash_from_byte_vectors::<tendermint::crypto::default::Sha256>(&leaves)
}
