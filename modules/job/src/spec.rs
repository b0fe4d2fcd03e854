//! What may be submitted: all checks of a job and of a graph that need no state, and those against the parameters.

use std::collections::{BTreeMap, BTreeSet};

use gantry_core::{Result, sdk};
use gantry_matching::{Attribute, ClassId, Kind, Op, Predicate, Requirements};
use gantry_proto::gantry::job::v1::{
    JobKind, JobSpec, OutputRef, Params, PredicateOp, Resources, Runtime, input::Source,
};
use prost::Message as _;

use crate::{
    errors::JobError,
    types::{Terms, cost},
};

/// Longest job, in bytes: its workers pay for reading and writing it with each of their steps.
const MAX_JOB_BYTES: u64 = 64 * 1024;
/// Longest path, in bytes.
const MAX_PATH: usize = 512;
/// Longest CID as text, in bytes.
const MAX_CID: usize = 128;
/// Most endpoints in `sources`, and longest one.
const MAX_SOURCES: usize = 4;
/// Longest endpoint, in bytes.
pub const MAX_ENDPOINT: usize = 256;
/// Most arguments, and most variables.
const MAX_ARGS: usize = 256;
/// All arguments, names and values together, in bytes.
const MAX_ARGS_BYTES: usize = 32 * 1024;
/// Longest label of a graph, in bytes.
const MAX_LABEL: usize = 256;
/// Wasm has 32-bit addresses.
const MAX_MEMORY: u64 = 4 << 30;
const MAX_OUTPUT_BYTES: u64 = 1 << 40;
const MAX_OUTPUT_FILES: u32 = 1_000_000;
const MAX_LOG_BYTES: u64 = 1 << 30;
const MAX_IMAGE_BYTES: u64 = 1 << 40;

/// Checks a job by itself.
pub fn check(spec: &JobSpec) -> Result<()> {
    at_most("bytes in all", spec.encoded_len(), MAX_JOB_BYTES)?;
    check_name(&spec.name)?;
    match spec.kind() {
        JobKind::Batch => {}
        JobKind::Unspecified => return Err(sdk::not_supported(format!("job kind {}", spec.kind))),
    }
    match spec.runtime() {
        Runtime::Wasm => {}
        Runtime::Unspecified => return Err(sdk::not_supported(format!("runtime {}", spec.runtime))),
    }
    let image = spec.image.as_ref().ok_or(JobError::BadImage("it is missing"))?;
    check_cid(&image.root_cid)?;
    if image.size_bytes == 0 || image.size_bytes > MAX_IMAGE_BYTES {
        return Err(JobError::BadImage("size_bytes must be 1 to 2^40").into());
    }
    check_environment(spec)?;
    check_paths(spec.inputs.iter().map(|input| input.path.as_str()))?;
    for input in &spec.inputs {
        match &input.source {
            Some(Source::Cid(cid)) => check_cid(cid)?,
            Some(Source::Output(OutputRef { job, path })) => {
                check_name(job)?;
                if !path.is_empty() {
                    check_path(path)?;
                }
            }
            None => return Err(JobError::BadPath { path: input.path.clone(), why: "the input has no source" }.into()),
        }
    }
    check_paths(spec.outputs.iter().map(String::as_str))?;
    at_most("sources", spec.sources.len(), MAX_SOURCES as u64)?;
    for source in &spec.sources {
        check_endpoint(source)?;
    }
    requirements(spec.resources.as_ref().unwrap_or(&Resources::default()))?;
    check_limits(spec)?;
    check_terms(spec)?;
    check_dependencies(spec)
}

/// Checks the label of a graph.
pub fn check_label(label: &str) -> Result<()> {
    at_most("bytes of label", label.len(), MAX_LABEL as u64)?;
    if label.chars().any(char::is_control) { Err(JobError::BadText("the label").into()) } else { Ok(()) }
}

