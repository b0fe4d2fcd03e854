//! Job files: YAML checked by a JSON schema, read into the chain's job specs. What names local files is left as an
//! [`Upload`], because its content id is known only after import.

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::{Path, PathBuf},
};

use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use gantry_proto::gantry::{
    job::v1::{
        EnvVar, Image, Input, JobKind, JobSpec, Limits, OutputRef, Predicate, PredicateOp, Resources, Runtime,
        Timeouts, input::Source,
    },
    verifier::v1::{Attested, Quorum, VerificationPolicy, verification_policy::Kind},
};
use serde::Deserialize;
use serde_json::Value;

use crate::yaml;

/// The schema that job files are checked with; editors may use it too.
pub const SCHEMA: &str = include_str!("../schema/job.schema.json");

/// Why a job file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JobFileError {
    /// It cannot be read.
    #[error("{path}: {reason}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It is not what the schema asks for; one line for each place.
    #[error("the job file does not fit its schema:\n{}", .0.join("\n"))]
    Schema(Vec<String>),
    /// A value is wrong in a way that the schema cannot say.
    #[error("job {job}: {reason}")]
    Job {
        /// Name of the job.
        job: String,
        /// What is wrong.
        reason: String,
    },
}

/// Where the content id of a local file belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The module of a job.
    Module {
        /// Index of the job.
        job: usize,
    },
    /// An input of a job.
    Input {
        /// Index of the job.
        job: usize,
        /// Index of the input.
        input: usize,
    },
}

impl Slot {
    /// Index of the job.
    #[must_use]
    pub fn job(self) -> usize {
        match self {
            Self::Module { job } | Self::Input { job, .. } => job,
        }
    }
}

/// Local content that a submission needs the network to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The file or folder.
    pub path: PathBuf,
    /// All the places that name it.
    pub slots: Vec<Slot>,
}

/// A job file, ready but for its uploads.
#[derive(Clone, Debug, PartialEq)]
pub struct JobFile {
    /// A name for people.
    pub label: String,
    /// The jobs; content ids of uploads are still empty.
    pub jobs: Vec<JobSpec>,
    /// What is to be uploaded, each path once.
    pub uploads: Vec<Upload>,
}

