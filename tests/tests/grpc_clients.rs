//! The gRPC front end, seen by grpcurl: a client in Go that knows nothing of this chain but what reflection tells it.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::{Command, Output},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use gantry_core::Address;
use gantry_tests::{
    TestNet,
    tx::{Account, Rpc, paid, send},
};
use prost_reflect::{DescriptorPool, MessageDescriptor};
use serde_json::{Value, json};

/// What a node serves, by name; a service that comes or goes changes this list.
const SERVICES: &[&str] = &[
    "cosmos.auth.v1beta1.Query",
    "cosmos.bank.v1beta1.Query",
    "cosmos.base.node.v1beta1.Service",
    "cosmos.base.tendermint.v1beta1.Service",
    "cosmos.tx.v1beta1.Service",
    "gantry.escrow.v1.Query",
    "gantry.job.v1.Query",
    "gantry.matching.v1.Query",
    "gantry.provider.v1.Query",
    "gantry.reputation.v1.Query",
    "gantry.verifier.v1.Query",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// gRPC codes that may answer a request that asks for nothing: OK, Unknown (as which gRPC sends the SDK's plain errors),
/// InvalidArgument, NotFound.
const ANSWERS: &[i32] = &[0, 2, 3, 5];
/// What a listed service describes and this chain has not: Amino's binary form.
const ABSENT: &[&str] = &["cosmos.tx.v1beta1.Service/TxEncodeAmino", "cosmos.tx.v1beta1.Service/TxDecodeAmino"];
const UNIMPLEMENTED: i32 = 12;
/// grpcurl adds this to the gRPC code.
const CODE_OFFSET: i32 = 64;

struct Grpcurl {
    program: PathBuf,
    address: String,
}

impl Grpcurl {
    /// `None`, said loudly, where it is not at hand.
    fn new(test: &TestNet) -> Option<Self> {
        let Some(program) = std::env::var_os("GANTRY_GRPCURL") else {
            eprintln!("SKIPPED: GANTRY_GRPCURL does not name a grpcurl; ./dev test builds one");
            return None;
        };
        let address = test.net.endpoints().grpc.trim_start_matches("http://").to_owned();
        Some(Self { program: program.into(), address })
    }

    fn run(&self, options: &[&str], words: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.program);
        command.args(["-plaintext", "-connect-timeout", "10", "-max-time", "20"]).args(options);
        Ok(command.arg(&self.address).args(words).output()?)
    }

    /// Standard output of a run that must succeed.
    fn text(&self, options: &[&str], words: &[&str]) -> Result<String> {
        let output = self.run(options, words)?;
        ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    fn call(&self, options: &[&str], method: &str, request: &Value) -> Result<Value> {
        let request = request.to_string();
        let text = self.text(&[options, &["-d", &request]].concat(), &[method])?;
        serde_json::from_str(&text).with_context(|| text.clone())
    }

    /// Code and message of a call that must fail.
    fn error(&self, options: &[&str], method: &str, request: &Value) -> Result<(i32, String)> {
        let request = request.to_string();
        let output = self.run(&[options, &["-d", &request]].concat(), &[method])?;
        ensure!(!output.status.success(), "{method} {request} was answered");
        let text = String::from_utf8(output.stderr)?;
        let message = text.split_once("Message: ").with_context(|| text.clone())?.1.trim().to_owned();
        Ok((output.status.code().context("killed")? - CODE_OFFSET, message))
    }
}

/// Runs `work` on every item, a few at a time, since each starts a process; all failures.
fn on_all<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = work(item) {
                        failures.lock().expect("no thread panics").push(format!("{error:#}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no thread panics");
    ensure!(failures.is_empty(), "{} of {} failed:\n{}", failures.len(), items.len(), failures.join("\n"));
    Ok(())
}

/// The messages of a pool that are no map entries.
fn messages(pool: &DescriptorPool) -> Vec<MessageDescriptor> {
    pool.all_messages().filter(|message| !message.is_map_entry()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn grpcurl_finds_and_calls_everything_by_reflection() -> Result<()> {
    let test = TestNet::start(0).await?;
    let Some(grpcurl) = Grpcurl::new(&test) else { return Ok(()) };

    let listed = grpcurl.text(&[], &["list"])?;
    let listed: BTreeSet<&str> = listed.lines().collect();
    let expected: BTreeSet<&str> = SERVICES.iter().copied().collect();
    ensure!(listed == expected, "listed {listed:?}");

    // Everything that the services reach, as reflection tells it.
    let mut pool = DescriptorPool::new();
    for service in SERVICES {
        let file = test.dir().join(service);
        let out = file.to_str().context("path is not UTF-8")?;
        let text = grpcurl.text(&["-protoset-out", out], &["describe", service])?;
        ensure!(text.starts_with(&format!("{service} is a service:\n")), "{text}");
        pool.decode_file_descriptor_set(&*std::fs::read(&file)?)?;
    }
    let messages = messages(&pool);
    ensure!(messages.len() > 150, "reflection tells of {} messages", messages.len());
    on_all(&messages, |message| {
        let name = message.full_name();
        let text = grpcurl.text(&[], &["describe", name])?;
        ensure!(text.starts_with(&format!("{name} is a message:\n")), "{text}");
        ensure!(text.contains(&format!("\nmessage {} {{", message.name())), "{text}");
        Ok(())
    })?;

    // A file may hold the service of messages too, which is called through transactions alone.
    let services = pool.services().filter(|service| SERVICES.contains(&service.full_name()));
    let methods = services.flat_map(|service| service.methods().collect::<Vec<_>>());
    let methods: Vec<_> = methods.filter(|method| !method.is_server_streaming()).collect();
    ensure!(methods.len() > 50, "reflection tells of {} methods", methods.len());
    on_all(&methods, |method| {
        let name = format!("{}/{}", method.parent_service().full_name(), method.name());
        let output = grpcurl.run(&["-d", "{}"], &[&name])?;
        let code = output.status.code().context("killed")?;
        let code = if code == 0 { 0 } else { code - CODE_OFFSET };
        let errors = String::from_utf8_lossy(&output.stderr);
        let expected = if ABSENT.contains(&name.as_str()) { &[UNIMPLEMENTED] } else { ANSWERS };
        ensure!(expected.contains(&code), "{name} answers an empty request with {errors}");
        Ok(())
    })?;
    test.net.stop().await
}

/// Signers, Amino names and HTTP paths are options that are extensions: wallets and gateways read them by reflection.
#[tokio::test(flavor = "multi_thread")]
async fn reflection_keeps_the_options_of_messages_and_methods() -> Result<()> {
    let test = TestNet::start(0).await?;
    let Some(grpcurl) = Grpcurl::new(&test) else { return Ok(()) };
    for (symbol, option) in [
        ("cosmos.bank.v1beta1.MsgSend", r#"option (.cosmos.msg.v1.signer) = "from_address";"#),
        ("cosmos.bank.v1beta1.MsgSend", r#"option (.amino.name) = "cosmos-sdk/MsgSend";"#),
        ("gantry.provider.v1.MsgRegisterProvider", "option (.cosmos.msg.v1.signer) = "),
        ("cosmos.bank.v1beta1.Query", r#"get: "/cosmos/bank/v1beta1/balances/{address}""#),
        ("gantry.job.v1.Query", r#"get: "/gantry/job/v1/"#),
    ] {
        let text = grpcurl.text(&[], &["describe", symbol])?;
        ensure!(text.contains(option), "{symbol} has no {option}:\n{text}");
    }

    // The same for everything, against what the node was built with.
    let ours = DescriptorPool::decode(gantry_proto::DESCRIPTOR_SET)?;
    let mut compared = 0;
    for service in SERVICES.iter().filter(|service| !service.starts_with("grpc.")) {
        let file = test.dir().join(service);
        let out = file.to_str().context("path is not UTF-8")?;
        grpcurl.text(&["-protoset-out", out], &["describe", service])?;
        let told = DescriptorPool::decode(&*std::fs::read(&file)?)?;
        for message in told.all_messages() {
            let own = ours.get_message_by_name(message.full_name());
            let own = own.with_context(|| format!("{} is not ours", message.full_name()))?;
            ensure!(shown(&own.options()) == shown(&message.options()), "options of {}", message.full_name());
            for field in message.fields() {
                let own =
                    own.get_field(field.number()).with_context(|| format!("{} is not ours", field.full_name()))?;
                ensure!(shown(&own.options()) == shown(&field.options()), "options of {}", field.full_name());
                compared += 1;
            }
        }
        let (own, told) = (ours.get_service_by_name(service), told.get_service_by_name(service));
        let (own, told) = (own.context("no such service")?, told.context("service is not told")?);
        for (own, told) in own.methods().zip(told.methods()) {
            ensure!(shown(&own.options()) == shown(&told.options()), "options of {}", own.full_name());
        }
    }
    ensure!(compared > 500, "only {compared} fields were compared");
    test.net.stop().await
}

/// Options in a form that does not depend on the pool they come from.
fn shown(options: &prost_reflect::DynamicMessage) -> String {
    let mut parts: Vec<String> = options.fields().map(|(field, value)| format!("{}={value}", field.name())).collect();
    parts.extend(options.extensions().map(|(extension, value)| format!("{}={value}", extension.full_name())));
    parts.sort();
    parts.join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn heights_go_both_ways_and_errors_have_the_sdks_words() -> Result<()> {
    let mut test = TestNet::start(0).await?;
    test.net.wait_for_height(3).await?;
    let Some(grpcurl) = Grpcurl::new(&test) else { return Ok(()) };
    let rpc = Rpc::new(&test.net);
    let mut renter = Account::load(&test.net, "renter").await?;
    let friend = Address::new([5; 20])?.to_string();
    let mut heights = Vec::new();
    for _ in 0..2 {
        let tx = paid().message(&send(renter.address(), &friend, 7));
        let verdict = rpc.commit(&renter.next(&tx)).await?;
        ensure!(verdict.code == 0, "{verdict:?}");
        heights.push(verdict.height);
    }

    let balance = "cosmos.bank.v1beta1.Query/Balance";
    let request = json!({ "address": friend, "denom": "ugantry" });
    for (height, amount) in [(heights[0] - 1, "0"), (heights[0], "7"), (heights[1] - 1, "7"), (heights[1], "14")] {
        let header = format!("x-cosmos-block-height: {height}");
        let answer = grpcurl.call(&["-H", &header], balance, &request)?;
        ensure!(answer["balance"]["amount"] == amount, "at {height}: {answer}");
        let told = grpcurl.text(&["-v", "-H", &header, "-d", &request.to_string()], &[balance])?;
        ensure!(header_of(&told)? == height, "asked for {height}:\n{told}");
    }
    // Without a height: the latest, and which it was.
    let before = rpc.height().await?;
    let told = grpcurl.text(&["-v", "-d", &request.to_string()], &[balance])?;
    let after = rpc.height().await?;
    // CometBFT counts a block when it is stored, the application when it is committed.
    ensure!((before - 1..=after + 1).contains(&header_of(&told)?), "between {before} and {after}:\n{told}");

    let absent = Address::new([6; 20])?.to_string();
    let (not_found, invalid) = (5, 3);
    for (options, method, request, code, words) in [
        (
            &[][..],
            "cosmos.auth.v1beta1.Query/Account",
            json!({ "address": absent }),
            not_found,
            format!("account {absent} not found"),
        ),
        (
            &[],
            "cosmos.auth.v1beta1.Query/Account",
            json!({ "address": "" }),
            invalid,
            "Address cannot be empty".to_owned(),
        ),
        (
            &[],
            "cosmos.auth.v1beta1.Query/Account",
            json!({ "address": "nonsense" }),
            invalid,
            "decoding bech32 failed: ".to_owned(),
        ),
        (&[], balance, json!({ "address": absent, "denom": "" }), invalid, "invalid denom".to_owned()),
        (&[], "cosmos.tx.v1beta1.Service/Simulate", json!({}), invalid, "empty txBytes is not allowed".to_owned()),
        (
            &[],
            "cosmos.tx.v1beta1.Service/GetTx",
            json!({ "hash": "00".repeat(32) }),
            not_found,
            "tx not found: 0000".to_owned(),
        ),
        (
            &["-H", "x-cosmos-block-height: 1000000"],
            balance,
            request.clone(),
            invalid,
            "cannot query with height in the future; please provide a valid height".to_owned(),
        ),
        (
            &["-H", "x-cosmos-block-height: ten"],
            balance,
            request.clone(),
            invalid,
            r#"invalid height header "ten""#.to_owned(),
        ),
        (
            &["-H", "x-cosmos-block-height: -1"],
            balance,
            request.clone(),
            invalid,
            r#"invalid height header "-1""#.to_owned(),
        ),
    ] {
        let (got, message) = grpcurl.error(options, method, &request)?;
        ensure!(got == code && message.starts_with(&words), "{method} {request} {options:?}: code {got}, {message:?}");
    }
    test.net.stop().await
}

/// The height in the headers of a verbose answer.
fn header_of(told: &str) -> Result<u64> {
    let Some((_, headers)) = told.split_once("Response headers received:") else { bail!("no headers: {told}") };
    let line = headers.lines().find_map(|line| line.strip_prefix("x-cosmos-block-height: "));
    Ok(line.with_context(|| format!("no height: {told}"))?.trim().parse()?)
}

/// TCP holds a small packet back until the one before is acknowledged, which clients do after 40 ms, unless the server
/// says otherwise. A call by reflection takes several answers: it was 200 to 350 ms.
#[tokio::test(flavor = "multi_thread")]
async fn answers_are_not_held_back_by_tcp() -> Result<()> {
    let test = TestNet::start(0).await?;
    let Some(grpcurl) = Grpcurl::new(&test) else { return Ok(()) };
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let start = Instant::now();
        grpcurl.call(&[], "cosmos.bank.v1beta1.Query/Params", &json!({}))?;
        fastest = fastest.min(start.elapsed());
    }
    // The fastest, because a busy machine slows some of them.
    ensure!(fastest < Duration::from_millis(70), "the fastest of ten calls took {fastest:?}");
    test.net.stop().await
}
