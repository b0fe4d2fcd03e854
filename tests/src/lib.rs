//! Helpers of the tests that run real processes. Each test starts a network of its own, one test at a time, because two
//! networks on two cores would time each other out.

pub mod fire;
pub mod replay;
pub mod tx;

use std::{path::Path, sync::LazyLock};

use anyhow::{Context, Result, ensure};
use gantry_client::Chain;
use gantry_localnet::{Localnet, Misbehave, Options, WorkerOptions, binary, run, until};
use gantry_proto::gantry::job::v1::{Assignment, Job, JobState, QueryGraphRequest};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

static ONE_AT_A_TIME: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);

/// A network in a folder that is removed at the end, alone on the machine.
#[derive(Debug)]
pub struct TestNet {
    /// The network.
    pub net: Localnet,
    dir: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl TestNet {
    /// Starts a chain with honest workers and waits until all of them are on the market.
    pub async fn start(workers: usize) -> Result<Self> {
        let alone = ONE_AT_A_TIME.lock().await;
        let dir = tempfile::Builder::new().disable_cleanup(std::env::var_os("GANTRY_KEEP").is_some()).tempdir()?;
        let names: Vec<String> = (1..=workers).map(|i| format!("worker-{i}")).collect();
        let mut net = Localnet::start(Options { workers: names.clone(), ..Options::new(dir.path()) }).await?;
        for name in names {
            let misbehave = Misbehave::Never;
            net.start_worker(WorkerOptions { name, ask: "5ugantry".into(), capacity: 2, misbehave })?;
        }
        net.wait_for_offers(workers).await?;
        Ok(Self { net, dir, _alone: alone })
    }

    /// Where a test may put files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Runs `gantry` as the renter; its standard output.
    pub fn gantry(&self, words: &[&str]) -> Result<String> {
        let home = self.net.home();
        let mut args = words.to_vec();
        let endpoints = self.net.endpoints();
        args.extend(["--rpc", &endpoints.rpc, "--grpc", &endpoints.grpc, "--keyring-backend", "test"]);
        args.extend(["--from", "renter", "--keyring-dir", home.to_str().context("path is not UTF-8")?]);
        run(&binary("gantry")?, &args)
    }

    /// Submits a job file through the first worker; the graph's id.
    pub fn submit(&self, yaml: &str) -> Result<u64> {
        let file = self.dir().join("jobs.yaml");
        std::fs::write(&file, yaml)?;
        let home = &self.net.workers.first().context("no worker to upload to")?.endpoint;
        let file = file.to_str().context("path is not UTF-8")?;
        let answer = self.gantry(&["submit", file, "--home-endpoint", home, "--output", "json"])?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        answer["graph_id"].as_str().and_then(|id| id.parse().ok()).context("graph_id")
    }
}

/// A graph of path tracer tiles and their merge, each tile about a second of work.
#[must_use]
pub fn tiles(count: usize, policy: &str) -> String {
    let module = concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/path-tracer/path_tracer.wasm");
    let mut yaml = format!(
        "defaults:\n  wasm: {module}\n  policy: {policy}\n  price: {{ max_per_second: 10ugantry, max_total: 3000ugantry }}\n  \
         limits: {{ memory: 128MiB, output: 16MiB }}\n  \
         timeouts: {{ queue: 120s, staging: 60s, execution: 120s }}\n  retries: 1\njobs:\n"
    );
    for i in 0..count {
        yaml += &format!(
            "  - {{ name: tile-{i}, args: [tile, tile={i}, tiles={count}, width=320, height=200], outputs: [tile-00{i}.gtile] }}\n"
        );
    }
    yaml += "  - name: merge\n    args: [merge]\n    outputs: [picture.png]\n    inputs:\n";
    for i in 0..count {
        yaml += &format!("      - {{ path: tile-{i}, from: tile-{i} }}\n");
    }
    yaml
}

/// A graph's jobs and assignments now.
pub async fn graph(chain: &Chain, id: u64) -> Result<(Vec<Job>, Vec<Assignment>)> {
    let answer = chain.jobs().graph(QueryGraphRequest { graph_id: id }).await?.into_inner();
    Ok((answer.jobs, answer.assignments))
}

/// Whether a job has ended.
#[must_use]
pub fn is_terminal(job: &Job) -> bool {
    matches!(job.state(), JobState::Completed | JobState::Failed | JobState::Cancelled | JobState::Expired)
}

/// Waits until every job of a graph has ended.
pub async fn finished(chain: &Chain, id: u64, seconds: u64) -> Result<(Vec<Job>, Vec<Assignment>)> {
    until("the graph ends", std::time::Duration::from_secs(seconds), async || {
        let (jobs, assignments) = graph(chain, id).await?;
        ensure!(!jobs.is_empty(), "graph {id} has no jobs");
        Ok(jobs.iter().all(is_terminal).then_some((jobs, assignments)))
    })
    .await
}
