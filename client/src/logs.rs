//! Logs of a job's runs, from the workers that run it, to their end and over broken connections.

use std::{io, time::Duration};

use gantry_keyring::Signer;
use gantry_proto::gantry::{
    job::v1::{Assignment, AssignmentState, Job, QueryJobRequest, QueryJobResponse},
    provider::v1::QueryProviderRequest,
    worker::v1::{LogsRequest, worker_client::WorkerClient},
};
use tonic::{Request, metadata::MetadataMap, transport::Endpoint};

use crate::{
    Chain, ClientError,
    access::{AccessToken, Scope},
    is_terminal, word,
};

/// How often the chain is asked whether a worker runs the job.
const POLL: Duration = Duration::from_millis(300);
/// Time to connect to a worker.
const CONNECT: Duration = Duration::from_secs(5);
/// A connection on which nothing has come for so long is asked whether it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Rounds over all workers, without a byte, after which following ends.
const ROUNDS: u32 = 20;
/// Pause between rounds.
const PAUSE: Duration = Duration::from_secs(1);

/// What to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// This replica's alone.
    pub replica: Option<u32>,
    /// From this byte on.
    pub offset: u64,
    /// Wait for the run, and read until it ends.
    pub follow: bool,
}

/// A worker that did not give the log.
#[derive(Debug)]
pub struct Missed {
    /// What people call it.
    pub worker: String,
    /// What it said.
    pub why: String,
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The key is not the renter's.
    #[error("job {job} belongs to {renter}, and this key is {own}: logs are for the renter alone")]
    NotRenter {
        /// The job.
        job: u64,
        /// Its renter.
        renter: String,
        /// The address of the key.
        own: String,
    },
    /// No worker runs it yet.
    #[error("no worker runs job {job} yet: it is {state}")]
    NotRunning {
        /// The job.
        job: u64,
        /// Its state.
        state: String,
    },
    /// The job has ended and no worker ever ran it, or not this replica.
    #[error("there is no log: job {job} is {state}, and no such run was begun")]
    NeverRan {
        /// The job.
        job: u64,
        /// Its state.
        state: String,
    },
    /// The chain has forgotten who ran it.
    #[error("job {0} ended so long ago that only its receipt is left")]
    Gone(u64),
    /// Nobody gave it.
    #[error("no worker gives the log from byte {position} on: {}", .missed.iter().map(|m| format!("{}: {}", m.worker, m.why)).collect::<Vec<_>>().join("; "))]
    Unavailable {
        /// Bytes of the log that were read, or skipped.
        position: u64,
        /// Who was asked.
        missed: Vec<Missed>,
    },
    /// The reader of the log failed.
    #[error(transparent)]
    Output(#[from] io::Error),
    /// The chain cannot be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl From<tonic::Status> for LogsError {
    fn from(status: tonic::Status) -> Self {
        Self::Client(status.into())
    }
}

/// Where a log can be had.
#[derive(Clone, Debug)]
struct LogSource {
    worker: String,
    endpoint: String,
    metadata: MetadataMap,
    attempt: u32,
}

/// Reads the log of a job as its renter: `out` gets the bytes in order, each once; `note` gets what people may want to
/// know of how they came. Returns the offset after the last byte.
///
/// # Errors
/// [`LogsError`]; with `follow`, a node or worker that is away for a while is none.
pub async fn follow_logs(
    chain: &Chain,
    signer: &Signer,
    job: u64,
    options: LogOptions,
    mut out: impl FnMut(&[u8]) -> io::Result<()>,
    mut note: impl FnMut(&str),
) -> Result<u64, LogsError> {
    let mut position = options.offset;
    let (mut idle_rounds, mut waiting) = (0, false);
    loop {
        let mut failure = match look(chain, signer, job, options.replica).await {
            Ok(Look::Waits(state)) if options.follow => {
                if !std::mem::replace(&mut waiting, true) {
                    note(&format!("job {job} is {state}; its log begins when a worker runs it"));
                }
                tokio::time::sleep(POLL).await;
                continue;
            }
            Ok(Look::Waits(state)) => return Err(LogsError::NotRunning { job, state }),
            Ok(Look::Runs { ended, sources }) => {
                let before = position;
                let request = LogsRequest { job_id: job, attempt: 0, offset: 0, follow: options.follow };
                let Some(missed) = read_log(&sources, request, &mut position, &mut out, &mut note).await? else {
                    return Ok(position);
                };
                if position > before {
                    idle_rounds = 0;
                }
                Failure { error: LogsError::Unavailable { position, missed }, last: ended }
            }
            Err(LogsError::Client(error)) if error.is_transient() => Failure { error: error.into(), last: false },
            Err(error) => return Err(error),
        };
        idle_rounds += 1;
        failure.last |= !options.follow || idle_rounds > ROUNDS;
        if failure.last {
            return Err(failure.error);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A round that did not reach the end of the log, and whether there is no point in another.
struct Failure {
    error: LogsError,
    last: bool,
}

/// What the chain says of a job's runs.
enum Look {
    /// None was begun; the job's state.
    Waits(String),
    /// Where their logs are, best first, and whether the job has ended.
    Runs { ended: bool, sources: Vec<LogSource> },
}

async fn look(chain: &Chain, signer: &Signer, job: u64, replica: Option<u32>) -> Result<Look, LogsError> {
    let answer = chain.jobs().job(QueryJobRequest { job_id: job }).await?.into_inner();
    let QueryJobResponse { job: Some(state), assignments, .. } = answer else {
        return Err(LogsError::Gone(job));
    };
    if state.renter != signer.info.address {
        return Err(LogsError::NotRenter { job, renter: state.renter, own: signer.info.address.clone() });
    }
    let runs = runs(&state, &assignments, replica);
    let name = word(state.state().as_str_name(), "JOB_STATE_");
    match (runs.is_empty(), is_terminal(state.state())) {
        (true, true) => Err(LogsError::NeverRan { job, state: name }),
        (true, false) => Ok(Look::Waits(name)),
        (false, ended) => Ok(Look::Runs { ended, sources: sources(chain, signer, job, &runs).await? }),
    }
}

/// The runs of a job whose log may be read, best first: of the latest attempt that ran (of a living job, the current
/// one), not failed, begun earliest.
fn runs<'a>(job: &Job, assignments: &'a [Assignment], replica: Option<u32>) -> Vec<&'a Assignment> {
    let begun = assignments.iter().filter(|a| a.running_height > 0 && replica.is_none_or(|r| a.replica == r));
    let latest = begun.clone().map(|a| a.attempt).max();
    let attempt = if is_terminal(job.state()) { latest } else { Some(job.attempt) };
    let mut runs: Vec<_> = begun.filter(|a| Some(a.attempt) == attempt).collect();
    runs.sort_by_key(|a| (a.state() == AssignmentState::Failed, a.running_height, a.replica));
    runs
}

async fn sources(
    chain: &Chain,
    signer: &Signer,
    job: u64,
    runs: &[&Assignment],
) -> Result<Vec<LogSource>, ClientError> {
    let mut sources = Vec::new();
    for run in runs {
        let request = QueryProviderRequest { id: run.provider_id };
        let provider = chain.providers().provider(request).await?.into_inner().provider.unwrap_or_default();
        let scope = Scope { chain_id: chain.chain_id(), job, provider: run.provider_id };
        let mut metadata = MetadataMap::new();
        AccessToken::sign_for_an_hour(signer, &scope).attach(&mut metadata);
        sources.extend(provider.endpoints.into_iter().map(|endpoint| LogSource {
            worker: provider.moniker.clone(),
            endpoint,
            metadata: metadata.clone(),
            attempt: run.attempt,
        }));
    }
    Ok(sources)
}

/// Reads to the end of the log from whoever gives it: none when that is reached, else what each source said.
async fn read_log(
    sources: &[LogSource],
    request: LogsRequest,
    position: &mut u64,
    out: &mut impl FnMut(&[u8]) -> io::Result<()>,
    note: &mut impl FnMut(&str),
) -> Result<Option<Vec<Missed>>, LogsError> {
    let mut missed = Vec::new();
    for source in sources {
        if let (Some(Missed { worker, why }), true) = (missed.last(), *position > 0) {
            note(&format!("{worker}: {why}; {} goes on from byte {position}", source.worker));
        }
        loop {
            let before = *position;
            match read_from(source, request, position, out).await {
                Ok(()) => return Ok(None),
                Err(Broken::Output(error)) => return Err(error.into()),
                // It gave something: it is asked again before others.
                Err(Broken::Source(_)) if *position > before => {}
                Err(Broken::Source(why)) => {
                    missed.push(Missed { worker: source.worker.clone(), why });
                    break;
                }
            }
        }
    }
    Ok(Some(missed))
}

enum Broken {
    Source(String),
    Output(io::Error),
}

impl From<tonic::Status> for Broken {
    fn from(status: tonic::Status) -> Self {
        Self::Source(status.message().to_owned())
    }
}

/// One connection to one worker.
async fn read_from(
    source: &LogSource,
    request: LogsRequest,
    position: &mut u64,
    out: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), Broken> {
    let failed = |e: &dyn std::error::Error| {
        // The outer error only says "transport error".
        Broken::Source(e.source().map_or_else(|| e.to_string(), ToString::to_string))
    };
    let endpoint = Endpoint::from_shared(source.endpoint.clone()).map_err(|e| failed(&e))?;
    let channel = endpoint
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .connect()
        .await
        .map_err(|e| failed(&e))?;
    let mut call = Request::new(LogsRequest { attempt: source.attempt, offset: *position, ..request });
    *call.metadata_mut() = source.metadata.clone();
    let mut stream = WorkerClient::new(channel).logs(call).await?.into_inner();
    while let Some(piece) = stream.message().await? {
        // What is known already is skipped; a hole cannot be filled.
        let Some(known) = position.checked_sub(piece.offset) else {
            return Err(Broken::Source(format!("byte {} came where {position} was due", piece.offset)));
        };
        let new = usize::try_from(known).ok().and_then(|known| piece.data.get(known..)).unwrap_or_default();
        if !new.is_empty() {
            out(new).map_err(Broken::Output)?;
            *position += new.len() as u64;
        }
        if piece.end {
            return Ok(());
        }
    }
    // Without `follow` the log ends where it is now.
    if request.follow { Err(Broken::Source("the stream ended before the run".into())) } else { Ok(()) }
}

#[cfg(test)]
#[expect(clippy::result_large_err, reason = "tonic's Status is what a mock answers with")]
mod tests {
    use std::sync::Mutex;

    use gantry_proto::gantry::{
        job::v1::JobState,
        worker::v1::{
            InfoRequest, InfoResponse, LogsResponse,
            worker_server::{Worker, WorkerServer},
        },
    };
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::{Response, Status, transport::Server};

    use super::*;

    type Answer = Result<LogsResponse, Status>;

    /// Answers each call with the next of some lists of pieces; an error stands for a connection that breaks.
    struct Mock {
        answers: Mutex<Vec<Vec<Answer>>>,
        asked: std::sync::Arc<Mutex<Vec<u64>>>,
    }

    #[tonic::async_trait]
    impl Worker for Mock {
        async fn info(&self, _: Request<InfoRequest>) -> Result<Response<InfoResponse>, Status> {
            Err(Status::unimplemented(""))
        }

        type LogsStream = tokio_stream::Iter<std::vec::IntoIter<Answer>>;

        async fn logs(&self, request: Request<LogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
            self.asked.lock().unwrap().push(request.get_ref().offset);
            let mut answers = self.answers.lock().unwrap();
            if answers.is_empty() {
                return Err(Status::not_found("job 1 is not known to this worker"));
            }
            Ok(Response::new(tokio_stream::iter(answers.remove(0))))
        }
    }

    async fn worker(name: &str, answers: Vec<Vec<Answer>>) -> (LogSource, std::sync::Arc<Mutex<Vec<u64>>>) {
        let asked = std::sync::Arc::<Mutex<Vec<u64>>>::default();
        let mock = Mock { answers: Mutex::new(answers), asked: asked.clone() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::builder().add_service(WorkerServer::new(mock));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        (LogSource { worker: name.into(), endpoint, metadata: MetadataMap::new(), attempt: 1 }, asked)
    }

    fn piece(offset: u64, data: &str, end: bool) -> Answer {
        Ok(LogsResponse { offset, data: data.into(), end })
    }

    fn cut() -> Answer {
        Err(Status::unavailable("connection reset"))
    }

    const FOLLOW: LogsRequest = LogsRequest { job_id: 1, attempt: 0, offset: 0, follow: true };

    async fn read(sources: &[LogSource], from: u64) -> (String, u64, Option<Vec<Missed>>, Vec<String>) {
        let (mut text, mut position, mut notes) = (Vec::new(), from, Vec::new());
        let missed = read_log(
            sources,
            FOLLOW,
            &mut position,
            &mut |bytes| {
                text.extend_from_slice(bytes);
                Ok(())
            },
            &mut |note| notes.push(note.to_owned()),
        )
        .await
        .unwrap();
        (String::from_utf8(text).unwrap(), position, missed, notes)
    }

    #[tokio::test]
    async fn a_broken_stream_is_resumed_where_it_broke() {
        let answers = vec![
            vec![piece(0, "one\n", false), cut()],
            // What was had already comes again, and is skipped.
            vec![piece(2, "e\ntwo\n", false), piece(8, "", true)],
        ];
        let (source, asked) = worker("a", answers).await;
        let (text, position, missed, _) = read(&[source], 0).await;
        assert_eq!((text.as_str(), position), ("one\ntwo\n", 8));
        assert!(missed.is_none());
        assert_eq!(*asked.lock().unwrap(), [0, 4]);
    }

    #[tokio::test]
    async fn another_replica_goes_on_when_one_is_gone() {
        let (first, _) = worker("a", vec![vec![piece(0, "one\n", false), cut()]]).await;
        let (second, asked) = worker("b", vec![vec![piece(4, "two\n", true)]]).await;
        let (text, _, missed, notes) = read(&[first, second], 0).await;
        assert_eq!(text, "one\ntwo\n");
        assert!(missed.is_none());
        assert_eq!(*asked.lock().unwrap(), [4]);
        assert_eq!(notes, ["a: job 1 is not known to this worker; b goes on from byte 4"]);
    }

    #[tokio::test]
    async fn an_offset_is_where_reading_begins_and_holes_are_refused() {
        let (source, asked) = worker("a", vec![vec![piece(9, "late", true)]]).await;
        let (text, position, missed, _) = read(&[source], 3).await;
        assert_eq!((text.as_str(), position), ("", 3));
        assert_eq!(*asked.lock().unwrap(), [3]);
        let missed = missed.unwrap();
        assert_eq!(missed[0].why, "byte 9 came where 3 was due");
    }

    #[test]
    fn the_runs_to_read_are_those_of_the_attempt_that_counts() {
        let run = |attempt, replica, running_height, state: AssignmentState| Assignment {
            attempt,
            replica,
            running_height,
            state: state.into(),
            ..Assignment::default()
        };
        let all = [
            run(1, 0, 5, AssignmentState::Failed),
            run(2, 0, 0, AssignmentState::Staging),
            run(2, 1, 9, AssignmentState::Failed),
            run(2, 2, 12, AssignmentState::Running),
            run(2, 3, 11, AssignmentState::Committed),
        ];
        let of = |state: JobState, attempt, replica| -> Vec<(u32, u32)> {
            let job = Job { state: state.into(), attempt, ..Job::default() };
            runs(&job, &all, replica).iter().map(|a| (a.attempt, a.replica)).collect()
        };
        assert_eq!(of(JobState::Active, 2, None), [(2, 3), (2, 2), (2, 1)]);
        assert_eq!(of(JobState::Active, 2, Some(2)), [(2, 2)]);
        // A living job's third attempt has no run yet: that of the second is over.
        assert_eq!(of(JobState::Queued, 3, None), []);
        assert_eq!(of(JobState::Failed, 3, None), [(2, 3), (2, 2), (2, 1)]);
    }
}
