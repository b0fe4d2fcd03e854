//! The `gantryd` binary from outside: files, output shapes and exit codes of what needs no running node.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

/// The first test mnemonic of BIP-39 with 24 words; its keys under coin type 118 are in the keyring's golden vectors.
const WORDS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                     abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art";

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn gantryd(&self, args: &[&str], stdin: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gantryd"))
            .args(["--home", self.path().to_str().unwrap()])
            .args(args)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// stdout of a command that succeeds.
    fn ok(&self, args: &[&str]) -> String {
        self.ok_with(args, "")
    }

    fn ok_with(&self, args: &[&str], stdin: &str) -> String {
        let output = self.gantryd(args, stdin);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// stderr of a command that fails as the SDK's do.
    fn fails(&self, args: &[&str], stdin: &str) -> String {
        let output = self.gantryd(args, stdin);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(output.stdout.is_empty(), "stdout is for results");
        String::from_utf8(output.stderr).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(args)).unwrap()
    }

    fn file(&self, name: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.path().join(name)).unwrap()).unwrap()
    }
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The same arguments with the keyring of tests.
fn plain<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [args, &["--keyring-backend", "test"]].concat()
}

fn initialised() -> Home {
    let home = Home::new();
    home.ok(&["init", "alice", "--chain-id", "gantry-test-1"]);
    home
}

