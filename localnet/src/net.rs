use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use gantry_keyring::{HdPath, Keyring};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    link::{self, Cable},
    node::{Node, text},
    process::{binary, run},
};

/// Longest that a network may take from its start to a block.
pub const START_LIMIT: Duration = Duration::from_secs(60);

/// What a network is made of.
#[derive(Clone, Debug)]
pub struct NetOptions {
    /// Chain id.
    pub chain_id: String,
    /// Where everything lies; created if absent.
    pub dir: PathBuf,
    /// Validators of equal power.
    pub validators: usize,
    /// Keys with money at genesis, made in the test keyring of the first node: name and coins.
    pub keys: Vec<(String, String)>,
    /// More money at genesis: address and amount of `ugantry`.
    pub balances: Vec<(String, u128)>,
    /// Whether nodes dial each other through links that can be cut.
    pub links: bool,
    /// What differs from `config.toml` as `init` writes it, such as `("mempool.size", 500.into())`.
    pub config: Vec<(&'static str, toml_edit::Value)>,
    /// What differs from `app.toml`.
    pub app_config: Vec<(&'static str, toml_edit::Value)>,
    /// Another CometBFT than the one `gantryd` finds.
    pub cometbft: Option<PathBuf>,
}

impl NetOptions {
    /// Four validators with the node's defaults, and nobody with money.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            chain_id: "gantry-local-1".into(),
            dir: dir.to_owned(),
            validators: 4,
            keys: Vec::new(),
            balances: Vec::new(),
            links: false,
            config: Vec::new(),
            app_config: Vec::new(),
            cometbft: None,
        }
    }
}

/// How a node that comes later gets what happened before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// It executes every block from genesis.
    Blocks,
    /// It restores a snapshot of a peer, trusting a recent header alone.
    State,
}

/// Validators, and full nodes that came later. All end with it.
#[derive(Debug)]
pub struct Net {
    options: NetOptions,
    nodes: Vec<Node>,
    links: JoinSet<()>,
}

impl Net {
    /// Makes homes and one genesis, without starting anything: for changes to the genesis before the first block.
    pub fn create(options: NetOptions) -> Result<Self> {
        ensure!(options.validators > 0, "a network needs a validator");
        fs::create_dir_all(&options.dir)?;
        let mut net = Self { options, nodes: Vec::new(), links: JoinSet::new() };
        for _ in 0..net.options.validators {
            net.add_home()?;
        }
        net.write_genesis()?;
        for i in 0..net.nodes.len() {
            net.configure(i, &[])?;
        }
        Ok(net)
    }

    /// Makes a network, starts it, and waits until every node has the first block.
    pub async fn start(options: NetOptions) -> Result<Self> {
        let mut net = Self::create(options)?;
        net.start_all().await?;
        Ok(net)
    }

