//! The configuration files of a home: `config.toml` (CometBFT), `app.toml` and `client.toml` (ours, with the tables that
//! SDK tools edit).

use std::{fs, path::Path};

use anyhow::{Context, Result};
use gantry_store::StoreOptions;
use serde::Deserialize;

use super::{home::Home, pruning::Quoted};

/// What differs between fresh homes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The node's name among its peers.
    pub moniker: String,
    /// The chain, for `client.toml`.
    pub chain_id: String,
    /// As in `app.toml`; empty lets CheckTx take any fee.
    pub minimum_gas_prices: String,
    /// Time between a commit and the next proposal: most of a block's interval.
    pub timeout_commit: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            moniker: "gantry".into(),
            chain_id: String::new(),
            minimum_gas_prices: "0ugantry".into(),
            timeout_commit: "200ms".into(),
        }
    }
}

/// Writes `config.toml`, `app.toml` and `client.toml` into a home; files that exist are replaced.
///
/// # Errors
/// When a file cannot be written.
pub fn write_defaults(home: &Home, options: &Options) -> Result<()> {
    home.create()?;
    for (path, text) in [
        (home.config_toml(), config_toml(options)),
        (home.app_toml(), app_toml(options)),
        (home.client_toml(), client_toml(options)),
    ] {
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// A string as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// How long a light client (state sync is one) may trust a header without asking again.
pub const TRUST_HOURS: u64 = 168;

fn config_toml(options: &Options) -> String {
    let moniker = quoted(&options.moniker);
    let timeout_commit = quoted(&options.timeout_commit);
    format!(
        r##"# CometBFT's configuration. Keys that are missing here have CometBFT's defaults; where a value differs from the
# default, a comment says why. docs/operations.md has them as a table. proxy_app is set by gantryd at each start.

moniker = {moniker}
db_backend = "goleveldb"
db_dir = "data"
log_level = "info"
log_format = "plain"
genesis_file = "config/genesis.json"
priv_validator_key_file = "config/priv_validator_key.json"
priv_validator_state_file = "data/priv_validator_state.json"
priv_validator_laddr = ""
node_key_file = "config/node_key.json"
abci = "socket"
filter_peers = false

[rpc]
laddr = "tcp://127.0.0.1:26657"
cors_allowed_origins = []
unsafe = false
max_open_connections = 900
max_subscription_clients = 100
# Subscriptions. Default 5: a worker and a command line on one connection follow more than that.
max_subscriptions_per_client = 20
# Events. Defaults 200: a buffer that overflows ends the subscription of a slow client, and blocks come in bursts.
experimental_subscription_buffer_size = 1000
experimental_websocket_write_buffer_size = 1000
timeout_broadcast_tx_commit = "10s"
max_body_bytes = 1000000
pprof_laddr = ""

[p2p]
laddr = "tcp://0.0.0.0:26656"
external_address = ""
seeds = ""
persistent_peers = ""
addr_book_file = "config/addrbook.json"
addr_book_strict = true
max_num_inbound_peers = 40
max_num_outbound_peers = 10
# Time. Default 100ms: it is added to each hop of a vote, so three times to a block.
flush_throttle_timeout = "10ms"
# Bytes per second and peer. Defaults 5120000: a full block of 4 MiB would take most of a second over one hop.
send_rate = 20971520
recv_rate = 20971520
pex = true
seed_mode = false
allow_duplicate_ip = false

[mempool]
type = "flood"
recheck = true
broadcast = true
# Transactions. Default 5000, less than a second of what CometBFT can order: a burst waits here, not in the retries of its
# senders. More would not help: each block checks all that wait once more.
size = 50000
# Bytes. Default 1 GiB, which a flood of large transactions would take of the memory of a small machine.
max_txs_bytes = 268435456
# Transactions. Default 10000: must exceed the size, or peers hand each other the same ones again and again.
cache_size = 100000
max_tx_bytes = 1048576

[statesync]
enable = false
rpc_servers = ""
trust_height = 0
trust_hash = ""
# Less than evidence lives (consensus_params.evidence in genesis.json).
trust_period = "{TRUST_HOURS}h0m0s"

[blocksync]
version = "v0"

[consensus]
wal_file = "data/cs.wal/wal"
# Time for a proposal to arrive. Default 3s: blocks execute while votes travel, so that it needs the time of its travel
# only, and a proposer that is down costs one second, not three.
timeout_propose = "1s"
timeout_propose_delta = "500ms"
# Time for votes that disagree to become two thirds for one block. Defaults 1s and, for each further round, 500ms.
timeout_prevote = "500ms"
timeout_prevote_delta = "250ms"
timeout_precommit = "500ms"
timeout_precommit_delta = "250ms"
# Time after a commit in which slow votes are waited for: most of the block interval. Default 1s.
timeout_commit = {timeout_commit}
# The market's windows are counted in blocks, so there must be blocks without transactions too.
create_empty_blocks = true
create_empty_blocks_interval = "0s"
# Time between looks at what a peer lacks. Default 100ms: it is met once for the proposal and once for each of the votes.
peer_gossip_sleep_duration = "10ms"

[storage]
discard_abci_responses = false

[tx_index]
indexer = "kv"

[instrumentation]
prometheus = false
prometheus_listen_addr = ":26660"
namespace = "cometbft"
"##
    )
}

/// The least room on a disk: what some minutes of blocks take, and what databases need to be tidied.
const MIN_FREE_BYTES: u64 = 128 << 20;

fn app_toml(options: &Options) -> String {
    let prices = quoted(&options.minimum_gas_prices);
    let StoreOptions { keep_recent, proof_window, row_cache_bytes, .. } = StoreOptions::default();
    format!(
        r##"# The application's configuration. None of it is part of consensus.

# Prices under which this node's mempool refuses a transaction, such as "0.025ugantry"; any one of several is enough.
minimum-gas-prices = {prices}

# Which past states can be read: default (the last {keep_recent}), nothing (keep all), everything (the last two), or
# custom: pruning-keep-recent heights, pruned every pruning-interval. The SDK's default keeps 362880.
pruning = "default"
pruning-keep-recent = "0"
pruning-interval = "0"
# How many past heights can be proven to clients and relayers.
proof-window = {proof_window}

# Blocks that CometBFT keeps at least; 0 keeps all. Blocks that evidence, proofs or snapshots need stay in any case.
min-retain-blocks = 0

# Memory for rows that are used often, in bytes.
row-cache-bytes = {row_cache_bytes}

# The node stops in order while the file systems that it writes to have this many bytes left. A disk that is really full
# stops CometBFT in the middle of its work; 0 lets it come to that.
min-free-bytes = {MIN_FREE_BYTES}

# The last height to execute; 0 is none.
halt-height = 0

[grpc]
enable = true
address = "localhost:9090"

[grpc-web]
enable = false

[api]
enable = false
address = "tcp://localhost:1317"

[telemetry]
enabled = false
prometheus-retention-time = 0

[state-sync]
# Heights between two snapshots that other nodes may join with; 0 makes none.
snapshot-interval = 0
# How many of them are kept; 0 keeps all.
snapshot-keep-recent = 2

[cometbft]
# Path of the binary; empty looks at $GANTRY_COMETBFT, ~/.gantry/bin and PATH.
binary = ""
# How often in a row CometBFT is started again before the node gives up; ten quiet minutes start the count anew.
max-restarts = 5
"##
    )
}

fn client_toml(options: &Options) -> String {
    let chain_id = quoted(&options.chain_id);
    format!(
        r##"# Defaults of the command line.

chain-id = {chain_id}
# file or test
keyring-backend = "file"
# text or json
output = "text"
# CometBFT's RPC.
node = "tcp://localhost:26657"
broadcast-mode = "sync"
"##
    )
}

/// `app.toml`. Keys that are unknown here are left to the tools that write them.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case", default)]
pub struct AppConfig {
    /// Prices under which the mempool refuses a transaction.
    pub minimum_gas_prices: String,
    /// Which past states are kept: default, nothing, everything or custom.
    pub pruning: String,
    /// Past heights that can be read; for custom.
    pub pruning_keep_recent: Quoted,
    /// Heights between two prunings; for custom.
    pub pruning_interval: Quoted,
    /// Past heights that can be proven.
    pub proof_window: u64,
    /// Blocks that CometBFT keeps at least; 0 is all.
    pub min_retain_blocks: u64,
    /// Size of the cache of rows.
    pub row_cache_bytes: usize,
    /// Least room on the disks that the node writes to.
    pub min_free_bytes: u64,
    /// The last height to execute; 0 is none.
    pub halt_height: u64,
    /// gRPC.
    pub grpc: GrpcConfig,
    /// Snapshots.
    pub state_sync: StateSyncConfig,
    /// The consensus engine.
    pub cometbft: CometConfig,
}

impl Default for AppConfig {
    fn default() -> Self {
        let StoreOptions { proof_window, row_cache_bytes, .. } = StoreOptions::default();
        Self {
            minimum_gas_prices: String::new(),
            pruning: String::new(),
            pruning_keep_recent: Quoted::default(),
            pruning_interval: Quoted::default(),
            proof_window,
            min_retain_blocks: 0,
            row_cache_bytes,
            min_free_bytes: MIN_FREE_BYTES,
            halt_height: 0,
            grpc: GrpcConfig::default(),
            state_sync: StateSyncConfig::default(),
            cometbft: CometConfig::default(),
        }
    }
}

/// `[grpc]` of `app.toml`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case", default)]
pub struct GrpcConfig {
    /// Whether it is served.
    pub enable: bool,
    /// Where, `HOST:PORT`.
    pub address: String,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self { enable: true, address: "localhost:9090".into() }
    }
}

/// `[state-sync]` of `app.toml`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case", default)]
pub struct StateSyncConfig {
    /// Heights between two snapshots; 0 makes none.
    pub snapshot_interval: u64,
    /// How many are kept; 0 keeps all.
    pub snapshot_keep_recent: usize,
}

impl Default for StateSyncConfig {
    fn default() -> Self {
        Self { snapshot_interval: 0, snapshot_keep_recent: 2 }
    }
}

/// `[cometbft]` of `app.toml`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case", default)]
pub struct CometConfig {
    /// Path of the binary; empty searches for it.
    pub binary: String,
    /// How often in a row it is started again.
    pub max_restarts: u32,
}

impl CometConfig {
    /// Path of the binary, if one is named.
    #[must_use]
    pub fn binary(&self) -> Option<&Path> {
        Some(Path::new(&self.binary)).filter(|path| !path.as_os_str().is_empty())
    }
}

impl Default for CometConfig {
    fn default() -> Self {
        Self { binary: String::new(), max_restarts: 5 }
    }
}

impl AppConfig {
    /// Reads `app.toml`; a home without one has the defaults.
    ///
    /// # Errors
    /// When the file is not TOML or a key has a wrong type.
    pub fn load(home: &Home) -> Result<Self> {
        read(&home.app_toml())
    }
}

/// The part of `config.toml` that the node itself needs.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct CometToml {
    /// RPC.
    pub rpc: RpcToml,
    /// Peers.
    pub p2p: P2pToml,
}

