//! `./dev demo`: a chain, five workers, one picture in nine jobs, verified and paid. It drives the programs that users
//! drive, and every figure of its report is read back from the node.

mod report;

use std::{
    fs,
    io::{BufRead, BufReader, IsTerminal},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use gantry_localnet::{Localnet, Misbehave, Options, WorkerOptions, binary};
use path_tracer::trace::Settings;
use rand::seq::SliceRandom;
use report::{Phase, Report};

/// Renders one picture on a fresh chain: nine jobs, five workers, one of them a cheat.
#[derive(Parser, Debug)]
struct Args {
    /// Workers that return wrong results: 0 for none; with 1, one result is wrong and caught; from 2 on they collude,
    /// and where two of them are drawn for one tile their wrong result is accepted: the limit of a 2-of-3 quorum.
    #[arg(long, default_value_t = 1)]
    misbehave: usize,
    /// Leaves everything running and prints the endpoints; ends on Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Where the picture, the logs and the chain's data are left.
    #[arg(long, default_value = "gantry-demo")]
    out: PathBuf,
    /// Workers.
    #[arg(long, default_value_t = 5)]
    workers: usize,
    /// The job file.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/path-tracer.yaml"))]
    file: PathBuf,
}

/// The scene that demo/path-tracer.yaml asks for: the guest's defaults.
const SCENE: Settings = Settings { width: 640, height: 400, samples: 24, seed: 1 };

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe demo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    ensure!(args.misbehave <= args.workers, "--misbehave {} of {} workers", args.misbehave, args.workers);
    let out = fresh(&args.out)?;
    let mut phases = Vec::new();

    say("A chain with one validator starts.");
    let start = Instant::now();
    let names: Vec<String> = (1..=args.workers).map(|i| format!("worker-{i}")).collect();
    let mut net = Localnet::start(Options { workers: names.clone(), ..Options::new(&out.join("net")) }).await?;
    phases.push(Phase::new("chain started", start));
    let before = report::Supply::read(&net.chain().await?).await?;

    let cheats = draw(&names, args.misbehave);
    say(&format!("{} workers register, bond and offer their processors.", args.workers));
    let start = Instant::now();
    for (i, name) in names.iter().enumerate() {
        let misbehave = match (cheats.contains(name), args.misbehave) {
            (false, _) => Misbehave::Never,
            (true, 1) => Misbehave::Once,
            (true, _) => Misbehave::Always,
        };
        net.start_worker(WorkerOptions {
            name: name.clone(),
            ask: format!("{}ugantry", 1000 + 100 * i),
            capacity: 2,
            misbehave,
        })?;
    }
    net.wait_for_offers(args.workers).await?;
    phases.push(Phase::new("workers on the market", start));

    say("A renter submits nine jobs: eight tiles, and a merge that waits for them.");
    let submitted = Instant::now();
    let graph = submit(&net, &args.file)?;
    phases.push(Phase::new("jobs submitted", submitted));
    let first_log = FirstLine::listen(&net, &graph.jobs, submitted)?;

    watch(&net, graph.id)?;
    phases.push(Phase::new("jobs done and paid", submitted));
    let first_log = first_log.took()?;

    let chain = net.chain().await?;
    let report = Report::read(&chain, graph.id, before, first_log, phases).await?;
    let picture = fetch(&net, &report, &out)?;
    let reference = path_tracer::whole(SCENE).map_err(|e| anyhow::anyhow!("the reference picture: {e}"))?;
    let same = picture.as_deref() == Some(&reference[..]);
    println!("{report}");

    let verdict = judge(&report, &cheats, args.misbehave, same, &reference, &out);
    if args.keep {
        keep(&mut net, &verdict).await?;
    }
    net.stop().await?;
    verdict
}

/// Whether the run shows what it is meant to show.
fn judge(report: &Report, cheats: &[String], misbehave: usize, same: bool, reference: &[u8], out: &Path) -> Result<()> {
    ensure!(report.conserved(), "money was made or lost: see the table above");
    let path = out.join("picture.png");
    let caught = report.caught();
    match misbehave {
        0 => ensure!(caught.is_empty(), "nobody cheated, and yet these were slashed: {caught:?}"),
        1 => ensure!(caught == *cheats, "the cheat is {cheats:?}, but these were slashed: {caught:?}"),
        _ => {
            if !same {
                fs::write(out.join("picture-expected.png"), reference)?;
                println!(
                    "{misbehave} of the workers colluded, and where two of them were drawn for the same tile their wrong result\n\
                     was accepted: a 2-of-3 quorum is as honest as its draw (modules/verifier/README.md)."
                );
                match path.is_file() {
                    true => println!("Compare {} with picture-expected.png beside it.\n", path.display()),
                    false => println!("The merge job could not use what it was given, and failed.\n"),
                }
            }
            return Ok(());
        }
    }
    ensure!(same, "the picture differs from one rendered in one process");
    println!("{} equals, byte for byte, the picture rendered in one process outside the chain.\n", path.display());
    Ok(())
}

fn say(text: &str) {
    if std::io::stdout().is_terminal() { println!("\x1b[1m{text}\x1b[0m") } else { println!("{text}") }
}

