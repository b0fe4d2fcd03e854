//! One node: CometBFT and, where it is apart, the application.

use std::path::PathBuf;

use anyhow::{Context, Result};
use gantry_localnet::Process;

use super::{Programs, System, Usage};

/// A node of a network.
#[derive(Debug)]
pub struct Node {
    /// Its home.
    pub home: PathBuf,
    /// Its name among its peers.
    pub id: String,
    pub(super) rpc: u16,
    pub(super) p2p: u16,
    /// The application first: it must be there when CometBFT looks for it. Killed in this order.
    processes: Vec<Process>,
    system: Option<System>,
}

impl Node {
    pub(super) fn new(home: PathBuf, id: String, rpc: u16, p2p: u16) -> Self {
        Self { home, id, rpc, p2p, processes: Vec::new(), system: None }
    }

    /// Where its RPC listens, `HOST:PORT`.
    #[must_use]
    pub fn rpc_address(&self) -> String {
        format!("127.0.0.1:{}", self.rpc)
    }

    pub(super) fn peer_address(&self) -> String {
        format!("{}@127.0.0.1:{}", self.id, self.p2p)
    }

    pub(super) fn start(&mut self, system: System, programs: &Programs) -> Result<()> {
        let home = self.home.to_string_lossy().into_owned();
        let socket = format!("unix://{home}/app.sock");
        let comet = |proxy_app: &str| {
            let args = ["start", "--home", &home, "--proxy_app", proxy_app].map(str::to_owned).to_vec();
            ("cometbft", programs.cometbft.clone(), args)
        };
        let own =
            |args: &[&str]| [&["start", "--home", &home], args].concat().iter().map(ToString::to_string).collect();
        let simd = ["--minimum-gas-prices", "0stake", "--grpc.enable=false", "--log_level", "error"];
        let started: Vec<(&str, PathBuf, Vec<String>)> = match system {
            System::Kvstore => vec![comet("kvstore")],
            System::KvstoreSocket => {
                vec![("kvstore", programs.kvstore()?.clone(), vec![socket.clone()]), comet(&socket)]
            }
            System::Simd => vec![("simd", programs.simd()?.clone(), own(&simd))],
            System::SimdSocket => {
                let apart = ["--with-comet=false", "--transport", "socket", "--address", &socket];
                vec![("simd", programs.simd()?.clone(), own(&[&simd[..], &apart].concat())), comet(&socket)]
            }
            System::Gantryd => {
                let cometbft = programs.cometbft.to_string_lossy();
                let args = own(&[
                    "--minimum-gas-prices",
                    "0.0025ugantry",
                    "--grpc.enable",
                    "false",
                    "--log_level",
                    "error",
                    "--cometbft",
                    &cometbft,
                ]);
                vec![("gantryd", programs.gantryd()?, args)]
            }
        };
        for (name, program, args) in started {
            let log = self.home.join(format!("{name}.log"));
            self.processes.push(Process::spawn(name, &program, &args, &log)?);
        }
        self.system = Some(system);
        Ok(())
    }

    /// Fails when one of its processes has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        self.processes.iter_mut().try_for_each(Process::check)
    }

    /// The ends of its logs.
    pub(super) fn tail(&self) -> String {
        self.processes.iter().map(|process| process.tail(15)).collect::<Vec<_>>().join("\n")
    }

    /// What its processes have used by now.
    ///
    /// # Errors
    /// When one has ended.
    pub fn usage(&self) -> Result<Usage> {
        let system = self.system.context("the node is not started")?;
        let first = self.processes.first().context("the node is not started")?;
        let own = Usage::read(first.id())?;
        Ok(match system {
            // One process is both; what is the application's share cannot be told from outside.
            System::Kvstore | System::Simd => Usage::joint(own),
            System::KvstoreSocket | System::SimdSocket => Usage::split(own, Usage::read(self.processes[1].id())?),
            System::Gantryd => {
                let comet = first.children()?.into_iter().next().context("gantryd has no CometBFT")?;
                Usage::split(own, Usage::read(comet)?)
            }
        })
    }
}
