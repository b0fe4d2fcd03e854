use anyhow::{Error, Result};
use cosmos_sdk_proto::cosmos::bank::v1beta1::MsgSend;
use gantry_client::coins;
use serde_json::json;

use crate::context::Context;

/// Send coins.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: gantry send worker-1 1000000ugantry --from renter")]
pub(crate) struct Args {
    /// Address, or name of a key.
    to: String,
    /// For instance 1000000ugantry.
    coins: String,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<()> {
    let to_address = context.address(Some(&args.to))?;
    let amount = coins(&args.coins).map_err(Error::msg)?;
    let sender = context.sender().await?;
    let message = MsgSend { from_address: sender.address().to_owned(), to_address: to_address.clone(), amount };
    let sent = sender.send(&message).await?;
    context.print(
        || Ok(json!({ "txhash": sent.hash, "height": sent.height.to_string() })),
        || format!("sent {} to {to_address} in tx {} at height {}", args.coins, sent.hash, sent.height),
    )
}
