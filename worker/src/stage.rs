//! From the content that a job names to the folders that its program sees.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use gantry_content::{
    BlockStore, Cid, ContentError, ContentPath, DagLimits, FetchError, Source, Stat, StoreError, TransferOptions,
    TreeLimits, export, fetch, resolve, stat,
};
use gantry_proto::gantry::job::v1::{JobSpec, Reason, ResolvedInput};
use tokio::{task::spawn_blocking, time::Instant};
use tracing::{debug, info};

use crate::{Key, journal::Failure};

/// Waits between attempts to get content that nobody gives yet: from the first to the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Bytes of blocks that a module file may need beside its own.
const DAG_OVERHEAD: u64 = 64 << 10;

/// The folders of one run.
#[derive(Clone, Debug)]
pub(crate) struct WorkDir(PathBuf);

impl WorkDir {
    pub(crate) fn new(home: &Path, key: Key) -> Self {
        Self(home.join("work").join(key.slug()))
    }

    /// The module file.
    pub(crate) fn program(&self) -> PathBuf {
        self.0.join("program.wasm")
    }

    /// What becomes `/in`.
    pub(crate) fn input(&self) -> PathBuf {
        self.0.join("in")
    }

    /// What `/out` becomes.
    pub(crate) fn output(&self) -> PathBuf {
        self.0.join("out")
    }

    pub(crate) fn remove(&self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "work folder not removed");
        }
    }
}

/// The tag that holds an assignment's content while it is needed.
pub(crate) fn tag(key: Key) -> String {
    format!("stage/{}", key.slug())
}

/// What staging needs.
pub(crate) struct Stage {
    pub(crate) key: Key,
    pub(crate) spec: JobSpec,
    pub(crate) inputs: Vec<ResolvedInput>,
    pub(crate) store: BlockStore,
    pub(crate) dir: WorkDir,
    /// The worker's own endpoint, which need not be asked.
    pub(crate) own: String,
    /// How long content that nobody gives is asked for again: those who have it may be starting, or may not have seen
    /// yet that it is no longer withheld.
    pub(crate) patience: Duration,
    /// Largest input.
    pub(crate) max_bytes: u64,
}

pub(crate) fn failure(reason: Reason, text: impl ToString) -> Failure {
    Failure { reason: reason.into(), text: text.to_string() }
}

/// The machine's own trouble: somebody else may fare better.
fn own_fault(error: impl ToString) -> Failure {
    failure(Reason::WorkerDeclined, error)
}

impl Stage {
    /// Fetches, verifies, pins and lays out everything that the run needs. May be repeated.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let until = Instant::now() + self.patience;
        let image = self.spec.image.clone().unwrap_or_default();
        let module: Cid =
            image.root_cid.parse().map_err(|e| failure(Reason::InvalidModule, format!("{}: {e}", image.root_cid)))?;
        let limit = image.size_bytes.saturating_add(image.size_bytes / 64).saturating_add(DAG_OVERHEAD);
        self.obtain(module, &self.spec.sources, limit, until).await?;

        let mut inputs = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            let missing =
                |e: &dyn std::fmt::Display| failure(Reason::ContentUnavailable, format!("{}: {e}", input.path));
            let root: Cid = input.cid.parse().map_err(|e| missing(&e))?;
            let names: Vec<String> = input.subpath.split('/').filter(|n| !n.is_empty()).map(str::to_owned).collect();
            self.obtain(root, &input.sources, self.max_bytes, until).await?;
            let at = relative(&input.path).ok_or_else(|| missing(&"not a path below /in"))?;
            inputs.push((at, ContentPath { root, names }));
        }
        let (store, dir, max_bytes) = (self.store.clone(), self.dir.clone(), self.max_bytes);
        spawn_blocking(move || lay_out(&store, &dir, module, image.size_bytes, &inputs, max_bytes))
            .await
            .map_err(own_fault)?
    }

    /// Fetches a DAG and pins it.
    async fn obtain(&self, cid: Cid, sources: &[String], max_bytes: u64, until: Instant) -> Result<(), Failure> {
        let sources: Vec<Source> = sources.iter().filter(|s| **s != self.own).map(Source::new).collect();
        let limits = DagLimits { max_bytes, ..DagLimits::default() };
        let options = TransferOptions { limits, ..TransferOptions::default() };
        let mut wait = RETRY.0;
        let fetched = loop {
            match fetch(&self.store, &cid, &sources, &options, |_| ()).await {
                Ok(fetched) => break fetched,
                Err(error @ FetchError::NotFound { .. }) if Instant::now() + wait < until => {
                    debug!(key = %self.key, %error, "content not there yet");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(RETRY.1);
                }
                Err(FetchError::Store(error)) => return Err(own_fault(error)),
                Err(error) => return Err(failure(Reason::ContentUnavailable, format!("{cid}: {error}"))),
            }
        };
        let progress = fetched.progress;
        info!(key = %self.key, %cid, fetched = progress.bytes, present = progress.bytes_present, "content is here");
        let tag = tag(self.key);
        // The lease in `fetched` holds the blocks until the pin does.
        spawn_blocking(move || fetched.lease.pin(&cid, &tag)).await.map_err(own_fault)?.map_err(own_fault)
    }
}

