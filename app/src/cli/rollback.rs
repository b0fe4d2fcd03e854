//! `gantryd rollback`: the application and CometBFT go one block back together.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use gantry_store::{Store, StoreError, fail, sync::Archive};

use super::{client::Client, output};
use crate::{
    modules,
    node::{
        config::AppConfig,
        home::{Home, HomeLock},
        pruning, supervisor,
    },
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Remove the last block, too; without this it is executed again at the next start
    #[arg(long)]
    hard: bool,
    /// Take only the application back: for a CometBFT of its own, on which `cometbft rollback` was called
    #[arg(long, conflicts_with = "hard")]
    app_only: bool,
    /// Path of the CometBFT binary
    #[arg(long)]
    cometbft: Option<PathBuf>,
}

/// CometBFT goes first, because it says which height comes out, and saying it twice changes nothing: after a crash the
/// command can be given again. The block is removed last: once it is gone, CometBFT goes one block further when it is asked
/// again, and so does this command.
pub(super) fn run(client: &Client, args: &Args) -> Result<()> {
    let home = &client.home;
    let _lock = at_rest(home)?;
    let config = AppConfig::load(home)?;
    let options = pruning::store_options(&pruning::Flags::default(), &config)?;
    let (path, names) = (home.database(), modules::definition().stores());
    let (height, _) = Store::last_commit(&path, &names)?;
    let back = || {
        // First, so that none is left of a block that another may take the place of.
        forget_snapshots(&home.snapshots(), height.saturating_sub(1))?;
        Store::roll_back(&path, &names, &options).map_err(|error| match error {
            StoreError::HeightUnavailable { height, .. } => anyhow!(
                "the state of height {height} was pruned or never was here: start the node anew with state sync, or \
                 with the blocks of its peers after `gantryd unsafe-reset-all`"
            ),
            other => other.into(),
        })
    };

    if args.app_only {
        back()?;
    } else {
        let binary = supervisor::find(args.cometbft.as_deref().or(config.cometbft.binary()), home)?;
        let to = comet(&binary, home, &["rollback"])?;
        fail::point("rollback: CometBFT is back");
        match height.checked_sub(to) {
            // The node was stopped between the two; CometBFT replays what the application lacks.
            None | Some(0) => {}
            Some(1) => drop(back()?),
            Some(_) => bail!("the application is at height {height} and CometBFT at {to}: they are not of one node"),
        }
        fail::point("rollback: the application is back");
        if args.hard {
            comet(&binary, home, &["rollback", "--hard"])?;
        }
    }
    let (height, app_hash) = Store::last_commit(&path, &names)?;
    output::line(&format!("Rolled back state to height {height} and hash {}", hex::encode_upper(app_hash)))
}

/// Deletes the state-sync snapshots of blocks that were taken back.
fn forget_snapshots(folder: &Path, height: u64) -> Result<()> {
    if folder.is_dir() {
        let archive = Archive::open(folder)?;
        for snapshot in archive.list().iter().filter(|snapshot| snapshot.height > height) {
            archive.delete(snapshot.height, snapshot.format)?;
        }
    }
    Ok(())
}

/// Takes the lock of a home whose node is stopped and has a state.
pub(super) fn at_rest(home: &Home) -> Result<HomeLock> {
    let path = home.database();
    ensure!(path.is_dir(), "{} does not exist: there is no state in this home yet", path.display());
    home.lock(Duration::ZERO).context("stop the node first")
}

/// Runs a command of CometBFT's that goes back, and returns the height that it says it went to.
fn comet(binary: &Path, home: &Home, arguments: &[&str]) -> Result<u64> {
    let mut command = Command::new(binary);
    let done = command.args(arguments).arg("--home").arg(home.path()).output();
    let done = done.with_context(|| format!("running {}", binary.display()))?;
    let said = String::from_utf8_lossy(&done.stdout);
    let height = said.split("height ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    match height {
        Some(height) if done.status.success() => Ok(height),
        _ => {
            let error = String::from_utf8_lossy(&done.stderr);
            bail!("cometbft {}: {} {}", arguments.join(" "), said.trim(), error.trim())
        }
    }
}
