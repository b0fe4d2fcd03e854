//! Transactions that mean harm, through CometBFT's RPC: each gets its code, costs its sender at most the fee, and changes
//! nothing for anyone else.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cosmos_sdk_proto::{
    Any,
    cosmos::{
        auth::v1beta1::MsgUpdateParams,
        bank::v1beta1::{MsgSend, QueryDenomOwnersRequest, QuerySupplyOfRequest},
        base::{query::v1beta1::PageRequest, v1beta1::Coin},
        crypto::{multisig::LegacyAminoPubKey, secp256k1::PubKey},
        tx::v1beta1::{AuthInfo, Fee, ModeInfo, SignerInfo, TxRaw, mode_info},
    },
};
use gantry_client::Chain;
use gantry_core::Address;
use gantry_keyring::{HdPath, Keyring, TxBuilder};
use gantry_localnet::until;
use gantry_proto::gantry::provider::v1::MsgRegisterProvider;
use gantry_tests::{
    TestNet,
    tx::{Account, FEE, GAS, Rpc, base_account, paid, send, ugantry},
};
use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor, Value};

/// Levels of nesting: enough to end a stack that is used once a level.
const DEPTH: usize = 8_000;

/// A network, its renter, and an address that nobody has used.
struct Scene {
    test: TestNet,
    rpc: Rpc,
    chain: Chain,
    renter: Account,
    stranger: Account,
    /// Coins of the renter, as they must be.
    coins: u128,
    supply: u128,
    processes: (u32, Vec<u32>),
}

impl Scene {
    async fn start() -> Result<Self> {
        let mut test = TestNet::start(0).await?;
        let chain = test.net.chain().await?;
        let renter = Account::load(&test.net, "renter").await?;
        let keyring = Keyring::memory();
        keyring.create("stranger", HdPath::default())?;
        let stranger = Account {
            signer: keyring.signer("stranger")?,
            data: gantry_keyring::SignerData { account_number: 0, sequence: 0, ..renter.data.clone() },
        };
        let coins = chain.balance(renter.address(), "ugantry").await?;
        let supply = supply(&chain).await?;
        let node = test.net.node();
        let processes = (node.id(), node.children()?);
        ensure!(processes.1.len() == 1, "one CometBFT");
        Ok(Self { rpc: Rpc::new(&test.net), test, chain, renter, stranger, coins, supply, processes })
    }

    /// A transfer of one coin to the stranger: what honest transactions hold.
    fn gift(&self) -> MsgSend {
        send(self.renter.address(), self.stranger.address(), 1)
    }

    /// Nothing was lost: the renter's coins, everyone's coins, the processes, and the chain goes on.
    async fn nothing_else_happened(mut self) -> Result<()> {
        let coins = self.chain.balance(self.renter.address(), "ugantry").await?;
        ensure!(coins == self.coins, "the renter has {coins}, not {}", self.coins);
        let sequence = base_account(&self.chain, self.renter.address()).await?.sequence;
        ensure!(sequence == self.renter.data.sequence, "sequence {sequence}, not {}", self.renter.data.sequence);
        let now = supply(&self.chain).await?;
        ensure!(now == self.supply, "supply was {} and is {now}", self.supply);

        let before = self.chain.balance(self.stranger.address(), "ugantry").await?;
        let gift = paid().message(&self.gift());
        self.rpc.commit(&self.renter.next(&gift)).await?.expect("an honest transfer", 0, "")?;
        ensure!(self.chain.balance(self.stranger.address(), "ugantry").await? == before + 1, "the transfer is missing");

        let node = self.test.net.node();
        node.check()?;
        ensure!((node.id(), node.children()?) == self.processes, "a process was replaced");
        let height = self.rpc.height().await?;
        self.test.net.wait_for_height(height + 2).await?;
        let info = self.rpc.call("abci_info", serde_json::json!({})).await?;
        ensure!(info["response"]["data"] == "gantryd", "{info}");
        self.test.net.stop().await
    }
}

