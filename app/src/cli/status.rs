//! `gantryd status`.

use anyhow::Result;
use tendermint_rpc::endpoint::status;

use super::{client::Client, output::Format, rpc::Node};

pub(super) async fn run(client: &Client) -> Result<()> {
    let status = Node::connect(&client.node)?.json(status::Request).await?;
    // JSON unless the command itself was asked for text: the SDK's status does the same.
    client.asked_output.unwrap_or(Format::Json).print(&status.to_string())
}
