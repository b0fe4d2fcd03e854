use std::collections::BTreeSet;

use anyhow::Result;
use gantry_client::{Chain, ClientError, Providers, to_json, word};
use gantry_proto::gantry::{
    escrow::v1::{Escrow, QueryEscrowRequest},
    job::v1::{Assignment, End, Job, QueryJobRequest, QueryJobResponse, Reason, Receipt, input::Source},
    verifier::v1::{
        QuerySlashesRequest, QuerySubmissionsRequest, QueryVerdictRequest, Slash, Submission, Verdict,
        verification_policy::Kind,
    },
};
use serde_json::{Value, json};
use tonic::{Code, Response, Status};

use crate::{context::Context, out, watch};

/// Everything about a job: what it is, who ran it, what was decided, where the money is.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: gantry job 7")]
pub(crate) struct Args {
    /// Id of the job.
    job: u64,
}

/// What the chain knows.
struct Dossier {
    answer: QueryJobResponse,
    escrow: Option<Escrow>,
    verdict: Option<Verdict>,
    submissions: Vec<Submission>,
    slashes: Vec<Slash>,
    providers: Providers,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<()> {
    let chain = context.chain().await?;
    let dossier = read(&chain, args.job).await?;
    context.print(|| dossier.json(), || dossier.text())
}

/// An answer, or none where the chain has nothing of the kind.
fn known<T>(answer: Result<Response<T>, Status>) -> Result<Option<T>, ClientError> {
    match answer {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status.into()),
    }
}

async fn read(chain: &Chain, id: u64) -> Result<Dossier, ClientError> {
    let answer = chain.jobs().job(QueryJobRequest { job_id: id }).await?.into_inner();
    let escrow = known(chain.escrow().escrow(QueryEscrowRequest { job_id: id }).await)?.and_then(|a| a.escrow);
    let verdict = known(chain.verifier().verdict(QueryVerdictRequest { job_id: id }).await)?.and_then(|a| a.verdict);
    let submissions = known(chain.verifier().submissions(QuerySubmissionsRequest { job_id: id }).await)?;
    let mut slashes = Vec::new();
    for provider_id in answer.assignments.iter().map(|a| a.provider_id).collect::<BTreeSet<_>>() {
        let request = QuerySlashesRequest { provider_id, pagination: None };
        let all = chain.verifier().slashes(request).await?.into_inner().slashes;
        slashes.extend(all.into_iter().filter(|slash| slash.job_id == id));
    }
    Ok(Dossier {
        answer,
        escrow,
        verdict,
        submissions: submissions.map(|a| a.submissions).unwrap_or_default(),
        slashes,
        providers: Providers::read(chain).await?,
    })
}

impl Dossier {
    fn json(&self) -> Result<Value> {
        let Value::Object(mut all) = to_json(&self.answer)? else { return Ok(Value::Null) };
        all.insert("escrow".into(), self.escrow.as_ref().map_or(Ok(Value::Null), to_json)?);
        all.insert("verdict".into(), self.verdict.as_ref().map_or(Ok(Value::Null), to_json)?);
        let submissions: Vec<_> = self.submissions.iter().map(to_json).collect::<Result<_, _>>()?;
        let slashes: Vec<_> = self.slashes.iter().map(to_json).collect::<Result<_, _>>()?;
        all.insert("submissions".into(), json!(submissions));
        all.insert("slashes".into(), json!(slashes));
        Ok(Value::Object(all))
    }

    fn text(&self) -> String {
        let mut text = match (&self.answer.job, &self.answer.receipt) {
            (Some(job), _) => describe(job),
            (None, Some(receipt)) => describe_receipt(receipt),
            (None, None) => String::new(),
        };
        if !self.answer.assignments.is_empty() {
            text.push_str(&format!("\nWORKERS\n{}", self.workers()));
        }
        if let Some(verdict) = &self.verdict {
            text.push_str(&format!("\nVERDICT\n{}", self.verdict(verdict)));
        }
        for slash in &self.slashes {
            text.push_str(&format!(
                "\nSLASHED\n  {} lost {} at height {}: {}\n",
                out::plain(&self.providers.name(slash.provider_id)),
                out::coin(slash.amount.as_ref()),
                slash.height,
                word(slash.reason().as_str_name(), "SLASH_REASON_")
            ));
        }
        if let Some(e) = &self.escrow {
            text.push_str(&format!(
                "\nMONEY ({})\n  {} deposited = {} locked + {} accrued + {} released + {} refunded + {} fee\n",
                e.denom, e.deposited, e.locked, e.accrued, e.released, e.refunded, e.fee
            ));
        }
        text
    }