/// The supply, which must be the sum of what everyone has.
async fn supply(chain: &Chain) -> Result<u128> {
    let denom = "ugantry".to_owned();
    until("supply and balances of one height", Duration::from_secs(20), async || {
        // Two queries may meet two heights; a block's fees are credited at its end.
        let pagination = Some(PageRequest { limit: 1_000, ..PageRequest::default() });
        let request = QueryDenomOwnersRequest { denom: denom.clone(), pagination };
        let owners = chain.bank().denom_owners(request).await?.into_inner().denom_owners;
        let held = owners.into_iter().filter_map(|owner| owner.balance).map(|coin| coin.amount.parse::<u128>());
        let held = held.sum::<Result<u128, _>>()?;
        let supply = chain.bank().supply_of(QuerySupplyOfRequest { denom: denom.clone() }).await?.into_inner().amount;
        let supply: u128 = supply.context("supply")?.amount.parse()?;
        Ok((held == supply && supply > 0).then_some(supply))
    })
    .await
}

/// CheckTx refuses all of these: they never reach a block, and cost nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_transaction_is_refused_at_the_door() -> Result<()> {
    let mut scene = Scene::start().await?;
    let (rpc, renter) = (scene.rpc.clone(), scene.renter.address().to_owned());
    let gift = paid().message(&scene.gift());
    let good = scene.renter.sign(&gift);

    // Bytes. None at all are a transaction without messages, as in the SDK.
    rpc.broadcast(&[]).await?.expect("nothing", 18, "must contain at least one message: invalid request")?;
    for (what, bytes) in [
        ("noise", vec![0xff; 64]),
        ("zeros", vec![0; 64]),
        ("text", b"please send me money".to_vec()),
        ("half a transaction", good[..good.len() / 2].to_vec()),
        ("a field nobody knows", [good.as_slice(), &[0xf8, 0x3f, 1]].concat()),
        ("a length that overflows", [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f].to_vec()),
    ] {
        rpc.broadcast(&bytes).await?.expect(what, 2, "tx parse error")?;
    }

    // Sizes: CometBFT's limit on a body, its limit on a transaction, and the SDK's on a memo.
    let memo = |size: usize| scene.renter.sign(&gift.clone().memo(&"m".repeat(size)));
    ensure!(rpc.broadcast(&memo(2_000_000)).await.is_err(), "a transaction of 2 MB was taken");
    rpc.broadcast(&memo(600_000)).await?.expect("a memo of 600 kB", 12, "maximum number of characters is 256")?;
    rpc.broadcast(&memo(257)).await?.expect("a memo of 257 bytes", 12, "received 257 characters")?;

    // Depth: messages within messages, and keys within keys.
    let innermost = Any { type_url: MsgSend::type_url(), value: scene.gift().encode_to_vec() };
    let nested = (0..DEPTH)
        .fold(innermost, |inner, _| Any { type_url: "/google.protobuf.Any".into(), value: inner.encode_to_vec() });
    let deep = rpc.broadcast(&scene.renter.sign(&paid().any(nested))).await?;
    ensure!(deep.code != 0, "messages nested {DEPTH} times: {deep:?}");
    for (keys, modes) in [(DEPTH, DEPTH), (DEPTH, 0), (DEPTH, 1), (1, DEPTH), (30, 30)] {
        let deep = rpc.broadcast(&deep_multisig(&gift, keys, modes)).await?;
        ensure!(deep.code != 0, "keys nested {keys} times, modes {modes}: {deep:?}");
    }

    // Contents.
    let unknown = Any { type_url: "/gantry.job.v9.MsgPrintMoney".into(), value: vec![] };
    rpc.broadcast(&scene.renter.sign(&paid().any(unknown))).await?.expect(
        "an unknown message",
        2,
        "unable to resolve type URL /gantry.job.v9.MsgPrintMoney",
    )?;
    let garbled = Any { type_url: MsgSend::type_url(), value: vec![0xff; 40] };
    rpc.broadcast(&scene.renter.sign(&paid().any(garbled))).await?.expect("a garbled message", 2, "tx parse error")?;
    let empty = rpc.broadcast(&scene.renter.sign(&paid())).await?;
    empty.expect("no message", 18, "must contain at least one message: invalid request")?;
    for amount in ["-5", "+5", "1e9", "0", "", " 1", "0x10", "1.5", &"9".repeat(80)] {
        let coin = Coin { denom: "ugantry".into(), amount: amount.into() };
        let message = MsgSend { amount: vec![coin], ..scene.gift() };
        let verdict = rpc.broadcast(&scene.renter.sign(&paid().message(&message))).await?;
        // Whole numbers of any size can be read; what is too large fails in the block, and costs the fee.
        ensure!(verdict.code != 0, "amount {amount:?}: {verdict:?}");
    }
    let twice = MsgSend { amount: vec![ugantry(1), ugantry(1)], ..scene.gift() };
    rpc.broadcast(&scene.renter.sign(&paid().message(&twice))).await?.expect("a denom twice", 10, "invalid coins")?;

    // Signatures.
    let other_chain = Account {
        signer: scene.test.net.keyring().signer("renter")?,
        data: gantry_keyring::SignerData { chain_id: "gantry-other-1".into(), ..scene.renter.data.clone() },
    };
    rpc.broadcast(&other_chain.sign(&gift)).await?.expect(
        "another chain's signature",
        4,
        &format!(
            "signature verification failed; please verify account number ({}) and chain-id ({}): ",
            scene.renter.data.account_number, scene.renter.data.chain_id
        ),
    )?;
    scene.renter.data.sequence += 3;
    let early = scene.renter.sign(&gift);
    scene.renter.data.sequence -= 3;
    let (is, said) = (scene.renter.data.sequence, scene.renter.data.sequence + 3);
    let words = format!("account sequence mismatch, expected {is}, got {said}: incorrect account sequence");
    rpc.broadcast(&early).await?.expect("a sequence of the future", 32, &words)?;
    let thief = paid().message(&send(&renter, scene.stranger.address(), 1_000));
    let stolen = rpc.broadcast(&scene.stranger.sign(&thief)).await?;
    ensure!(stolen.code != 0, "the stranger signed for the renter: {stolen:?}");
    let absent = paid().message(&send(scene.stranger.address(), &renter, 1));
    let words = format!("fee payer address: {} does not exist: unknown address", scene.stranger.address());
    rpc.broadcast(&scene.stranger.sign(&absent)).await?.expect("an account that is not", 9, &words)?;

    // Fees, gas and time.
    let cheap = TxBuilder::new().message(&scene.gift()).gas_limit(GAS).fee(vec![ugantry(FEE - 1)]);
    let words = format!("insufficient fees; got: {}ugantry required: {FEE}ugantry: insufficient fee", FEE - 1);
    rpc.broadcast(&scene.renter.sign(&cheap)).await?.expect("a coin too little", 13, &words)?;
    let free = TxBuilder::new().message(&scene.gift()).gas_limit(GAS);
    let words = format!("insufficient fees; got:  required: {FEE}ugantry: insufficient fee");
    rpc.broadcast(&scene.renter.sign(&free)).await?.expect("no fee", 13, &words)?;
    let no_gas = TxBuilder::new().message(&scene.gift()).gas_limit(100).fee(vec![ugantry(FEE)]);
    rpc.broadcast(&scene.renter.sign(&no_gas)).await?.expect(
        "gas for not even the checks",
        11,
        "out of gas in location",
    )?;
    let greedy = TxBuilder::new().message(&scene.gift()).gas_limit(u64::MAX).fee(vec![ugantry(u128::from(u64::MAX))]);
    let greedy = rpc.broadcast(&scene.renter.sign(&greedy)).await?;
    ensure!(greedy.code != 0, "all the gas in the world: {greedy:?}");
    let rich = TxBuilder::new().message(&scene.gift()).gas_limit(GAS).fee(vec![ugantry(scene.coins + 1)]);
    rpc.broadcast(&scene.renter.sign(&rich)).await?.expect("a fee beyond its means", 5, "insufficient funds")?;
    scene.test.net.wait_for_height(3).await?;
    let late = rpc.broadcast(&scene.renter.sign(&gift.clone().timeout_height(1))).await?;
    late.expect("a time that has passed", 30, "timeout height: 1")?;

    scene.nothing_else_happened().await
}

