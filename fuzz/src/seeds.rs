//! Seeds: real encodings of everything that the targets read. `./dev fuzz seeds` writes them into the corpora.

use std::{fs, io};

use cosmos_sdk_proto::{
    Any,
    cosmos::{
        bank::v1beta1::{Input, MsgMultiSend, MsgSend, Output},
        base::v1beta1::Coin,
    },
};
use gantry_abci::testing::{CHAIN_ID, GENESIS_TIME, PROPOSER, init_chain};
use gantry_client::access::AccessToken;
use gantry_content::{
    Cid, Codec,
    unixfs::{Entry, FileNode, Node, Part},
};
use gantry_keyring::Keyring;
use gantry_proto::{
    digest::{Commitment, output_digest},
    gantry::{
        job::v1::{
            Image, Input as JobInput, JobKind, JobSpec, Limits, MsgAcknowledge, MsgBeginRun, MsgBeginStaging,
            MsgCancelJob, MsgReportFailure, MsgSubmitJobs, OutputRef, Reason, Runtime, Timeouts, input::Source,
        },
        provider::v1::{
            HardwareClass, HardwareKind, MsgBond, MsgHeartbeat, MsgRegisterProvider, MsgRemoveOffer, MsgSetOffer,
            MsgUnbond, MsgUpdateProvider,
        },
        verifier::v1::{
            Attested, ExitKind, MsgCommitResult, MsgRevealResult, Quorum, Reveal, VerificationPolicy,
            verification_policy::Kind,
        },
    },
};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind as FieldKind, MessageDescriptor, Value};
use tendermint_proto::{
    google::protobuf::Timestamp,
    v0_38::abci::{
        CommitInfo, ExtendedCommitInfo, Misbehavior, Request, RequestApplySnapshotChunk, RequestCheckTx, RequestCommit,
        RequestEcho, RequestExtendVote, RequestFinalizeBlock, RequestFlush, RequestInfo, RequestListSnapshots,
        RequestLoadSnapshotChunk, RequestOfferSnapshot, RequestPrepareProposal, RequestProcessProposal, RequestQuery,
        RequestVerifyVoteExtension, Snapshot, Validator, VoteInfo, request::Value as Asked,
    },
};

use crate::{
    chain::{self, Block, Player, Script, Tx, USERS, address, app_state, key},
    mutate::Rng,
    short::corpus_dir,
    targets::{ALL, abci::Requests, query::Asked as AskedQuery, snapshot, token},
};

const IMAGE: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
const OUTPUT: &str = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
/// Providers of the market: as many as the largest quorum asks for, so that a draw takes them all.
const PROVIDERS: usize = 3;

/// A seed: target, name, bytes.
pub type Seed = (&'static str, String, Vec<u8>);

/// All seeds.
///
/// # Panics
/// When one cannot be made.
#[must_use]
pub fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    seeds.extend(txs());
    seeds.extend([("market", market()), ("money", money())].map(|(n, s)| ("chain", n.into(), s.encode_to_vec())));
    seeds.push(("chain", "every-message".into(), every_message().encode_to_vec()));
    seeds.extend(calls());
    seeds.extend(queries());
    seeds.extend(genesis());
    seeds.extend(trees());
    seeds.extend(contents());
    seeds.extend(job_files());
    seeds.extend(tokens());
    seeds.extend(texts());
    seeds.push(("snapshot", "honest".into(), snapshot::honest().encode_to_vec()));
    seeds
}

/// Writes them into the corpora, over what was there under these names.
///
/// # Errors
/// When a file cannot be written.
pub fn write() -> io::Result<usize> {
    let seeds = all();
    for target in ALL {
        let folder = corpus_dir(target);
        fs::create_dir_all(&folder)?;
        for (_, name, bytes) in seeds.iter().filter(|(of, ..)| *of == target.name) {
            fs::write(folder.join(format!("seed-{name}")), bytes)?;
        }
    }
    Ok(seeds.len())
}

fn ugantry(amount: u128) -> Coin {
    Coin { denom: "ugantry".into(), amount: amount.to_string() }
}

fn owner(provider: usize) -> String {
    address(1 + provider).to_string()
}

fn operator(provider: usize) -> String {
    address(1 + PROVIDERS + provider).to_string()
}

// --- the market -------------------------------------------------------------------------------------------------------

