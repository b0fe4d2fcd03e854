//! Networks of each measured system on one machine, under one CometBFT configuration.

mod config;
mod genesis;
mod home;
mod node;
mod usage;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use clap::ValueEnum;
use gantry_localnet::{free_ports, until};
use serde::{Deserialize, Serialize};

pub use config::Indexer;
pub use node::Node;
pub use usage::Usage;

use crate::load::{Bank, Payload, Rpc, Senders};

/// Chain id of every measured network.
pub const CHAIN_ID: &str = "gantry-bench-1";
/// Longest that a network may take to its first block.
const START_LIMIT: Duration = Duration::from_secs(60);

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum System {
    /// CometBFT's example application, in the process of CometBFT
    Kvstore,
    /// The same application in a process of its own, over a Unix socket: what no application can exceed
    KvstoreSocket,
    /// The Cosmos SDK's example chain, in the process of CometBFT, as it is always run
    Simd,
    /// The same chain in a process of its own, over a Unix socket
    SimdSocket,
    /// Gantry
    Gantryd,
}

impl System {
    /// What its transactions are.
    #[must_use]
    pub fn payload(self) -> Payload {
        let bank = |denom: &str, prefix: &str| {
            let (chain_id, denom, prefix) = (CHAIN_ID.to_owned(), denom.to_owned(), prefix.to_owned());
            Payload::Bank(Bank { chain_id, denom, prefix, fee: 500, gas: 200_000 })
        };
        match self {
            Self::Kvstore | Self::KvstoreSocket => Payload::KeyValue { size: 320 },
            Self::Simd | Self::SimdSocket => bank("stake", "cosmos"),
            Self::Gantryd => bank("ugantry", "gantry"),
        }
    }

    /// Its name as it is given and printed.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// The programs under measurement.
#[derive(Clone, Debug, clap::Args)]
pub struct Programs {
    /// CometBFT's binary
    #[arg(long, env = "GANTRY_COMETBFT", value_name = "FILE")]
    pub cometbft: PathBuf,
    /// simd's binary; needed where simd is measured
    #[arg(long, env = "GANTRY_SIMD", value_name = "FILE")]
    pub simd: Option<PathBuf>,
    /// The binary of bench/peers/kvstore; needed where kvstore is measured over a socket
    #[arg(long, env = "GANTRY_KVSTORE", value_name = "FILE")]
    pub kvstore: Option<PathBuf>,
    /// gantryd's binary; the one beside this program otherwise
    #[arg(long, value_name = "FILE")]
    pub gantryd: Option<PathBuf>,
}

impl Programs {
    fn simd(&self) -> Result<&PathBuf> {
        self.simd.as_ref().context("no simd: set GANTRY_SIMD (./dev bench builds it)")
    }

    fn kvstore(&self) -> Result<&PathBuf> {
        self.kvstore.as_ref().context("no kvstore: set GANTRY_KVSTORE (./dev bench builds it)")
    }

    fn gantryd(&self) -> Result<PathBuf> {
        self.gantryd.clone().map_or_else(|| gantry_localnet::binary("gantryd"), Ok)
    }
}

/// What a network is made of.
#[derive(Clone, Debug)]
pub struct NetOptions {
    /// The system.
    pub system: System,
    /// How many validators, all of equal power.
    pub validators: usize,
    /// CometBFT's transaction index.
    pub indexer: Indexer,
    /// CometBFT's pause after a block.
    pub timeout_commit: Duration,
    /// Where its homes lie: on the disk that is measured. Removed with the network.
    pub dir: PathBuf,
}

/// A running network. Dropping it ends it and removes its folder.
#[derive(Debug)]
pub struct Net {
    options: NetOptions,
    programs: Programs,
    /// The validators, then what was added.
    pub nodes: Vec<Node>,
}

impl Net {
    /// Makes the homes, funds the senders at genesis, starts the nodes and waits for their first block.
    ///
    /// # Errors
    /// When a program fails; with the end of its log.
    pub async fn start(options: NetOptions, programs: &Programs, senders: &Senders) -> Result<Self> {
        // What an interrupted run has left.
        let _ = fs::remove_dir_all(&options.dir);
        fs::create_dir_all(&options.dir)?;
        let mut net = Self { options, programs: programs.clone(), nodes: Vec::new() };
        let homes: Vec<PathBuf> = (0..net.options.validators).map(|i| net.home(i)).collect();
        for (i, home) in homes.iter().enumerate() {
            home::init(net.options.system, programs, home, i)?;
        }
        genesis::make(net.options.system, programs, &homes, senders)?;
        for home in homes {
            let node = net.prepare(home)?;
            net.nodes.push(node);
        }
        net.configure()?;
        for node in &mut net.nodes {
            node.start(net.options.system, programs)?;
        }
        net.wait_for_height(1).await?;
        Ok(net)
    }