/// Every bit of a signed transaction matters: no flip gives another that is valid.
#[tokio::test(flavor = "multi_thread")]
async fn no_flipped_bit_makes_another_valid_transaction() -> Result<()> {
    let scene = Scene::start().await?;
    let good = scene.renter.sign(&paid().message(&scene.gift()));
    for at in 0..good.len() {
        let mut bad = good.clone();
        // One bit of each byte, another from byte to byte.
        bad[at] ^= 1 << (at % 8);
        let verdict = scene.rpc.check(&bad).await?;
        ensure!(verdict.code != 0, "bit {} of byte {at} of {}: {verdict:?}", at % 8, hex::encode(&good));
    }
    scene.nothing_else_happened().await
}

/// What fails in a block keeps the fee and the sequence, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_in_a_block_costs_the_fee_and_nothing_more() -> Result<()> {
    let mut scene = Scene::start().await?;
    let rpc = scene.rpc.clone();
    let stranger = scene.stranger.address().to_owned();
    let renter = scene.renter.address().to_owned();

    // Replays: the mempool remembers it, and so does the account.
    let gift = scene.renter.next(&paid().message(&scene.gift()));
    rpc.commit(&gift).await?.expect("a transfer to a new account", 0, "")?;
    scene.coins -= FEE + 1;
    let again = rpc.broadcast(&gift).await.map(|verdict| format!("{verdict:?}"));
    let again = again.err().context("a committed transaction was taken again")?.to_string();
    ensure!(again.contains("tx already exists in cache"), "{again}");
    rpc.check(&gift).await?.expect("a replay", 32, "account sequence mismatch, expected 1, got 0")?;

    // Gas that suffices for the checks and not for the message.
    let second = rpc.commit(&scene.renter.next(&paid().message(&scene.gift()))).await?;
    second.expect("a transfer to the same account", 0, "")?;
    scene.coins -= FEE + 1;
    let short = second.gas_used - 2_000;
    let tx = TxBuilder::new().message(&scene.gift()).gas_limit(short).fee(vec![ugantry(FEE)]);
    let verdict = rpc.commit(&scene.renter.next(&tx)).await?;
    verdict.expect("gas too low", 11, &format!("gasWanted: {short}, gasUsed: "))?;
    scene.coins -= FEE;

    // The second message fails, so the first did not happen.
    let tx = paid().message(&send(&renter, &stranger, 1_000)).message(&send(&renter, &stranger, scene.coins));
    let verdict = rpc.commit(&scene.renter.next(&tx)).await?;
    verdict.expect("the second message", 5, "failed to execute message; message index: 1: spendable balance ")?;
    let left = scene.coins - FEE - 1_000;
    ensure!(
        verdict.log.ends_with(&format!("{left}ugantry is smaller than {}ugantry: insufficient funds", scene.coins)),
        "{}",
        verdict.log
    );
    scene.coins -= FEE;

    // More than there is in the world, and to an account that takes nothing.
    let most =
        MsgSend { amount: vec![Coin { denom: "ugantry".into(), amount: u128::MAX.to_string() }], ..scene.gift() };
    let verdict = rpc.commit(&scene.renter.next(&paid().message(&most))).await?;
    verdict.expect("2^128 - 1 coins", 5, "insufficient funds")?;
    scene.coins -= FEE;
    let escrow = Address::module("escrow").to_string();
    let verdict = rpc.commit(&scene.renter.next(&paid().message(&send(&renter, &escrow, 1)))).await?;
    verdict.expect("a gift to a module", 4, &format!("{escrow} is not allowed to receive funds: unauthorized"))?;
    scene.coins -= FEE;
    ensure!(scene.chain.balance(&stranger, "ugantry").await? == 2, "the stranger got what was not sent");

    // A bug in a handler: in builds that have such a handler.
    let panic = MsgUpdateParams { authority: renter, params: None };
    let tx = paid().message(&panic);
    for _ in 0..3 {
        let first = rpc.broadcast(&scene.renter.sign(&tx)).await?;
        if first.log.contains("unable to resolve type URL") {
            eprintln!("SKIPPED: a panic in a handler: gantryd was built without the feature test-panic");
            break;
        }
        ensure!(first.code == 0, "{first:?}");
        let verdict = rpc.committed(&first.hash).await?;
        verdict.expect("a panic", 111_222, "panic")?;
        ensure!(!verdict.log.contains("asked to"), "what it said is this build's, not the chain's: {verdict:?}");
        scene.renter.data.sequence += 1;
        scene.coins -= FEE;
    }

    scene.nothing_else_happened().await
}

