use anyhow::Result;
use gantry_proto::gantry::job::v1::MsgCancelJob;
use serde_json::json;

use crate::context::Context;

/// Cancel a job and those that wait for it.
///
/// Free before a worker acknowledged; after that, the workers' time so far is paid. Refused once a result is committed.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: gantry cancel 7")]
pub(crate) struct Args {
    /// Id of the job.
    job: u64,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<()> {
    let sender = context.sender().await?;
    let sent = sender.send(&MsgCancelJob { renter: sender.address().to_owned(), job_id: args.job }).await?;
    context.print(
        || Ok(json!({ "job_id": args.job.to_string(), "txhash": sent.hash, "height": sent.height.to_string() })),
        || format!("job {} is cancelled, in tx {} at height {}", args.job, sent.hash, sent.height),
    )
}
