//! From a job file to jobs on the chain: files become content, content goes to a home, ids go into the message.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use gantry_content::{
    BlockStore, Cid, ContentError, Imported, Progress, PushError, Source, TransferOptions, TreeLimits, import_path,
    push,
};
use gantry_proto::gantry::{
    job::v1::{JobSpec, MsgSubmitJobs, MsgSubmitJobsResponse},
    provider::v1::ProviderStatus,
};
use sha2::{Digest, Sha256};

use crate::{
    ClientError, JobFile, Providers, Sender,
    jobfile::{Slot, Upload},
};

/// Endpoints in a job's `sources`.
const MAX_SOURCES: usize = 4;
/// Homes that are tried when none is named.
const MAX_TRIES: usize = 3;
/// What every WebAssembly module begins with.
const WASM_MAGIC: [u8; 4] = *b"\0asm";

/// Why jobs were not submitted.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// A file named by the job file cannot be used.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It cannot be made content.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// There are files to upload, and nobody to take them.
    #[error("no worker is there to take the files: no active provider has an endpoint")]
    NoHome,
    /// Nobody took the files.
    #[error("no home took the files: {}", .0.iter().map(|(home, why)| format!("{home}: {why}")).collect::<Vec<_>>().join("; "))]
    NoHomeTook(Vec<(String, PushError)>),
    /// More homes than a job can name.
    #[error("at most {MAX_SOURCES} homes can be named")]
    TooManyHomes,
    /// The chain refused, or cannot be reached.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Who is to hold the uploads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Homes {
    /// All of these; one of them at least must take everything.
    Each(Vec<String>),
    /// The first of these that takes everything.
    FirstOf(Vec<String>),
}

/// One file or folder, imported.
#[derive(Debug)]
struct Content {
    imported: Imported,
    slots: Vec<Slot>,
}

/// Jobs whose content ids are known and whose files lie in a temporary block store.
#[derive(Debug)]
pub struct Submission {
    file: JobFile,
    contents: Vec<Content>,
    store: BlockStore,
    _dir: tempfile::TempDir,
}

/// Jobs on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// Their graph.
    pub graph_id: u64,
    /// Their ids, in the order of the file.
    pub job_ids: Vec<u64>,
    /// The transaction, in upper-case hex.
    pub txhash: String,
    /// Height of its block.
    pub height: u64,
}

impl Submission {
    /// Imports the files that a job file names. Blocks on the disk.
    ///
    /// # Errors
    /// [`SubmitError::File`] and [`SubmitError::Content`].
    pub fn import(mut file: JobFile) -> Result<Self, SubmitError> {
        let dir =
            tempfile::tempdir().map_err(|e| SubmitError::File { path: std::env::temp_dir(), reason: e.to_string() })?;
        let store = BlockStore::open(dir.path(), None).map_err(ContentError::from)?;
        let mut contents = Vec::new();
        for Upload { path, slots } in std::mem::take(&mut file.uploads) {
            check(&path, &slots)?;
            let imported = import_path(&store, &path, &TreeLimits::default())?;
            file.fill(&slots, &imported.root.to_string(), imported.bytes);
            contents.push(Content { imported, slots });
        }
        Ok(Self { file, contents, store, _dir: dir })
    }

    /// The jobs as they will be submitted.
    #[must_use]
    pub fn jobs(&self) -> &[JobSpec] {
        &self.file.jobs
    }