/// Every message of every module, rightly signed, with nothing in its fields, then with something, then with too much:
/// none panics and none stops the node, be it from a stranger to the market or from a provider.
#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_fatal_whatever_its_fields() -> Result<()> {
    let mut scene = Scene::start().await?;
    let in_blocks = every_message(&mut scene, false).await?;
    ensure!(in_blocks > 15, "only {in_blocks} transactions came as far as a block");
    let register = MsgRegisterProvider {
        owner: scene.renter.address().to_owned(),
        moniker: "fast-gpus".into(),
        endpoints: vec!["http://127.0.0.1:7000".into()],
        operators: vec![],
        bond: Some(ugantry(100_000_000)),
    };
    scene.rpc.commit(&scene.renter.next(&paid().message(&register))).await?.expect("registration", 0, "")?;
    let in_blocks = every_message(&mut scene, true).await?;
    ensure!(in_blocks > 15, "only {in_blocks} transactions came as far as a block");
    scene.coins = scene.chain.balance(scene.renter.address(), "ugantry").await?;
    scene.nothing_else_happened().await
}

/// Sends them; how many came into a block.
async fn every_message(scene: &mut Scene, may_succeed: bool) -> Result<usize> {
    let pool = DescriptorPool::decode(gantry_proto::DESCRIPTOR_SET)?;
    let (gas, fee) = (5_000_000, 12_500);
    let services = pool.services().filter(|service| service.name() == "Msg");
    let kinds: Vec<_> = services.flat_map(|s| s.methods().map(|m| m.input()).collect::<Vec<_>>()).collect();
    ensure!(kinds.len() > 15, "only {} messages", kinds.len());
    let mut in_blocks = 0;
    let amounts = [Amount::Nothing, Amount::Some, Amount::TooMuch];
    for (kind, amount) in kinds.iter().flat_map(|kind| amounts.map(|amount| (kind, amount))) {
        let mut message = filled(kind, amount, 4);
        let signer = kind.fields().next().context("a message without fields")?;
        if matches!(signer.kind(), Kind::String) {
            message.set_field(&signer, Value::String(scene.renter.address().to_owned()));
        }
        let what = format!("{amount:?} in {}", kind.full_name());
        let any = Any { type_url: format!("/{}", kind.full_name()), value: message.encode_to_vec() };
        let tx = TxBuilder::new().any(any).gas_limit(gas).fee(vec![ugantry(fee)]);
        let check = scene.rpc.broadcast(&scene.renter.sign(&tx)).await?;
        ensure!(check.code != 111_222, "{what} panics: {check:?}");
        if check.code != 0 {
            continue;
        }
        let verdict = scene.rpc.committed(&check.hash).await?;
        scene.renter.data.sequence += 1;
        scene.coins -= fee;
        in_blocks += 1;
        let by_design = kind.full_name() == MsgUpdateParams::full_name();
        ensure!(by_design || verdict.code != 111_222, "{what} panics: {verdict:?}");
        let fails = verdict.code != 0;
        ensure!(fails || (may_succeed && !matches!(amount, Amount::TooMuch)), "{what} succeeds");
    }
    if !may_succeed {
        let coins = scene.chain.balance(scene.renter.address(), "ugantry").await?;
        ensure!(coins == scene.coins, "more than the fees was kept: {coins}, not {}", scene.coins);
    }
    Ok(in_blocks)
}

