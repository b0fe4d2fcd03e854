//! From a program and its inputs to a result that can be committed.

use std::{collections::BTreeSet, fs, io, path::Path, sync::Arc, time::Duration};

use gantry_content::{BlockStore, Cid, ContentError, DagLimits, TreeLimits, cids_of_path, import_path};
use gantry_proto::gantry::job::v1::{JobSpec, Reason};
use prost::Message;
use rand::RngCore;
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Key,
    executor::{Executor, ExitKind, Limits, NoResult, Outcome, RunSpec, Seed, wasm_class},
    gate::Gate,
    journal::{Execution, Failure},
    logs::{LogFile, Logs},
    result::{Binding, hash_output, manifest, seal},
    stage::{WorkDir, failure, relative},
};

/// Exit code of a program that ended with 0 and left out a declared output: `EX_CANTCREAT` of sysexits. The same for all
/// replicas, since their outputs are.
pub const MISSING_OUTPUT: u32 = 73;
/// Folders inside one another below `/out`: one more than a program can make.
const OUTPUT_DEPTH: u32 = 66;

/// The tag that holds an assignment's output.
pub(crate) fn tag(key: Key) -> String {
    format!("result/{}", key.slug())
}

/// What a run needs.
pub(crate) struct Run {
    pub(crate) key: Key,
    pub(crate) renter: String,
    pub(crate) spec: JobSpec,
    pub(crate) wall: Duration,
    /// When the result must be sealed, so that there is time to commit to it.
    pub(crate) finish_by: Instant,
    pub(crate) provider: u64,
    pub(crate) dir: WorkDir,
    pub(crate) store: BlockStore,
    pub(crate) logs: Logs,
    pub(crate) gate: Arc<Gate>,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) cancel: CancellationToken,
    #[cfg(feature = "demo")]
    pub(crate) cheat: Arc<crate::cheat::Cheat>,
}

/// Why a run gave no result.
pub(crate) enum Unfinished {
    /// It was cancelled: nothing is to be said about it.
    Cancelled,
    /// There is none, for this reason.
    Failed(Failure),
}

impl From<Failure> for Unfinished {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What a finished run comes to.
pub(crate) struct Finished {
    pub(crate) execution: Execution,
    pub(crate) cheated: bool,
}

fn host(error: impl std::fmt::Display) -> Failure {
    failure(Reason::NoResult, format!("this machine failed: {error}"))
}

impl Run {
    /// Runs the program; imports, pins and withholds its output; seals the result.
    pub(crate) async fn run(self) -> Result<Finished, Unfinished> {
        let log = self.logs.start(self.key).map_err(host)?;
        let limits = self.spec.limits.unwrap_or_default();
        let spec = RunSpec {
            program: self.dir.program(),
            args: self.spec.args.clone(),
            env: self.spec.env.iter().map(|v| (v.name.clone(), v.value.clone())).collect(),
            input_dir: self.dir.input(),
            output_dir: self.dir.output(),
            limits: Limits {
                memory_bytes: limits.memory_bytes,
                fuel: limits.fuel,
                wall: self.wall,
                output_bytes: limits.output_bytes,
                output_files: limits.output_files,
                log_bytes: limits.log_bytes,
            },
            seed: Seed { job: self.key.job, attempt: self.key.attempt },
        };
        empty(&self.dir.output()).map_err(host)?;
        let outcome = match self.executor.run(spec, Arc::clone(&log) as _, self.cancel.clone()).await {
            Ok(outcome) => outcome,
            Err(NoResult::Cancelled) => return Err(Unfinished::Cancelled),
            Err(error @ (NoResult::InvalidModule(_) | NoResult::InvalidSpec(_))) => {
                return Err(failure(Reason::InvalidModule, error).into());
            }
            Err(error) => return Err(failure(Reason::NoResult, error).into()),
        };
        // No result is unpaid; a commitment that comes too late is slashed. How much there is to store the program decides.
        let finish_by = self.finish_by;
        match timeout_at(finish_by, spawn_blocking(move || self.finish(outcome, &log))).await {
            Ok(finished) => Ok(finished.map_err(host)??),
            Err(_) => {
                Err(failure(Reason::NoResult, "there is no time left to store the output and commit to it").into())
            }
        }
    }

