//! What a job made, brought here and checked against what its replicas agreed on.

use std::path::{Path, PathBuf};

use gantry_content::{
    BlockStore, Cid, ContentError, DagLimits, FetchError, Progress, Source, TransferOptions, TreeLimits, export, fetch,
};
use gantry_keyring::Signer;
use gantry_proto::gantry::{
    job::v1::{JobState, Limits, QueryJobRequest},
    verifier::v1::{Outcome, QueryVerdictRequest},
};
use tonic::metadata::MetadataMap;

use crate::{
    Chain, ClientError, Providers,
    access::{AccessToken, Scope},
    is_terminal, word,
};

/// Folders inside one another: a program can make 64 below `/out`.
const OUTPUT_DEPTH: u32 = 66;

/// Why there is no result here.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    /// No verdict yet.
    #[error("job {job} has no verdict yet: it is {state}")]
    NotYet {
        /// The job.
        job: u64,
        /// Its state.
        state: String,
    },
    /// The job ended without an agreed result.
    #[error("job {job} has no result: it is {state}{reason}")]
    None {
        /// The job.
        job: u64,
        /// Its state.
        state: String,
        /// Why, after a colon and a blank; empty when the chain says no more.
        reason: String,
    },
    /// Something is at the place to write to.
    #[error("{} exists already: give another folder with --to", .0.display())]
    Exists(PathBuf),
    /// Nobody gave it.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It could not be written.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A temporary folder could not be made.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The chain cannot be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl From<tonic::Status> for ResultError {
    fn from(status: tonic::Status) -> Self {
        Self::Client(status.into())
    }
}

/// A result that is on this machine now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedResult {
    /// What the replicas agreed on.
    pub cid: Cid,
    /// Bytes of all files.
    pub bytes: u64,
    /// The files: path below the folder and size, by path.
    pub files: Vec<(PathBuf, u64)>,
    /// Whether the program ended well: the output of one that failed can be fetched too.
    pub completed: bool,
}

