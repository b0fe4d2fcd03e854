//! `gantryd tx`: every message of every module, by the descriptor set; signing and broadcasting.

use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use clap::{ArgMatches, FromArgMatches, Subcommand};
use cosmos_sdk_proto::{
    Any,
    cosmos::{
        auth::v1beta1::{BaseAccount, QueryAccountRequest, QueryAccountResponse},
        bank::v1beta1::{Input, MsgMultiSend, MsgSend, Output},
        base::abci::v1beta1::TxResponse,
        tx::v1beta1::{SimulateRequest, SimulateResponse, Tx as ProtoTx, TxRaw},
    },
};
use gantry_core::{Address, Coins};
use gantry_keyring::{KeyInfo, SignerData, TxBuilder};
use prost::{Message, Name};
use prost_reflect::{MethodDescriptor, Value};
use sha2::{Digest, Sha256};
use tendermint_rpc::{Client as _, error::ErrorDetail};

use super::{
    client::{self, Client},
    dynamic::{self, Fields},
    fee::{Decimal, Gas, GasPrices},
    output, prompt,
    rpc::{self, Node},
};

/// The SDK's gas limit where none is given.
const DEFAULT_GAS: u64 = 200_000;

/// The arguments of a transaction; which there are is known only once the descriptor set is read.
#[derive(Clone, Debug)]
pub(super) struct Tx(ArgMatches);

