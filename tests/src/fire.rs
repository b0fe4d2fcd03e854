//! A validator of its own that is made to die: one node, quick blocks, no second chances for CometBFT.

use std::{path::Path, process::ExitStatus, time::Duration};

use anyhow::{Context, Result, ensure};
use gantry_client::{Chain, Endpoints};
use gantry_core::Address;
use gantry_keyring::{Signer, SignerData};
use gantry_localnet::{Net, NetOptions, Node, until};
use tendermint_rpc::Client;

use crate::{
    replay::executed_again,
    tx::{base_account, paid, send},
};

/// Longest that a node may take to die, to stop, or to come back.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Pause between two transactions of the load.
const PACE: Duration = Duration::from_millis(4);

/// How long a long form goes on: its share of `./dev soak`, or a minute.
#[must_use]
pub fn soak_time() -> Duration {
    let seconds = std::env::var("GANTRY_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

/// One validator under load.
#[derive(Debug)]
pub struct Target {
    /// The network of one.
    pub net: Net,
    signer: Signer,
    last: u64,
}

impl Target {
    /// Makes a home and starts nothing. `app_config` is what differs from `app.toml`.
    ///
    /// # Errors
    /// When `gantryd init` fails.
    pub fn create(dir: &Path, app_config: Vec<(&'static str, toml_edit::Value)>) -> Result<Self> {
        let mut options = NetOptions {
            validators: 1,
            keys: vec![("sender".into(), "1000000000000ugantry".into())],
            config: vec![("consensus.timeout_commit", "40ms".into())],
            app_config,
            ..NetOptions::new(dir)
        };
        options.app_config.push(("cometbft.max-restarts", 0.into()));
        let net = Net::create(options)?;
        let signer = net.keyring().signer("sender")?;
        Ok(Self { net, signer, last: 0 })
    }

    /// The node.
    pub fn node(&mut self) -> &mut Node {
        self.net.node(0)
    }

    /// Starts the node through `before`, sends coins until it has died, and gives how, with what it said meanwhile.
    ///
    /// # Errors
    /// When it does not die.
    pub async fn dies(&mut self, before: &[&str]) -> Result<(ExitStatus, String)> {
        self.dies_of(before, 0, || Ok(())).await
    }

    /// The same, with something done to it again and again once it has made so many blocks.
    ///
    /// # Errors
    /// When it does not die.
    pub async fn dies_of(
        &mut self,
        before: &[&str],
        blocks: u64,
        mut what: impl FnMut() -> Result<()>,
    ) -> Result<(ExitStatus, String)> {
        let log = self.node().log();
        let read = || std::fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let known = read().len();
        self.node().start_with(before)?;
        let load = tokio::spawn(load(self.node().endpoints().clone(), self.signer.clone()));
        if blocks > 0 {
            let next = self.last + 1;
            let height = self.node().wait_for_height(next, LIMIT).await?;
            self.last = self.node().wait_for_height(height + blocks, LIMIT).await?;
        }
        let status = until("the node dies", LIMIT, async || {
            what()?;
            self.net.node(0).process()?.ended()
        })
        .await;
        load.abort();
        let said = read().split_off(known);
        Ok((status.with_context(|| tail(&said))?, said))
    }

    /// Starts the node, lets it make so many blocks under load, and kills both processes with SIGKILL.
    ///
    /// # Errors
    /// When it makes no blocks.
    pub async fn killed_after(&mut self, blocks: u64) -> Result<()> {
        self.node().start()?;
        let load = tokio::spawn(load(self.node().endpoints().clone(), self.signer.clone()));
        let next = self.last + 1;
        let height = self.node().wait_for_height(next, LIMIT).await?;
        self.last = self.node().wait_for_height(height + blocks, LIMIT).await?;
        let children = self.node().process()?.children()?;
        self.node().kill()?;
        load.abort();
        until("CometBFT dies with its node", LIMIT, async || {
            Ok(children.iter().all(|id| !Path::new(&format!("/proc/{id}")).exists()).then_some(()))
        })
        .await
    }

    /// Starts the node as it is, and waits for blocks of its own; then executes the whole chain again. Gives the blocks
    /// and the transactions compared.
    ///
    /// # Errors
    /// When it does not go on from where it was, or has come to another state or other results than its blocks give.
    pub async fn goes_on(&mut self) -> Result<(usize, usize)> {
        self.node().start()?;
        let load = tokio::spawn(load(self.node().endpoints().clone(), self.signer.clone()));
        let next = self.last + 1;
        let came_back = self.node().wait_for_height(next, LIMIT).await?;
        self.last = self.node().wait_for_height(came_back + 3, LIMIT).await?;
        load.abort();
        let compared = executed_again(self.node().rpc()).await?;
        ensure!(compared.0 as u64 + 1 >= self.last, "{} of {} blocks compared", compared.0, self.last);
        Ok(compared)
    }
}

/// The end of what a node said.
#[must_use]
pub fn tail(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Sends one coin after another for as long as anybody listens.
async fn load(endpoints: Endpoints, signer: Signer) -> Result<()> {
    let to = Address::module("friend of the tests").to_string();
    let from = signer.info.address.clone();
    let mut pace = tokio::time::interval(PACE);
    loop {
        pace.tick().await;
        let Ok(chain) = Chain::connect(endpoints.clone()).await else { continue };
        let Ok(account) = base_account(&chain, &from).await else { continue };
        let (chain_id, account_number) = (chain.chain_id().to_owned(), account.account_number);
        let mut data = SignerData { chain_id, account_number, sequence: account.sequence };
        loop {
            pace.tick().await;
            let tx = paid().message(&send(&from, &to, 1)).sign(&signer, &data);
            match chain.rpc().broadcast_tx_sync(tx).await {
                Ok(answer) if answer.code.is_ok() => data.sequence += 1,
                // A full mempool, a sequence that a restart has taken back, a node that is going.
                _ => break,
            }
        }
    }
}
