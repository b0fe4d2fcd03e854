use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use gantry_client::{Chain, Endpoints, GasPrice, Sender};
use gantry_keyring::{HdPath, Keyring};
use gantry_proto::gantry::provider::v1::QueryOffersRequest;
use nix::sys::signal;
use tendermint_rpc::Client;

use crate::{
    ports::free_ports,
    process::{Process, binary, pid, run},
    wait::until,
    worker::{Worker, WorkerOptions},
};

/// What a network is made of.
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
/// Longest that a node may take from its start to a block.
const START_LIMIT: Duration = Duration::from_secs(60);

/// One validator and its workers.
#[derive(Debug)]
pub struct Localnet {
    options: Options,
    endpoints: Endpoints,
    p2p: u16,
    node: Process,
    /// The workers, in the order they were started.
    pub workers: Vec<Worker>,
}

impl Localnet {
    /// Creates the genesis, starts the node and waits for its first block.
    pub async fn start(options: Options) -> Result<Self> {
        fs::create_dir_all(&options.dir)?;
        let [rpc, grpc, p2p] = free_ports()?;
        let endpoints = Endpoints { rpc: format!("http://127.0.0.1:{rpc}"), grpc: format!("http://127.0.0.1:{grpc}") };
        let home = options.dir.join("node");
        initialise(&options, &home)?;
        let node = start_node(&home, &endpoints, p2p)?;
        let mut net = Self { options, endpoints, p2p, node, workers: Vec::new() };
        net.wait_for_height(1).await?;
        Ok(net)
    }

    /// Folder of everything.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// Home of the validator.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.options.dir.join("node")
    }

    /// Where the node listens.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The validator's process.
    pub fn node(&mut self) -> &mut Process {
        &mut self.node
    }

    /// A connection to the node.
    pub async fn chain(&self) -> Result<Chain> {
        Ok(Chain::connect(self.endpoints.clone()).await?)
    }

    /// The test keyring that holds the keys funded at genesis.
    #[must_use]
    pub fn keyring(&self) -> Keyring {
        Keyring::test(&self.home())
    }

    /// A sender for one of those keys.
    pub async fn sender(&self, key: &str) -> Result<Sender> {
        Ok(Sender::new(self.chain().await?, self.keyring().signer(key)?, GasPrice::default()))
    }

    /// Waits until the application has committed this height (CometBFT counts a block before that); says what the node's
    /// log says when it has died.
    pub async fn wait_for_height(&mut self, height: u64) -> Result<u64> {
        let endpoints = self.endpoints.clone();
        let node = &mut self.node;
        let reached = until(&format!("block {height}"), START_LIMIT, async || {
            if let Err(error) = node.check() {
                return Ok(Some(Err(error)));
            }
            let chain = Chain::connect(endpoints.clone()).await?;
            let now = chain.rpc().abci_info().await?.last_block_height.value();
            Ok((now >= height).then_some(Ok(now)))
        })
        .await;
        reached.with_context(|| format!("the node does not make blocks; its log ends:\n{}", self.node.tail(15)))?
    }

    /// Starts a worker for a key funded at genesis.
    pub fn start_worker(&mut self, options: WorkerOptions) -> Result<()> {
        let worker = Worker::start(options, &self.options.dir, &self.home(), &self.endpoints)?;
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
        self.node.kill()
    }

    /// kill -9 of CometBFT alone: the node must start it again.
    pub fn kill_cometbft(&mut self) -> Result<()> {
        for child in self.node.children()? {
            signal::kill(pid(child)?, signal::Signal::SIGKILL)?;
        }
        Ok(())
    }

    /// Starts the node again after a kill.
    pub fn restart_node(&mut self) -> Result<()> {
        self.node = start_node(&self.home(), &self.endpoints, self.p2p)?;
        Ok(())
    }

    /// Starts a second full node with nothing but the genesis: it must reach the same state. Its gRPC and RPC
    /// endpoints come with it.
    pub fn start_follower(&self) -> Result<(Process, Endpoints)> {
        let home = self.options.dir.join("follower");
        let gantryd = binary("gantryd")?;
        run(&gantryd, &["init", "follower", "--chain-id", &self.options.chain_id, "--home", text(&home)?])?;
        fs::copy(self.home().join("config/genesis.json"), home.join("config/genesis.json"))?;

        let peer_id = run(&gantryd, &["comet", "show-node-id", "--home", text(&self.home())?])?;
        let [rpc, grpc, p2p] = free_ports()?;
        let endpoints = Endpoints { rpc: format!("http://127.0.0.1:{rpc}"), grpc: format!("http://127.0.0.1:{grpc}") };
        tune(&home, &self.options, &format!("{}@127.0.0.1:{}", peer_id.trim(), self.p2p))?;
        Ok((start_node(&home, &endpoints, p2p)?, endpoints))
    }

    /// Stops workers and node in order, and says so if one does not stop by itself.
    pub async fn stop(mut self) -> Result<()> {
        for worker in &mut self.workers {
            worker.process.stop().await?;
        }
        self.node.stop().await?;
        Ok(())
    }
}