/// Flags of every transaction.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Transaction flags")]
struct Flags {
    /// Name or address of the key that signs
    #[arg(long)]
    from: Option<String>,
    /// What to pay, such as 500ugantry
    #[arg(long, env = "GANTRYD_FEES", conflicts_with = "gas_prices")]
    fees: Option<Coins>,
    /// What to pay for a unit of gas, such as 0.025ugantry
    #[arg(long, env = "GANTRYD_GAS_PRICES")]
    gas_prices: Option<GasPrices>,
    /// Most gas to use, or auto to find out
    #[arg(long, env = "GANTRYD_GAS", default_value_t = Gas::Limit(DEFAULT_GAS))]
    gas: Gas,
    /// With --gas auto, how many times the simulated gas to allow
    #[arg(long, env = "GANTRYD_GAS_ADJUSTMENT", default_value = "1.2")]
    gas_adjustment: Decimal,
    /// A note on the transaction, for everyone to read
    #[arg(long, visible_alias = "memo", default_value = "")]
    note: String,
    /// The last height at which it may enter a block; 0 is none
    #[arg(long, default_value_t = 0)]
    timeout_height: u64,
    /// Account whose allowance pays the fee
    #[arg(long)]
    fee_granter: Option<Address>,
    /// Do not ask before broadcasting
    #[arg(long, short = 'y')]
    yes: bool,
    /// Print the unsigned transaction and stop
    #[arg(long)]
    generate_only: bool,
    /// Simulate, print the gas and stop
    #[arg(long)]
    dry_run: bool,
    /// Ask no node
    #[arg(long, requires_all = ["account_number", "sequence"])]
    offline: bool,
    /// The signer's account number, instead of asking the node
    #[arg(long, short = 'a')]
    account_number: Option<u64>,
    /// The signer's sequence, instead of asking the node
    #[arg(long, short = 's')]
    sequence: Option<u64>,
    /// sync waits for the node's check, async does not
    #[arg(long, short = 'b', env = "GANTRYD_BROADCAST_MODE")]
    broadcast_mode: Option<BroadcastMode>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Send messages from a file: one, or a list, each in proto JSON with its @type
    Msg {
        /// The file; - is stdin
        file: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Sign a transaction that --generate-only printed, and print it
    Sign {
        /// The file; - is stdin
        file: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Send a signed transaction
    Broadcast {
        /// The file; - is stdin
        file: String,
        #[command(flatten)]
        flags: Flags,
    },
}

/// Bank's messages, whose arguments stand in the SDK's order.
#[derive(Debug, clap::Subcommand)]
enum Bank {
    /// Send coins to an account
    Send {
        /// Name or address of the key that signs
        from_key_or_address: String,
        /// Who gets the coins
        to_address: Address,
        /// Such as 5ugantry
        amount: Coins,
        #[command(flatten)]
        flags: Flags,
    },
    /// Send coins to several accounts, to each the amount
    MultiSend {
        /// Name or address of the key that signs
        from_key_or_address: String,
        /// Who gets the coins, and at the end the amount
        #[arg(required = true, num_args = 2.., value_name = "TO_ADDRESS… AMOUNT")]
        to: Vec<String>,
        /// Divide the amount among them
        #[arg(long)]
        split: bool,
        #[command(flatten)]
        flags: Flags,
    },
}

impl clap::Args for Tx {
    fn augment_args(command: clap::Command) -> clap::Command {
        let taken = [dynamic::flags_of::<client::Flags>(), dynamic::flags_of::<Flags>()].concat();
        let mut command = Command::augment_subcommands(command).subcommand_required(true);
        for (module, methods) in dynamic::methods("Msg") {
            let mut group = clap::Command::new(dynamic::leak(module.clone()))
                .subcommand_required(true)
                .arg_required_else_help(true);
            if module == "bank" {
                group = Bank::augment_subcommands(group);
            }
            for (name, method) in methods {
                if group.find_subcommand(&name).is_none() {
                    let leaf = fields().add(clap::Command::new(dynamic::leak(name)), &method.input(), &taken);
                    let leaf = <Flags as clap::Args>::augment_args(leaf).about(dynamic::path(&method));
                    group = group.subcommand(leaf);
                }
            }
            command = command.subcommand(group.about(format!("Messages of {module}")));
        }
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Tx {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(matches.clone()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = matches.clone();
        Ok(())
    }
}

/// The number of the signer's field: the first, in every message whose arguments follow from its descriptor.
const SIGNER: u32 = 1;

fn fields() -> Fields {
    Fields { without: Some(SIGNER) }
}

pub(super) async fn run(client: &Client, Tx(matches): Tx) -> Result<()> {
    let Some((group, inner)) = matches.subcommand() else { bail!("a command is missing") };
    let modules = dynamic::methods("Msg");
    let Some(methods) = modules.get(group) else {
        return match Command::from_arg_matches(&matches)? {
            Command::Msg { file, flags } => Session::new(client, flags, None)?.send(messages(&read(&file)?)?).await,
            Command::Sign { file, flags } => sign(&Session::new(client, flags, None)?, &read(&file)?).await,
            Command::Broadcast { file, flags } => {
                let tx: ProtoTx =
                    dynamic::from_json(dynamic::descriptor::<ProtoTx>()?, &read(&file)?)?.transcode_to()?;
                ensure!(!tx.signatures.is_empty(), "no signatures supplied");
                broadcast(client, mode(client, &flags)?, &encode(&tx)).await
            }
        };
    };
    match inner.subcommand() {
        Some((name, matches)) if group != "bank" || !Bank::has_subcommand(name) => {
            let method = methods.get(name).with_context(|| format!("unknown message {name}"))?;
            let session = Session::new(client, Flags::from_arg_matches(matches)?, None)?;
            let message = described(method, matches, &session.from)?;
            session.send(vec![message]).await
        }
        _ => match Bank::from_arg_matches(inner)? {
            Bank::Send { from_key_or_address, to_address, amount, flags } => {
                let session = Session::new(client, flags, Some(from_key_or_address))?;
                let message = MsgSend {
                    from_address: session.from.to_string(),
                    to_address: to_address.to_string(),
                    amount: amount.to_proto(),
                };
                session.send(vec![any(&message)]).await
            }
            Bank::MultiSend { from_key_or_address, to, split, flags } => {
                let session = Session::new(client, flags, Some(from_key_or_address))?;
                let message = multi_send(&session.from, &to, split)?;
                session.send(vec![any(&message)]).await
            }
        },
    }
}

/// The message of a method, filled from its arguments and the signer.
fn described(method: &MethodDescriptor, matches: &ArgMatches, from: &Address) -> Result<Any> {
    let mut message = fields().message(method.input(), matches)?;
    let signer = method.input().get_field(SIGNER).context("the message has no signer")?;
    if !message.has_field(&signer) {
        message.set_field(&signer, Value::String(from.to_string()));
    }
    Ok(Any { type_url: format!("/{}", method.input().full_name()), value: message.encode_to_vec() })
}

fn multi_send(from: &Address, to: &[String], split: bool) -> Result<MsgMultiSend> {
    let (amount, to) = to.split_last().context("the amount is missing")?;
    let coins: Coins = amount.parse()?;
    let count = to.len() as u128;
    let (mut each, mut total) = (Coins::new(), Coins::new());
    for coin in coins.iter() {
        let one = if split { coin.amount() / count } else { coin.amount() };
        let all = one.checked_mul(count).context("the sum overflows")?;
        each.add(&gantry_core::Coin::new(coin.denom(), one)?)?;
        total.add(&gantry_core::Coin::new(coin.denom(), all)?)?;
    }
    let outputs = to.iter().map(|to| {
        to.parse::<Address>()?;
        Ok(Output { address: to.clone(), coins: each.to_proto() })
    });
    Ok(MsgMultiSend {
        inputs: vec![Input { address: from.to_string(), coins: total.to_proto() }],
        outputs: outputs.collect::<Result<_>>()?,
    })
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: format!("/{}", M::full_name()), value: message.encode_to_vec() }
}

/// Messages in proto JSON with their `@type`: one, or a list.
fn messages(json: &str) -> Result<Vec<Any>> {
    let value: serde_json::Value = serde_json::from_str(json)?;
    let list = match value {
        serde_json::Value::Array(list) => list,
        one => vec![one],
    };
    let kind = dynamic::descriptor::<Any>()?;
    list.iter().map(|json| Ok(dynamic::from_json(kind.clone(), &json.to_string())?.transcode_to()?)).collect()
}

fn read(file: &str) -> Result<String> {
    match file {
        "-" => Ok(std::io::read_to_string(std::io::stdin())?),
        path => std::fs::read_to_string(path).with_context(|| path.to_owned()),
    }
}

/// Who signs, and how.
struct Session<'a> {
    client: &'a Client,
    flags: Flags,
    from: Address,
    key: Option<KeyInfo>,
}

impl<'a> Session<'a> {
    fn new(client: &'a Client, flags: Flags, from: Option<String>) -> Result<Self> {
        let name = from.or_else(|| flags.from.clone()).context("required flag(s) \"from\" not set")?;
        let (from, key) = client.account(&name)?;
        ensure!(key.is_some() || flags.generate_only || flags.dry_run, "{name}: key not found");
        Ok(Self { client, flags, from, key })
    }

    /// Prints, simulates or signs and sends messages, as the flags say.
    async fn send(&self, messages: Vec<Any>) -> Result<()> {
        let flags = &self.flags;
        let mut tx = TxBuilder::new().memo(&flags.note).timeout_height(flags.timeout_height);
        if let Some(granter) = &flags.fee_granter {
            tx = tx.fee_granter(&granter.to_string());
        }
        for message in messages {
            tx = tx.any(message);
        }
        let online = !(flags.generate_only && flags.gas != Gas::Auto);
        let account = if online { self.account().await? } else { Account::default() };
        let gas = match flags.gas {
            Gas::Limit(gas) if !flags.dry_run => gas,
            _ => {
                ensure!(!flags.offline, "cannot estimate gas in offline mode");
                let gas = self.simulate(&tx, account.sequence).await?;
                eprintln!("gas estimate: {gas}");
                gas
            }
        };
        if flags.dry_run {
            return Ok(());
        }
        let fee = match (&flags.fees, &flags.gas_prices) {
            (Some(fees), _) => fees.clone(),
            (None, Some(prices)) => prices.fee(gas)?,
            (None, None) => Coins::new(),
        };
        tx = tx.gas_limit(gas).fee(fee.to_proto());
        if flags.generate_only {
            return output::line(&json(&unsigned(&tx)?)?);
        }
        if !flags.yes {
            eprintln!("{}", json(&unsigned(&tx)?)?);
            if !prompt::confirm("confirm transaction before signing and broadcasting")? {
                eprintln!("canceled transaction");
                return Ok(());
            }
        }
        let bytes = self.sign(&tx, account)?;
        if flags.offline {
            return output::line(&json(&decode(&bytes)?)?);
        }
        broadcast(self.client, mode(self.client, flags)?, &bytes).await
    }

    fn sign(&self, tx: &TxBuilder, account: Account) -> Result<Vec<u8>> {
        ensure!(!self.client.chain_id.is_empty(), "chain ID required but not specified");
        let signer = self.client.keyring()?.signer(&self.from.to_string())?;
        let data = SignerData {
            chain_id: self.client.chain_id.clone(),
            account_number: account.number,
            sequence: account.sequence,
        };
        Ok(tx.sign(&signer, &data))
    }

    /// The signer's number and sequence: by flag, else from the node.
    async fn account(&self) -> Result<Account> {
        if let (Some(number), Some(sequence)) = (self.flags.account_number, self.flags.sequence) {
            return Ok(Account { number, sequence });
        }
        let request = QueryAccountRequest { address: self.from.to_string() };
        let node = Node::connect(&self.client.node)?;
        let response: QueryAccountResponse = node.call("/cosmos.auth.v1beta1.Query/Account", &request).await?;
        let account = response.account.unwrap_or_default();
        ensure!(account.type_url == format!("/{}", BaseAccount::full_name()), "{} cannot sign", account.type_url);
        let account = BaseAccount::decode(account.value.as_slice())?;
        Ok(Account {
            number: self.flags.account_number.unwrap_or(account.account_number),
            sequence: self.flags.sequence.unwrap_or(account.sequence),
        })
    }

    /// The gas that the transaction would use, times the adjustment.
    async fn simulate(&self, tx: &TxBuilder, sequence: u64) -> Result<u64> {
        let key = self.key.as_ref().map(|key| &key.public_key);
        let request = SimulateRequest { tx_bytes: tx.simulate(key, sequence), ..SimulateRequest::default() };
        let node = Node::connect(&self.client.node)?;
        let response: SimulateResponse = node.call("/cosmos.tx.v1beta1.Service/Simulate", &request).await?;
        let used = response.gas_info.context("the node's simulation says nothing of gas")?.gas_used;
        Ok(self.flags.gas_adjustment.times(used)?.try_into()?)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    number: u64,
    sequence: u64,
}

/// Signs a transaction in JSON and prints it with its signature.
async fn sign(session: &Session<'_>, text: &str) -> Result<()> {
    let tx: ProtoTx = dynamic::from_json(dynamic::descriptor::<ProtoTx>()?, text)?.transcode_to()?;
    let builder = builder(&tx)?;
    let account = session.account().await?;
    output::line(&json(&decode(&session.sign(&builder, account)?)?)?)
}

/// What a transaction in JSON says, for signing. What the builder cannot say is refused, not dropped.
fn builder(tx: &ProtoTx) -> Result<TxBuilder> {
    let body = tx.body.as_ref().context("the transaction has no body")?;
    let fee = tx.auth_info.as_ref().and_then(|info| info.fee.clone()).unwrap_or_default();
    let mut builder = TxBuilder::new()
        .memo(&body.memo)
        .timeout_height(body.timeout_height)
        .fee_granter(&fee.granter)
        .gas_limit(fee.gas_limit)
        .fee(fee.amount);
    for message in &body.messages {
        builder = builder.any(message.clone());
    }
    ensure!(
        builder.body_bytes() == body.encode_to_vec() && fee.payer.is_empty(),
        "extensions and payers are not supported"
    );
    Ok(builder)
}

/// The transaction as `--generate-only` shows it.
fn unsigned(tx: &TxBuilder) -> Result<ProtoTx> {
    let mut tx = decode(&tx.simulate(None, 0))?;
    tx.signatures.clear();
    if let Some(info) = &mut tx.auth_info {
        info.signer_infos.clear();
    }
    Ok(tx)
}

fn decode(bytes: &[u8]) -> Result<ProtoTx> {
    let raw = TxRaw::decode(bytes)?;
    Ok(ProtoTx {
        body: Some(Message::decode(raw.body_bytes.as_slice())?),
        auth_info: Some(Message::decode(raw.auth_info_bytes.as_slice())?),
        signatures: raw.signatures,
    })
}

fn encode(tx: &ProtoTx) -> Vec<u8> {
    TxRaw {
        body_bytes: tx.body.as_ref().map(Message::encode_to_vec).unwrap_or_default(),
        auth_info_bytes: tx.auth_info.as_ref().map(Message::encode_to_vec).unwrap_or_default(),
        signatures: tx.signatures.clone(),
    }
    .encode_to_vec()
}

fn json<M: Message + Name>(message: &M) -> Result<String> {
    dynamic::to_json(&dynamic::dynamic(message)?)
}

/// How much of a broadcast to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BroadcastMode {
    Sync,
    Async,
}

impl FromStr for BroadcastMode {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "sync" => Ok(Self::Sync),
            "async" => Ok(Self::Async),
            other => bail!("unsupported return type {other}; supported types: sync, async"),
        }
    }
}