/// Checks a job against the parameters.
pub fn check_params(spec: &JobSpec, params: &Params) -> Result<()> {
    at_most("inputs", spec.inputs.len(), params.max_inputs.into())?;
    at_most("outputs", spec.outputs.len(), params.max_outputs.into())?;
    let resources = spec.resources.as_ref().map_or(0, |r| r.predicates.len());
    at_most("predicates", resources, params.max_predicates.into())?;
    if spec.retries > params.max_retries {
        return Err(
            JobError::TooMany { what: "retries", have: spec.retries.into(), most: params.max_retries.into() }.into()
        );
    }
    let timeouts = spec.timeouts.unwrap_or_default();
    for (what, have) in [
        ("seconds of queue timeout", timeouts.queue_seconds),
        ("seconds of staging timeout", timeouts.staging_seconds),
        ("seconds of execution timeout", timeouts.execution_seconds),
        ("seconds to the deadline", spec.deadline_seconds),
    ] {
        if have > params.max_timeout_seconds {
            return Err(JobError::TooMany { what, have, most: params.max_timeout_seconds }.into());
        }
    }
    let terms = Terms::try_from(spec)?;
    if terms.policy.replicas() > params.max_quorum {
        return Err(JobError::BadPolicy(format!(
            "{} replicas, at most {} are allowed",
            terms.policy.replicas(),
            params.max_quorum
        ))
        .into());
    }
    if bond(&terms, params) == u128::MAX {
        return Err(JobError::BadPrice("the bond for it overflows".into()).into());
    }
    Ok(())
}

/// The bond that one assignment reserves; held at the largest amount there is, which nobody has, because parameters may
/// change while a job waits.
#[must_use]
pub fn bond(terms: &Terms, params: &Params) -> u128 {
    gantry_matching::required_bond(terms.replica_cap(), params.bond_ratio_ppm).unwrap_or(u128::MAX)
}

/// What the matcher is asked for: what the job says, and a machine for its runtime.
pub fn requirements(resources: &Resources) -> Result<Requirements> {
    let bad = |why: String| JobError::BadResources(why);
    let classes = resources.classes.iter().map(|id| id.parse::<ClassId>().map_err(|e| bad(e.to_string())));
    let predicates = resources.predicates.iter().map(|p| -> Result<Predicate, JobError> {
        let attribute: Attribute =
            p.attribute.parse().map_err(|e: gantry_matching::AttributeError| bad(e.to_string()))?;
        let one = || match p.values.as_slice() {
            [value] => Ok(*value),
            values => Err(bad(format!("{attribute}: one value is needed, {} are given", values.len()))),
        };
        let op = match p.op() {
            PredicateOp::Unspecified => return Err(bad(format!("{attribute}: unknown operator {}", p.op))),
            PredicateOp::Eq => Op::Eq(one()?),
            PredicateOp::Ne => Op::Ne(one()?),
            PredicateOp::Ge => Op::Ge(one()?),
            PredicateOp::Le => Op::Le(one()?),
            PredicateOp::Gt => Op::Gt(one()?),
            PredicateOp::Lt => Op::Lt(one()?),
            PredicateOp::In => Op::In(p.values.clone()),
        };
        Ok(Predicate { attribute, op })
    });
    let mut requirements = Requirements {
        classes: classes.collect::<Result<_, _>>()?,
        predicates: predicates.collect::<Result<_, _>>()?,
        min_reputation: u16::try_from(resources.min_reputation)
            .map_err(|_| bad("min_reputation is above 1000".into()))?,
    };
    requirements.validate().map_err(|e| bad(e.to_string()))?;
    // The one runtime that there is. What the job says of `kind` may make it impossible, which is told here.
    let wasm = Predicate { attribute: Attribute::Kind, op: Op::Eq(Kind::Wasm.value()) };
    let excludes = |p: &&Predicate| p.attribute == Attribute::Kind && !p.op.holds(Kind::Wasm.value());
    if let Some(other) = requirements.predicates.iter().find(excludes) {
        return Err(bad(format!("{other} excludes wasm, which the runtime needs")).into());
    }
    requirements.predicates.push(wasm);
    Ok(requirements)
}