fn block(txs: Vec<Tx>, empty_after: u32) -> Block {
    Block { txs, skip_seconds: 0, empty_after }
}

fn spec(name: &str) -> JobSpec {
    JobSpec {
        name: name.into(),
        kind: JobKind::Batch.into(),
        runtime: Runtime::Wasm.into(),
        image: Some(Image { root_cid: IMAGE.into(), size_bytes: 1000 }),
        args: vec!["--tile".into(), "1".into()],
        outputs: vec!["tile.png".into()],
        sources: vec!["http://127.0.0.1:9999".into()],
        limits: Some(Limits {
            memory_bytes: 64 << 20,
            fuel: 1_000_000,
            output_bytes: 1 << 20,
            output_files: 10,
            log_bytes: 1 << 16,
        }),
        timeouts: Some(Timeouts { queue_seconds: 60, staging_seconds: 20, execution_seconds: 60 }),
        max_price_per_second: Some(ugantry(2000)),
        max_price_total: Some(ugantry(120_000)),
        policy: Some(VerificationPolicy { kind: Some(Kind::Attested(Attested {})) }),
        ..JobSpec::default()
    }
}

fn quorum(name: &str) -> JobSpec {
    let n = u32::try_from(PROVIDERS).unwrap_or(0);
    JobSpec {
        policy: Some(VerificationPolicy { kind: Some(Kind::Quorum(Quorum { k: 2, n })) }),
        max_price_total: Some(ugantry(360_000)),
        ..spec(name)
    }
}

/// A message for every replica and provider that a job may have drawn; those that were not drawn are refused.
fn each(work: impl Fn(usize, u32) -> Tx) -> Vec<Tx> {
    (1..=PROVIDERS)
        .flat_map(|provider| (0..3).map(move |replica| (provider, replica)))
        .map(|(p, r)| work(p, r))
        .collect()
}

fn reveal_of(provider: usize) -> Reveal {
    Reveal {
        exit_kind: ExitKind::Exit.into(),
        exit_code: 0,
        output_cid: OUTPUT.into(),
        // The third provider is wrong.
        output_root: vec![if provider == PROVIDERS { 9 } else { 1 }; 32],
        manifest_digest: vec![u8::try_from(provider).unwrap_or(0); 32],
        possession_root: vec![3; 32],
        nonce: vec![4; 32],
        locations: vec!["http://127.0.0.1:7001".into()],
        output_bytes: 10,
    }
}

fn commitment(job: u64, provider: usize) -> Vec<u8> {
    let hash = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).expect("32 bytes");
    let reveal = reveal_of(provider);
    Commitment {
        chain_id: CHAIN_ID,
        job,
        attempt: 1,
        provider: provider as u64,
        output_digest: output_digest(ExitKind::Exit, 0, OUTPUT, &hash(&reveal.output_root)),
        manifest_digest: hash(&reveal.manifest_digest),
        possession_root: [3; 32],
        nonce: [4; 32],
    }
    .hash()
    .to_vec()
}