    /// A name for people.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.file.label
    }

    /// Whether there is anything to upload.
    #[must_use]
    pub fn has_uploads(&self) -> bool {
        !self.contents.is_empty()
    }

    /// Content to upload, with the bytes of its files.
    pub fn uploads(&self) -> impl Iterator<Item = (Cid, u64)> {
        self.contents.iter().map(|c| (c.imported.root, c.imported.bytes))
    }

    /// Uploads everything, and names those that took it as sources of the jobs that need it. Returns them, and what the
    /// others said.
    ///
    /// # Errors
    /// [`SubmitError::NoHomeTook`] when nobody took all of it.
    pub async fn upload(
        &mut self,
        homes: &Homes,
        progress: impl Fn(&str, Progress) + Send + Sync,
    ) -> Result<(Vec<String>, Vec<(String, PushError)>), SubmitError> {
        let (list, all) = match homes {
            Homes::Each(list) => (list, true),
            Homes::FirstOf(list) => (list, false),
        };
        if !self.has_uploads() {
            return Ok((Vec::new(), Vec::new()));
        }
        if all && list.len() > MAX_SOURCES {
            return Err(SubmitError::TooManyHomes);
        }
        if list.is_empty() {
            return Err(SubmitError::NoHome);
        }
        let (mut took, mut failed) = (Vec::new(), Vec::new());
        for home in list {
            match self.push_to(home, &progress).await {
                Ok(()) => took.push(home.clone()),
                Err(error) => failed.push((home.clone(), error)),
            }
            if !all && !took.is_empty() {
                break;
            }
        }
        if took.is_empty() {
            return Err(SubmitError::NoHomeTook(failed));
        }
        self.name_sources(&took);
        Ok((took, failed))
    }

    async fn push_to(&self, home: &str, progress: &(impl Fn(&str, Progress) + Send + Sync)) -> Result<(), PushError> {
        let target = Source::new(home);
        for content in &self.contents {
            let report = |p: Progress| progress(home, p);
            push(&self.store, &content.imported.root, &target, &TransferOptions::default(), report).await?;
        }
        Ok(())
    }

    fn name_sources(&mut self, homes: &[String]) {
        let slots = self.contents.iter().flat_map(|c| &c.slots);
        let mut jobs: Vec<usize> = slots.map(|slot| slot.job()).collect();
        jobs.sort_unstable();
        jobs.dedup();
        for job in jobs {
            let sources = &mut self.file.jobs[job].sources;
            for home in homes {
                if sources.len() < MAX_SOURCES && !sources.contains(home) {
                    sources.push(home.clone());
                }
            }
        }
    }

    /// Submits the jobs in one transaction and waits until it is in a block.
    ///
    /// # Errors
    /// Those of the chain.
    pub async fn submit(self, sender: &Sender) -> Result<Submitted, ClientError> {
        let message =
            MsgSubmitJobs { renter: sender.address().to_owned(), label: self.file.label, jobs: self.file.jobs };
        let committed = sender.send(&message).await?;
        let MsgSubmitJobsResponse { graph_id, job_ids } = committed.response(0)?;
        Ok(Submitted { graph_id, job_ids, txhash: committed.hash, height: committed.height })
    }
}