/// `[rpc]` of `config.toml`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct RpcToml {
    /// Where it listens.
    pub laddr: String,
}

impl Default for RpcToml {
    fn default() -> Self {
        Self { laddr: "tcp://127.0.0.1:26657".into() }
    }
}

/// `[p2p]` of `config.toml`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct P2pToml {
    /// Where it listens.
    pub laddr: String,
}

impl Default for P2pToml {
    fn default() -> Self {
        Self { laddr: "tcp://0.0.0.0:26656".into() }
    }
}

impl CometToml {
    /// Reads `config.toml`.
    ///
    /// # Errors
    /// When the file is not TOML or a key has a wrong type.
    pub fn load(home: &Home) -> Result<Self> {
        read(&home.config_toml())
    }
}

fn read<T: Default + for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    match fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).with_context(|| path.display().to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::new(root.path());
        let options = Options { moniker: "a \"b\"\nc".into(), chain_id: "gantry-1".into(), ..Options::default() };
        write_defaults(&home, &options).unwrap();

        let app = AppConfig::load(&home).unwrap();
        assert_eq!(app.minimum_gas_prices, "0ugantry");
        assert_eq!(app.pruning, "default");
        let read = AppConfig { minimum_gas_prices: String::new(), pruning: String::new(), ..app.clone() };
        assert_eq!(read, AppConfig::default(), "the file says what holds without it");
        assert_eq!((app.grpc, app.cometbft), (GrpcConfig::default(), CometConfig::default()));
        assert_eq!(app.state_sync, StateSyncConfig::default());
        assert_eq!(CometToml::load(&home).unwrap(), CometToml::default());
        let raw: toml::Table = toml::from_str(&fs::read_to_string(home.config_toml()).unwrap()).unwrap();
        assert_eq!(raw["moniker"].as_str(), Some("a \"b\"\nc"));
        let client: toml::Table = toml::from_str(&fs::read_to_string(home.client_toml()).unwrap()).unwrap();
        assert_eq!(client["chain-id"].as_str(), Some("gantry-1"));
    }

    #[test]
    fn a_wrong_type_is_an_error_and_an_unknown_key_is_not() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::new(root.path());
        home.create().unwrap();
        fs::write(home.app_toml(), "snapshot-interval = 5\n[api]\nswagger = true\n").unwrap();
        assert_eq!(AppConfig::load(&home).unwrap(), AppConfig::default());
        fs::write(home.app_toml(), "halt-height = \"x\"\n").unwrap();
        assert!(AppConfig::load(&home).is_err());
    }
}