/// A market at work: three providers, a quorum that ends with one slashed, a graph, and jobs that end in other ways.
///
/// # Panics
/// Never.
#[must_use]
pub fn market() -> Script {
    let renter = address(0).to_string();
    let submit = |jobs: Vec<JobSpec>| Tx::of(&MsgSubmitJobs { renter: renter.clone(), label: "fuzz".into(), jobs });
    let register = |provider: usize| {
        let register = MsgRegisterProvider {
            owner: owner(provider),
            moniker: format!("worker {provider}"),
            endpoints: vec![format!("http://127.0.0.1:{}", 7000 + provider)],
            operators: vec![operator(provider)],
            bond: Some(ugantry(1_000_000_000)),
        };
        let offer = MsgSetOffer {
            operator: owner(provider),
            offer_id: 0,
            hardware: Some(HardwareClass {
                kind: HardwareKind::Wasm.into(),
                arch: "x86_64".into(),
                runtime_major: 48,
                ..HardwareClass::default()
            }),
            capacity: 4,
            ask_per_second: Some(ugantry(1000)),
            attributes: vec![],
            region: String::new(),
        };
        let heartbeat = MsgHeartbeat { operator: owner(provider) };
        [Tx::of(&register), Tx::of(&offer), Tx::of(&heartbeat)]
    };
    let step = |job: u64| {
        each(move |provider, replica| {
            let (operator, job_id, attempt) = (operator(provider), job, 1);
            let ack = MsgAcknowledge { operator: operator.clone(), job_id, attempt, replica };
            let stage = MsgBeginStaging { operator: operator.clone(), job_id, attempt, replica };
            let run = MsgBeginRun { operator, job_id, attempt, replica };
            let mut tx = Tx::of(&ack);
            tx.messages.extend(Tx::of(&stage).messages);
            tx.messages.extend(Tx::of(&run).messages);
            tx
        })
    };
    let commit = |job: u64| {
        each(move |provider, replica| {
            Tx::of(&MsgCommitResult {
                operator: operator(provider),
                job_id: job,
                attempt: 1,
                replica,
                commitment: commitment(job, provider),
            })
        })
    };
    let reveal = |job: u64| {
        each(move |provider, replica| {
            Tx::of(&MsgRevealResult {
                operator: operator(provider),
                job_id: job,
                attempt: 1,
                replica,
                reveal: Some(reveal_of(provider)),
            })
        })
    };
    let mut second = spec("second");
    second.dependencies = vec!["first".into()];
    second.inputs = vec![JobInput {
        path: "scene".into(),
        source: Some(Source::Output(OutputRef { job: "first".into(), path: "tile.png".into() })),
    }];
    let failure = |job: u64| {
        each(move |provider, replica| {
            Tx::of(&MsgReportFailure {
                operator: operator(provider),
                job_id: job,
                attempt: 1,
                replica,
                reason: Reason::NoResult.into(),
                evidence: vec![7; 32],
            })
        })
    };
    Script {
        blocks: vec![
            block((1..=PROVIDERS).flat_map(register).collect(), 3),
            block(vec![submit(vec![quorum("first")])], 2),
            block(step(1), 0),
            block(commit(1), 0),
            block(reveal(1), 3),
            block(vec![submit(vec![spec("first"), second])], 2),
            block(step(2), 0),
            block(
                [commit(2), (1..=PROVIDERS).map(|p| Tx::of(&MsgHeartbeat { operator: operator(p) })).collect()]
                    .concat(),
                0,
            ),
            block(reveal(2), 2),
            block([step(3), vec![submit(vec![spec("cancelled")])]].concat(), 0),
            block([failure(3), vec![Tx::of(&MsgCancelJob { renter: renter.clone(), job_id: 4 })]].concat(), 1),
            Block { txs: vec![submit(vec![quorum("lapses")])], skip_seconds: 3600, empty_after: 120 },
            block(
                vec![
                    Tx::of(&MsgBond { owner: owner(1), amount: Some(ugantry(5)) }),
                    Tx::of(&MsgUnbond { owner: owner(1), amount: Some(ugantry(7)) }),
                    Tx::of(&MsgRemoveOffer { operator: owner(2), offer_id: 1 }),
                    Tx::of(&MsgUpdateProvider {
                        owner: owner(3),
                        moniker: "renamed".into(),
                        endpoints: vec!["http://127.0.0.1:1".into()],
                        operators: vec![],
                    }),
                ],
                5,
            ),
        ],
    }
}

/// Transfers that succeed and that fail.
fn money() -> Script {
    let send = |from: usize, to: String, amount: u128| {
        Tx::of(&MsgSend { from_address: address(from).to_string(), to_address: to, amount: vec![ugantry(amount)] })
    };
    let to = |user: usize| address(user).to_string();
    let many = MsgMultiSend {
        inputs: vec![Input { address: to(0), coins: vec![ugantry(3)] }],
        outputs: (1..4).map(|user| Output { address: to(user), coins: vec![ugantry(1)] }).collect(),
    };
    let mut twice = send(0, to(USERS + 1), 5);
    twice.messages.extend(send(1, to(0), 7).messages);
    Script {
        blocks: vec![
            block(vec![send(0, to(1), 5), send(0, to(1), chain::WEALTH), twice, Tx::of(&many)], 1),
            block(
                vec![
                    send(1, gantry_core::Address::module("escrow").to_string(), 1),
                    Tx { raw: b"garbage".to_vec(), ..Tx::default() },
                    Tx { gas: 40_000, ..send(2, to(3), 1) },
                ],
                0,
            ),
        ],
    }
}

// --- by descriptor ----------------------------------------------------------------------------------------------------