/// Says early what would fail late: at a worker, after the money was locked.
fn check(path: &Path, slots: &[Slot]) -> Result<(), SubmitError> {
    let failed = |reason: String| SubmitError::File { path: path.to_owned(), reason };
    if !slots.iter().any(|slot| matches!(slot, Slot::Module { .. })) {
        return std::fs::metadata(path).map(|_| ()).map_err(|e| failed(e.to_string()));
    }
    let mut magic = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    match read {
        Ok(()) if magic == WASM_MAGIC => Ok(()),
        Err(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => Err(failed(e.to_string())),
        _ => Err(failed("not a WebAssembly module".into())),
    }
}

/// Active providers' endpoints to upload to, when the renter names none. The order differs from renter to renter, so
/// that no one home gets everybody's files.
#[must_use]
pub fn homes_for(renter: &str, providers: &Providers) -> Homes {
    let mut active: Vec<_> = providers
        .iter()
        .filter(|p| p.status() == ProviderStatus::Active)
        .filter_map(|p| Some((Sha256::digest(format!("{renter}/{}", p.id)), p.endpoints.first()?.clone())))
        .collect();
    active.sort();
    Homes::FirstOf(active.into_iter().map(|(_, endpoint)| endpoint).take(MAX_TRIES).collect())
}

#[cfg(test)]
mod tests {
    use gantry_content::{Access, BlocksService, Caller, DagLimits, ServiceLimits, UploadGrant};
    use gantry_proto::gantry::job::v1::input;
    use serde_json::json;
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::transport::Server;

    use super::*;

    fn folder() -> (tempfile::TempDir, JobFile) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.wasm"), b"\0asm\x01\0\0\0").unwrap();
        std::fs::write(dir.path().join("data"), b"hello").unwrap();
        let value = json!({
            "defaults": { "wasm": "a.wasm", "policy": "attested",
                          "price": { "max_per_second": "2ugantry", "max_total": "100ugantry" } },
            "jobs": [
                { "name": "one", "inputs": [{ "path": "x", "file": "data" }] },
                { "name": "two", "sources": ["http://mine:1"] },
                { "name": "three", "image": { "cid": "bafkreia", "size": 9 } },
            ]
        });
        let file = JobFile::from_value(&value, dir.path()).unwrap();
        (dir, file)
    }

    #[test]
    fn content_ids_and_sizes_go_where_the_files_were_named() {
        let (dir, file) = folder();
        let submission = Submission::import(file).unwrap();
        let cid_of = |name: &str| {
            gantry_content::cid_of_path(&dir.path().join(name), &TreeLimits::default()).unwrap().to_string()
        };
        let [one, two, three] = submission.jobs() else { panic!("three jobs") };
        for job in [one, two] {
            let image = job.image.as_ref().unwrap();
            assert_eq!((image.root_cid.as_str(), image.size_bytes), (cid_of("a.wasm").as_str(), 8));
        }
        assert_eq!(three.image.as_ref().unwrap().root_cid, "bafkreia");
        assert_eq!(one.inputs[0].source, Some(input::Source::Cid(cid_of("data"))));
        assert_eq!(submission.uploads().map(|(_, bytes)| bytes).collect::<Vec<_>>(), [8, 5]);
    }

    #[test]
    fn homes_become_sources_of_the_jobs_that_need_them() {
        let (_dir, file) = folder();
        let mut submission = Submission::import(file).unwrap();
        submission.name_sources(&["http://home:1".into()]);
        let sources: Vec<_> = submission.jobs().iter().map(|j| j.sources.clone()).collect();
        assert_eq!(sources[0], ["http://home:1"]);
        assert_eq!(sources[1], ["http://mine:1", "http://home:1"]);
        assert!(sources[2].is_empty(), "nothing of it was uploaded");
    }

    #[test]
    fn what_is_no_module_is_refused_before_anything_is_sent() {
        let (dir, file) = folder();
        std::fs::write(dir.path().join("a.wasm"), b"#!").unwrap();
        let error = Submission::import(file.clone()).unwrap_err().to_string();
        assert!(error.contains("a.wasm") && error.contains("not a WebAssembly module"), "{error}");
        std::fs::remove_file(dir.path().join("a.wasm")).unwrap();
        let error = Submission::import(file).unwrap_err().to_string();
        assert!(error.contains("a.wasm") && error.contains("No such file"), "{error}");
    }

    /// Takes every upload.
    struct Open;

    impl Access for Open {
        fn may_read(&self, _: &Caller<'_>, _: &Cid) -> bool {
            true
        }

        fn may_upload(&self, _: &Caller<'_>, _: &Cid) -> Result<UploadGrant, String> {
            Ok(UploadGrant { tag: "upload".into(), limits: DagLimits::default() })
        }
    }

    #[tokio::test]
    async fn homes_that_take_the_files_are_named_and_those_that_do_not_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let store = BlockStore::open(dir.path(), None).unwrap();
        let service = BlocksService::new(store.clone(), Open, ServiceLimits::default()).into_server();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let home = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

        let nobody = "http://127.0.0.1:1".to_owned();
        for homes in [Homes::Each(vec![nobody.clone(), home.clone()]), Homes::FirstOf(vec![home.clone(), nobody])] {
            let (_dir, file) = folder();
            let mut submission = Submission::import(file).unwrap();
            let (took, failed) = submission.upload(&homes, |_, _| ()).await.unwrap();
            assert_eq!(took, std::slice::from_ref(&home));
            assert_eq!(failed.len(), usize::from(matches!(homes, Homes::Each(_))));
            assert_eq!(submission.jobs()[0].sources, std::slice::from_ref(&home));
            let pins: Vec<_> = store.pins().unwrap().into_iter().map(|(root, _)| root).collect();
            assert!(submission.uploads().all(|(cid, _)| pins.contains(&cid)), "{pins:?}");
        }
    }

    #[tokio::test]
    async fn a_home_that_is_not_there_is_named() {
        let (_dir, file) = folder();
        let mut submission = Submission::import(file).unwrap();
        let homes = Homes::Each(vec!["http://127.0.0.1:1".into()]);
        let error = submission.upload(&homes, |_, _| ()).await.unwrap_err();
        assert!(matches!(&error, SubmitError::NoHomeTook(failed) if failed.len() == 1), "{error}");
        assert!(error.to_string().contains("http://127.0.0.1:1: unreachable"), "{error}");
        let error = submission.upload(&Homes::FirstOf(vec![]), |_, _| ()).await.unwrap_err();
        assert!(matches!(error, SubmitError::NoHome));
    }
}
