use anyhow::Result;
use cosmos_sdk_proto::cosmos::bank::v1beta1::QueryAllBalancesRequest;
use gantry_client::ClientError;
use serde_json::json;

use crate::{context::Context, out};

/// What an account holds.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  gantry balance\n  gantry balance worker-1\n  gantry balance gantry1…")]
pub(crate) struct Args {
    /// Address, or name of a key [default: one's own]
    account: Option<String>,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<()> {
    let address = context.address(args.account.as_deref())?;
    let request = QueryAllBalancesRequest { address: address.clone(), pagination: None, resolve_denom: false };
    let answer = context.chain().await?.bank().all_balances(request).await.map_err(ClientError::from)?.into_inner();
    let coins: Vec<_> = answer.balances.iter().map(|c| json!({ "denom": c.denom, "amount": c.amount })).collect();
    context.print(|| Ok(json!({ "address": address, "balances": coins })), || out::coins(&answer.balances))
}