    /// Starts every node, and waits until all have the first block.
    pub async fn start_all(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.start()?;
        }
        self.wait_for_height(1, START_LIMIT).await
    }

    /// Folder of everything.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// The nodes: validators first, then those that joined.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One node.
    pub fn node(&mut self, i: usize) -> &mut Node {
        &mut self.nodes[i]
    }

    /// Genesis, as every node has it; to be changed before the start.
    pub fn edit_genesis(&mut self, edit: impl FnOnce(&mut Value) -> Result<()>) -> Result<()> {
        let mut genesis = read_genesis(self.nodes[0].home())?;
        edit(&mut genesis)?;
        let text = serde_json::to_vec_pretty(&genesis)?;
        for node in &self.nodes {
            fs::write(genesis_path(node.home()), &text)?;
        }
        run(&binary("gantryd")?, &["genesis", "validate", "--home", text_of(&self.nodes[0])?])?;
        Ok(())
    }

    /// The test keyring that holds the keys funded at genesis.
    #[must_use]
    pub fn keyring(&self) -> Keyring {
        Keyring::test(self.nodes[0].home())
    }

    /// Adds a full node and starts it; its number. It dials all validators, which do not know it.
    pub async fn join(&mut self, sync: Sync) -> Result<usize> {
        let i = self.add_home()?;
        fs::copy(genesis_path(self.nodes[0].home()), genesis_path(self.nodes[i].home()))?;
        let more = match sync {
            Sync::Blocks => Vec::new(),
            Sync::State => self.trust().await?,
        };
        self.configure(i, &more)?;
        self.nodes[i].start()?;
        Ok(i)
    }

    /// Stops the node that joined last, and removes its home.
    pub async fn leave(&mut self) -> Result<()> {
        ensure!(self.nodes.len() > self.options.validators, "no node has joined");
        let mut node = self.nodes.pop().context("no nodes")?;
        node.stop().await?;
        Ok(fs::remove_dir_all(node.home())?)
    }

    /// Takes a node off the network: connections are closed, or nothing passes and nobody is told.
    pub fn disconnect(&self, i: usize, how: Cable) -> Result<()> {
        ensure!(self.options.links, "this network has direct links");
        self.nodes[i].plug(how);
        Ok(())
    }

    /// Takes a node back.
    pub fn reconnect(&self, i: usize) {
        self.nodes[i].plug(Cable::Plugged);
    }

    /// Waits until the application of every node has committed this height.
    pub async fn wait_for_height(&mut self, height: u64, limit: Duration) -> Result<()> {
        for node in &mut self.nodes {
            node.wait_for_height(height, limit).await?;
        }
        Ok(())
    }

    /// Stops all nodes at once, and says so if one does not stop by itself.
    pub async fn stop(mut self) -> Result<()> {
        let ended = self.nodes.iter_mut().map(Node::stop);
        let ended = futures::future::join_all(ended).await;
        ended.into_iter().collect()
    }

    fn add_home(&mut self) -> Result<usize> {
        let i = self.nodes.len();
        let home = self.options.dir.join(format!("node-{i}"));
        ensure!(!home.exists(), "{} exists: there is a network already", home.display());
        self.nodes.push(Node::init(home, &self.options.chain_id, self.options.cometbft.clone())?);
        Ok(i)
    }

    /// The first node's genesis with all validators and everybody's money.
    fn write_genesis(&mut self) -> Result<()> {
        let validators = self.nodes.iter().map(|node| Ok(read_genesis(node.home())?["validators"][0].clone()));
        let validators: Vec<Value> = validators.collect::<Result<_>>()?;
        let keyring = self.keyring();
        let mut accounts = Vec::new();
        for (name, coins) in &self.options.keys {
            let key = keyring.create(name, HdPath::default())?;
            accounts.push(json!({"address": key.address, "coins": [coin(coins)?]}));
        }
        accounts.extend(self.options.balances.iter().map(|(address, amount)| {
            json!({"address": address, "coins": [{"denom": "ugantry", "amount": amount.to_string()}]})
        }));
        let list = self.options.dir.join("accounts.json");
        fs::write(&list, serde_json::to_vec(&accounts)?)?;
        let home = text_of(&self.nodes[0])?;
        run(&binary("gantryd")?, &["genesis", "bulk-add-genesis-account", text(&list)?, "--home", home])?;
        self.edit_genesis(|genesis| {
            genesis["validators"] = validators.into();
            Ok(())
        })
    }

    /// Writes a node's `config.toml` and `app.toml`. Loopback needs none of the caution of a network, and addresses that
    /// nodes tell each other would lead around the links.
    fn configure(&mut self, i: usize, more: &[(&'static str, toml_edit::Value)]) -> Result<()> {
        let mut peers = Vec::new();
        for j in (0..self.options.validators).filter(|j| *j != i) {
            let target = self.nodes[j].p2p;
            let port = match self.options.links {
                true => {
                    let ends = [i, j].map(|end| self.nodes[end].cable.subscribe());
                    link::start(&mut self.links, target, ends)?
                }
                false => target.port(),
            };
            peers.push(format!("{}@127.0.0.1:{port}", self.nodes[j].id()?));
        }
        let mut config: Vec<(&str, toml_edit::Value)> = vec![
            ("p2p.persistent_peers", peers.join(",").into()),
            ("p2p.addr_book_strict", false.into()),
            ("p2p.allow_duplicate_ip", true.into()),
            ("p2p.pex", false.into()),
        ];
        config.extend_from_slice(&self.options.config);
        config.extend_from_slice(more);
        let home = self.nodes[i].home();
        edit_toml(&home.join("config/config.toml"), &config)?;
        edit_toml(&home.join("config/app.toml"), &self.options.app_config)
    }

    /// `[statesync]` of a node that trusts the last header of the first validator.
    async fn trust(&self) -> Result<Vec<(&'static str, toml_edit::Value)>> {
        use tendermint_rpc::Client;
        let servers: Vec<&str> =
            self.nodes.iter().take(self.options.validators).map(|node| node.endpoints().rpc.as_str()).collect();
        // A light client needs a second opinion; of a single validator it gets the same one twice.
        let servers = [servers.as_slice(), &servers[..1]].concat()[..2.max(servers.len())].join(",");
        let header = self.nodes[0].rpc().latest_commit().await?.signed_header;
        Ok(vec![
            ("statesync.enable", true.into()),
            ("statesync.rpc_servers", servers.into()),
            ("statesync.trust_height", i64::try_from(header.header.height.value())?.into()),
            ("statesync.trust_hash", header.header.hash().to_string().into()),
            ("statesync.discovery_time", "5s".into()),
        ])
    }
}

/// Sets values at dotted paths; tables that are missing are made.
pub(crate) fn edit_toml(path: &Path, values: &[(&'static str, toml_edit::Value)]) -> Result<()> {
    let mut config: toml_edit::DocumentMut = fs::read_to_string(path)?.parse()?;
    for (key, value) in values {
        let item = match key.rsplit_once('.') {
            None => &mut config[*key],
            Some((table, key)) => &mut config[table][key],
        };
        *item = toml_edit::value(value.clone());
    }
    fs::write(path, config.to_string()).with_context(|| path.display().to_string())
}

fn genesis_path(home: &Path) -> PathBuf {
    home.join("config/genesis.json")
}

fn read_genesis(home: &Path) -> Result<Value> {
    Ok(serde_json::from_slice(&fs::read(genesis_path(home))?)?)
}

fn text_of(node: &Node) -> Result<&str> {
    text(node.home())
}

/// `150000ugantry` as genesis has it.
fn coin(text: &str) -> Result<Value> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (amount, denom) = text.split_at(digits);
    ensure!(!amount.is_empty() && !denom.is_empty(), "{text:?} is no coin");
    Ok(json!({"denom": denom, "amount": amount}))
}
