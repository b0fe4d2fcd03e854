//! Running a job's program: one trait, whatever the runtime.
//!
//! A run ends in one of two ways. An [`Outcome`] follows from the program and its inputs alone, so every honest worker of a
//! class gets the same one and may commit to it: the program exited, trapped, or spent its fuel. A [`NoResult`] follows from
//! the machine or the clock; it is reported, unpaid and not slashed.
//!
//! # What holds a program in
//! | Limit | Held by | What the program sees |
//! |---|---|---|
//! | memory | the grower of linear memory | `memory.grow` gives -1 |
//! | fuel | counters in the compiled code, and a price per host call | the run ends: [`ExitKind::OutOfFuel`] |
//! | wall clock, cancelling | an epoch every 10 ms | the run ends: [`NoResult::Timeout`], [`NoResult::Cancelled`] |
//! | output bytes and files, a folder's listing (256 KiB) | the file tree, at each write | `ENOSPC` |
//! | log bytes | the log | nothing: the rest is dropped and counted |
//! | call depth | the stack limit | the run ends: [`NoResult::StackOverflow`] |
//! | module size, functions, bodies | a look at the module before it is compiled | [`NoResult::InvalidModule`] |
//!
//! [`Usage::limits_hit`] names the limits that a run met, so that a renter learns why a program fared badly.

mod files;
mod preflight;
mod wasi;
mod wasm;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use tokio_util::sync::CancellationToken as Cancel;
pub(crate) use wasm::WASMTIME_MAJOR;
pub use wasm::{WasmExecutor, wasm_class};

/// Everything that decides a run.
#[derive(Clone, Debug)]
pub struct RunSpec {
    /// The staged program; for the `wasm` runtime a module file.
    pub program: PathBuf,
    /// Arguments after `argv[0]`, which is always `job`.
    pub args: Vec<String>,
    /// Environment variables, in the job's order. The program sees no others.
    pub env: Vec<(String, String)>,
    /// Appears as `/in`, read-only. Regular files and folders only.
    pub input_dir: PathBuf,
    /// An empty folder that receives what the program leaves in `/out`, when there is an [`Outcome`].
    pub output_dir: PathBuf,
    /// What the run may use.
    pub limits: Limits,
    /// Where the program's randomness comes from.
    pub seed: Seed,
}

/// What a run may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest linear memory in bytes. Output is held in the worker's memory beside it until the run ends.
    pub memory_bytes: u64,
    /// Fuel: about one unit an instruction.
    pub fuel: u64,
    /// Longest time of the run, compilation excluded.
    pub wall: Duration,
    /// Most bytes in all files below `/out` at any time.
    pub output_bytes: u64,
    /// Most files and folders below `/out` at any time.
    pub output_files: u32,
    /// Most bytes of log that are kept.
    pub log_bytes: u64,
}

/// Names the stream of random numbers: the same for all replicas of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed {
    /// The job's id.
    pub job: u64,
    /// The job's attempt.
    pub attempt: u32,
}

/// Where a program's log goes. Called on the thread of the run: it must not block for long.
pub trait LogSink: Send + Sync {
    /// Takes the next bytes of a stream.
    fn write(&self, stream: Stream, bytes: &[u8]);
}

/// Which of the two streams a piece of log came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A run that ended by the program's own doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub exit: ExitKind,
    /// What it used.
    pub usage: Usage,
}

/// The ends that may be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// The program ended by itself, with this code.
    Exit(u32),
    /// The program did what WebAssembly forbids.
    Trap(TrapKind),
    /// The fuel of the job was spent.
    OutOfFuel,
}

/// Why a program trapped. The numbers are what is committed to: they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TrapKind {
    /// An access beyond the linear memory.
    MemoryOutOfBounds = 1,
    /// An access beyond a table.
    TableOutOfBounds = 2,
    /// An indirect call to an empty table entry.
    IndirectCallToNull = 3,
    /// An indirect call with the wrong signature.
    BadSignature = 4,
    /// A signed division that overflows.
    IntegerOverflow = 5,
    /// A division by zero.
    DivisionByZero = 6,
    /// A float that fits no integer.
    BadConversion = 7,
    /// The `unreachable` instruction: what a panic or an abort compiles to.
    Unreachable = 8,
    /// A null reference was used.
    NullReference = 9,
}

/// What a run used. Bound in a commitment and never compared, because machines differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Fuel spent.
    pub fuel: u64,
    /// Largest linear memory, in bytes.
    pub peak_memory_bytes: u64,
    /// Time from the start to the end of the program.
    pub wall: Duration,
    /// Time to compile the module; near zero when it was in the cache.
    pub compile: Duration,
    /// Bytes of all files left in `/out`.
    pub output_bytes: u64,
    /// Files and folders left in `/out`.
    pub output_files: u32,
    /// Bytes of log that were kept.
    pub log_bytes: u64,
    /// Bytes of log that were dropped.
    pub log_bytes_dropped: u64,
    /// Limits that the program met.
    pub limits_hit: BTreeSet<Limit>,
}

/// A limit that a program can meet and live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// [`Limits::memory_bytes`], or the size of tables.
    Memory,
    /// [`Limits::fuel`].
    Fuel,
    /// [`Limits::output_bytes`].
    OutputBytes,
    /// [`Limits::output_files`].
    OutputFiles,
    /// [`Limits::log_bytes`].
    LogBytes,
    /// The number of open files.
    OpenFiles,
}

/// Why there is nothing to commit to.
#[derive(Debug, thiserror::Error)]
pub enum NoResult {
    /// The run took longer than [`Limits::wall`] on this machine.
    #[error("the run took longer than {0:?}")]
    Timeout(Duration),
    /// Calls nested deeper than this machine's stack; how deep that is depends on the compiled code.
    #[error("the program's calls nest too deep")]
    StackOverflow,
    /// The machine had not the memory that the job may use.
    #[error("this machine is out of memory: {0}")]
    HostMemory(String),
    /// A file or a thread of this machine failed.
    #[error("this machine failed: {0}")]
    Host(String),
    /// The run was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The program is not a module that this runtime takes. All workers of a class agree on it.
    #[error("not a module that can run: {0}")]
    InvalidModule(String),
    /// The job's arguments, environment or inputs are not such as a program can be given.
    #[error("not a job that can run: {0}")]
    InvalidSpec(String),
}

/// Something that runs programs.
#[async_trait::async_trait]
pub trait Executor: Send + Sync {
    /// Runs a program to its end. Dropping the future cancels the run.
    ///
    /// # Errors
    /// [`NoResult`] when the run ended for a reason outside of the program.
    async fn run(&self, spec: RunSpec, log: Arc<dyn LogSink>, cancel: Cancel) -> Result<Outcome, NoResult>;
}
