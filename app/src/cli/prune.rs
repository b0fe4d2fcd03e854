//! `gantryd prune`: drops at once what a running node would drop bit by bit, and gives the space back.

use anyhow::{Context, Result, bail};
use gantry_store::Store;

use super::{client::Client, rollback};
use crate::{
    modules,
    node::{config::AppConfig, pruning},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As --pruning
    method: Option<String>,
    #[command(flatten)]
    pruning: pruning::Flags,
}

pub(super) fn run(client: &Client, args: Args) -> Result<()> {
    let Args { method, mut pruning } = args;
    if let Some(method) = method
        && pruning.pruning.replace(method).is_some()
    {
        bail!("name the strategy once: as an argument or by --pruning");
    }
    let home = &client.home;
    let _lock = rollback::at_rest(home)?;
    let options = pruning::store_options(&pruning, &AppConfig::load(home)?)?;
    let path = home.database();
    let before = size(&path)?;
    let store = Store::open(&path, &modules::definition().stores(), options)?;
    store.prune()?;
    let (oldest, height) = (store.oldest(), store.height());
    drop(store);
    eprintln!(
        "States from height {oldest} to {height} are kept; {} had {} MiB and has {} MiB",
        path.display(),
        before >> 20,
        size(&path)? >> 20
    );
    Ok(())
}

/// The bytes of the files in a folder and in those below it.
fn size(path: &std::path::Path) -> Result<u64> {
    let reading = || format!("reading {}", path.display());
    let mut bytes = 0;
    for entry in std::fs::read_dir(path).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let metadata = entry.metadata().with_context(reading)?;
        bytes += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
