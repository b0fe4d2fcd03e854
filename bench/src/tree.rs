//! Tree updates per second with roots.

use anyhow::{Result, bail};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args) -> Result<()> {
    bail!("not measured yet")
}