    fn workers(&self) -> String {
        let rows: Vec<_> = self
            .answer
            .assignments
            .iter()
            .map(|a| {
                [
                    format!("{}.{}", a.attempt, a.replica),
                    out::plain(&self.providers.name(a.provider_id)),
                    ended(&watch::assignment_state(a.state()), a.end.as_ref()),
                    run_time(a),
                    a.paid.clone(),
                    a.slashed.clone(),
                    self.digest(a),
                ]
            })
            .collect();
        indent(&out::table(["RUN", "WORKER", "STATE", ">RAN", ">PAID", ">SLASHED", "RESULT"], &rows))
    }

    /// The beginning of the digest that a replica revealed.
    fn digest(&self, a: &Assignment) -> String {
        let own = |s: &&Submission| (s.attempt, s.replica) == (a.attempt, a.replica);
        match self.submissions.iter().find(own) {
            Some(s) if !s.output_digest.is_empty() => hex::encode(&s.output_digest[..s.output_digest.len().min(8)]),
            Some(_) => "committed".to_owned(),
            None => "-".to_owned(),
        }
    }

    fn verdict(&self, verdict: &Verdict) -> String {
        let names = |ids: &[u64]| {
            let names = ids.iter().map(|id| out::plain(&self.providers.name(*id)));
            if ids.is_empty() { "-".to_owned() } else { names.collect::<Vec<_>>().join(", ") }
        };
        let mut rows = vec![
            ("outcome", word(verdict.outcome().as_str_name(), "OUTCOME_")),
            ("height", verdict.height.to_string()),
            ("votes", verdict.votes.to_string()),
            ("digest", hex::encode(&verdict.output_digest)),
            ("agreed", names(&verdict.winners)),
            ("differed", names(&verdict.minority)),
            ("withheld", names(&verdict.withheld)),
        ];
        if let Some(result) = &verdict.result {
            let kind = word(result.exit_kind().as_str_name(), "EXIT_KIND_");
            rows.push(("ended by", format!("{kind} {}", result.exit_code)));
            rows.push(("output", format!("{} ({})", result.output_cid, out::size(result.output_bytes))));
        }
        rows.push(("held by", out::plain(&verdict.locations.join(", "))));
        lines(&rows)
    }
}

fn describe(job: &Job) -> String {
    let spec = job.spec.clone().unwrap_or_default();
    let image = spec.image.clone().unwrap_or_default();
    let limits = spec.limits.unwrap_or_default();
    let timeouts = spec.timeouts.unwrap_or_default();
    let policy = match spec.policy.and_then(|p| p.kind) {
        Some(Kind::Quorum(q)) => format!("quorum, {} of {}", q.k, q.n),
        Some(Kind::Attested(_)) => "attested".to_owned(),
        None => "-".to_owned(),
    };
    let ended = match job.ended_time_ms.checked_sub(job.submitted_time_ms) {
        Some(took) if job.ended_height > 0 => format!("height {}, after {}", job.ended_height, out::duration(took)),
        _ => "-".to_owned(),
    };
    let mut rows = vec![
        ("state", self::ended(&watch::job_state(job.state()), job.end.as_ref())),
        ("graph", job.graph_id.to_string()),
        ("renter", job.renter.clone()),
        ("module", format!("{} ({})", image.root_cid, out::size(image.size_bytes))),
        ("arguments", out::plain(&spec.args.join(" "))),
        ("policy", policy),
        (
            "price",
            format!(
                "at most {} a second and {} in total; {} a second now",
                out::coin(spec.max_price_per_second.as_ref()),
                out::coin(spec.max_price_total.as_ref()),
                out::coin(job.price_per_second.as_ref())
            ),
        ),
        (
            "limits",
            format!(
                "{} memory, {} fuel, {} output",
                out::size(limits.memory_bytes),
                limits.fuel,
                out::size(limits.output_bytes)
            ),
        ),
        (
            "timeouts",
            format!(
                "{} s queue, {} s staging, {} s execution",
                timeouts.queue_seconds, timeouts.staging_seconds, timeouts.execution_seconds
            ),
        ),
        ("attempt", format!("{} of {}", job.attempt, spec.retries.saturating_add(1))),
        ("submitted", format!("height {}", job.submitted_height)),
        ("ended", ended),
    ];
    if !job.dependencies.is_empty() {
        let ids: Vec<_> = job.dependencies.iter().map(u64::to_string).collect();
        rows.push(("waits for", format!("jobs {} ({} open)", ids.join(", "), job.open_dependencies)));
    }
    for input in &spec.inputs {
        let from = match &input.source {
            Some(Source::Cid(cid)) => cid.clone(),
            Some(Source::Output(output)) => format!("{}/{}", output.job, output.path).trim_end_matches('/').to_owned(),
            None => "-".to_owned(),
        };
        rows.push(("input", out::plain(&format!("{} = {from}", input.path))));
    }
    if !job.class_id.is_empty() {
        rows.push(("class", job.class_id.clone()));
    }
    format!("job {} {}\n{}", job.id, out::plain(&spec.name), lines(&rows))
}

