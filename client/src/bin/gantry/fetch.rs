use std::path::PathBuf;

use anyhow::Result;
use gantry_client::{FetchedResult, fetch_result};
use serde_json::json;

use crate::{context::Context, out};

/// Files listed in the answer for people.
const LISTED: usize = 50;

/// Fetch the result of a job: what its replicas agreed on, checked byte for byte against the chain's verdict.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: gantry fetch 9 --to picture")]
pub(crate) struct Args {
    /// Id of the job.
    job: u64,
    /// Folder to write to; it must not exist [default: job-ID]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<()> {
    let to = args.to.unwrap_or_else(|| format!("job-{}", args.job).into());
    let chain = context.chain().await?;
    // Results are open after the verdict; a key is needed only where a worker still withholds them.
    let signer = context.settings.from.is_some().then(|| context.signer()).transpose()?;
    let bar = out::transfer_bar("fetching");
    let result = fetch_result(&chain, signer.as_ref(), args.job, &to, |p| out::advance(&bar, &p)).await;
    bar.finish_and_clear();
    let fetched = result?;
    if !fetched.completed {
        eprintln!("warning: the program of job {} failed; this is what it left", args.job);
    }
    let files = || fetched.files.iter().map(|(path, bytes)| json!({ "path": path, "bytes": bytes.to_string() }));
    context.print(
        || {
            Ok(json!({
                "job_id": args.job.to_string(), "cid": fetched.cid.to_string(), "to": to,
                "bytes": fetched.bytes.to_string(), "files": files().collect::<Vec<_>>(),
            }))
        },
        || text(&fetched, &to),
    )
}

fn text(fetched: &FetchedResult, to: &std::path::Path) -> String {
    let rows = fetched
        .files
        .iter()
        .take(LISTED)
        .map(|(path, bytes)| [out::size(*bytes), out::plain(&to.join(path).display().to_string())]);
    let mut text = out::table([">SIZE", "FILE"], &rows.collect::<Vec<_>>());
    if fetched.files.len() > LISTED {
        text.push_str(&format!("… and {} more\n", fetched.files.len() - LISTED));
    }
    format!("{text}{} in {} files, verified: {}\n", out::size(fetched.bytes), fetched.files.len(), fetched.cid)
}
