use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use gantry_client::{
    Chain, ClientError, Homes, JobFile, Providers, Submission, Submitted, Target, homes_for, policy_from_text, to_json,
};
use gantry_content::Cid;
use gantry_proto::gantry::matching::v1::QuerySimulateMatchRequest;
use serde_json::{Value, json};

use crate::{context::Context, out, settings, watch};

/// Submit a job, or a graph of jobs.
///
/// FILE is a job file (docs/job-files.md). Without one, --wasm and the options of one job say the same. Local files are
/// uploaded to a home: a worker that keeps them until the job is done, so that you may go offline. The most that the
/// jobs may cost is locked until they end.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gantry submit render.yaml --watch
  gantry submit --wasm render.wasm --arg scene=1 --input scene.txt=./scene.txt --out picture.png \\
    --policy quorum:2/3 --price 10ugantry --max-total 3000ugantry
  gantry submit render.yaml --dry-run

--output is the form of the answer (text or json), as for every command; a path that the job must leave is --out.")]
pub(crate) struct Args {
    /// Job file.
    #[arg(required_unless_present = "wasm", conflicts_with = "wasm")]
    file: Option<PathBuf>,
    #[command(flatten)]
    job: JobArgs,
    /// Worker to upload to, for instance http://10.0.0.7:7070; up to 4 [default: one of the active providers]
    #[arg(long, value_name = "URL")]
    home_endpoint: Vec<String>,
    /// Show what would be submitted and whom it fits; send nothing.
    #[arg(long)]
    dry_run: bool,
    /// Go on and watch the jobs.
    #[arg(long, conflicts_with = "dry_run")]
    watch: bool,
}

/// One job by options.
#[derive(clap::Args, Debug, Default)]
#[command(next_help_heading = "One job instead of FILE")]
struct JobArgs {
    /// WASI preview 1 module to run.
    #[arg(long, value_name = "FILE", requires_all = ["policy", "price", "max_total"])]
    wasm: Option<PathBuf>,
    /// Argument of the program; repeat for more.
    #[arg(long, value_name = "ARG", requires = "wasm", allow_hyphen_values = true)]
    arg: Vec<String>,
    /// Variable of the program; repeat for more.
    #[arg(long, value_name = "NAME=VALUE", requires = "wasm", value_parser = pair)]
    env: Vec<(String, String)>,
    /// Input below /in: a local file or folder, or a content id; repeat for more.
    #[arg(long, value_name = "PATH=FILE|CID", requires = "wasm", value_parser = pair)]
    input: Vec<(String, String)>,
    /// Path below /out that the program must leave; repeat for more.
    #[arg(long, value_name = "PATH", requires = "wasm")]
    out: Vec<String>,
    /// How results are verified: attested, or quorum:K/N.
    #[arg(long, requires = "wasm", value_parser = policy)]
    policy: Option<String>,
    /// Highest price of a replica for a second, for instance 10ugantry.
    #[arg(long, value_name = "COIN", requires = "wasm")]
    price: Option<String>,
    /// Most that the job may cost over all replicas: what is locked.
    #[arg(long, value_name = "COIN", requires = "wasm")]
    max_total: Option<String>,
    /// Name of the job [default: that of the module]
    #[arg(long, requires = "wasm")]
    name: Option<String>,
    /// Longest run, for instance 90s, 10m or 1h.
    #[arg(long, value_name = "TIME", requires = "wasm")]
    timeout: Option<String>,
    /// Longest wait for workers.
    #[arg(long, value_name = "TIME", requires = "wasm")]
    queue_timeout: Option<String>,
    /// Memory of the module, for instance 128MiB.
    #[arg(long, value_name = "BYTES", requires = "wasm")]
    memory: Option<String>,
    /// Wasm fuel: about one unit an instruction.
    #[arg(long, requires = "wasm")]
    fuel: Option<u64>,
    /// What the machine must have, for instance 'cpu_cores >= 4'; repeat for more.
    #[arg(long, value_name = "PREDICATE", requires = "wasm")]
    require: Vec<String>,
    /// Further attempts after one that failed without a verdict.
    #[arg(long, requires = "wasm")]
    retries: Option<u32>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (left, right) = text.split_once('=').ok_or("an = is missing")?;
    Ok((left.to_owned(), right.to_owned()))
}

fn policy(text: &str) -> Result<String, String> {
    policy_from_text(text).map(|_| text.to_owned())
}