fn pool() -> DescriptorPool {
    DescriptorPool::decode(gantry_proto::DESCRIPTOR_SET).expect("the committed descriptor set is valid")
}

/// A message with something in every field, and in those within them to a depth.
fn filled(kind: &MessageDescriptor, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(kind.clone());
    for field in kind.fields().filter(|field| !field.is_map()) {
        let name = field.name();
        let one = match field.kind() {
            FieldKind::Message(_) if depth == 0 => continue,
            FieldKind::Message(kind) => Value::Message(filled(&kind, depth - 1)),
            FieldKind::String => Value::String(match name {
                "denom" => "ugantry".into(),
                "amount" => "1".into(),
                "type_url" => continue,
                _ if name.contains("cid") => IMAGE.into(),
                "renter" | "authority" => address(0).to_string(),
                "owner" => owner(1),
                "operator" => operator(1),
                _ if name.contains("address") => address(usize::from(name.starts_with("to"))).to_string(),
                _ if name.contains("endpoint") || name.contains("location") || name.contains("source") => {
                    "http://127.0.0.1:7000".into()
                }
                _ => "a".into(),
            }),
            FieldKind::Bytes => Value::Bytes(vec![1; 32].into()),
            FieldKind::Bool => Value::Bool(false),
            FieldKind::Enum(_) => Value::EnumNumber(1),
            FieldKind::Uint32 | FieldKind::Fixed32 => Value::U32(1),
            FieldKind::Uint64 | FieldKind::Fixed64 => Value::U64(1),
            FieldKind::Int32 | FieldKind::Sint32 | FieldKind::Sfixed32 => Value::I32(1),
            FieldKind::Int64 | FieldKind::Sint64 | FieldKind::Sfixed64 => Value::I64(1),
            // No state machine has these.
            FieldKind::Float | FieldKind::Double => continue,
        };
        message.set_field(&field, if field.is_list() { Value::List(vec![one]) } else { one });
    }
    message
}

/// One of every message, by descriptor.
fn messages() -> Vec<Any> {
    let (pool, router) = (pool(), chain::router());
    router
        .type_urls()
        .map(|url| {
            let kind = pool.get_message_by_name(url.trim_start_matches('/')).expect("messages are described");
            Any { type_url: url.to_owned(), value: filled(&kind, 6).encode_to_vec() }
        })
        .collect()
}

fn every_message() -> Script {
    let txs = messages().into_iter().map(|message| Tx { messages: vec![message], ..Tx::default() }).collect();
    Script { blocks: vec![block(txs, 1)] }
}

fn txs() -> Vec<Seed> {
    let player = Player::new();
    let name = |url: &str| url.trim_start_matches('/').to_owned();
    let mut seeds: Vec<Seed> = messages()
        .into_iter()
        .map(|message| {
            let name = name(&message.type_url);
            let tx = Tx { messages: vec![message], ..Tx::default() };
            ("tx", name, player.sign(&[tx])[0].to_vec())
        })
        .collect();
    for (block, name) in [(&money().blocks[0], "money"), (&market().blocks[0], "market")] {
        for (at, tx) in player.sign(&block.txs).into_iter().enumerate() {
            seeds.push(("tx", format!("{name}-{at}"), tx.to_vec()));
        }
    }
    seeds
}

// --- ABCI -------------------------------------------------------------------------------------------------------------