fn describe_receipt(receipt: &Receipt) -> String {
    let rows = [
        ("state", ended(&watch::job_state(receipt.state()), receipt.end.as_ref())),
        ("graph", receipt.graph_id.to_string()),
        ("renter", receipt.renter.clone()),
        ("paid", out::coin(receipt.paid.as_ref())),
        ("attempts", receipt.attempts.to_string()),
        ("submitted", format!("height {}", receipt.submitted_height)),
        ("ended", format!("height {}", receipt.ended_height)),
        ("output", receipt.output_cid.clone()),
    ];
    format!("job {} (its receipt is left)\n{}", receipt.job_id, lines(&rows))
}

/// A state, and why if it is a bad one.
fn ended(state: &str, end: Option<&End>) -> String {
    match end.map(End::reason) {
        Some(why) if why != Reason::Unspecified => format!("{state} ({})", watch::reason(why)),
        _ => state.to_owned(),
    }
}

fn run_time(a: &Assignment) -> String {
    match a.committed_time_ms.checked_sub(a.running_time_ms) {
        Some(ms) if a.running_time_ms > 0 => out::duration(ms),
        _ => "-".to_owned(),
    }
}

/// Names and values, the values aligned.
pub(crate) fn lines(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("  {name:<width$}  {value}").trim_end().to_owned() + "\n").collect()
}

/// A text two columns further right.
pub(crate) fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use gantry_proto::gantry::job::v1::{AssignmentState, JobState};

    use super::*;

    #[test]
    fn a_job_is_told_from_its_state_to_its_money() {
        let job = Job { id: 7, state: JobState::Completed.into(), attempt: 1, ..Job::default() };
        let end = Some(End { reason: Reason::WrongResult.into(), ..End::default() });
        let assignment = Assignment {
            attempt: 1,
            replica: 2,
            provider_id: 3,
            state: AssignmentState::Failed.into(),
            end,
            running_time_ms: 1_000,
            committed_time_ms: 3_500,
            paid: "0".into(),
            slashed: "50".into(),
            ..Assignment::default()
        };
        let dossier = Dossier {
            answer: QueryJobResponse { job: Some(job), assignments: vec![assignment], ..QueryJobResponse::default() },
            escrow: Some(Escrow { denom: "ugantry".into(), deposited: "9".into(), ..Escrow::default() }),
            verdict: None,
            submissions: vec![],
            slashes: vec![],
            providers: Providers::default(),
        };
        let text = dossier.text();
        assert!(text.starts_with("job 7 \n  state      completed\n"), "{text}");
        let row = "  1.2  provider 3  failed (wrong result)  2.5 s     0       50  -\n";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("MONEY (ugantry)\n  9 deposited ="), "{text}");
        let json = dossier.json().unwrap();
        assert_eq!((&json["job"]["id"], &json["verdict"]), (&json!("7"), &Value::Null));
        assert_eq!(json["escrow"]["deposited"], "9");
    }
}