fn mode(client: &Client, flags: &Flags) -> Result<BroadcastMode> {
    match (flags.broadcast_mode, client.broadcast_mode.as_str()) {
        (Some(mode), _) => Ok(mode),
        (None, "") => Ok(BroadcastMode::Sync),
        (None, text) => text.parse().context("client.toml: broadcast-mode"),
    }
}

/// Sends a transaction and prints the SDK's TxResponse. One that the node's check refuses is a response with a code, not
/// an error, as in the SDK.
async fn broadcast(client: &Client, mode: BroadcastMode, bytes: &[u8]) -> Result<()> {
    let node = Node::connect(&client.node)?;
    let answer = match mode {
        BroadcastMode::Sync => node.rpc.broadcast_tx_sync(bytes).await.map(|r| (r.codespace, r.code, r.data, r.log)),
        BroadcastMode::Async => {
            node.rpc.broadcast_tx_async(bytes).await.map(|r| (String::new(), r.code, r.data, r.log))
        }
    };
    let mut response = TxResponse { txhash: hex::encode_upper(Sha256::digest(bytes)), ..TxResponse::default() };
    match answer {
        Ok((codespace, code, data, log)) => {
            response.code = code.value();
            response.codespace = codespace;
            response.data = hex::encode_upper(data);
            response.raw_log = log;
        }
        Err(error) => match mempool_code(&error) {
            Some(code) => {
                response.code = code;
                response.codespace = "sdk".into();
            }
            None => {
                rpc::answer::<()>(&client.node, Err(error))?;
            }
        },
    }
    client.print(&json(&response)?)
}