/// How much is in the fields of a message.
#[derive(Clone, Copy, Debug)]
enum Amount {
    Nothing,
    Some,
    TooMuch,
}

/// A message with each field filled, and those within them to a depth.
fn filled(kind: &MessageDescriptor, amount: Amount, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(kind.clone());
    if matches!(amount, Amount::Nothing) || depth == 0 {
        return message;
    }
    let much = matches!(amount, Amount::TooMuch);
    let coin = kind.full_name() == "cosmos.base.v1beta1.Coin";
    for field in kind.fields().filter(|field| !field.is_map()) {
        let one = match field.kind() {
            Kind::Message(kind) => Value::Message(filled(&kind, amount, depth - 1)),
            Kind::String if coin && field.name() == "denom" => Value::String("ugantry".into()),
            Kind::String if coin => Value::String(if much { u128::MAX.to_string() } else { "1".into() }),
            Kind::String => Value::String(if much { "\u{10ffff}/".repeat(60) } else { "a".into() }),
            Kind::Bytes => Value::Bytes(vec![0xff; if much { 256 } else { 32 }].into()),
            Kind::Bool => Value::Bool(true),
            Kind::Enum(_) => Value::EnumNumber(if much { i32::MAX } else { 1 }),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(if much { u32::MAX } else { 1 }),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(if much { u64::MAX } else { 1 }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(if much { i32::MIN } else { 1 }),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(if much { i64::MIN } else { 1 }),
            // No state machine has these.
            Kind::Float | Kind::Double => continue,
        };
        let value = if field.is_list() { Value::List(vec![one; if much { 3 } else { 1 }]) } else { one };
        message.set_field(&field, value);
    }
    message
}

/// A transaction whose key is a multisig of a multisig of ..., and whose mode is nested as often or otherwise.
fn deep_multisig(tx: &TxBuilder, keys: usize, modes: usize) -> Vec<u8> {
    let key = Any { type_url: PubKey::type_url(), value: PubKey { key: vec![2; 33] }.encode_to_vec() };
    let public_key = (0..keys).fold(key, |inner, _| Any {
        type_url: LegacyAminoPubKey::type_url(),
        value: LegacyAminoPubKey { threshold: 1, public_keys: vec![inner] }.encode_to_vec(),
    });
    // Modes nest as plain messages; they are written inside out, because encoders recurse.
    let single = ModeInfo { sum: Some(mode_info::Sum::Single(mode_info::Single { mode: 1 })) }.encode_to_vec();
    let mode = (0..modes).fold(single, |inner, _| {
        let multi = [field(1, &[]), field(2, &inner)].concat();
        field(2, &multi)
    });
    let info = SignerInfo { public_key: Some(public_key), mode_info: None, sequence: 0 }.encode_to_vec();
    let signer_info = [info, field(2, &mode)].concat();
    let fee = Fee { amount: vec![ugantry(FEE)], gas_limit: GAS, ..Fee::default() };
    let rest = AuthInfo { fee: Some(fee), ..AuthInfo::default() }.encode_to_vec();
    let auth_info_bytes = [field(1, &signer_info), rest].concat();
    TxRaw { body_bytes: tx.body_bytes(), auth_info_bytes, signatures: vec![vec![0; 64]] }.encode_to_vec()
}

/// A length-delimited field.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encoding::encode_varint(bytes.len() as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}