/// An empty folder for this run; the one of the last run is replaced.
fn fresh(out: &Path) -> Result<PathBuf> {
    let net = out.join("net");
    if net.exists() {
        fs::remove_dir_all(&net).with_context(|| format!("removing the last run's {}", net.display()))?;
    }
    for old in ["picture.png", "picture-expected.png"] {
        let _ = fs::remove_file(out.join(old));
    }
    fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
    Ok(fs::canonicalize(out)?)
}

/// Draws who cheats; the chain then draws for which tile.
fn draw(names: &[String], count: usize) -> Vec<String> {
    let mut shuffled = names.to_vec();
    shuffled.shuffle(&mut rand::rng());
    shuffled.truncate(count);
    shuffled.sort();
    shuffled
}

/// The `gantry` command as the renter would type it.
fn gantry(net: &Localnet, words: &[&str]) -> Result<Command> {
    let mut command = Command::new(binary("gantry")?);
    command.args(words);
    command.args(["--rpc", &net.endpoints().rpc, "--grpc", &net.endpoints().grpc]);
    command.args(["--keyring-backend", "test", "--from", "renter"]).arg("--keyring-dir").arg(net.home());
    Ok(command)
}

struct Submitted {
    id: u64,
    jobs: Vec<u64>,
}

fn submit(net: &Localnet, file: &Path) -> Result<Submitted> {
    let file = file.to_str().context("the job file's path is not UTF-8")?;
    let home = net.workers.first().context("no workers")?.endpoint.clone();
    let output = gantry(net, &["submit", file, "--home-endpoint", &home, "--output", "json"])?.output()?;
    ensure!(output.status.success(), "gantry submit: {}", String::from_utf8_lossy(&output.stderr).trim());
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).context("gantry submit --output json")?;
    let number =
        |v: &serde_json::Value| v.as_str().and_then(|s| s.parse().ok()).context("an id in gantry submit's answer");
    let jobs = answer["job_ids"].as_array().context("job_ids")?.iter().map(number).collect::<Result<_>>()?;
    Ok(Submitted { id: number(&answer["graph_id"])?, jobs })
}

/// Shows the graph's progress until it has ended; a failed graph is for the report to tell.
fn watch(net: &Localnet, graph: u64) -> Result<()> {
    let status = gantry(net, &["watch", "--graph", &graph.to_string()])?.status()?;
    if status.code().is_none_or(|code| code > 1) {
        bail!("gantry watch ended with {status}");
    }
    Ok(())
}

/// Waits for the first line of any job's log, as the renter sees it: `gantry logs --follow` for each job.
struct FirstLine {
    followers: Vec<Child>,
    first: mpsc::Receiver<Duration>,
}

impl FirstLine {
    fn listen(net: &Localnet, jobs: &[u64], submitted: Instant) -> Result<Self> {
        let (tell, first) = mpsc::channel();
        let mut followers = Vec::new();
        for job in jobs {
            let mut command = gantry(net, &["logs", &job.to_string(), "--follow"])?;
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
            let log = child.stdout.take().context("the log's pipe")?;
            let tell = tell.clone();
            thread::spawn(move || {
                let mut line = String::new();
                if BufReader::new(log).read_line(&mut line).is_ok_and(|read| read > 0) {
                    // Nobody listens any more once the first has come.
                    let _ = tell.send(submitted.elapsed());
                }
            });
            followers.push(child);
        }
        Ok(Self { followers, first })
    }

    /// How long it took; the jobs have ended, so a line has come or none will.
    fn took(&self) -> Result<Duration> {
        self.first.recv_timeout(Duration::from_secs(5)).context("gantry logs showed nothing")
    }
}

impl Drop for FirstLine {
    fn drop(&mut self) {
        for child in &mut self.followers {
            // Errors mean that it has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The merged picture, where there is one.
fn fetch(net: &Localnet, report: &Report, out: &Path) -> Result<Option<Vec<u8>>> {
    let Some(job) = report.completed("merge") else { return Ok(None) };
    let to = out.join("net/merge");
    let to_text = to.to_str().context("path is not UTF-8")?;
    let output = gantry(net, &["fetch", &job.to_string(), "--to", to_text])?.output()?;
    ensure!(output.status.success(), "gantry fetch: {}", String::from_utf8_lossy(&output.stderr).trim());
    let picture = fs::read(to.join("picture.png")).context("the merge job's picture.png")?;
    fs::write(out.join("picture.png"), &picture)?;
    Ok(Some(picture))
}

async fn keep(net: &mut Localnet, verdict: &Result<()>) -> Result<()> {
    if let Err(error) = verdict {
        println!("This run did not show what it should: {error:#}");
    }
    let endpoints = net.endpoints();
    println!("Still running, until Ctrl-C:\n  RPC    {}\n  gRPC   {}", endpoints.rpc, endpoints.grpc);
    for worker in &net.workers {
        println!("  {}  {}", worker.options.name, worker.endpoint);
    }
    println!(
        "Try:\n  {} offers --rpc {} --grpc {}\n  grpcurl -plaintext {} list\nKeys are in the test keyring of {}.",
        binary("gantry")?.display(),
        endpoints.rpc,
        endpoints.grpc,
        endpoints.grpc.trim_start_matches("http://"),
        net.home().display()
    );
    tokio::signal::ctrl_c().await?;
    Ok(())
}