    fn home(&self, i: usize) -> PathBuf {
        self.options.dir.join(format!("node{i}"))
    }

    fn prepare(&self, home: PathBuf) -> Result<Node> {
        let [rpc, p2p] = free_ports()?;
        let id = gantry_localnet::run(&self.programs.cometbft, &["show-node-id", "--home", &home.to_string_lossy()])?;
        Ok(Node::new(home, id.trim().to_owned(), rpc, p2p))
    }

    /// Writes every node's `config.toml`.
    fn configure(&self) -> Result<()> {
        let defaults = self.options.dir.join("defaults");
        gantry_localnet::run(&self.programs.cometbft, &["init", "--home", &defaults.to_string_lossy()])?;
        let defaults = fs::read_to_string(defaults.join("config/config.toml"))?;
        for node in &self.nodes {
            let peers: Vec<String> =
                self.nodes.iter().filter(|peer| peer.id != node.id).map(Node::peer_address).collect();
            let text = config::config_toml(&defaults, node, &peers, &self.options)?;
            fs::write(node.home.join("config/config.toml"), text)?;
        }
        Ok(())
    }

    /// Adds a full node that has nothing but the genesis, and starts it.
    ///
    /// # Errors
    /// When a program fails.
    pub fn add_follower(&mut self) -> Result<&Node> {
        let i = self.nodes.len();
        let home = self.home(i);
        home::init(self.options.system, &self.programs, &home, i)?;
        fs::copy(self.home(0).join("config/genesis.json"), home.join("config/genesis.json"))?;
        let node = self.prepare(home)?;
        self.nodes.push(node);
        self.configure()?;
        self.nodes[i].start(self.options.system, &self.programs)?;
        Ok(&self.nodes[i])
    }

    /// RPC addresses of all nodes.
    #[must_use]
    pub fn rpcs(&self) -> Vec<String> {
        self.nodes.iter().map(Node::rpc_address).collect()
    }

    /// Waits until every node has executed this height.
    ///
    /// # Errors
    /// When one has ended, or takes too long; with the end of its log.
    pub async fn wait_for_height(&mut self, height: u64) -> Result<()> {
        for node in &mut self.nodes {
            let address = node.rpc_address();
            let reached = until(&format!("block {height}"), START_LIMIT, async || {
                if let Err(error) = node.check() {
                    return Ok(Some(Err(error)));
                }
                let now = match Rpc::connect(&address).await {
                    Ok(mut rpc) => rpc.height().await.unwrap_or(0),
                    Err(_) => 0,
                };
                Ok((now >= height).then_some(Ok(())))
            })
            .await;
            reached.with_context(|| node.tail())??;
        }
        Ok(())
    }

    /// What all nodes have used by now.
    ///
    /// # Errors
    /// When a process has ended.
    pub fn usage(&self) -> Result<Usage> {
        self.nodes.iter().map(Node::usage).sum()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.nodes.clear();
        // A CometBFT that dies with its parent may still write; the next run removes what is left.
        let _ = fs::remove_dir_all(&self.options.dir);
    }
}