impl JobArgs {
    /// The same as a job file would say it.
    fn document(&self, wasm: &Path) -> Result<Value> {
        let inputs = self.input.iter().map(|(path, source)| match source.parse::<Cid>() {
            Ok(cid) => json!({ "path": path, "cid": cid.to_string() }),
            Err(_) => json!({ "path": path, "file": source }),
        });
        let env: BTreeMap<_, _> = self.env.iter().cloned().collect();
        let mut job = json!({
            "name": self.name.clone().unwrap_or_else(|| name_of(wasm)),
            "wasm": wasm.to_str().with_context(|| format!("{} is not UTF-8", wasm.display()))?,
            "args": self.arg,
            "env": env,
            "inputs": inputs.collect::<Vec<_>>(),
            "outputs": self.out,
            "policy": self.policy,
            "price": { "max_per_second": self.price, "max_total": self.max_total },
            "resources": { "require": self.require },
        });
        let optional = [
            ("/limits/memory", self.memory.clone().map(Value::from)),
            ("/limits/fuel", self.fuel.map(Value::from)),
            ("/timeouts/execution", self.timeout.clone().map(Value::from)),
            ("/timeouts/queue", self.queue_timeout.clone().map(Value::from)),
            ("/retries", self.retries.map(Value::from)),
        ];
        for (pointer, value) in optional {
            if let Some(value) = value {
                let mut place = &mut job;
                for key in pointer.split('/').skip(1) {
                    place = &mut place[key];
                }
                *place = value;
            }
        }
        Ok(json!({ "jobs": [job] }))
    }
}