/// A relative path of plain names. The chain checks paths too; here they touch the machine's disk.
pub(crate) fn relative(path: &str) -> Option<PathBuf> {
    let plain = |name: &str| !name.is_empty() && name != "." && name != ".." && !name.contains('\0');
    path.split('/').all(plain).then(|| path.split('/').collect())
}

fn lay_out(
    store: &BlockStore,
    dir: &WorkDir,
    module: Cid,
    module_bytes: u64,
    inputs: &[(PathBuf, ContentPath)],
    max_bytes: u64,
) -> Result<(), Failure> {
    dir.remove();
    fs::create_dir_all(dir.input()).map_err(own_fault)?;
    fs::create_dir_all(dir.output()).map_err(own_fault)?;
    let invalid = |e: &dyn std::fmt::Display| failure(Reason::InvalidModule, format!("module {module}: {e}"));
    match stat(store, &module).map_err(|e| invalid(&e))? {
        Stat::File { size } if size <= module_bytes => {}
        Stat::File { size } => return Err(invalid(&format!("it has {size} bytes, the job says {module_bytes}"))),
        Stat::Directory { .. } => return Err(invalid(&"it is a directory")),
    }
    let limits = TreeLimits { max_bytes: module_bytes, ..TreeLimits::default() };
    export(store, &module, &dir.program(), &limits).map_err(|e| of_content(e, Reason::InvalidModule))?;
    // For all inputs together: a few blocks, named many times, can stand for any number of bytes.
    let mut limits = TreeLimits { max_bytes, ..TreeLimits::default() };
    for (at, path) in inputs {
        let cid = resolve(store, path).map_err(|e| of_content(e, Reason::ContentUnavailable))?;
        let dest = dir.input().join(at);
        if let Some(parent) = dest.parent() {
            fs::create_dir_all(parent).map_err(own_fault)?;
        }
        limits.max_bytes -=
            export(store, &cid, &dest, &limits).map_err(|e| of_content(e, Reason::ContentUnavailable))?;
    }
    Ok(())
}

/// The content's fault, unless the machine failed.
fn of_content(error: ContentError, reason: Reason) -> Failure {
    match error {
        ContentError::Io { .. } | ContentError::Store(StoreError::Io { .. } | StoreError::Index(_)) => own_fault(error),
        other => failure(reason, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_share_one_bound_on_what_they_take_of_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let store = BlockStore::open(dir.path().join("store"), None).unwrap();
        let root = gantry_content::import_bytes(&store, vec![7; 1000]).unwrap().root;
        let inputs = ["a", "b", "c"].map(|at| (PathBuf::from(at), ContentPath { root, names: Vec::new() }));
        let work = WorkDir::new(dir.path(), Key { job: 1, attempt: 1, replica: 0 });
        lay_out(&store, &work, root, 1000, &inputs, 3000).unwrap();
        let failure = lay_out(&store, &work, root, 1000, &inputs, 2999).unwrap_err();
        assert_eq!(failure.reason, i32::from(Reason::ContentUnavailable));
    }

    #[test]
    fn paths_stay_below_their_folder() {
        assert_eq!(relative("a/b.txt"), Some(PathBuf::from("a/b.txt")));
        for bad in ["", "/a", "a//b", "../a", "a/..", ".", "a/", "a/./b", "a\0b"] {
            assert_eq!(relative(bad), None, "{bad:?}");
        }
    }
}