    fn finish(self, outcome: Outcome, log: &LogFile) -> Result<Finished, Failure> {
        let folder = self.dir.output();
        let mut exit = outcome.exit;
        if exit == ExitKind::Exit(0)
            && let Some(missing) = self.spec.outputs.iter().find(|path| !exists(&folder, path))
        {
            log.note(&format!("the program ended with 0 and without its output {missing}: counts as {MISSING_OUTPUT}"));
            exit = ExitKind::Exit(MISSING_OUTPUT);
        }
        #[cfg(feature = "demo")]
        let cheated = exit == ExitKind::Exit(0) && self.cheat.strike(&folder).map_err(host)?;
        #[cfg(not(feature = "demo"))]
        let cheated = false;

        let binding = Binding {
            chain_id: self.gate.chain_id(),
            job: self.key.job,
            attempt: self.key.attempt,
            provider: self.provider,
        };
        let hashes = hash_output(&folder, binding).map_err(host)?;
        let limits = self.spec.limits.unwrap_or_default();
        let tree = TreeLimits {
            max_bytes: u64::MAX,
            max_entries: u64::from(limits.output_files).saturating_add(1),
            max_depth: OUTPUT_DEPTH,
        };
        // Withheld before it is there to be asked for. What anyone can have already (inputs, results of other jobs) stays
        // open: else other replicas would be kept from their inputs.
        let mut secret = BTreeSet::new();
        for cid in cids_of_path(&folder, &tree).map_err(host)? {
            let is_open = self.store.has(&cid).map_err(host)? && self.gate.is_open(&cid);
            if !is_open {
                secret.insert(cid);
            }
        }
        self.gate.withhold(self.key, &self.renter, secret);
        let imported = import_path(&self.store, &folder, &tree).map_err(host)?;
        self.store.pin(&imported.root, &tag(self.key)).map_err(host)?;

        let class = wasm_class();
        let environment = vec![("class", class.as_str()), ("worker", env!("CARGO_PKG_VERSION"))];
        let mut manifest = manifest(&outcome, self.logs.root(self.key).map_err(host)?, environment);
        manifest.output_bytes = hashes.bytes;
        manifest.log_bytes = self.logs.extent(self.key).borrow().len;
        let mut nonce = [0; 32];
        rand::rng().fill_bytes(&mut nonce);
        let output_cid = imported.root.to_string();
        let sealed = seal(binding, exit, &output_cid, &hashes, &manifest, nonce);
        let execution = Execution {
            exit: describe(exit),
            output_cid,
            commitment: hex::encode(sealed.commitment),
            reveal: hex::encode(sealed.reveal.encode_to_vec()),
            fuel: outcome.usage.fuel,
            wall_ms: manifest.wall_ms,
        };
        Ok(Finished { execution, cheated })
    }
}

fn describe(exit: ExitKind) -> String {
    match exit {
        ExitKind::Exit(code) => format!("exit {code}"),
        ExitKind::Trap(kind) => format!("trap {kind:?}"),
        ExitKind::OutOfFuel => "out of fuel".to_owned(),
    }
}

fn exists(folder: &Path, path: &str) -> bool {
    relative(path).is_some_and(|path| fs::symlink_metadata(folder.join(path)).is_ok())
}

/// Makes a folder anew.
fn empty(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    fs::create_dir_all(folder)
}

/// The blocks of a DAG that is in the store.
pub(crate) fn dag_cids(store: &BlockStore, root: &Cid) -> Result<Vec<Cid>, ContentError> {
    let mut cids = Vec::new();
    store.walk(root, &DagLimits::NONE, |cid, _| cids.push(cid))?;
    Ok(cids)
}

/// Blocks that anyone may have whatever outputs they are in: inputs, modules, uploads, outputs of jobs that have ended.
/// `is_secret` tells which outputs are not among them. Reads everything that is pinned.
pub(crate) fn public_blocks(
    store: &BlockStore,
    is_secret: impl Fn(Key) -> bool,
) -> Result<BTreeSet<Cid>, ContentError> {
    let mut public = BTreeSet::new();
    for (root, tag) in store.pins()? {
        if !tagged(&tag).is_some_and(&is_secret) {
            public.extend(dag_cids(store, &root)?);
        }
    }
    Ok(public)
}

/// Whose output has this tag.
pub(crate) fn tagged(tag: &str) -> Option<Key> {
    Key::from_slug(tag.strip_prefix("result/")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_blocks_of_an_output_are_known_before_it_is_stored() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        fs::create_dir_all(out.join("a/b")).unwrap();
        fs::write(out.join("a/b/large"), vec![7; (2 << 20) + 5]).unwrap();
        fs::write(out.join("a/small"), "x").unwrap();
        fs::write(out.join("empty"), "").unwrap();
        let store = BlockStore::open(dir.path().join("store"), None).unwrap();
        let before = cids_of_path(&out, &TreeLimits::default()).unwrap();
        let imported = import_path(&store, &out, &TreeLimits::default()).unwrap();
        let after = dag_cids(&store, &imported.root).unwrap();
        assert_eq!(before, after.into_iter().collect());
    }
}