/// Fetches the agreed output of a job into `to`, which must not exist. With the renter's key, workers that still
/// withhold it give it too.
///
/// # Errors
/// [`ResultError`]; nothing is left at `to` then.
pub async fn fetch_result(
    chain: &Chain,
    renter: Option<&Signer>,
    job: u64,
    to: &Path,
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<FetchedResult, ResultError> {
    if std::fs::symlink_metadata(to).is_ok() {
        return Err(ResultError::Exists(to.to_owned()));
    }
    let agreed = agreed(chain, job).await?;
    let sources = sources(chain, renter, job, &agreed.locations).await?;
    // Beside the target: where there is room for the result there is room for its blocks.
    let parent = match to.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let io = |source| ResultError::Io { path: parent.to_owned(), source };
    std::fs::create_dir_all(parent).map_err(io)?;
    let dir = tempfile::Builder::new().prefix(".gantry-fetch-").tempdir_in(parent).map_err(io)?;
    let store = BlockStore::open(dir.path(), None).map_err(ContentError::from)?;
    let options = TransferOptions { limits: agreed.limits, ..TransferOptions::default() };
    let fetched = fetch(&store, &agreed.cid, &sources, &options, progress).await?;
    let (cid, to) = (agreed.cid, to.to_owned());
    let written = tokio::task::spawn_blocking(move || {
        let bytes = export(&store, &cid, &to, &agreed.tree)?;
        drop(fetched.lease);
        Ok::<_, ContentError>((bytes, to))
    });
    let (bytes, to) = written.await.map_err(|e| ClientError::Protocol(e.to_string()))??;
    let files = files(&to).map_err(|source| ResultError::Io { path: to.clone(), source })?;
    Ok(FetchedResult { cid, bytes, files, completed: agreed.completed })
}

struct Agreed {
    cid: Cid,
    locations: Vec<String>,
    limits: DagLimits,
    tree: TreeLimits,
    completed: bool,
}

/// What the chain says of the result.
async fn agreed(chain: &Chain, job: u64) -> Result<Agreed, ResultError> {
    let answer = chain.jobs().job(QueryJobRequest { job_id: job }).await?.into_inner();
    let (state, end, cid, mut locations, limits) = match (answer.job, answer.receipt) {
        (Some(j), _) => {
            let limits = j.spec.as_ref().and_then(|s| s.limits);
            (j.state(), j.end, j.output_cid, j.output_locations, limits)
        }
        (None, Some(r)) => (r.state(), r.end, r.output_cid, Vec::new(), None),
        (None, None) => return Err(ClientError::Protocol(format!("job {job} without content")).into()),
    };
    let verdict = match chain.verifier().verdict(QueryVerdictRequest { job_id: job }).await {
        Ok(answer) => answer.into_inner().verdict.filter(|v| v.outcome() == Outcome::Accepted),
        Err(status) if status.code() == tonic::Code::NotFound => None,
        Err(status) => return Err(status.into()),
    };
    for location in verdict.iter().flat_map(|v| &v.locations) {
        if !locations.contains(location) {
            locations.push(location.clone());
        }
    }
    let cid = verdict.and_then(|v| v.result).map(|r| r.output_cid).filter(|c| !c.is_empty()).unwrap_or(cid);
    if cid.is_empty() {
        let name = word(state.as_str_name(), "JOB_STATE_");
        if !is_terminal(state) {
            return Err(ResultError::NotYet { job, state: name });
        }
        let reason = end.map_or_else(String::new, |e| format!(": {}", word(e.reason().as_str_name(), "REASON_")));
        return Err(ResultError::None { job, state: name, reason });
    }
    let cid = cid.parse().map_err(|e| ClientError::Protocol(format!("output {cid}: {e}")))?;
    let completed = state == JobState::Completed;
    Ok(Agreed { cid, locations, limits: dag_limits(limits), tree: tree_limits(limits), completed })
}

/// How large the agreed output can be: what the job allowed, and room for directories.
fn dag_limits(limits: Option<Limits>) -> DagLimits {
    limits.map_or_else(DagLimits::default, |limits| DagLimits {
        max_bytes: limits.output_bytes.saturating_add(limits.output_bytes / 8).saturating_add(16 << 20),
        // Every file and folder has a block, and so has every piece of a file.
        max_blocks: DagLimits::default().max_blocks.saturating_add(u64::from(limits.output_files).saturating_mul(2)),
        ..DagLimits::default()
    })
}

/// How much may be written to disk: blocks may be named many times, so a few of them can stand for any number of bytes.
fn tree_limits(limits: Option<Limits>) -> TreeLimits {
    let tree = TreeLimits { max_depth: OUTPUT_DEPTH, ..TreeLimits::default() };
    limits.map_or(tree, |limits| TreeLimits {
        max_bytes: limits.output_bytes,
        // The output folder itself is one too.
        max_entries: u64::from(limits.output_files).saturating_add(1),
        ..tree
    })
}

/// The locations, with the renter's token for those that the chain knows as a provider's: a token says for which
/// provider it is, and a stranger's word on that is not taken.
async fn sources(
    chain: &Chain,
    renter: Option<&Signer>,
    job: u64,
    locations: &[String],
) -> Result<Vec<Source>, ClientError> {
    let providers = if renter.is_some() { Providers::read(chain).await? } else { Providers::default() };
    Ok(locations
        .iter()
        .map(|location| {
            let mut metadata = MetadataMap::new();
            if let (Some(signer), Some(provider)) = (renter, providers.at(location)) {
                let scope = Scope { chain_id: chain.chain_id(), job, provider };
                AccessToken::sign_for_an_hour(signer, &scope).attach(&mut metadata);
            }
            Source { endpoint: location.clone(), metadata }
        })
        .collect())
}

/// All files below a folder (or the one file that it is), by path.
fn files(root: &Path) -> std::io::Result<Vec<(PathBuf, u64)>> {
    let (mut found, mut todo) = (Vec::new(), vec![root.to_owned()]);
    while let Some(path) = todo.pop() {
        let metadata = std::fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                todo.push(entry?.path());
            }
        } else {
            let below = path.strip_prefix(root).unwrap_or(&path).to_owned();
            found.push((below, metadata.len()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_by_path_with_their_sizes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("b")).unwrap();
        std::fs::write(dir.path().join("b/two"), "22").unwrap();
        std::fs::write(dir.path().join("a"), "1").unwrap();
        assert_eq!(files(dir.path()).unwrap(), [("a".into(), 1), ("b/two".into(), 2)]);
    }

    #[test]
    fn the_jobs_own_limit_bounds_what_is_fetched() {
        let limits = |output_bytes| dag_limits(Some(Limits { output_bytes, ..Limits::default() })).max_bytes;
        assert_eq!(limits(0), 16 << 20);
        assert!(limits(1 << 40) > 1 << 40);
        assert_eq!(limits(u64::MAX), u64::MAX);
    }

    #[test]
    fn an_output_that_names_one_block_many_times_does_not_fill_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        for name in ["a", "b", "c"] {
            std::fs::write(folder.join(name), vec![7; 1000]).unwrap();
        }
        let store = BlockStore::open(dir.path().join("store"), None).unwrap();
        let imported = gantry_content::import_path(&store, &folder, &TreeLimits::default()).unwrap();
        let write = |output_bytes, output_files| {
            let limits = Limits { output_bytes, output_files, ..Limits::default() };
            let written = export(&store, &imported.root, &dir.path().join("to"), &tree_limits(Some(limits)));
            let _ = std::fs::remove_dir_all(dir.path().join("to"));
            written
        };
        assert_eq!(write(3000, 3).unwrap(), 3000);
        assert!(matches!(write(2999, 3), Err(ContentError::TooLarge { .. })));
        assert!(matches!(write(3000, 2), Err(ContentError::TooMany { .. })));
    }
}
