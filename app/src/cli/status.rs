//! `gantryd status`.

use anyhow::Result;
use tendermint_rpc::Client as _;

use super::{client::Client, output::Format, rpc};

pub(super) async fn run(client: &Client) -> Result<()> {
    let node = rpc::Node::connect(&client.node)?;
    let status = rpc::answer(&client.node, node.rpc.status().await)?;
    // JSON unless text was asked for: the SDK's status does the same.
    client.output.unwrap_or(Format::Json).print(&serde_json::to_string(&status)?)
}
