//! What happened, read back from the node's queries.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use cosmos_sdk_proto::cosmos::bank::v1beta1::QuerySupplyOfRequest;
use gantry_client::Chain;
use gantry_proto::gantry::{
    escrow::v1::{QueryTotalsRequest, QueryTotalsResponse},
    job::v1::{Assignment, AssignmentState, Job, JobState, QueryGraphRequest, Reason},
    provider::v1::{Provider, QueryProvidersRequest},
    reputation::v1::QueryScoreRequest,
    verifier::v1::{QuerySlashesRequest, QueryVerdictRequest, Slash, SlashReason, Verdict},
};

/// A step of the demo and how long it took.
#[derive(Debug)]
pub(crate) struct Phase {
    name: &'static str,
    took: Duration,
}

impl Phase {
    pub(crate) fn new(name: &'static str, start: Instant) -> Self {
        Self { name, took: start.elapsed() }
    }
}

/// All money there is, and what the chain's fee accounts hold of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Supply(u128);

impl Supply {
    pub(crate) async fn read(chain: &Chain) -> Result<Self> {
        let request = QuerySupplyOfRequest { denom: "ugantry".into() };
        let coin = chain.bank().supply_of(request).await?.into_inner().amount.context("no supply")?;
        Ok(Self(coin.amount.parse()?))
    }
}

/// Everything that the report shows.
#[derive(Debug)]
pub(crate) struct Report {
    jobs: Vec<Job>,
    assignments: Vec<Assignment>,
    verdicts: BTreeMap<u64, Verdict>,
    providers: BTreeMap<u64, Provider>,
    scores: BTreeMap<u64, u32>,
    slashes: Vec<Slash>,
    totals: QueryTotalsResponse,
    supply: (Supply, Supply),
    height: u64,
    first_log: Duration,
    phases: Vec<Phase>,
}

impl Report {
    pub(crate) async fn read(
        chain: &Chain,
        graph: u64,
        before: Supply,
        first_log: Duration,
        phases: Vec<Phase>,
    ) -> Result<Self> {
        let answer = chain.jobs().graph(QueryGraphRequest { graph_id: graph }).await?.into_inner();
        let mut verdicts = BTreeMap::new();
        for job in &answer.jobs {
            let request = QueryVerdictRequest { job_id: job.id };
            match chain.verifier().verdict(request).await {
                Ok(response) => verdicts.extend(response.into_inner().verdict.map(|v| (job.id, v))),
                Err(status) if status.code() == tonic::Code::NotFound => {}
                Err(status) => return Err(status.into()),
            }
        }
        let providers = chain.providers().providers(QueryProvidersRequest::default()).await?.into_inner().providers;
        let mut scores = BTreeMap::new();
        for provider in &providers {
            let request = QueryScoreRequest { provider_id: provider.id };
            scores.insert(provider.id, chain.reputation().score(request).await?.into_inner().score);
        }
        Ok(Self {
            jobs: answer.jobs,
            assignments: answer.assignments,
            verdicts,
            providers: providers.into_iter().map(|p| (p.id, p)).collect(),
            scores,
            slashes: chain.verifier().slashes(QuerySlashesRequest::default()).await?.into_inner().slashes,
            totals: chain.escrow().totals(QueryTotalsRequest::default()).await?.into_inner(),
            supply: (before, Supply::read(chain).await?),
            height: chain.height().await?,
            first_log,
            phases,
        })
    }

    /// Whether escrow adds up and no unit was made or lost.
    pub(crate) fn conserved(&self) -> bool {
        self.totals.conserved && self.supply.0 == self.supply.1
    }