/// A job's name from a file's.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().map(|s| s.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(64).collect();
    let name = name.trim_start_matches('-');
    if name.is_empty() { "job".to_owned() } else { name.to_owned() }
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<ExitCode> {
    let file = match (&args.file, &args.job.wasm) {
        (Some(path), _) => JobFile::read(path)?,
        (None, Some(wasm)) => JobFile::from_value(&args.job.document(wasm)?, Path::new(""))?,
        (None, None) => anyhow::bail!("give a job file, or --wasm"),
    };
    let mut submission = tokio::task::spawn_blocking(|| Submission::import(file)).await??;
    if args.dry_run {
        show(&context.chain().await?, &submission).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let sender = context.sender().await?;
    if submission.has_uploads() {
        let homes = if args.home_endpoint.is_empty() {
            homes_for(sender.address(), &Providers::read(sender.chain()).await?)
        } else {
            Homes::Each(args.home_endpoint.into_iter().map(settings::url).collect())
        };
        upload(&mut submission, &homes).await?;
    }
    let names: Vec<String> = submission.jobs().iter().map(|job| job.name.clone()).collect();
    let submitted = submission.submit(&sender).await?;
    context.print(|| Ok(object(&submitted)), || text(&submitted, &names))?;
    if args.watch {
        return watch::follow(context, sender.chain().clone(), Target::Graph(submitted.graph_id)).await;
    }
    Ok(ExitCode::SUCCESS)
}

async fn upload(submission: &mut Submission, homes: &Homes) -> Result<()> {
    let bar = out::transfer_bar("uploading");
    let answer = submission
        .upload(homes, |home, progress| {
            bar.set_message(format!("uploading to {home}:"));
            out::advance(&bar, &progress);
        })
        .await;
    bar.finish_and_clear();
    let (took, failed) = answer?;
    for (home, why) in failed {
        out::note(&format!("warning: {home} did not take the files: {why}"));
    }
    let bytes: u64 = submission.uploads().map(|(_, bytes)| bytes).sum();
    eprintln!("{} uploaded to {}", out::size(bytes), took.join(", "));
    Ok(())
}

/// What would be submitted, and what the matcher says of it.
async fn show(chain: &Chain, submission: &Submission) -> Result<()> {
    let (mut jobs, mut matches) = (Vec::new(), Vec::new());
    for job in submission.jobs() {
        let request = QuerySimulateMatchRequest { spec: Some(job.clone()) };
        let answer = chain.matching().simulate_match(request).await.map_err(ClientError::from);
        let answer = answer.with_context(|| format!("job {}", job.name))?.into_inner();
        jobs.push(to_json(job)?);
        matches.push(json!({
            "job": job.name, "feasible_owners": answer.feasible_owners, "needed": answer.needed,
            "summary": answer.summary,
        }));
    }
    let all = json!({ "label": submission.label(), "jobs": jobs, "matches": matches });
    out::line(&serde_json::to_string_pretty(&all)?)
}

fn object(submitted: &Submitted) -> Value {
    json!({
        "graph_id": submitted.graph_id.to_string(),
        "job_ids": submitted.job_ids.iter().map(u64::to_string).collect::<Vec<_>>(),
        "txhash": submitted.txhash,
        "height": submitted.height.to_string(),
    })
}

fn text(submitted: &Submitted, names: &[String]) -> String {
    let rows: Vec<_> = submitted.job_ids.iter().zip(names).map(|(id, name)| [id.to_string(), name.clone()]).collect();
    format!(
        "graph {} in tx {} at height {}\n{}follow it: gantry watch --graph {}\n",
        submitted.graph_id,
        submitted.txhash,
        submitted.height,
        out::table([">JOB", "NAME"], &rows),
        submitted.graph_id
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use gantry_proto::gantry::{
        job::v1::input::Source,
        verifier::v1::{Quorum, verification_policy::Kind},
    };

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn parse(words: &[&str]) -> Result<Args, clap::Error> {
        Cli::try_parse_from(std::iter::once("submit").chain(words.iter().copied())).map(|cli| cli.args)
    }

    const PRICE: [&str; 6] = ["--policy", "quorum:2/3", "--price", "10ugantry", "--max-total", "3000ugantry"];
    const CID: &str = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";

    #[test]
    fn one_job_by_options_is_what_a_file_would_say() {
        let mut words = vec!["--wasm", "dir/My Render.wasm", "--arg", "-v", "--arg", "7", "--env", "A=b=c"];
        let given = format!("model={CID}");
        words.extend(["--input", "scene=./s", "--input", &given, "--out", "p.png", "--memory", "64MiB"]);
        words.extend(["--timeout", "2m", "--retries", "1", "--require", "cpu_cores >= 2"]);
        words.extend(PRICE);
        let args = parse(&words).unwrap();
        let wasm = args.job.wasm.clone().unwrap();
        let file = JobFile::from_value(&args.job.document(&wasm).unwrap(), Path::new("")).unwrap();
        let [job] = &file.jobs[..] else { panic!("one job") };
        assert_eq!((job.name.as_str(), &job.args[..]), ("my-render", &["-v".to_owned(), "7".to_owned()][..]));
        assert_eq!((job.env[0].name.as_str(), job.env[0].value.as_str()), ("A", "b=c"));
        assert_eq!(job.inputs[1].source, Some(Source::Cid(CID.into())));
        assert_eq!(
            file.uploads.iter().map(|u| u.path.to_str().unwrap()).collect::<Vec<_>>(),
            ["dir/My Render.wasm", "./s"]
        );
        assert_eq!(job.policy.as_ref().unwrap().kind, Some(Kind::Quorum(Quorum { k: 2, n: 3 })));
        assert_eq!((job.limits.unwrap().memory_bytes, job.timeouts.unwrap().execution_seconds), (64 << 20, 120));
        assert_eq!((job.retries, job.outputs.as_slice()), (1, &["p.png".to_owned()][..]));
        assert_eq!(job.resources.as_ref().unwrap().predicates[0].values, [2]);
    }

    #[test]
    fn options_that_do_not_go_together_are_refused() {
        let with_price = |words: &[&'static str]| -> Vec<&'static str> { words.iter().copied().chain(PRICE).collect() };
        assert!(parse(&with_price(&["--wasm", "a.wasm"])).is_ok());
        assert!(parse(&["f.yaml", "--dry-run", "--home-endpoint", "http://a"]).is_ok());
        for bad in [
            vec![],
            vec!["--wasm", "a.wasm"],
            with_price(&["f.yaml", "--wasm", "a.wasm"]),
            vec!["f.yaml", "--arg", "x"],
            vec!["f.yaml", "--dry-run", "--watch"],
            with_price(&["--wasm", "a.wasm", "--input", "noequals"]),
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_answer_has_ids_as_strings() {
        let submitted = Submitted { graph_id: 1, job_ids: vec![1, 2], txhash: "AB".into(), height: 9 };
        let expected = json!({ "graph_id": "1", "job_ids": ["1", "2"], "txhash": "AB", "height": "9" });
        assert_eq!(object(&submitted), expected);
        let names = ["tile-0".to_owned(), "merge".to_owned()];
        let expected =
            "graph 1 in tx AB at height 9\nJOB  NAME\n  1  tile-0\n  2  merge\nfollow it: gantry watch --graph 1\n";
        assert_eq!(text(&submitted, &names), expected);
    }

    #[test]
    fn names_are_made_from_any_file() {
        for (path, name) in [("a/B_c.wasm", "b-c"), ("-.wasm", "job"), ("", "job"), ("ü.wasm", "job")] {
            assert_eq!(name_of(Path::new(path)), name, "{path}");
        }
    }
}
