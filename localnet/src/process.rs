use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::{prctl, signal},
    unistd::Pid,
};

use crate::wait::until;

/// Longest that a process may take to end after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Path of one of Gantry's programs: beside the running one, where one build puts them all.
pub fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    // Tests run from `deps/`, programs from the folder above.
    let found = own.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built: run `cargo build --workspace --bins` (or ./dev demo)"))
}

/// A program in the background, with its output in a file. Dropping it kills it; if this process dies, so does it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; output is appended to `log`.
    pub fn spawn(name: &str, program: &Path, args: &[impl AsRef<OsStr>], log: &Path) -> Result<Self> {
        let file = append(log)?;
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        // SAFETY: prctl is async-signal-safe and touches only the child between fork and exec.
        unsafe {
            command.pre_exec(|| prctl::set_pdeathsig(signal::Signal::SIGKILL).map_err(std::io::Error::from));
        }
        let child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Process ids of its children (for `gantryd`: CometBFT).
    pub fn children(&self) -> Result<Vec<u32>> {
        let text = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.id()))?;
        Ok(text.split_whitespace().filter_map(|id| id.parse().ok()).collect())
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Fails with the end of its log when it has ended.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!("{} ended with {status}; the end of {}:\n{}", self.name, self.log.display(), self.tail(20));
        }
        Ok(())
    }

    /// kill -9, as a power cut would.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM; the exit status once it has ended by itself.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        signal::kill(pid(self.id())?, signal::Signal::SIGTERM)?;
        let name = self.name.clone();
        until(&format!("{name} stops after SIGTERM"), STOP_LIMIT, async || self.ended()).await
    }

    /// The last lines of its log.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let text = fs::read(&self.log).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Errors mean that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process id as signals take it.
pub(crate) fn pid(id: u32) -> Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(id).context("process id")?))
}

/// Runs a program to its end and returns its standard output.
///
/// # Errors
/// With its standard error when it fails.
pub fn run(program: &Path, args: &[impl AsRef<OsStr>]) -> Result<String> {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {}", program.display()))?;
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let first = args.first().map(|a| a.as_ref().to_string_lossy().into_owned()).unwrap_or_default();
    ensure!(
        output.status.success(),
        "{name} {first} failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8(output.stdout)?)
}

fn append(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(path).with_context(|| format!("opening {}", path.display()))
}