#[test]
fn init_writes_what_cometbft_and_tools_read() {
    let home = Home::new();
    let output = home.gantryd(&["--chain-id", "gantry-test-1", "init", "alice"], "");
    assert!(output.status.success() && output.stdout.is_empty());
    let report: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(keys(&report), ["app_message", "chain_id", "gentxs_dir", "moniker", "node_id"]);
    assert_eq!(report["moniker"], "alice");

    let genesis = home.file("config/genesis.json");
    assert_eq!(
        keys(&genesis),
        ["app_hash", "app_state", "chain_id", "consensus_params", "genesis_time", "initial_height", "validators"]
    );
    assert_eq!((&genesis["chain_id"], &genesis["initial_height"]), (&json!("gantry-test-1"), &json!("1")));
    assert_eq!(keys(&genesis["consensus_params"]), ["abci", "block", "evidence", "validator", "version"]);
    assert_eq!(genesis["app_state"], report["app_message"]);

    let key = home.file("config/priv_validator_key.json");
    assert_eq!(keys(&key), ["address", "priv_key", "pub_key"]);
    assert_eq!(key["pub_key"]["type"], "tendermint/PubKeyEd25519");
    assert_eq!(
        genesis["validators"],
        json!([{"address": key["address"], "pub_key": key["pub_key"], "power": "10", "name": "alice"}])
    );
    assert_eq!(home.file("data/priv_validator_state.json"), json!({"height": "0", "round": 0, "step": 0}));
    assert_eq!(home.file("config/node_key.json")["priv_key"]["type"], "tendermint/PrivKeyEd25519");

    assert_eq!(home.ok(&["comet", "show-node-id"]).trim(), report["node_id"]);
    assert_eq!(home.ok(&["tendermint", "show-node-id"]).trim(), report["node_id"]);
    let shown = home.json(&["comet", "show-validator"]);
    assert_eq!(shown, json!({"@type": "/cosmos.crypto.ed25519.PubKey", "key": key["pub_key"]["value"]}));
    assert!(home.ok(&["comet", "show-address"]).starts_with("gantryvalcons1"));
    let client = fs::read_to_string(home.path().join("config/client.toml")).unwrap();
    assert!(client.contains("chain-id = \"gantry-test-1\""), "{client}");
    for file in ["config/priv_validator_key.json", "config/node_key.json"] {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(home.path().join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[test]
fn init_replaces_a_genesis_only_when_told_and_keys_never() {
    let home = initialised();
    let (genesis, key) = (home.file("config/genesis.json"), home.file("config/priv_validator_key.json"));
    let error = home.fails(&["init", "bob", "--chain-id", "other-1"], "");
    assert!(error.starts_with("Error: genesis.json file already exists"), "{error}");
    assert_eq!(home.file("config/genesis.json"), genesis);
    home.ok(&["init", "bob", "--chain-id", "other-1", "--overwrite", "--denom", "uother"]);
    let replaced = fs::read_to_string(home.path().join("config/genesis.json")).unwrap();
    assert!(replaced.contains("other-1") && !replaced.contains("\"ugantry\""));
    assert_eq!(home.file("config/priv_validator_key.json"), key);
    assert!(home.fails(&["init", "bob", "--overwrite", "--denom", "1"], "").contains("invalid denom"));
}

#[test]
fn keys_print_as_the_sdks() {
    let home = Home::new();
    let added = home.json(&plain(&["keys", "add", "alice", "--output", "json"]));
    assert_eq!(keys(&added), ["address", "mnemonic", "name", "pubkey", "type"]);
    assert_eq!(added["mnemonic"].as_str().unwrap().split(' ').count(), 24);
    assert_eq!(added["type"], "local");

    let text = home.gantryd(&plain(&["keys", "add", "bob", "--recover"]), &format!("{WORDS}\n"));
    assert!(text.status.success(), "{}", String::from_utf8_lossy(&text.stderr));
    assert!(text.stderr.is_empty(), "known words are not printed");
    let text = String::from_utf8(text.stdout).unwrap();
    let shapes: Vec<_> = text.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(shapes, ["- address", "  name", "  pubkey", "  type"]);

    let list = home.json(&plain(&["keys", "list", "--output", "json"]));
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(keys(&list[0]), ["address", "name", "pubkey", "type"]);
    let address = home.ok(&plain(&["keys", "show", "bob", "-a"]));
    assert!(text.contains(address.trim()));
    assert_eq!(list[1]["address"], address.trim());
    assert!(home.ok(&plain(&["keys", "show", "bob", "-a", "--bech", "val"])).starts_with("gantryvaloper1"));
    let pubkey: Value = serde_json::from_str(&home.ok(&plain(&["keys", "show", address.trim(), "-p"]))).unwrap();
    assert_eq!(pubkey["@type"], "/cosmos.crypto.secp256k1.PubKey");

    let error = home.fails(&plain(&["keys", "show", "carol"]), "");
    assert_eq!(error, "Error: carol is not a valid name or address: carol.info: key not found\n");
    assert!(home.fails(&plain(&["keys", "add", "bob"]), "").contains("already exists"));
    assert!(home.fails(&plain(&["keys", "add", "dave", "--recover"]), "abandon\n").contains("invalid mnemonic"));
    assert!(home.fails(&["keys", "list", "--keyring-backend", "os"], "").contains("unknown keyring backend"));

    home.ok_with(&plain(&["keys", "delete", "alice"]), "n\n");
    assert_eq!(home.ok(&plain(&["keys", "list", "--list-names"])), "alice\nbob\n");
    home.ok_with(&plain(&["keys", "delete", "alice"]), "y\n");
    assert_eq!(home.ok(&plain(&["keys", "list", "--list-names"])), "bob\n");
    assert_eq!(home.ok(&["keys", "mnemonic"]).split_whitespace().count(), 24);
}

#[test]
fn a_path_other_than_the_first_is_another_key() {
    let home = Home::new();
    let add = |name: &str, flags: &[&str]| {
        let args =
            [&["keys", "add", name, "--recover", "--output", "json", "--keyring-backend", "test"], flags].concat();
        let key: Value = serde_json::from_str(&home.ok_with(&args, &format!("{WORDS}\n"))).unwrap();
        key["address"].as_str().unwrap().to_owned()
    };
    let first = add("first", &[]);
    let others =
        [add("index", &["--index", "1"]), add("account", &["--account", "1"]), add("coin", &["--coin-type", "60"])];
    for (i, other) in others.iter().enumerate() {
        assert!(*other != first && !others[..i].contains(other));
    }
}

#[test]
fn sealed_keys_take_their_passphrase_from_stdin_and_move_in_armor() {
    let home = Home::new();
    let secret = "correct horse\n";
    assert!(home.fails(&["keys", "add", "alice"], "correct horse\nother horse\n").contains("don't match"));
    assert!(home.fails(&["keys", "add", "alice"], "short\nshort\n").contains("at least 8 characters"));
    assert!(home.fails(&["keys", "add", "alice"], "").contains("no answer"));
    home.ok_with(&["keys", "add", "alice"], &secret.repeat(2));
    let address = home.ok(&["keys", "show", "alice", "-a"]);

    let armor = home.ok_with(&["keys", "export", "alice"], &format!("armor words\n{secret}"));
    assert!(armor.starts_with("-----BEGIN TENDERMINT PRIVATE KEY-----"), "{armor}");
    assert!(home.fails(&["keys", "export", "alice"], "armor words\nwrong words\n").contains("wrong passphrase"));
    let hex = home.ok_with(&["keys", "export", "alice", "--unarmored-hex", "--unsafe", "--yes"], secret);
    assert_eq!(hex.trim().len(), 64);
    home.fails(&["keys", "export", "alice", "--unarmored-hex"], secret);

    let other = Home::new();
    let file = home.path().join("alice.armor");
    fs::write(&file, armor).unwrap();
    let import = ["keys", "import", "moved", file.to_str().unwrap(), "--keyring-backend", "test"];
    other.fails(&import, "wrong words\n");
    other.ok_with(&import, "armor words\n");
    assert_eq!(other.ok(&["keys", "show", "moved", "-a", "--keyring-backend", "test"]), address);
    let third = Home::new();
    third.ok(&["keys", "import-hex", "moved", hex.trim(), "--keyring-backend", "test"]);
    assert_eq!(third.ok(&["keys", "show", "moved", "-a", "--keyring-backend", "test"]), address);
}

#[test]
fn genesis_accounts_keep_the_sdks_shape_and_the_file_valid() {
    let home = initialised();
    let key = home.json(&plain(&["keys", "add", "alice", "--output", "json"]));
    home.ok(&plain(&["genesis", "add-genesis-account", "alice", "100ugantry,5atom"]));
    let other = "gantry1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnl0mfgx";
    let error = home.fails(&["add-genesis-account", other, "7ugantry"], "");
    assert!(error.contains("decoding bech32 failed") || error.contains("key not found"), "{error}");
    home.ok(&plain(&["keys", "add", "bob"]));
    let bob = home.ok(&plain(&["keys", "show", "bob", "-a"]));
    home.ok(&["add-genesis-account", bob.trim(), "7ugantry"]);

    let state = home.file("config/genesis.json")["app_state"].clone();
    assert_eq!(
        state["auth"]["accounts"][0],
        json!({
            "@type": "/cosmos.auth.v1beta1.BaseAccount", "address": key["address"], "pub_key": null,
            "account_number": "0", "sequence": "0",
        })
    );
    assert_eq!(state["auth"]["accounts"].as_array().unwrap().len(), 2);
    assert_eq!(
        state["bank"]["supply"],
        json!([{"denom": "atom", "amount": "5"}, {"denom": "ugantry", "amount": "107"}])
    );
    assert!(home.ok(&["genesis", "validate"]).ends_with("is a valid genesis file\n"));

    let before = home.file("config/genesis.json");
    let again = plain(&["genesis", "add-genesis-account", "alice", "1ugantry"]);
    assert!(home.fails(&again, "").contains("already exists"));
    assert!(home.fails(&["genesis", "add-genesis-account", bob.trim(), "1.5ugantry", "--append"], "").contains("coin"));
    assert_eq!(home.file("config/genesis.json"), before, "a refused edit changes nothing");
    home.ok(&["genesis", "add-genesis-account", bob.trim(), "1ugantry", "--append"]);
    assert_eq!(home.file("config/genesis.json")["app_state"]["bank"]["supply"][1]["amount"], "108");
}

#[test]
fn files_and_addresses_are_those_that_the_go_sdk_writes() {
    let golden: Value = serde_json::from_str(include_str!("../golden/shapes.json")).unwrap();
    let home = initialised();
    fs::write(home.path().join("config/priv_validator_key.json"), golden["priv_validator_key"].to_string()).unwrap();
    fs::write(home.path().join("config/node_key.json"), golden["node_key"].to_string()).unwrap();
    assert_eq!(home.ok(&["comet", "show-node-id"]).trim(), golden["node_id"]);
    assert_eq!(home.ok(&["comet", "show-address"]).trim(), golden["show_address"]);
    assert_eq!(home.json(&["comet", "show-validator"]), golden["show_validator"]);

    for (i, account) in golden["genesis_accounts"].as_array().unwrap().iter().enumerate() {
        let (name, text) = (format!("key{i}"), |field: &str| account[field].as_str().unwrap());
        let mut add = vec!["genesis", "add-genesis-account", text("address"), text("coins")];
        if account["append"] == true {
            add.push("--append");
        } else {
            home.ok(&plain(&["keys", "import-hex", &name, text("private_key")]));
            assert_eq!(home.ok(&plain(&["keys", "show", &name, "-a"])).trim(), text("address"));
            add[2] = &name;
        }
        home.ok(&plain(&add));
    }
    let state = &home.file("config/genesis.json")["app_state"];
    assert_eq!(state["auth"], golden["app_state"]["auth"]);
    for part in ["balances", "supply", "params"] {
        assert_eq!(state["bank"][part], golden["app_state"]["bank"][part], "{part}");
    }
}

#[test]
fn a_broken_genesis_is_named() {
    let home = initialised();
    let path = home.path().join("config/genesis.json");
    let good = home.file("config/genesis.json");
    let mut without_auth = good.clone();
    without_auth["app_state"].as_object_mut().unwrap().remove("auth");
    let mut without_name = good;
    without_name["chain_id"] = json!("");
    for bad in [without_auth.to_string(), without_name.to_string(), "{".into(), "[]".into()] {
        fs::write(&path, bad).unwrap();
        let error = home.fails(&["genesis", "validate"], "");
        assert!(error.starts_with("Error: error validating genesis file "), "{error}");
    }
}

#[test]
fn transactions_are_made_and_signed_without_a_node() {
    let home = initialised();
    home.ok(&plain(&["keys", "add", "alice"]));
    home.ok(&plain(&["keys", "add", "bob"]));
    let bob = home.ok(&plain(&["keys", "show", "bob", "-a"])).trim().to_owned();
    let send =
        plain(&["tx", "bank", "send", "alice", &bob, "5ugantry", "--gas-prices", "0.01ugantry", "--generate-only"]);
    let unsigned = home.ok(&send);
    let json: Value = serde_json::from_str(&unsigned).unwrap();
    assert_eq!(keys(&json), ["auth_info", "body", "signatures"]);
    assert_eq!(json["body"]["messages"][0]["@type"], "/cosmos.bank.v1beta1.MsgSend");
    assert_eq!(
        json["auth_info"]["fee"],
        json!({"amount": [{"denom": "ugantry", "amount": "2000"}], "gas_limit": "200000", "payer": "", "granter": ""})
    );
    assert_eq!(json["signatures"], json!([]));

    let file = home.path().join("tx.json");
    fs::write(&file, &unsigned).unwrap();
    let sign = plain(&["tx", "sign", file.to_str().unwrap(), "--from", "alice", "-a", "7", "-s", "0"]);
    let signed = home.json(&sign);
    assert_eq!(signed["body"], json["body"]);
    assert_eq!(signed["auth_info"]["fee"], json["auth_info"]["fee"]);
    assert_eq!(signed["auth_info"]["signer_infos"][0]["mode_info"]["single"]["mode"], "SIGN_MODE_DIRECT");
    assert_eq!(signed["signatures"].as_array().unwrap().len(), 1);
    assert_eq!(home.json(&sign), signed, "equal input, equal signature");

    let beat = plain(&["tx", "provider", "heartbeat", "--from", "alice", "--offline", "-a", "7", "-s", "0", "-y"]);
    let beat = home.json(&beat);
    assert_eq!(beat["body"]["messages"][0]["@type"], "/gantry.provider.v1.MsgHeartbeat");
    assert_eq!(beat["body"]["messages"][0]["operator"], json["body"]["messages"][0]["from_address"]);

    let error = home.fails(&["tx", "provider", "heartbeat", "--generate-only"], "");
    assert_eq!(error, "Error: required flag(s) \"from\" not set\n");
    let fees = ["tx", "bank", "send", &bob, &bob, "5ugantry", "--fees", "1ugantry", "--gas-prices", "1ugantry"];
    home.fails(&fees, "");
    assert!(home.fails(&["tx", "bank", "send", &bob, "nobody", "5ugantry"], "").contains("nobody"));
    assert!(home.fails(&["tx", "job", "cancel-job", "x", "--from", &bob, "--generate-only"], "").contains("job-id"));
}

#[test]
fn a_node_that_does_not_answer_is_an_error_of_one_line() {
    let home = initialised();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let node = format!("tcp://127.0.0.1:{port}");
    for args in [&["status"][..], &["query", "bank", "total-supply"], &["q", "job", "job", "3"]] {
        let error = home.fails(&[args, &["--node", &node]].concat(), "");
        assert!(error.starts_with("Error: post failed") && error.contains("onnection refused"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    assert!(home.fails(&["query", "tx", "xyz", "--node", &node], "").contains("no transaction hash"));
}

#[test]
fn reset_keeps_keys_and_genesis() {
    let home = initialised();
    let (genesis, key) = (home.file("config/genesis.json"), home.file("config/priv_validator_key.json"));
    fs::create_dir(home.path().join("data/application.db")).unwrap();
    fs::write(home.path().join("data/application.db/x"), "x").unwrap();
    fs::write(home.path().join("data/priv_validator_state.json"), r#"{"height":"5","round":0,"step":3}"#).unwrap();
    home.ok(&["comet", "unsafe-reset-all"]);
    assert!(!home.path().join("data/application.db").exists());
    assert_eq!(home.file("data/priv_validator_state.json"), json!({"height": "0", "round": 0, "step": 0}));
    assert_eq!((home.file("config/genesis.json"), home.file("config/priv_validator_key.json")), (genesis, key));
}

#[test]
fn usage_errors_end_with_1_and_help_with_0() {
    let home = Home::new();
    home.fails(&["keys", "dance"], "");
    home.fails(&["tx", "bank", "send"], "");
    home.fails(&["query", "bank", "balances", "a", "--output", "xml"], "");
    for help in [
        &["--help"][..],
        &["tx", "--help"],
        &["query", "bank", "balances", "--help"],
        &["tx", "job", "submit-jobs", "--help"],
    ] {
        assert!(!home.ok(help).is_empty());
    }
    assert_eq!(home.ok(&["version"]).trim(), env!("CARGO_PKG_VERSION"));
    let long = home.json(&["version", "--long", "--output", "json"]);
    assert_eq!((&long["name"], &long["server_name"]), (&json!("gantry"), &json!("gantryd")));
}