#[derive(Debug, Deserialize)]
struct File {
    #[serde(default)]
    label: String,
    #[serde(default)]
    defaults: Job,
    jobs: Vec<Job>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Job {
    name: String,
    wasm: Option<String>,
    image: Option<FileImage>,
    args: Option<Vec<Value>>,
    env: Option<BTreeMap<String, Value>>,
    inputs: Option<Vec<FileInput>>,
    outputs: Option<Vec<String>>,
    sources: Option<Vec<String>>,
    after: Option<Vec<String>>,
    policy: Option<Policy>,
    price: Option<Price>,
    limits: Option<FileLimits>,
    timeouts: Option<FileTimeouts>,
    deadline: Option<Value>,
    retries: Option<u32>,
    resources: Option<FileResources>,
}

#[derive(Clone, Debug, Deserialize)]
struct FileImage {
    cid: String,
    size: Value,
}

#[derive(Clone, Debug, Deserialize)]
struct FileInput {
    path: String,
    file: Option<String>,
    cid: Option<String>,
    from: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Policy {
    Named(String),
    Quorum { quorum: QuorumSize },
}

#[derive(Clone, Debug, Deserialize)]
struct QuorumSize {
    k: u32,
    n: u32,
}

#[derive(Clone, Debug, Deserialize)]
struct Price {
    max_per_second: String,
    max_total: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct FileLimits {
    memory: Option<Value>,
    fuel: Option<u64>,
    output: Option<Value>,
    files: Option<u32>,
    logs: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct FileTimeouts {
    queue: Option<Value>,
    staging: Option<Value>,
    execution: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct FileResources {
    classes: Vec<String>,
    require: Vec<String>,
    min_reputation: u32,
}

impl JobFile {
    /// Reads a file; paths in it are relative to its folder.
    pub fn read(path: &Path) -> Result<Self, JobFileError> {
        let failed = |reason: String| JobFileError::Read { path: path.to_owned(), reason };
        let mut text = String::new();
        // One byte more than is parsed, so that a file that is too long is told from one that just fits.
        let file = std::fs::File::open(path).map_err(|e| failed(e.to_string()))?;
        file.take(yaml::MAX_BYTES as u64 + 1).read_to_string(&mut text).map_err(|e| failed(e.to_string()))?;
        let value = yaml::parse(&text).map_err(failed)?;
        Self::from_value(&value, path.parent().unwrap_or(Path::new(".")))
    }

    /// Reads a document; paths in it are relative to `base`.
    pub fn from_value(value: &Value, base: &Path) -> Result<Self, JobFileError> {
        let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is part of the program");
        let validator = jsonschema::validator_for(&schema).expect("the schema is part of the program");
        let errors: Vec<String> = validator
            .iter_errors(value)
            .map(|e| {
                let place = e.instance_path.to_string();
                format!("  {place}: {}", hint(&place).map_or_else(|| e.to_string(), str::to_owned))
            })
            .collect();
        if !errors.is_empty() {
            return Err(JobFileError::Schema(errors));
        }
        let file: File =
            serde_json::from_value(value.clone()).map_err(|e| JobFileError::Schema(vec![e.to_string()]))?;

        let mut uploads: Vec<Upload> = Vec::new();
        let mut jobs = Vec::with_capacity(file.jobs.len());
        for (index, job) in file.jobs.into_iter().enumerate() {
            let name = job.name.clone();
            let spec = job
                .over(&file.defaults)
                .into_spec(index, base, &mut uploads)
                .map_err(|reason| JobFileError::Job { job: name, reason })?;
            jobs.push(spec);
        }
        Ok(Self { label: file.label, jobs, uploads })
    }

    /// Fills in what an upload turned out to be, wherever it is named.
    pub fn fill(&mut self, slots: &[Slot], cid: &str, bytes: u64) {
        for slot in slots {
            match *slot {
                Slot::Module { job } => {
                    self.jobs[job].image = Some(Image { root_cid: cid.to_owned(), size_bytes: bytes });
                }
                Slot::Input { job, input } => self.jobs[job].inputs[input].source = Some(Source::Cid(cid.to_owned())),
            }
        }
    }
}

impl Job {
    /// This job's fields, and the defaults' where it has none.
    fn over(self, defaults: &Self) -> Self {
        let d = defaults.clone();
        // A job that names its own program does not take the other kind from the defaults.
        let own_program = self.wasm.is_some() || self.image.is_some();
        Self {
            name: self.name,
            wasm: self.wasm.or(d.wasm.filter(|_| !own_program)),
            image: self.image.or(d.image.filter(|_| !own_program)),
            args: self.args.or(d.args),
            env: self.env.or(d.env),
            inputs: self.inputs.or(d.inputs),
            outputs: self.outputs.or(d.outputs),
            sources: self.sources.or(d.sources),
            after: self.after.or(d.after),
            policy: self.policy.or(d.policy),
            price: self.price.or(d.price),
            limits: self.limits.or(d.limits),
            timeouts: self.timeouts.or(d.timeouts),
            deadline: self.deadline.or(d.deadline),
            retries: self.retries.or(d.retries),
            resources: self.resources.or(d.resources),
        }
    }

    fn into_spec(self, index: usize, base: &Path, uploads: &mut Vec<Upload>) -> Result<JobSpec, String> {
        let image = match (self.wasm, self.image) {
            (Some(_), Some(_)) => return Err("give wasm or image, not both".into()),
            (Some(path), None) => {
                upload(uploads, base.join(path), Slot::Module { job: index });
                Image::default()
            }
            (None, Some(image)) => Image { root_cid: image.cid, size_bytes: bytes(&image.size)? },
            (None, None) => return Err("give a program: wasm (a file) or image (a content id)".into()),
        };
        let mut inputs = Vec::new();
        for (i, input) in self.inputs.unwrap_or_default().into_iter().enumerate() {
            let source = match (input.file, input.cid, input.from) {
                (Some(file), None, None) => {
                    upload(uploads, base.join(file), Slot::Input { job: index, input: i });
                    Source::Cid(String::new())
                }
                (None, Some(cid), None) => Source::Cid(cid),
                (None, None, Some(from)) => {
                    let (job, path) = from.split_once('/').unwrap_or((&from, ""));
                    Source::Output(OutputRef { job: job.into(), path: path.into() })
                }
                _ => return Err(format!("input {}: give one of file, cid and from", input.path)),
            };
            inputs.push(Input { path: input.path, source: Some(source) });
        }
        let price = self.price.ok_or("give a price")?;
        let limits = self.limits.unwrap_or_default();
        let timeouts = self.timeouts.unwrap_or_default();
        let resources = self.resources.unwrap_or_default();
        Ok(JobSpec {
            name: self.name,
            kind: JobKind::Batch.into(),
            runtime: Runtime::Wasm.into(),
            image: Some(image),
            args: self.args.unwrap_or_default().iter().map(plain).collect(),
            env: self
                .env
                .unwrap_or_default()
                .iter()
                .map(|(name, value)| EnvVar { name: name.clone(), value: plain(value) })
                .collect(),
            inputs,
            outputs: self.outputs.unwrap_or_default(),
            sources: self.sources.unwrap_or_default(),
            resources: Some(Resources {
                classes: resources.classes,
                predicates: resources.require.iter().map(|p| predicate(p)).collect::<Result<_, _>>()?,
                min_reputation: resources.min_reputation,
            }),
            limits: Some(Limits {
                memory_bytes: limits.memory.as_ref().map_or(Ok(256 << 20), bytes)?,
                fuel: limits.fuel.unwrap_or(1_000_000_000_000),
                output_bytes: limits.output.as_ref().map_or(Ok(64 << 20), bytes)?,
                output_files: limits.files.unwrap_or(256),
                log_bytes: limits.logs.as_ref().map_or(Ok(1 << 20), bytes)?,
            }),
            timeouts: Some(Timeouts {
                queue_seconds: timeouts.queue.as_ref().map_or(Ok(600), seconds)?,
                staging_seconds: timeouts.staging.as_ref().map_or(Ok(120), seconds)?,
                execution_seconds: timeouts.execution.as_ref().map_or(Ok(600), seconds)?,
            }),
            deadline_seconds: self.deadline.as_ref().map_or(Ok(0), seconds)?,
            retries: self.retries.unwrap_or(0),
            dependencies: self.after.unwrap_or_default(),
            max_price_per_second: Some(coin(&price.max_per_second)?),
            max_price_total: Some(coin(&price.max_total)?),
            policy: Some(policy(self.policy)?),
        })
    }
}

/// What a place takes that the schema gives alternatives for: "none of them fits" helps nobody.
fn hint(place: &str) -> Option<&'static str> {
    let (parent, last) = place.rsplit_once('/')?;
    match (parent.rsplit_once('/').map_or(parent, |(_, name)| name), last) {
        (_, "policy") => Some("give attested, quorum:K/N, or { quorum: { k: K, n: N } }"),
        ("inputs", _) => Some("give a path, and one of file, cid and from"),
        _ => None,
    }
}

fn upload(uploads: &mut Vec<Upload>, path: PathBuf, slot: Slot) {
    match uploads.iter_mut().find(|u| u.path == path) {
        Some(known) => known.slots.push(slot),
        None => uploads.push(Upload { path, slots: vec![slot] }),
    }
}

/// A scalar as the words of a command line.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn policy(policy: Option<Policy>) -> Result<VerificationPolicy, String> {
    match policy.ok_or("give a policy: attested, or quorum:K/N")? {
        Policy::Named(text) => policy_from_text(&text),
        Policy::Quorum { quorum } => Ok(of_kind(Kind::Quorum(Quorum { k: quorum.k, n: quorum.n }))),
    }
}

fn of_kind(kind: Kind) -> VerificationPolicy {
    VerificationPolicy { kind: Some(kind) }
}

/// Reads `attested` or `quorum:K/N`.
pub fn policy_from_text(text: &str) -> Result<VerificationPolicy, String> {
    if text == "attested" {
        return Ok(of_kind(Kind::Attested(Attested {})));
    }
    let sizes = text.strip_prefix("quorum:").and_then(|t| t.split_once('/'));
    let quorum = sizes.and_then(|(k, n)| Some(Quorum { k: k.parse().ok()?, n: n.parse().ok()? }));
    let quorum = quorum.ok_or_else(|| format!("{text}: give attested or quorum:K/N, for instance quorum:2/3"))?;
    Ok(of_kind(Kind::Quorum(quorum)))
}

/// Reads `12ugantry`.
pub fn coin(text: &str) -> Result<Coin, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (amount, denom) = text.split_at(digits);
    if amount.parse::<u128>().is_err() || denom.is_empty() {
        return Err(format!("{text}: not a coin such as 12ugantry"));
    }
    Ok(Coin { denom: denom.into(), amount: amount.into() })
}

/// Reads `12ugantry` or `3atom,12ugantry`, in the order of denoms that messages need.
pub fn coins(text: &str) -> Result<Vec<Coin>, String> {
    let mut all = text.split(',').map(|part| coin(part.trim())).collect::<Result<Vec<_>, _>>()?;
    all.sort_by(|a, b| a.denom.cmp(&b.denom));
    match all.windows(2).find(|pair| pair[0].denom == pair[1].denom) {
        Some(pair) => Err(format!("{text}: {} is given twice", pair[0].denom)),
        None => Ok(all),
    }
}

/// A number with one of some units after it.
fn with_unit(value: &Value, units: &[(&str, u64)]) -> Result<u64, String> {
    let text = plain(value);
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let scale = units.iter().find(|(name, _)| *name == unit.trim()).map(|(_, scale)| *scale);
    number
        .parse::<u64>()
        .ok()
        .zip(scale)
        .and_then(|(n, s)| n.checked_mul(s))
        .ok_or_else(|| format!("{text}: too large, or not a number with a unit"))
}

fn bytes(value: &Value) -> Result<u64, String> {
    with_unit(value, &[("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)])
}

fn seconds(value: &Value) -> Result<u64, String> {
    with_unit(value, &[("", 1), ("s", 1), ("m", 60), ("h", 3600)])
}

/// Reads `cpu_cores >= 4` or `sm_count in 108,132`; texts (regions, models) become the numbers that the matcher uses.
fn predicate(text: &str) -> Result<Predicate, String> {
    const OPS: [(&str, PredicateOp); 7] = [
        (">=", PredicateOp::Ge),
        ("<=", PredicateOp::Le),
        ("!=", PredicateOp::Ne),
        ("==", PredicateOp::Eq),
        (">", PredicateOp::Gt),
        ("<", PredicateOp::Lt),
        (" in ", PredicateOp::In),
    ];
    let (name, op, values) = OPS
        .iter()
        .find_map(|(sign, op)| text.split_once(sign).map(|(name, values)| (name.trim(), *op, values)))
        .ok_or_else(|| format!("{text}: not a predicate such as `cpu_cores >= 4`"))?;
    let attribute: gantry_matching::Attribute = name.parse().map_err(|e| format!("{text}: {e}"))?;
    let values = values
        .split(',')
        .map(|v| attribute.parse_value(v.trim()).map_err(|e| format!("{text}: {e}")))
        .collect::<Result<_, _>>()?;
    Ok(Predicate { attribute: name.into(), op: op.into(), values })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn minimal() -> Value {
        json!({
            "defaults": { "wasm": "a.wasm", "policy": "attested",
                          "price": { "max_per_second": "2ugantry", "max_total": "100ugantry" } },
            "jobs": [{ "name": "one" }]
        })
    }

    #[test]
    fn defaults_fill_in_and_jobs_override() {
        let mut value = minimal();
        value["jobs"][0]["policy"] = json!({ "quorum": { "k": 2, "n": 3 } });
        value["jobs"][0]["limits"] = json!({ "memory": "64MiB" });
        value["jobs"].as_array_mut().unwrap().push(json!({ "name": "three", "policy": "quorum:3/4" }));
        value["jobs"][0]["timeouts"] = json!({ "queue": "2m" });
        value["jobs"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "name": "two", "inputs": [{ "path": "x", "from": "one/y/z" }] }));
        let file = JobFile::from_value(&value, Path::new("base")).unwrap();
        assert_eq!(file.jobs[0].policy.as_ref().unwrap().kind, Some(Kind::Quorum(Quorum { k: 2, n: 3 })));
        assert_eq!(file.jobs[0].limits.as_ref().unwrap().memory_bytes, 64 << 20);
        assert_eq!(file.jobs[0].timeouts.as_ref().unwrap().queue_seconds, 120);
        assert_eq!(file.jobs[1].policy.as_ref().unwrap().kind, Some(Kind::Quorum(Quorum { k: 3, n: 4 })));
        assert_eq!(file.jobs[2].policy.as_ref().unwrap().kind, Some(Kind::Attested(Attested {})));
        let output = OutputRef { job: "one".into(), path: "y/z".into() };
        assert_eq!(file.jobs[2].inputs[0].source, Some(Source::Output(output)));
        // One module for all jobs is uploaded once.
        assert_eq!(file.uploads.len(), 1);
        assert_eq!(file.uploads[0].slots, [0, 1, 2].map(|job| Slot::Module { job }));
        assert_eq!(file.uploads[0].path, Path::new("base/a.wasm"));
    }

    #[test]
    fn mistakes_are_named_where_they_are() {
        type Break = fn(&mut Value);
        let breaks: [(&str, Break, &str); 8] = [
            ("unknown field", |v| v["jobs"][0]["memroy"] = json!(1), "memroy"),
            ("no jobs", |v| v["jobs"] = json!([]), "/jobs"),
            ("bad coin", |v| v["defaults"]["price"]["max_total"] = json!("ugantry"), "/defaults/price/max_total"),
            (
                "two sources",
                |v| v["jobs"][0]["inputs"] = json!([{ "path": "a", "cid": "b", "file": "c" }]),
                "/jobs/0/inputs/0: give a path, and one of",
            ),
            ("bad policy", |v| v["jobs"][0]["policy"] = json!("quorum:2"), "/jobs/0/policy: give attested, quorum:K/N"),
            ("no program", |v| v["defaults"]["wasm"] = Value::Null, "wasm"),
            ("unknown attribute", |v| v["jobs"][0]["resources"] = json!({ "require": ["beauty >= 3"] }), "beauty"),
            ("not a predicate", |v| v["jobs"][0]["resources"] = json!({ "require": ["cpu_cores"] }), "cpu_cores"),
        ];
        for (what, change, named) in breaks {
            let mut value = minimal();
            change(&mut value);
            let error = JobFile::from_value(&value, Path::new(".")).expect_err(what).to_string();
            assert!(error.contains(named), "{what}: {error}");
        }
    }

    #[test]
    fn sizes_never_wrap() {
        assert_eq!(bytes(&json!("3KiB")), Ok(3072));
        assert!(bytes(&json!("18446744073709551615GiB")).is_err());
        assert_eq!(seconds(&json!(90)), Ok(90));
    }

    #[test]
    fn predicates_read_like_sentences() {
        let p = predicate("cpu_cores >= 4").unwrap();
        assert_eq!((p.attribute.as_str(), p.op(), p.values), ("cpu_cores", PredicateOp::Ge, vec![4]));
        let p = predicate("sm_count in 108,132").unwrap();
        assert_eq!((p.op(), p.values), (PredicateOp::In, vec![108, 132]));
    }
}
