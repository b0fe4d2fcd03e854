//! `gantryd query`, `tx` and `status` against a running node, as someone who knows the SDK's command line uses them.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use gantry_localnet::binary;
use gantry_tests::TestNet;
use serde_json::Value;

/// The coins of the renter at genesis.
const COINS: u128 = 1_000_000_000;
const FEE: u128 = 500;
const FEES: [&str; 3] = ["--fees", "500ugantry", "-y"];

struct Cli {
    test: TestNet,
    renter: String,
    /// A key without an account.
    friend: String,
}

impl Cli {
    async fn start() -> Result<Self> {
        let test = TestNet::start(0).await?;
        let mut cli = Self { test, renter: String::new(), friend: String::new() };
        cli.ok(&["keys", "add", "friend"])?;
        cli.renter = cli.ok(&["keys", "show", "renter", "-a"])?.trim().to_owned();
        cli.friend = cli.ok(&["keys", "show", "friend", "-a"])?.trim().to_owned();
        Ok(cli)
    }

    fn run(&self, words: &[&str]) -> Result<Output> {
        let net = &self.test.net;
        let mut command = Command::new(binary("gantryd")?);
        command.arg("--home").arg(net.home()).args(["--node", &net.endpoints().rpc.replace("http://", "tcp://")]);
        Ok(command.args(["--keyring-backend", "test"]).args(words).output()?)
    }

