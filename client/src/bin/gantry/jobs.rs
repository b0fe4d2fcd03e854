use anyhow::Result;
use cosmos_sdk_proto::cosmos::base::query::v1beta1::PageRequest;
use gantry_client::{ClientError, to_json};
use gantry_proto::gantry::job::v1::{End, Job, QueryJobsRequest};
use serde_json::Value;

use crate::{context::Context, out, watch};

/// Your jobs, newest first.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  gantry jobs --from renter\n  gantry jobs --all --limit 20")]
pub(crate) struct Args {
    /// Everybody's.
    #[arg(long)]
    all: bool,
    /// Most jobs to list.
    #[arg(long, default_value_t = 100)]
    limit: u64,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<()> {
    let renter = if args.all { String::new() } else { context.address(None)? };
    let chain = context.chain().await?;
    let (mut jobs, mut key) = (Vec::new(), Vec::new());
    loop {
        let left = args.limit.saturating_sub(jobs.len() as u64);
        let pagination = Some(PageRequest { key, limit: left.max(1), reverse: true, ..PageRequest::default() });
        let request = QueryJobsRequest { renter: renter.clone(), pagination };
        let answer = chain.jobs().jobs(request).await.map_err(ClientError::from)?.into_inner();
        jobs.extend(answer.jobs);
        key = answer.pagination.map(|p| p.next_key).unwrap_or_default();
        if key.is_empty() || jobs.len() as u64 >= args.limit {
            break;
        }
    }
    context.print(
        || Ok(Value::Array(jobs.iter().map(to_json).collect::<Result<_, _>>()?)),
        || if jobs.is_empty() { "There are no jobs.\n".to_owned() } else { table(&jobs) },
    )
}

fn table(jobs: &[Job]) -> String {
    let rows: Vec<_> = jobs
        .iter()
        .map(|job| {
            let spec = job.spec.clone().unwrap_or_default();
            [
                job.id.to_string(),
                job.graph_id.to_string(),
                out::plain(&spec.name),
                watch::job_state(job.state()),
                job.end.as_ref().map(End::reason).map_or_else(|| "-".to_owned(), watch::reason),
                job.submitted_height.to_string(),
                out::coin(spec.max_price_total.as_ref()),
            ]
        })
        .collect();
    out::table([">JOB", ">GRAPH", "NAME", "STATE", "REASON", ">HEIGHT", ">AT MOST"], &rows)
}
