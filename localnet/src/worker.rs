use std::path::{Path, PathBuf};

use anyhow::Result;
use gantry_client::Endpoints;

use crate::{
    node::text,
    ports::free_ports,
    process::{Process, binary},
};

/// Whether a worker cheats. Only programs built with the `demo` feature can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Misbehave {
    /// Honest.
    #[default]
    Never,
    /// Its first result is wrong.
    Once,
    /// Every result is wrong, in the same way as those of others that cheat: collusion.
    Always,
}

/// What a worker is started with.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Name of its key and of its provider.
    pub name: String,
    /// What it asks for a second, for instance `5ugantry`.
    pub ask: String,
    /// Assignments at once.
    pub capacity: u32,
    /// Whether it cheats.
    pub misbehave: Misbehave,
}

/// A worker's process.
#[derive(Debug)]
pub struct Worker {
    /// What it was started with.
    pub options: WorkerOptions,
    /// The process.
    pub process: Process,
    /// Where it serves gRPC.
    pub endpoint: String,
    args: Vec<String>,
    log: PathBuf,
}

impl Worker {
    pub(crate) fn start(options: WorkerOptions, dir: &Path, keys: &Path, endpoints: &Endpoints) -> Result<Self> {
        let home = dir.join(&options.name);
        let log = dir.join(format!("{}.log", options.name));
        let [port] = free_ports()?;
        let listen = format!("127.0.0.1:{port}");
        let capacity = options.capacity.to_string();
        let mut args: Vec<String> = [
            "start",
            "--home",
            text(&home)?,
            "--rpc",
            &endpoints.rpc,
            "--grpc",
            &endpoints.grpc,
            "--listen",
            &listen,
            "--keyring-backend",
            "test",
            "--keyring-dir",
            text(keys)?,
            "--from",
            &options.name,
            "--moniker",
            &options.name,
            "--bond",
            "120000000ugantry",
            "--ask",
            &options.ask,
            "--capacity",
            &capacity,
        ]
        .map(str::to_owned)
        .to_vec();
        match options.misbehave {
            Misbehave::Never => {}
            Misbehave::Once => args.extend(["--misbehave".to_owned(), "once".to_owned()]),
            Misbehave::Always => args.extend(["--misbehave".to_owned(), "always".to_owned()]),
        }
        let process = Process::spawn(&options.name, &binary("gantry-worker")?, &args, &log)?;
        Ok(Self { options, process, endpoint: format!("http://{listen}"), args, log })
    }

    /// Starts it again, with the same home and port, after a kill.
    pub fn restart(&mut self) -> Result<()> {
        self.process = Process::spawn(&self.options.name, &binary("gantry-worker")?, &self.args, &self.log)?;
        Ok(())
    }
}
