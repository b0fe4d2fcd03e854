//! CometBFT as a child of the node.

use std::{
    env, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::Sender,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{home::Home, start::Event};

/// How long a child may take to stop cleanly.
const STOP_PATIENCE: Duration = Duration::from_secs(8);
/// A child that ran this long starts the count of restarts anew.
const QUIET: Duration = Duration::from_secs(600);
/// Back-off before the first restart; it doubles, up to the last.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const LAST_BACKOFF: Duration = Duration::from_secs(10);

/// Finds the binary: `given` (flag or configuration), `$GANTRY_COMETBFT`, `bin/` of the home and of `~/.gantry`, PATH.
///
/// # Errors
/// When there is none; the text says where was looked.
pub(crate) fn find(given: Option<&Path>, home: &Home) -> Result<PathBuf> {
    if let Some(path) = given {
        return is_file(path).with_context(|| format!("--cometbft: {} is not a file", path.display()));
    }
    if let Some(path) = env::var_os("GANTRY_COMETBFT").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return is_file(&path).with_context(|| format!("GANTRY_COMETBFT: {} is not a file", path.display()));
    }
    let mut folders = vec![home.path().join("bin")];
    folders.extend(Home::standard().map(|home| home.path().join("bin")));
    folders.extend(env::var_os("PATH").iter().flat_map(env::split_paths));
    let found = folders.iter().find_map(|folder| is_file(&folder.join("cometbft")));
    match found {
        Some(path) => Ok(path),
        None => {
            bail!("no cometbft found: give --cometbft, set GANTRY_COMETBFT, or put v0.38.26 into ~/.gantry/bin or PATH")
        }
    }
}

fn is_file(path: &Path) -> Option<PathBuf> {
    path.is_file().then(|| path.to_path_buf())
}

/// How CometBFT is started, and how often already.
#[derive(Debug)]
pub(super) struct Supervisor {
    binary: PathBuf,
    arguments: Vec<String>,
    events: Sender<Event>,
    max_restarts: u32,
    restarts: u32,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    pid: Pid,
    since: Instant,
}

impl Supervisor {
    pub(super) fn new(binary: PathBuf, arguments: Vec<String>, max_restarts: u32, events: Sender<Event>) -> Self {
        Self { binary, arguments, events, max_restarts, restarts: 0, running: None }
    }

    /// Starts the child. To be called on the main thread alone: the child dies with the thread that started it.
    pub(super) fn start(&mut self) -> Result<()> {
        let mut child = self.spawn().with_context(|| format!("starting {}", self.binary.display()))?;
        let pid = Pid::from_raw(i32::try_from(child.id()).context("a process id is a positive i32")?);
        tracing::info!(%pid, binary = %self.binary.display(), "CometBFT started");
        let events = self.events.clone();
        thread::Builder::new().name("wait-cometbft".into()).spawn(move || {
            let ended = wait(&mut child);
            // Nobody listens any more when the node has stopped.
            let _ = events.send(Event::CometEnded(ended));
        })?;
        self.running = Some(Running { pid, since: Instant::now() });
        Ok(())
    }

    fn spawn(&self) -> io::Result<Child> {
        let parent = std::process::id();
        let mut command = Command::new(&self.binary);
        // Standard output is for results; what a node says goes to standard error.
        command.args(&self.arguments).stdin(Stdio::null()).stdout(io::stderr());
        // A group of its own, so that Ctrl-C reaches the node alone, which then stops the child in order.
        command.process_group(0);
        // SAFETY: only async-signal-safe calls between fork and exec.
        unsafe {
            command.pre_exec(move || {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                    return Err(io::Error::last_os_error());
                }
                // The parent may have died before the line above.
                if u32::try_from(libc::getppid()).is_ok_and(|now| now == parent) {
                    Ok(())
                } else {
                    Err(io::Error::other("the node has gone"))
                }
            });
        }
        command.spawn()
    }

    /// The child has ended: how long to wait before the next start, or `None` when it was started often enough.
    pub(super) fn ended(&mut self) -> Option<Duration> {
        let ran = self.running.take().map_or(Duration::ZERO, |running| running.since.elapsed());
        if ran > QUIET {
            self.restarts = 0;
        }
        if self.restarts >= self.max_restarts {
            return None;
        }
        let backoff = FIRST_BACKOFF.saturating_mul(1 << self.restarts.min(8)).min(LAST_BACKOFF);
        self.restarts += 1;
        Some(backoff)
    }

    /// Asks the child to stop, and makes it.
    pub(super) fn stop(&mut self, ended: impl Fn(Duration) -> bool) {
        let Some(Running { pid, since: _ }) = self.running.take() else { return };
        // Failing means that it has ended already, which `ended` will tell.
        let _ = kill(pid, Signal::SIGTERM);
        if !ended(STOP_PATIENCE) {
            tracing::warn!(%pid, "CometBFT does not stop; killing it");
            let _ = kill(pid, Signal::SIGKILL);
            ended(STOP_PATIENCE);
        }
    }
}

fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    child.wait()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_back_off_and_end() {
        let (events, _heard) = std::sync::mpsc::channel();
        let mut supervisor = Supervisor::new("x".into(), Vec::new(), 8, events);
        let waits: Vec<_> = std::iter::from_fn(|| supervisor.ended()).map(|wait| wait.as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 10000, 10000]);
        assert_eq!(supervisor.ended(), None);
    }

    #[test]
    fn a_binary_that_is_not_there_is_named() {
        let home = Home::new("/nonexistent");
        let error = find(Some(Path::new("/nonexistent/cometbft")), &home).unwrap_err();
        assert_eq!(error.to_string(), "--cometbft: /nonexistent/cometbft is not a file");
    }
}