/// CometBFT's own refusals as the SDK's codes.
fn mempool_code(error: &tendermint_rpc::Error) -> Option<u32> {
    let ErrorDetail::Response(response) = error.detail() else { return None };
    let text = response.source.to_string().to_lowercase();
    let texts = [("tx already exists in cache", 19), ("mempool is full", 20), ("tx too large", 21)];
    texts.iter().find(|(words, _)| text.contains(words)).map(|(_, code)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_signed_by_its_first_field() {
        for method in dynamic::methods("Msg").into_values().flat_map(std::collections::BTreeMap::into_values) {
            let message = method.input();
            if Bank::has_subcommand(&dynamic::kebab(method.name())) {
                continue;
            }
            let signer = message.get_field(SIGNER).unwrap();
            assert!(
                matches!(signer.kind(), prost_reflect::Kind::String) && !signer.is_list(),
                "{}",
                message.full_name()
            );
            let names = ["from_address", "authority", "owner", "operator", "renter", "signer", "sender"];
            assert!(names.contains(&signer.name()), "{}.{}", message.full_name(), signer.name());
        }
    }

    #[test]
    fn a_multi_send_conserves() {
        let from = Address::module("from");
        let to = [Address::module("a").to_string(), Address::module("b").to_string(), "5ugantry,1atom".into()];
        let message = multi_send(&from, &to, false).unwrap();
        assert_eq!(Coins::from_proto(&message.inputs[0].coins).unwrap().to_string(), "2atom,10ugantry");
        let message = multi_send(&from, &to, true).unwrap();
        assert_eq!(Coins::from_proto(&message.inputs[0].coins).unwrap().to_string(), "4ugantry");
        assert_eq!(Coins::from_proto(&message.outputs[1].coins).unwrap().to_string(), "2ugantry");
        assert!(multi_send(&from, &["nobody".into(), "5ugantry".into()], false).is_err());
    }

    #[test]
    fn a_transaction_is_the_sdks_json_and_survives_it() {
        let golden = golden("unsigned_tx");
        let address = |name: &str| golden["body"]["messages"][0][name].as_str().unwrap().to_owned();
        let message = MsgSend {
            from_address: address("from_address"),
            to_address: address("to_address"),
            amount: Coins::from(gantry_core::Coin::base(5)).to_proto(),
        };
        let fee = Coins::from(gantry_core::Coin::base(2000)).to_proto();
        let built = TxBuilder::new().message(&message).memo("hi").gas_limit(200_000).fee(fee);
        let text = json(&unsigned(&built).unwrap()).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), golden);
        let read: ProtoTx =
            dynamic::from_json(dynamic::descriptor::<ProtoTx>().unwrap(), &text).unwrap().transcode_to().unwrap();
        let again = builder(&read).unwrap();
        assert_eq!(again.simulate(None, 3), built.simulate(None, 3));
        assert_eq!(encode(&decode(&built.simulate(None, 3)).unwrap()), built.simulate(None, 3));
    }

    #[test]
    fn an_answer_is_the_sdks_json() {
        let response = TxResponse {
            txhash: "AB".into(),
            codespace: "sdk".into(),
            code: 32,
            raw_log: "x".into(),
            ..TxResponse::default()
        };
        let text = json(&response).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), golden("tx_response"));
        assert!(
            text.starts_with(r#"{"height":"0","txhash":"AB","codespace":"sdk","code":32,"#),
            "fields in order: {text}"
        );
    }

    /// What the Go SDK makes of the same.
    fn golden(name: &str) -> serde_json::Value {
        let shapes: serde_json::Value = serde_json::from_str(include_str!("../../golden/shapes.json")).unwrap();
        shapes[name].clone()
    }

    #[test]
    fn what_cannot_be_signed_as_it_stands_is_refused() {
        let mut tx = unsigned(&TxBuilder::new().memo("hi")).unwrap();
        tx.body.as_mut().unwrap().extension_options.push(Any::default());
        assert!(builder(&tx).is_err());
    }

    #[test]
    fn messages_come_one_or_many() {
        let one = r#"{"@type":"/gantry.job.v1.MsgCancelJob","renter":"r","job_id":"3"}"#;
        let read = messages(one).unwrap();
        assert_eq!(read[0].type_url, "/gantry.job.v1.MsgCancelJob");
        assert_eq!(messages(&format!("[{one},{one}]")).unwrap().len(), 2);
        assert!(messages(r#"{"@type":"/gantry.job.v1.MsgNothing"}"#).is_err());
        assert!(messages(r#"{"renter":"r"}"#).is_err());
    }
}
