//! `gantryd query`: every query of every module, by the descriptor set; transactions and blocks, by CometBFT.

use anyhow::{Context, Result, anyhow};
use clap::{ArgMatches, FromArgMatches, Subcommand};
use prost::Message;
use tendermint::{Hash, block::Height};
use tendermint_rpc::{
    Client as _,
    endpoint::{block, block_results, tx},
};

use super::{
    client::{self, Client},
    dynamic::{self, Fields},
    rpc::{self, Node},
};
use crate::tx_response::{timestamp, tx_response};

/// Queries that the SDK calls otherwise than their methods: module, command, the SDK's name.
const SDK_NAMES: &[(&str, &str, &str)] = &[
    ("bank", "all-balances", "balances"),
    ("bank", "supply-of", "total-supply-of"),
    ("bank", "total-supply", "total"),
];

/// The arguments of a query; which there are is known only once the descriptor set is read.
#[derive(Clone, Debug)]
pub(super) struct Query(ArgMatches);

#[derive(Debug, clap::Args)]
struct Flags {
    /// The height to read at; 0 is the latest
    #[arg(long, default_value_t = 0)]
    height: u64,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// A transaction that is in a block
    Tx {
        /// In hexadecimal
        hash: String,
    },
    /// Wait until a transaction is in a block
    #[command(visible_alias = "event-query-tx-for")]
    WaitTx {
        /// In hexadecimal
        hash: String,
        /// For how many seconds
        #[arg(long, default_value_t = 15)]
        timeout: u64,
    },
    /// A block
    Block {
        /// Its height; the latest without one
        height: Option<u64>,
    },
    /// What came of a block
    BlockResults {
        /// Its height; the latest without one
        height: Option<u64>,
    },
}

impl clap::Args for Query {
    fn augment_args(command: clap::Command) -> clap::Command {
        let taken = [dynamic::flags_of::<client::Flags>(), dynamic::flags_of::<Flags>()].concat();
        let mut command = Command::augment_subcommands(command).subcommand_required(true);
        for (module, methods) in dynamic::methods("Query") {
            let mut group = clap::Command::new(dynamic::leak(module.clone()))
                .about(format!("Queries of {module}"))
                .subcommand_required(true)
                .arg_required_else_help(true);
            for (name, method) in methods {
                let sdk = SDK_NAMES.iter().find(|(m, c, _)| *m == module && *c == name).map(|(.., sdk)| *sdk);
                let leaf = clap::Command::new(dynamic::leak(name)).visible_aliases(sdk);
                let leaf = Fields::default().add(leaf, &method.input(), &taken);
                let leaf = <Flags as clap::Args>::augment_args(leaf).about(dynamic::path(&method));
                group = group.subcommand(leaf);
            }
            command = command.subcommand(group);
        }
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Query {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(matches.clone()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = matches.clone();
        Ok(())
    }
}

pub(super) async fn run(client: &Client, Query(matches): Query) -> Result<()> {
    let node = Node::connect(&client.node)?;
    if let Some((module, matches)) = matches.subcommand()
        && let Some(methods) = dynamic::methods("Query").get(module)
        && let Some((name, matches)) = matches.subcommand()
    {
        let method = methods.get(name).with_context(|| format!("unknown query {name}"))?;
        let request = Fields::default().message(method.input(), matches)?.encode_to_vec();
        let height = Flags::from_arg_matches(matches)?.height;
        let response = node.query(&dynamic::path(method), request, height).await?;
        let response = prost_reflect::DynamicMessage::decode(method.output(), response.as_slice())?;
        return client.print(&dynamic::to_json(&response)?);
    }
    let json = match Command::from_arg_matches(&matches)? {
        Command::Tx { hash } => transaction(&node, client, &hash).await?,
        Command::WaitTx { hash, timeout } => wait(&node, client, &hash, timeout).await?,
        Command::Block { height } => {
            let mut answer = node.json(block::Request { height: parse_height(height)? }).await?;
            answer["block"].take().to_string()
        }
        Command::BlockResults { height } => {
            node.json(block_results::Request { height: parse_height(height)? }).await?.to_string()
        }
    };
    client.print(&json)
}

fn parse_height(height: Option<u64>) -> Result<Option<Height>> {
    Ok(height.map(Height::try_from).transpose()?)
}

fn parse_hash(text: &str) -> Result<Hash> {
    text.to_uppercase().parse().map_err(|_| anyhow!("{text:?} is no transaction hash: 64 hexadecimal digits"))
}

async fn transaction(node: &Node, client: &Client, hash: &str) -> Result<String> {
    let found = rpc::answer(&client.node, node.rpc.tx(parse_hash(hash)?, false).await)?;
    response_json(node, client, found).await
}

/// Asks until the transaction is there, four times a second: a subscription would have to ask as well, for transactions
/// that were in a block before it began.
async fn wait(node: &Node, client: &Client, hash: &str, seconds: u64) -> Result<String> {
    let parsed = parse_hash(hash)?;
    let found = async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(250));
        loop {
            tick.tick().await;
            match rpc::answer(&client.node, node.rpc.tx(parsed, false).await) {
                Err(error) if error.to_string().contains("not found") => {}
                answer => break answer,
            }
        }
    };
    let found = tokio::time::timeout(std::time::Duration::from_secs(seconds), found).await;
    response_json(node, client, found.map_err(|_| anyhow!("timed out waiting for transaction {hash}"))??).await
}

/// The SDK's TxResponse, with the decoded transaction and the time of its block.
async fn response_json(node: &Node, client: &Client, found: tx::Response) -> Result<String> {
    let block = rpc::answer(&client.node, node.rpc.header(found.height).await)?;
    let response = tx_response(found, timestamp(block.header.time)).context("the result's data")?;
    dynamic::to_json(&dynamic::dynamic(&response)?)
}