/// For each job of a graph, the places of those that it waits for, ascending. Names must be unique and known, and
/// no job may wait for itself, not even through others.
pub fn dependencies(jobs: &[JobSpec], max_edges: u32) -> Result<Vec<Vec<usize>>> {
    let mut places = BTreeMap::new();
    for (at, job) in jobs.iter().enumerate() {
        if places.insert(job.name.as_str(), at).is_some() {
            return Err(JobError::DuplicateName(job.name.clone()).into());
        }
    }
    let mut edges = 0usize;
    let mut all = Vec::with_capacity(jobs.len());
    for job in jobs {
        let from_inputs = job.inputs.iter().filter_map(|input| match &input.source {
            Some(Source::Output(output)) => Some(&output.job),
            _ => None,
        });
        let mut needs = BTreeSet::new();
        for name in job.dependencies.iter().chain(from_inputs) {
            let at = places
                .get(name.as_str())
                .ok_or_else(|| JobError::UnknownDependency { job: job.name.clone(), dependency: name.clone() })?;
            needs.insert(*at);
        }
        edges = edges.saturating_add(needs.len());
        all.push(needs.into_iter().collect::<Vec<_>>());
    }
    at_most("dependencies", edges, max_edges.into())?;
    refuse_cycles(jobs, &all)?;
    Ok(all)
}

/// Kahn's algorithm: takes jobs away whose dependencies are gone until none is left.
fn refuse_cycles(jobs: &[JobSpec], needs: &[Vec<usize>]) -> Result<()> {
    let mut open: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut dependents = vec![Vec::new(); jobs.len()];
    for (at, needs) in needs.iter().enumerate() {
        for need in needs {
            dependents[*need].push(at);
        }
    }
    let mut ready: Vec<usize> = (0..jobs.len()).filter(|at| open[*at] == 0).collect();
    while let Some(done) = ready.pop() {
        for at in &dependents[done] {
            open[*at] -= 1;
            if open[*at] == 0 {
                ready.push(*at);
            }
        }
    }
    match open.iter().position(|n| *n > 0) {
        Some(at) => Err(JobError::Cycle(jobs[at].name.clone()).into()),
        None => Ok(()),
    }
}

fn at_most(what: &'static str, have: usize, most: u64) -> Result<()> {
    let have = have as u64;
    if have > most { Err(JobError::TooMany { what, have, most }.into()) } else { Ok(()) }
}

fn check_name(name: &str) -> Result<()> {
    let mut bytes = name.bytes();
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let good = name.len() <= 64
        && bytes.next().is_some_and(alnum)
        && bytes.all(|b| alnum(b) || matches!(b, b'.' | b'_' | b'-'));
    if good { Ok(()) } else { Err(JobError::BadName(name.chars().take(80).collect()).into()) }
}

/// Names, each once: they are stored as they came, so that the number of different ones would bound nothing.
fn check_dependencies(spec: &JobSpec) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in &spec.dependencies {
        check_name(name)?;
        if !seen.insert(name) {
            let (job, dependency) = (spec.name.clone(), name.clone());
            return Err(JobError::RepeatedDependency { job, dependency }.into());
        }
    }
    Ok(())
}

/// Checks that a text is a CIDv1 in the one spelling that is hashed: lower-case base 32.
pub fn check_cid(text: &str) -> Result<()> {
    let parsed = (text.len() <= MAX_CID).then(|| cid::Cid::try_from(text).ok()).flatten();
    let canonical = parsed.is_some_and(|cid| cid.version() == cid::Version::V1 && cid.to_string() == text);
    if canonical { Ok(()) } else { Err(JobError::BadCid(text.chars().take(MAX_CID).collect()).into()) }
}

/// Checks an endpoint: short, printable, no spaces.
pub fn check_endpoint(text: &str) -> Result<()> {
    let good = !text.is_empty() && text.len() <= MAX_ENDPOINT && text.bytes().all(|b| b.is_ascii_graphic());
    if good { Ok(()) } else { Err(JobError::BadText("an endpoint").into()) }
}

