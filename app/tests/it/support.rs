//! A node in a temporary home, and what a test asks of it.

use std::{
    env,
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const CHAIN_ID: &str = "gantry-it-1";

/// The CometBFT binary, or `None` after saying loudly that a test is skipped.
pub(crate) fn cometbft(test: &str) -> Option<PathBuf> {
    let given = env::var_os("GANTRY_COMETBFT").map(PathBuf::from);
    let in_path =
        env::var_os("PATH").and_then(|path| env::split_paths(&path).map(|p| p.join("cometbft")).find(|p| p.is_file()));
    let found = given.or(in_path);
    if found.is_none() {
        assert!(env::var_os("GANTRY_REQUIRE_COMETBFT").is_none(), "{test}: no cometbft, and it is required");
        eprintln!("\n*** SKIPPED: {test}: no cometbft in GANTRY_COMETBFT or PATH ***\n");
    }
    found
}

/// Waits for a condition.
#[expect(clippy::disallowed_methods, reason = "other processes can only be asked again")]
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited a minute for {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A home with its ports; the node in it is started and killed at will.
pub(crate) struct Node {
    home: TempDir,
    cometbft: PathBuf,
    rpc: u16,
    p2p: u16,
    grpc: u16,
    running: Option<Child>,
}

impl Node {
    /// `init`, and two accounts with coins: alice and bob.
    pub(crate) fn new(cometbft: PathBuf) -> Self {
        let [rpc, p2p, grpc] = free_ports();
        let node = Self { home: tempfile::tempdir().unwrap(), cometbft, rpc, p2p, grpc, running: None };
        node.run(&["init", "node"]);
        for name in ["alice", "bob"] {
            node.run(&["keys", "add", name]);
            node.run(&["genesis", "add-genesis-account", name, "1000000000ugantry"]);
        }
        node
    }

    /// A full node that follows this one: its genesis, no validator of it.
    pub(crate) fn follower(&self) -> Self {
        let [rpc, p2p, grpc] = free_ports();
        let node =
            Self { home: tempfile::tempdir().unwrap(), cometbft: self.cometbft.clone(), rpc, p2p, grpc, running: None };
        node.run(&["init", "follower"]);
        fs::copy(self.home.path().join("config/genesis.json"), node.home.path().join("config/genesis.json")).unwrap();
        let id = self.run(&["comet", "show-node-id"]);
        let path = node.home.path().join("config/config.toml");
        let peer = format!("persistent_peers = \"{}@127.0.0.1:{}\"", id.trim(), self.p2p);
        let config = fs::read_to_string(&path).unwrap().replace("persistent_peers = \"\"", &peer);
        let config = config.replace("addr_book_strict = true", "addr_book_strict = false");
        fs::write(path, config).unwrap();
        node
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gantryd"));
        command.args(["--home", self.home.path().to_str().unwrap(), "--chain-id", CHAIN_ID]);
        command.args(["--keyring-backend", "test", "--node", &format!("tcp://127.0.0.1:{}", self.rpc)]);
        command.args(arguments);
        command
    }

    /// Runs a command to its end; what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.extend(["--output", "json"]);
        serde_json::from_str(&self.run(&all)).unwrap()
    }

    pub(crate) fn start(&mut self, more: &[&str]) {
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let mut command = self.command(&["start", "--log_level", "info"]);
        command.args(["--rpc.laddr", &format!("tcp://127.0.0.1:{}", self.rpc)]);
        command.args(["--p2p.laddr", &format!("tcp://127.0.0.1:{}", self.p2p)]);
        command.args(["--grpc.address", &format!("127.0.0.1:{}", self.grpc)]);
        command.arg("--cometbft").arg(&self.cometbft).args(more);
        command.stdout(Stdio::null()).stderr(log);
        self.running = Some(command.spawn().unwrap());
    }

    /// CometBFT as an operator runs it beside `--abci-only`.
    pub(crate) fn cometbft_by_hand(&self, proxy_app: &str) -> Child {
        let mut command = Command::new(&self.cometbft);
        command.args(["start", "--home", self.home.path().to_str().unwrap(), "--proxy_app", proxy_app]);
        command.args(["--rpc.laddr", &format!("tcp://127.0.0.1:{}", self.rpc)]);
        command.args(["--p2p.laddr", &format!("tcp://127.0.0.1:{}", self.p2p)]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("log")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.running.as_ref().unwrap().id();
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
    }

    /// Waits for the node's own end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut child = self.running.take().unwrap();
        wait_for("the node's end", || child.try_wait().unwrap())
    }

    /// Processes of CometBFT in this home.
    pub(crate) fn comets(&self) -> Vec<Pid> {
        let home = self.home.path().to_str().unwrap();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let words: Vec<_> = command.split(|b| *b == 0).map(String::from_utf8_lossy).collect();
            // The program may carry its version in its name.
            let is_comet = words[0].rsplit('/').next().is_some_and(|name| name.starts_with("cometbft"));
            if is_comet && words.iter().any(|w| w == "start") && words.iter().any(|w| w.contains(home)) {
                found.push(Pid::from_raw(pid));
            }
        }
        found
    }

    /// The last height, if the node answers.
    pub(crate) fn height(&self) -> Option<u64> {
        let output = self.command(&["status"]).output().unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        status["sync_info"]["latest_block_height"].as_str()?.parse().ok()
    }

    pub(crate) fn wait_for_height(&self, height: u64) -> u64 {
        wait_for(&format!("height {height}; log:\n{}", self.log()), || self.height().filter(|now| *now >= height))
    }

    pub(crate) fn address(&self, name: &str) -> String {
        self.run(&["keys", "show", name, "--address"]).trim().to_owned()
    }

    pub(crate) fn balance(&self, address: &str) -> u128 {
        let answer = self.json(&["query", "bank", "balance", address, "ugantry"]);
        answer["balance"]["amount"].as_str().unwrap().parse().unwrap()
    }

    /// Sends, waits until it is in a block, gives the transaction.
    pub(crate) fn send(&self, from: &str, to: &str, amount: &str) -> Value {
        let sent =
            self.json(&["tx", "bank", "send", from, to, amount, "--fees", "500ugantry", "--gas", "200000", "-y"]);
        assert_eq!(sent["code"], 0, "{sent}");
        let hash = sent["txhash"].as_str().unwrap().to_owned();
        wait_for("the transaction", || {
            let output = self.command(&["query", "tx", &hash, "--output", "json"]).output().unwrap();
            serde_json::from_slice(&output.stdout).ok()
        })
    }

    /// The app hash that block `height` carries.
    pub(crate) fn app_hash_in(&self, height: u64) -> Value {
        self.rpc(&format!("commit?height={height}"))["result"]["signed_header"]["header"]["app_hash"].clone()
    }

    /// A GET of CometBFT's RPC.
    pub(crate) fn rpc(&self, path: &str) -> Value {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.rpc)).unwrap();
        write!(stream, "GET /{path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    pub(crate) fn grpc_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            if thread::panicking() {
                eprintln!("log of the node:\n{}", self.log());
            }
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