    /// Monikers of those slashed for a wrong result, ascending.
    pub(crate) fn caught(&self) -> Vec<String> {
        let wrong = self.slashes.iter().filter(|s| s.reason() == SlashReason::WrongResult);
        let mut names: Vec<String> = wrong.map(|s| self.moniker(s.provider_id).to_owned()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Id of a job that completed, by name.
    pub(crate) fn completed(&self, name: &str) -> Option<u64> {
        self.jobs.iter().find(|j| job_name(j) == name && j.state() == JobState::Completed).map(|j| j.id)
    }

    fn moniker(&self, provider: u64) -> &str {
        self.providers.get(&provider).map_or("?", |p| &p.moniker)
    }

    fn job_name_of(&self, id: u64) -> &str {
        self.jobs.iter().find(|j| j.id == id).map_or("?", job_name)
    }
}

fn job_name(job: &Job) -> &str {
    job.spec.as_ref().map_or("?", |s| &s.name)
}

fn sum<'a>(amounts: impl Iterator<Item = &'a String>) -> u128 {
    amounts.filter_map(|a| a.parse::<u128>().ok()).sum()
}

fn short(enum_name: &str) -> String {
    let words: Vec<&str> = enum_name.split('_').skip(2).collect();
    words.join(" ").to_lowercase()
}

/// `x` seconds of market time between two stamps, where both exist.
fn seconds(from: u64, to: u64) -> String {
    match to.checked_sub(from) {
        Some(ms) if from > 0 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => String::new(),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nJOBS\n  {:<8} {:<10} {:>7} {:>7} {:>8} {:>6}  workers (run)",
            "job", "state", "height", "ended", "took", "votes"
        )?;
        for job in &self.jobs {
            let runs: Vec<String> = self
                .assignments
                .iter()
                .filter(|a| a.job_id == job.id)
                .map(|a| {
                    let mark = match a.state() {
                        AssignmentState::Settled => String::new(),
                        _ if a.end.as_ref().is_some_and(|e| e.reason() == Reason::WrongResult) => " WRONG".into(),
                        other => format!(" {}", short(other.as_str_name())),
                    };
                    format!(
                        "{}{mark} ({})",
                        self.moniker(a.provider_id),
                        seconds(a.running_time_ms, a.committed_time_ms)
                    )
                })
                .collect();
            writeln!(
                f,
                "  {:<8} {:<10} {:>7} {:>7} {:>8} {:>6}  {}",
                job_name(job),
                short(job.state().as_str_name()),
                job.submitted_height,
                job.ended_height,
                seconds(job.submitted_time_ms, job.ended_time_ms),
                self.verdicts.get(&job.id).map_or(String::new(), |v| v.votes.to_string()),
                runs.join(", ")
            )?;
        }

        writeln!(
            f,
            "\nWORKERS (ugantry)\n  {:<10} {:>5} {:>8} {:>10} {:>10} {:>13} {:>10}",
            "worker", "runs", "commits", "paid", "slashed", "bond", "reputation"
        )?;
        for provider in self.providers.values() {
            let own: Vec<&Assignment> = self.assignments.iter().filter(|a| a.provider_id == provider.id).collect();
            writeln!(
                f,
                "  {:<10} {:>5} {:>8} {:>10} {:>10} {:>13} {:>10}",
                provider.moniker,
                own.iter().filter(|a| a.running_height > 0).count(),
                own.iter().filter(|a| a.committed_height > 0).count(),
                sum(own.iter().map(|a| &a.paid)),
                sum(own.iter().map(|a| &a.slashed)),
                provider.bond.as_ref().map_or("", |c| &c.amount),
                self.scores.get(&provider.id).copied().unwrap_or(0)
            )?;
        }

        writeln!(f, "\nCAUGHT")?;
        if self.slashes.is_empty() {
            writeln!(f, "  nobody was slashed")?;
        }
        for slash in &self.slashes {
            writeln!(
                f,
                "  {} on {} at height {}: {}, {} slashed into the pool",
                self.moniker(slash.provider_id),
                self.job_name_of(slash.job_id),
                slash.height,
                short(slash.reason().as_str_name()),
                slash.amount.as_ref().map_or(String::new(), |c| format!("{}{}", c.amount, c.denom)),
            )?;
            if let (false, Some(verdict)) = (slash.evidence.is_empty(), self.verdicts.get(&slash.job_id)) {
                writeln!(
                    f,
                    "    committed to {}\n    agreed on    {}",
                    hex::encode(&slash.evidence),
                    hex::encode(&verdict.output_digest)
                )?;
            }
        }

        writeln!(f, "\nMONEY")?;
        for t in &self.totals.totals {
            writeln!(
                f,
                "  escrow: {} deposited = {} locked + {} accrued + {} released + {} refunded + {} fee ({})",
                t.deposited, t.locked, t.accrued, t.released, t.refunded, t.fee, t.denom
            )?;
        }
        writeln!(f, "  the node says that escrow is conserved: {}", self.totals.conserved)?;
        writeln!(f, "  supply: {} before, {} after", self.supply.0.0, self.supply.1.0)?;

        writeln!(f, "\nTIME")?;
        for phase in &self.phases {
            writeln!(f, "  {:<24} {:>6.1} s", phase.name, phase.took.as_secs_f64())?;
        }
        writeln!(f, "  {:<24} {:>6.1} s", "submit to first log line", self.first_log.as_secs_f64())?;
        let paid = self.jobs.iter().filter(|j| j.ended_time_ms > 0).min_by_key(|j| j.ended_time_ms);
        if let Some(job) = paid {
            let took = seconds(job.submitted_time_ms, job.ended_time_ms);
            writeln!(f, "  {:<24} {took:>8} (market time, {})", "submit to first payment", job_name(job))?;
        }
        writeln!(f, "  {:<24} {:>6}", "height now", self.height)
    }
}