fn check_path(path: &str) -> Result<()> {
    let bad = |why| Err(JobError::BadPath { path: path.chars().take(80).collect(), why }.into());
    if path.is_empty() || path.len() > MAX_PATH {
        return bad("it must have 1 to 512 bytes");
    }
    if path.starts_with('/') {
        return bad("it must be relative");
    }
    if path.chars().any(|c| c.is_control() || c == '\\') {
        return bad("control characters and backslashes are not allowed");
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return bad("empty parts, . and .. are not allowed");
    }
    Ok(())
}

/// Checks paths of one tree: none may be another's folder, none may come twice.
fn check_paths<'a>(paths: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for path in paths {
        check_path(path)?;
        if !seen.insert(path) {
            return Err(JobError::BadPath { path: path.into(), why: "it is given twice" }.into());
        }
    }
    for path in &seen {
        let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        if let Some(folder) = folders.into_iter().find(|folder| seen.contains(folder)) {
            return Err(JobError::BadPath { path: folder.into(), why: "it is also the folder of another" }.into());
        }
    }
    Ok(())
}

fn check_environment(spec: &JobSpec) -> Result<()> {
    at_most("arguments", spec.args.len(), MAX_ARGS as u64)?;
    at_most("variables", spec.env.len(), MAX_ARGS as u64)?;
    let texts = || spec.args.iter().chain(spec.env.iter().flat_map(|v| [&v.name, &v.value]));
    at_most("bytes of arguments and variables", texts().map(String::len).sum(), MAX_ARGS_BYTES as u64)?;
    if texts().any(|text| text.contains('\0')) {
        return Err(JobError::BadText("an argument or variable").into());
    }
    let mut names = BTreeSet::new();
    for variable in &spec.env {
        if variable.name.is_empty() || variable.name.contains('=') || !names.insert(&variable.name) {
            return Err(JobError::BadText("the name of a variable").into());
        }
    }
    Ok(())
}

fn check_limits(spec: &JobSpec) -> Result<()> {
    let limits = spec.limits.ok_or(JobError::BadLimits("they are missing"))?;
    let bad = |why| Err(JobError::BadLimits(why).into());
    if limits.memory_bytes == 0 || limits.memory_bytes > MAX_MEMORY {
        return bad("memory_bytes must be 1 to 2^32");
    }
    if limits.fuel == 0 {
        return bad("fuel must be positive");
    }
    if limits.output_bytes == 0 || limits.output_bytes > MAX_OUTPUT_BYTES {
        return bad("output_bytes must be 1 to 2^40");
    }
    if limits.output_files == 0 || limits.output_files > MAX_OUTPUT_FILES {
        return bad("output_files must be 1 to 1000000");
    }
    if limits.log_bytes > MAX_LOG_BYTES {
        return bad("log_bytes is at most 2^30");
    }
    Ok(())
}

/// Prices, policy and timeouts.
fn check_terms(spec: &JobSpec) -> Result<()> {
    let timeouts = spec.timeouts.unwrap_or_default();
    if timeouts.queue_seconds == 0 || timeouts.staging_seconds == 0 || timeouts.execution_seconds == 0 {
        return Err(JobError::BadTimeouts("each must be positive".into()).into());
    }
    let terms = Terms::try_from(spec)?;
    let (price, total) = (&terms.max_price, &terms.max_total);
    if price.denom() != total.denom() {
        return Err(
            JobError::BadPrice(format!("a second costs {}, the total is in {}", price.denom(), total.denom())).into()
        );
    }
    if price.is_zero() {
        return Err(JobError::BadPrice("max_price_per_second must be positive".into()).into());
    }
    // The largest sum that any rule computes: all replicas for the longest time.
    let replicas = u128::from(terms.policy.replicas());
    let longest = cost(price.amount(), terms.max_run_ms);
    if longest == u128::MAX || longest.checked_mul(replicas).is_none() {
        return Err(JobError::BadPrice("price, time and replicas overflow".into()).into());
    }
    let second = price.amount().saturating_mul(replicas);
    if total.amount() < second {
        return Err(JobError::BadPrice(format!(
            "max_price_total of {total} does not cover one second of {replicas} replicas ({second}{})",
            price.denom()
        ))
        .into());
    }
    Ok(())
}
