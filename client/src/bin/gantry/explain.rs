use anyhow::Result;
use gantry_client::{ClientError, to_json};
use gantry_proto::gantry::matching::v1::{OfferVerdict, QueryExplainJobRequest, QuerySimulateMatchResponse};

use crate::{context::Context, out};

/// Why a job waits: for each offer on the market, the first thing that does not fit.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: gantry explain 7")]
pub(crate) struct Args {
    /// Id of the job.
    job: u64,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<()> {
    let request = QueryExplainJobRequest { job_id: args.job };
    let answer = context.chain().await?.matching().explain_job(request).await.map_err(ClientError::from)?.into_inner();
    context.print(|| Ok(to_json(&answer)?), || text(args.job, &answer))
}

fn text(job: u64, answer: &QuerySimulateMatchResponse) -> String {
    let rows: Vec<_> = answer
        .offers
        .iter()
        .map(|verdict| {
            [
                verdict.provider_id.to_string(),
                out::plain(&verdict.moniker),
                verdict.offer_id.to_string(),
                verdict.class_id.clone(),
                fit(verdict),
            ]
        })
        .collect();
    let table = if rows.is_empty() {
        "There are no offers on the market.\n".to_owned()
    } else {
        out::table([">PROVIDER", "MONIKER", ">OFFER", "CLASS", "FITS"], &rows)
    };
    format!(
        "{table}\nOwners with a fitting offer in one class: {} of {} needed.\nJob {job}: {}.\n",
        answer.feasible_owners,
        answer.needed,
        answer.summary.trim_end_matches('.')
    )
}

/// `yes`, or why not.
pub(crate) fn fit(verdict: &OfferVerdict) -> String {
    if verdict.feasible { "yes".to_owned() } else { format!("no: {}", out::plain(&verdict.reason)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offer_says_what_does_not_fit() {
        let offer = |id: u64, feasible, reason: &str| OfferVerdict {
            provider_id: id,
            offer_id: 1,
            moniker: format!("worker-{id}"),
            class_id: "wasm-1".into(),
            feasible,
            reason: reason.into(),
            reason_code: String::new(),
        };
        let answer = QuerySimulateMatchResponse {
            offers: vec![offer(1, true, ""), offer(12, false, "asks 9 a second, at most 8 are paid")],
            feasible_owners: 1,
            needed: 3,
            summary: "2 more owners are needed".into(),
        };
        let expected = "\
PROVIDER  MONIKER    OFFER  CLASS   FITS
       1  worker-1       1  wasm-1  yes
      12  worker-12      1  wasm-1  no: asks 9 a second, at most 8 are paid

Owners with a fitting offer in one class: 1 of 3 needed.
Job 7: 2 more owners are needed.
";
        assert_eq!(text(7, &answer), expected);
    }
}