    /// Standard output of a command that succeeds.
    fn ok(&self, words: &[&str]) -> Result<String> {
        let output = self.run(words)?;
        ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    fn json(&self, words: &[&str]) -> Result<Value> {
        let text = self.ok(&[words, &["--output", "json"]].concat())?;
        serde_json::from_str(&text).with_context(|| text.clone())
    }

    /// A command fails with these words, and prints no result.
    fn fails(&self, words: &[&str], because: &str) -> Result<()> {
        let output = self.run(words)?;
        let errors = String::from_utf8(output.stderr)?;
        ensure!(!output.status.success(), "{words:?} succeeds");
        ensure!(output.stdout.is_empty(), "{words:?} prints a result");
        ensure!(errors.contains(because), "{words:?}: expected {because:?}, got {errors}");
        Ok(())
    }

    /// Sends a transaction that the node's check accepts; its result in a block.
    fn commit(&self, words: &[&str]) -> Result<Value> {
        let sent = self.json(&[&["tx"], words].concat())?;
        ensure!(sent["code"] == 0, "{words:?}: {sent}");
        self.json(&["query", "wait-tx", text(&sent["txhash"])?, "--timeout", "30"])
    }

    fn balance(&self, address: &str) -> Result<u128> {
        let answer = self.json(&["query", "bank", "balance", address, "ugantry"])?;
        Ok(text(&answer["balance"]["amount"])?.parse()?)
    }
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("{value} is no text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_moves_coins_and_pays_its_fee_and_every_view_of_it_agrees() -> Result<()> {
    let cli = Cli::start().await?;
    let (renter, friend) = (cli.renter.as_str(), cli.friend.as_str());

    let send = ["bank", "send", "renter", friend, "1234ugantry", "--note", "rent"];
    let done = cli.commit(&[&send[..], &FEES].concat())?;
    ensure!(done["code"] == 0 && done["raw_log"] == "" && done["codespace"] == "", "{done}");
    ensure!(cli.balance(renter)? == COINS - 1234 - FEE, "the renter has {}", cli.balance(renter)?);
    ensure!(cli.balance(friend)? == 1234, "the friend has {}", cli.balance(friend)?);

    // Views of it: the transaction, its block, heights before and after.
    let (hash, height) = (text(&done["txhash"])?, text(&done["height"])?);
    let body = &done["tx"]["body"];
    ensure!(body["memo"] == "rent" && body["messages"][0]["@type"] == "/cosmos.bank.v1beta1.MsgSend", "{done}");
    ensure!(body["messages"][0]["amount"][0]["amount"] == "1234", "{done}");
    let kinds: Vec<_> = done["events"].as_array().context("events")?.iter().map(|e| &e["type"]).collect();
    for kind in ["tx", "coin_spent", "coin_received", "transfer", "message"] {
        ensure!(kinds.iter().any(|k| *k == kind), "no event {kind}: {kinds:?}");
    }
    let shown = cli.ok(&["query", "tx", hash])?;
    ensure!(shown.contains("\ncode: 0\n") || shown.starts_with("code: 0\n"), "{shown}");
    ensure!(shown.contains(&format!("txhash: {hash}")), "{shown}");
    let results = cli.json(&["query", "block-results", height])?;
    ensure!(results["txs_results"].as_array().is_some_and(|txs| txs.len() == 1), "{results}");
    let earlier = (height.parse::<u64>()? - 1).to_string();
    let before = cli.json(&["query", "bank", "balances", renter, "--height", &earlier])?;
    ensure!(before["balances"][0]["amount"] == COINS.to_string(), "{before}");

    // Text is YAML of the same.
    let balances = cli.ok(&["query", "bank", "balances", friend, "--output", "text"])?;
    ensure!(balances.starts_with("balances:\n- amount: '1234'\n  denom: ugantry\n"), "{balances}");

    // Gas found by simulation, and the fee by its price, rounded up.
    let auto = ["bank", "send", "renter", friend, "1ugantry", "--gas", "auto", "--gas-prices", "0.0031ugantry", "-y"];
    let done = cli.commit(&auto)?;
    let wanted: u128 = text(&done["gas_wanted"])?.parse()?;
    let used: u128 = text(&done["gas_used"])?.parse()?;
    ensure!(done["code"] == 0 && used <= wanted && wanted <= used * 2, "{used} of {wanted} gas used");
    let fee = (wanted * 31).div_ceil(10_000);
    ensure!(done["tx"]["auth_info"]["fee"]["amount"][0]["amount"] == fee.to_string(), "{done}");
    ensure!(cli.balance(renter)? == COINS - 1235 - FEE - fee, "fee {fee}");

    // Made, signed and sent by three commands.
    let made =
        cli.ok(&["tx", "bank", "send", "renter", friend, "5ugantry", "--fees", "500ugantry", "--generate-only"])?;
    let file = cli.test.dir().join("tx.json");
    let path = file.to_str().context("path is not UTF-8")?;
    std::fs::write(&file, made)?;
    let signed = cli.ok(&["tx", "sign", path, "--from", "renter"])?;
    std::fs::write(&file, signed)?;
    let done = cli.commit(&["broadcast", path])?;
    ensure!(done["code"] == 0 && cli.balance(friend)? == 1240, "{done}");

    let status = cli.json(&["status"])?;
    ensure!(status["node_info"]["network"] == "gantry-local-1", "{status}");
    let latest: u64 = text(&status["sync_info"]["latest_block_height"])?.parse()?;
    ensure!(latest >= height.parse()?, "{status}");
    ensure!(cli.ok(&["status", "--output", "text"])?.contains("network: gantry-local-1\n"), "status as text");
    cli.test.net.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_our_modules_need_no_commands_of_their_own() -> Result<()> {
    let cli = Cli::start().await?;
    let register = ["provider", "register-provider", "--moniker", "fast-gpus", "--bond", "100000000ugantry"];
    let from = ["--endpoints", "http://127.0.0.1:7000", "--from", "renter"];
    let done = cli.commit(&[&register[..], &from, &FEES].concat())?;
    ensure!(done["code"] == 0, "{done}");
    ensure!(cli.balance(&cli.renter)? == COINS - 100_000_000 - FEE, "the bond was not taken");

    let listed = cli.json(&["query", "provider", "providers"])?;
    let provider = &listed["providers"][0];
    ensure!(provider["moniker"] == "fast-gpus" && provider["owner"] == cli.renter, "{listed}");
    ensure!(provider["endpoints"][0] == "http://127.0.0.1:7000", "{listed}");
    let id = text(&provider["id"])?;
    let one = cli.json(&["query", "provider", "provider", id])?;
    ensure!(one["provider"] == *provider, "{one}");
    let shown = cli.ok(&["query", "provider", "provider", id])?;
    ensure!(shown.contains("moniker: fast-gpus\n"), "{shown}");

    // A second registration is refused in the block, by the module's own code.
    let again = cli.commit(&[&register[..], &from, &FEES].concat())?;
    ensure!(again["codespace"] == "provider" && again["code"] != 0, "{again}");
    cli.fails(&["query", "provider", "provider", "99"], "not found")?;
    cli.fails(&["tx", "provider", "register-provider", "--bond", "much", "--from", "renter", "-y"], "bond")?;
    cli.test.net.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_read_like_the_sdks() -> Result<()> {
    let cli = Cli::start().await?;
    let (renter, friend) = (cli.renter.as_str(), cli.friend.as_str());

    // Too much: simulation says it, or the block, which keeps the fee.
    let send = ["bank", "send", "renter", friend, "5000000000ugantry"];
    cli.fails(
        &[&["tx"], &send[..], &["--gas", "auto", "-y"]].concat(),
        "failed to execute message; message index: 0: spendable balance 1000000000ugantry is smaller than \
         5000000000ugantry: insufficient funds",
    )?;
    let done = cli.commit(&[&send[..], &FEES].concat())?;
    ensure!(done["code"] == 5 && done["codespace"] == "sdk", "{done}");
    let words = "failed to execute message; message index: 0: spendable balance 999999500ugantry is smaller than \
                 5000000000ugantry: insufficient funds";
    ensure!(done["raw_log"] == words, "{done}");
    ensure!(cli.balance(renter)? == COINS - FEE && cli.balance(friend)? == 0, "more than the fee was kept");

    // Accounts.
    let from_friend = [&["tx", "bank", "send", "friend", renter, "1ugantry"], &FEES[..]].concat();
    cli.fails(&from_friend, &format!("account {friend} not found"))?;
    cli.fails(&["query", "auth", "account", friend], &format!("account {friend} not found"))?;
    cli.fails(&["query", "bank", "balances", "nonsense"], "decoding bech32 failed")?;
    cli.fails(&["tx", "bank", "send", "renter", "nonsense", "1ugantry", "-y"], "decoding bech32 failed")?;
    cli.fails(&["tx", "bank", "send", "nobody", friend, "1ugantry", "-y"], "nobody")?;

    // What the node's check refuses is a response with a code, and no error.
    let send = ["tx", "bank", "send", "renter", friend, "1ugantry"];
    for (what, more, code, words) in [
        (
            "sequence",
            vec!["--sequence", "7", "--fees", "500ugantry"],
            32,
            "account sequence mismatch, expected 1, got 7: incorrect account sequence".to_owned(),
        ),
        (
            "fee",
            vec!["--fees", "499ugantry"],
            13,
            "insufficient fees; got: 499ugantry required: 500ugantry: insufficient fee".to_owned(),
        ),
        (
            "chain",
            vec!["--chain-id", "gantry-other-1", "--fees", "500ugantry"],
            4,
            "and chain-id (gantry-local-1): (unable to verify single signer signature): unauthorized".to_owned(),
        ),
        (
            "time",
            vec!["--timeout-height", "1", "--fees", "500ugantry"],
            30,
            "timeout height: 1: tx timeout height".to_owned(),
        ),
    ] {
        let refused = cli.json(&[&send[..], &more, &["-y"]].concat())?;
        let log = text(&refused["raw_log"])?;
        ensure!(refused["code"] == code && refused["codespace"] == "sdk", "{what}: {refused}");
        ensure!(log.ends_with(&words), "{what}: {log}");
    }

    // Queries and the node.
    let absent = "AB".repeat(32);
    cli.fails(&["query", "tx", &absent], "not found")?;
    let height = ["query", "bank", "balances", renter, "--height", "1000000"];
    cli.fails(&height, "cannot query with height in the future; please provide a valid height")?;
    cli.fails(&["query", "bank", "params", "--node", "tcp://127.0.0.1:1"], "post failed: Post")?;
    cli.fails(&["query", "bank", "parms"], "unrecognized subcommand 'parms'")?;
    cli.test.net.stop().await
}
