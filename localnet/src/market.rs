use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use gantry_client::{Chain, Endpoints, GasPrice, Sender};
use gantry_keyring::Keyring;
use gantry_proto::gantry::provider::v1::QueryOffersRequest;

use crate::{
    net::{Net, NetOptions, START_LIMIT, Sync},
    node::Node,
    process::Process,
    wait::until,
    worker::{Worker, WorkerOptions},
};

/// What a market on one machine is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Chain id.
    pub chain_id: String,
    /// Where everything lies; created if absent.
    pub dir: PathBuf,
    /// CometBFT's pause after a block: most of the block interval on one machine.
    pub timeout_commit: Duration,
    /// Keys with money at genesis, besides the workers': name and coins.
    pub accounts: Vec<(String, String)>,
    /// Worker keys to fund at genesis.
    pub workers: Vec<String>,
}

impl Options {
    /// A fast chain in a folder with one rich account, `renter`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            chain_id: "gantry-local-1".into(),
            dir: dir.to_owned(),
            timeout_commit: Duration::from_millis(200),
            accounts: vec![("renter".into(), "1000000000ugantry".into())],
            workers: Vec::new(),
        }
    }
}

/// Coins of each worker at genesis: a bond of 120 gantry (over the least, so that a slash does not end its work), and fees.
const WORKER_COINS: &str = "150000000ugantry";

/// One validator and its workers.
#[derive(Debug)]
pub struct Localnet {
    net: Net,
    /// The workers, in the order they were started.
    pub workers: Vec<Worker>,
}

impl Localnet {
    /// Creates the genesis, starts the node and waits for its first block.
    pub async fn start(options: Options) -> Result<Self> {
        let workers = options.workers.into_iter().map(|name| (name, WORKER_COINS.to_owned()));
        let timeout_commit = format!("{}ms", options.timeout_commit.as_millis());
        let mut net = Net::create(NetOptions {
            chain_id: options.chain_id,
            validators: 1,
            keys: options.accounts.into_iter().chain(workers).collect(),
            config: vec![("consensus.timeout_commit", timeout_commit.into())],
            ..NetOptions::new(&options.dir)
        })?;
        net.edit_genesis(widen_windows)?;
        net.start_all().await?;
        Ok(Self { net, workers: Vec::new() })
    }

    /// Folder of everything.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.net.dir()
    }

    fn validator(&self) -> &Node {
        &self.net.nodes()[0]
    }

    /// Home of the validator.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.validator().home().to_owned()
    }

    /// Where the node listens.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        self.validator().endpoints()
    }

    /// The validator's process.
    ///
    /// # Panics
    /// After [`Localnet::kill_node`], until it is started again.
    pub fn node(&mut self) -> &mut Process {
        self.net.node(0).process().expect("the node was killed")
    }

    /// A connection to the node.
    pub async fn chain(&self) -> Result<Chain> {
        self.validator().chain().await
    }

    /// The test keyring that holds the keys funded at genesis.
    #[must_use]
    pub fn keyring(&self) -> Keyring {
        self.net.keyring()
    }

    /// A sender for one of those keys.
    pub async fn sender(&self, key: &str) -> Result<Sender> {
        Ok(Sender::new(self.chain().await?, self.keyring().signer(key)?, GasPrice::default()))
    }

    /// Waits until the application has committed this height; says what the node's log says when it has died.
    pub async fn wait_for_height(&mut self, height: u64) -> Result<u64> {
        self.net.node(0).wait_for_height(height, START_LIMIT).await
    }

    /// Starts a worker for a key funded at genesis.
    pub fn start_worker(&mut self, options: WorkerOptions) -> Result<()> {
        let worker = Worker::start(options, self.dir(), &self.home(), self.endpoints())?;
        self.workers.push(worker);
        Ok(())
    }

    /// Waits until as many offers are on the market as there are workers.
    pub async fn wait_for_offers(&mut self, count: usize) -> Result<()> {
        let chain = self.chain().await?;
        let workers = &mut self.workers;
        until(&format!("{count} offers"), START_LIMIT, async || {
            // A worker that has ended will not offer anything, so there is nothing to wait for.
            if let Some(error) = workers.iter_mut().find_map(|w| w.process.check().err()) {
                return Ok(Some(Err(error)));
            }
            let offers = chain.providers().offers(QueryOffersRequest::default()).await?.into_inner().offers;
            Ok((offers.len() >= count).then_some(Ok(())))
        })
        .await?
    }

    /// kill -9 of the node; its CometBFT dies with it.
    pub fn kill_node(&mut self) -> Result<()> {
        self.net.node(0).kill()
    }

    /// kill -9 of CometBFT alone: the node must start it again.
    pub fn kill_cometbft(&mut self) -> Result<()> {
        self.net.node(0).kill_cometbft()
    }

    /// Starts the node again after a kill.
    pub fn restart_node(&mut self) -> Result<()> {
        self.net.node(0).start()
    }

    /// Starts a full node with nothing but the genesis: it must reach the same state.
    pub async fn start_follower(&mut self) -> Result<&mut Node> {
        let i = self.net.join(Sync::Blocks).await?;
        Ok(self.net.node(i))
    }

    /// Stops workers and nodes in order, and says so if one does not stop by itself.
    pub async fn stop(mut self) -> Result<()> {
        for worker in &mut self.workers {
            worker.process.stop().await?;
        }
        self.net.stop().await
    }
}

/// Windows are counted in blocks, for workers with processors of their own. Here they share few, so that an honest one may
/// be late by seconds.
fn widen_windows(genesis: &mut serde_json::Value) -> Result<()> {
    for (module, window) in
        [("job", "ack_window_blocks"), ("verifier", "commit_window_blocks"), ("verifier", "reveal_window_blocks")]
    {
        let value = &mut genesis["app_state"][module]["params"][window];
        let blocks: u64 = value.as_str().and_then(|v| v.parse().ok()).with_context(|| format!("{module} {window}"))?;
        *value = (blocks * 3 / 2).to_string().into();
    }
    Ok(())
}
