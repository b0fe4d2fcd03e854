use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use gantry_client::{Chain, Endpoints};
use nix::sys::signal::{self, Signal};
use tendermint_rpc::{Client, HttpClient, HttpClientUrl};

use crate::{
    link::Cable,
    ports::free_ports,
    process::{Process, binary, pid, run},
    wait::until,
};

/// Longest that one question to a node may take: one that is paused never answers.
const ASK_LIMIT: Duration = Duration::from_secs(5);

/// One `gantryd` with its CometBFT: a home, ports that stay the same over restarts, and the process while it runs.
#[derive(Debug)]
pub struct Node {
    home: PathBuf,
    endpoints: Endpoints,
    /// Where CometBFT listens for peers.
    pub(crate) p2p: SocketAddr,
    /// What it is reached through, where the network has links that can be cut.
    pub(crate) cable: tokio::sync::watch::Sender<Cable>,
    rpc: HttpClient,
    cometbft: Option<PathBuf>,
    process: Option<Process>,
}

impl Node {
    /// A node in a home that `gantryd init` makes.
    pub(crate) fn init(home: PathBuf, chain_id: &str, cometbft: Option<PathBuf>) -> Result<Self> {
        let name = home.file_name().and_then(|name| name.to_str()).context("a home needs a name")?;
        run(&binary("gantryd")?, &["init", name, "--chain-id", chain_id, "--home", text(&home)?])?;
        let [rpc, grpc, p2p] = free_ports()?;
        let endpoints = Endpoints { rpc: format!("http://127.0.0.1:{rpc}"), grpc: format!("http://127.0.0.1:{grpc}") };
        let url: HttpClientUrl = endpoints.rpc.parse()?;
        let rpc = HttpClient::builder(url).timeout(ASK_LIMIT).build()?;
        let p2p = (Ipv4Addr::LOCALHOST, p2p).into();
        Ok(Self { home, endpoints, p2p, cable: Default::default(), rpc, cometbft, process: None })
    }

    /// Where its keys, configuration and data lie.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Where both processes write what they have to say.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.home.with_extension("log")
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// CometBFT's RPC.
    #[must_use]
    pub fn rpc(&self) -> &HttpClient {
        &self.rpc
    }

    /// Its id among its peers.
    pub fn id(&self) -> Result<String> {
        let id = run(&binary("gantryd")?, &["comet", "show-node-id", "--home", text(&self.home)?])?;
        Ok(id.trim().to_owned())
    }

    /// The process; an error while the node is down.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the node was not started")
    }

    /// Starts it, for the first time or after a kill.
    pub fn start(&mut self) -> Result<()> {
        self.start_with(&[])
    }

    /// The same with these words before its command line, such as `env NAME=VALUE` or `prlimit --fsize=1000`.
    pub fn start_with(&mut self, before: &[&str]) -> Result<()> {
        let rpc = self.endpoints.rpc.replace("http://", "tcp://");
        let grpc = self.endpoints.grpc.trim_start_matches("http://");
        let p2p = format!("tcp://{}", self.p2p);
        let mut args = vec!["start", "--home", text(&self.home)?, "--minimum-gas-prices", "0.0025ugantry"];
        args.extend(["--rpc.laddr", &rpc, "--grpc.address", grpc, "--p2p.laddr", &p2p]);
        if let Some(cometbft) = &self.cometbft {
            args.extend(["--cometbft", text(cometbft)?]);
        }
        let gantryd = binary("gantryd")?;
        let program = before.first().map_or(gantryd.as_path(), Path::new);
        if !before.is_empty() {
            args.splice(..0, before[1..].iter().copied().chain([text(&gantryd)?]));
        }
        self.process = Some(Process::spawn("gantryd", program, &args, &self.log())?);
        Ok(())
    }

    /// SIGTERM, and a start once both processes have ended.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.start()
    }

    /// SIGTERM; an error unless it ends well and by itself. One that is down stays so.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            let status = process.stop().await?;
            anyhow::ensure!(status.success(), "after SIGTERM: {status}; the log ends:\n{}", process.tail(15));
        }
        Ok(())
    }

    /// kill -9 of `gantryd`; its CometBFT dies with it. [`Node::start`] starts it again.
    pub fn kill(&mut self) -> Result<()> {
        self.process()?.kill()?;
        self.process = None;
        Ok(())
    }

    /// kill -9 of CometBFT alone: `gantryd` must start it again.
    pub fn kill_cometbft(&mut self) -> Result<()> {
        self.signal_cometbft(Signal::SIGKILL)
    }

    /// SIGSTOP of both processes.
    pub fn pause(&mut self) -> Result<()> {
        self.signal(Signal::SIGSTOP)?;
        self.signal_cometbft(Signal::SIGSTOP)
    }

    /// SIGCONT of both processes.
    pub fn resume(&mut self) -> Result<()> {
        self.signal_cometbft(Signal::SIGCONT)?;
        self.signal(Signal::SIGCONT)
    }

    fn signal(&mut self, what: Signal) -> Result<()> {
        Ok(signal::kill(pid(self.process()?.id())?, what)?)
    }

    fn signal_cometbft(&mut self, what: Signal) -> Result<()> {
        for child in self.process()?.children()? {
            signal::kill(pid(child)?, what)?;
        }
        Ok(())
    }

    /// What connects it with the others; nothing follows from this on a network with direct links.
    pub(crate) fn plug(&self, cable: Cable) {
        self.cable.send_replace(cable);
    }

    /// A connection for queries and transactions.
    pub async fn chain(&self) -> Result<Chain> {
        Ok(Chain::connect(self.endpoints.clone()).await?)
    }

    /// Height and app hash of the application, as it tells CometBFT.
    pub async fn app(&self) -> Result<(u64, Vec<u8>)> {
        let info = self.rpc.abci_info().await?;
        // tendermint-rpc 0.40 leaves this field in the base64 of the JSON.
        Ok((info.last_block_height.value(), STANDARD.decode(info.last_block_app_hash.as_bytes())?))
    }

    /// Last height that the application has committed (CometBFT counts a block before that).
    pub async fn height(&self) -> Result<u64> {
        Ok(self.rpc.abci_info().await?.last_block_height.value())
    }

    /// The app hash after a height, as this node's application answered it.
    pub async fn app_hash(&self, height: u64) -> Result<Vec<u8>> {
        Ok(self.rpc.block_results(u32::try_from(height)?).await?.app_hash.as_bytes().to_vec())
    }

    /// Waits until the application has committed this height; says what the log says when the node has died.
    pub async fn wait_for_height(&mut self, height: u64, limit: Duration) -> Result<u64> {
        let what = format!("block {height} on {}", self.home.display());
        let process = self.process.as_mut().context("the node was not started")?;
        let rpc = &self.rpc;
        let reached = until(&what, limit, async || {
            if let Err(error) = process.check() {
                return Ok(Some(Err(error)));
            }
            let now = rpc.abci_info().await?.last_block_height.value();
            Ok((now >= height).then_some(Ok(now)))
        })
        .await;
        reached.with_context(|| format!("the node does not make blocks; its log ends:\n{}", process.tail(15)))?
    }
}

pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