fn initialise(options: &Options, home: &Path) -> Result<()> {
    let gantryd = binary("gantryd")?;
    let home_text = text(home)?;
    run(&gantryd, &["init", "validator", "--chain-id", &options.chain_id, "--home", home_text])?;
    let keyring = Keyring::test(home);
    let workers = options.workers.iter().map(|name| (name.clone(), WORKER_COINS.to_owned()));
    for (name, coins) in options.accounts.iter().cloned().chain(workers) {
        let key = keyring.create(&name, HdPath::default())?;
        run(&gantryd, &["genesis", "add-genesis-account", &key.address, &coins, "--home", home_text])?;
    }
    widen_windows(home)?;
    run(&gantryd, &["genesis", "validate", "--home", home_text])?;
    tune(home, options, "")
}

/// Windows are counted in blocks for a network's second-long ones. Blocks are five times as fast here, and the workers
/// share few processors, so that an honest one may be late by seconds.
fn widen_windows(home: &Path) -> Result<()> {
    let path = home.join("config/genesis.json");
    let mut genesis: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)?;
    for (module, window) in
        [("job", "ack_window_blocks"), ("verifier", "commit_window_blocks"), ("verifier", "reveal_window_blocks")]
    {
        let value = &mut genesis["app_state"][module]["params"][window];
        let blocks: u64 = value.as_str().and_then(|v| v.parse().ok()).with_context(|| format!("{module} {window}"))?;
        *value = (blocks * 5).to_string().into();
    }
    fs::write(&path, serde_json::to_vec_pretty(&genesis)?)?;
    Ok(())
}

/// Loopback needs none of the caution of a network.
fn tune(home: &Path, options: &Options, peers: &str) -> Result<()> {
    let path = home.join("config/config.toml");
    let mut config: toml_edit::DocumentMut = fs::read_to_string(&path)?.parse()?;
    config["consensus"]["timeout_commit"] = toml_edit::value(format!("{}ms", options.timeout_commit.as_millis()));
    config["p2p"]["persistent_peers"] = toml_edit::value(peers);
    config["p2p"]["addr_book_strict"] = toml_edit::value(false);
    config["p2p"]["allow_duplicate_ip"] = toml_edit::value(true);
    fs::write(&path, config.to_string())?;
    Ok(())
}

fn start_node(home: &Path, endpoints: &Endpoints, p2p: u16) -> Result<Process> {
    let rpc = endpoints.rpc.replace("http://", "tcp://");
    let grpc = endpoints.grpc.trim_start_matches("http://");
    let p2p = format!("tcp://127.0.0.1:{p2p}");
    let mut args = vec!["start", "--home", text(home)?, "--minimum-gas-prices", "0.0025ugantry"];
    args.extend(["--rpc.laddr", &rpc, "--grpc.address", grpc, "--p2p.laddr", &p2p]);
    let log = home.with_extension("log");
    Process::spawn("gantryd", &binary("gantryd")?, &args, &log)
}

pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