fn requests() -> Vec<Asked> {
    let player = Player::new();
    let txs = player.sign(&money().blocks[0].txs);
    let (height, time) = (2, Some(Timestamp { seconds: GENESIS_TIME + 9, nanos: 5 }));
    let proposer_address = PROPOSER.to_vec().into();
    let vote =
        VoteInfo { validator: Some(Validator { address: PROPOSER.to_vec().into(), power: 10 }), block_id_flag: 2 };
    let last = Some(CommitInfo { round: 0, votes: vec![vote] });
    let misbehavior =
        vec![Misbehavior { r#type: 1, height: 1, time, total_voting_power: 10, ..Misbehavior::default() }];
    let snapshot = Snapshot { height: 2, format: 1, chunks: 1, hash: vec![1; 32].into(), metadata: vec![1].into() };
    vec![
        Asked::Echo(RequestEcho { message: "echo".into() }),
        Asked::Flush(RequestFlush {}),
        Asked::Info(RequestInfo::default()),
        Asked::CheckTx(RequestCheckTx { tx: txs[0].clone(), r#type: 0 }),
        Asked::CheckTx(RequestCheckTx { tx: txs[0].clone(), r#type: 1 }),
        Asked::Query(RequestQuery { path: "/store/bank/key".into(), data: vec![2].into(), height: 0, prove: true }),
        Asked::PrepareProposal(RequestPrepareProposal {
            max_tx_bytes: 1 << 20,
            txs: txs.clone(),
            local_last_commit: Some(ExtendedCommitInfo::default()),
            height,
            time,
            proposer_address: PROPOSER.to_vec().into(),
            ..RequestPrepareProposal::default()
        }),
        Asked::ProcessProposal(RequestProcessProposal {
            txs: txs.clone(),
            proposed_last_commit: last.clone(),
            hash: vec![1; 32].into(),
            height,
            time,
            proposer_address: PROPOSER.to_vec().into(),
            ..RequestProcessProposal::default()
        }),
        Asked::ExtendVote(RequestExtendVote::default()),
        Asked::VerifyVoteExtension(RequestVerifyVoteExtension::default()),
        Asked::ListSnapshots(RequestListSnapshots {}),
        Asked::OfferSnapshot(RequestOfferSnapshot { snapshot: Some(snapshot), app_hash: vec![1; 32].into() }),
        Asked::LoadSnapshotChunk(RequestLoadSnapshotChunk { height: 2, format: 1, chunk: 0 }),
        Asked::ApplySnapshotChunk(RequestApplySnapshotChunk { index: 0, chunk: vec![1].into(), sender: "peer".into() }),
        Asked::FinalizeBlock(RequestFinalizeBlock {
            txs,
            decided_last_commit: last,
            misbehavior,
            hash: vec![1; 32].into(),
            height,
            time,
            proposer_address,
            ..RequestFinalizeBlock::default()
        }),
        Asked::Commit(RequestCommit {}),
        Asked::InitChain(init_chain(&app_state())),
    ]
}

fn calls() -> Vec<Seed> {
    let requests: Vec<Request> = requests().into_iter().map(|value| Request { value: Some(value) }).collect();
    let small: Vec<_> = requests.iter().filter(|request| request.encoded_len() < 2000).collect();
    let frames = small.iter().flat_map(|request| request.encode_length_delimited_to_vec()).collect();
    vec![
        ("abci", "all".into(), Requests { requests: requests.clone() }.encode_to_vec()),
        ("frames", "all".into(), frames),
        ("frames", "huge".into(), vec![0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 1, 2, 3]),
        ("frames", "largest".into(), vec![0x80, 0x80, 0x80, 0x32, 1]),
        ("frames", "endless".into(), vec![0xff; 20]),
    ]
}

fn queries() -> Vec<Seed> {
    let (player, pool) = (Player::new(), pool());
    let mut seeds: Vec<AskedQuery> = Vec::new();
    for path in player.chain.queries().paths() {
        let (service, method) = path.trim_start_matches('/').split_once('/').expect("a path has two parts");
        let service = pool.get_service_by_name(service).expect("services are described");
        let method = service.methods().find(|m| m.name() == method).expect("and their methods");
        seeds.push(AskedQuery {
            path: path.into(),
            data: filled(&method.input(), 4).encode_to_vec(),
            ..AskedQuery::default()
        });
    }
    for (path, data, prove) in [
        ("/store/bank/key", vec![2], true),
        ("/store/job/key", vec![1], false),
        ("/app/version", vec![], false),
        ("/app/simulate", player.sign(&market().blocks[0].txs)[0].to_vec(), false),
    ] {
        seeds.push(AskedQuery { path: path.into(), data, height: 2, prove });
    }
    seeds
        .into_iter()
        .map(|asked| ("query", asked.path.trim_start_matches('/').replace('/', "-"), asked.encode_to_vec()))
        .collect()
}

// --- the rest ---------------------------------------------------------------------------------------------------------

fn genesis() -> Vec<Seed> {
    let state = app_state();
    let sdk = serde_json::json!({
        "app_name": "gantryd", "genesis_time": "2026-01-01T00:00:00Z", "chain_id": "gantry-1", "initial_height": 1,
        "app_hash": null, "app_state": state,
        "consensus": {"params": {"block": {"max_bytes": "4194304", "max_gas": "-1"}}, "validators": []},
    });
    let default = gantryd::modules::default_genesis().expect("the default genesis is made");
    [("default", default), ("people", state), ("sdk", sdk)]
        .map(|(name, json)| ("genesis", name.to_owned(), json.to_string().into_bytes()))
        .into()
}

fn trees() -> Vec<Seed> {
    (0..4)
        .map(|seed| {
            let mut rng = Rng::new(seed);
            let length = [60, 300, 900, 3000][usize::try_from(seed).unwrap_or(0)];
            // Keys of few letters, so that they meet.
            let bytes = (0..length).map(|_| u8::try_from(rng.below(48)).unwrap_or(0)).collect();
            ("tree", format!("{length}-bytes"), bytes)
        })
        .collect()
}

fn contents() -> Vec<Seed> {
    let cid = Cid::of(Codec::Raw, b"leaf");
    let file = FileNode { parts: (0..3).map(|_| Part { cid, size: 4, tsize: 4 }).collect(), ..FileNode::default() };
    let entry = |name: &str| Entry { name: name.into(), cid, tsize: 4 };
    let nodes = [("file", Node::File(file)), ("directory", Node::Directory(vec![entry("a"), entry("b.txt")]))];
    let mut seeds: Vec<Seed> = nodes
        .into_iter()
        .map(|(name, node)| ("content", name.to_owned(), node.encode().expect("a node is encoded")))
        .collect();
    seeds.push(("content", "cid".into(), cid.to_bytes().to_vec()));
    seeds.push(("content", "cid-text".into(), cid.to_string().into_bytes()));
    seeds.push(("content", "path".into(), format!("{cid}/a/b.txt").into_bytes()));
    seeds
}

fn job_files() -> Vec<Seed> {
    let small = serde_json::json!({
        "label": "fuzz",
        "defaults": {"wasm": "a.wasm", "policy": "quorum:2/3", "timeouts": {"queue": "2m", "execution": "5m"},
            "price": {"max_per_second": "10ugantry", "max_total": "3000ugantry"}},
        "jobs": [
            {"name": "one", "args": ["x"], "outputs": ["tile.png"], "env": {"A": "b"}, "after": [],
             "inputs": [{"path": "scene.txt", "file": "scene.txt"}, {"path": "model", "cid": IMAGE}],
             "limits": {"memory": "512MiB"}, "resources": {"require": ["cpu_cores >= 4"]}},
            {"name": "two", "policy": "attested", "image": {"cid": IMAGE, "size": 7}, "retries": 1, "deadline": "1h",
             "inputs": [{"path": "in", "from": "one/tile.png"}]},
        ],
    });
    let demo = include_bytes!("../../localnet/demo/path-tracer.yaml").to_vec();
    // The same as JSON, which is YAML too, and which is mutated by structure.
    vec![("jobfile", "demo.yaml".into(), demo), ("jobfile", "small.json".into(), small.to_string().into_bytes())]
}

fn tokens() -> Vec<Seed> {
    let keyring = Keyring::memory();
    keyring.add("renter", &key(0)).expect("a key is added");
    let signer = keyring.signer("renter").expect("it is there");
    let token = AccessToken::sign(&signer, &token::SCOPE, token::NOW + 60);
    let mut metadata = tonic::metadata::MetadataMap::new();
    token.attach(&mut metadata);
    let value = |name| metadata.get(name).map(|v| vec![v.as_bytes().to_vec()]).unwrap_or_default();
    use gantry_client::access::{EXPIRY, PUBLIC_KEY, SIGNATURE};
    let fields = token::Metadata { public_key: value(PUBLIC_KEY), signature: value(SIGNATURE), expiry: value(EXPIRY) };
    vec![("token", "good".into(), fields.encode_to_vec())]
}

fn texts() -> Vec<Seed> {
    let mixed = address(0).to_string().replacen("gantry1", "GANTRY1", 1);
    [
        ("address", address(0).to_string()),
        ("address-upper", address(0).to_string().to_uppercase()),
        ("address-mixed", mixed),
        ("price", "0.025ugantry,1uatom".into()),
        ("coins", "1ugantry,2uatom".into()),
        ("amount", "340282366920938463463374607431768211455 ugantry".into()),
        ("policy", "quorum:2/3".into()),
    ]
    .map(|(name, text)| ("text", name.to_owned(), text.into_bytes()))
    .into()
}
