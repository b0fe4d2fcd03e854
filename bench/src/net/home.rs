//! A home of each system, as its own program makes it.

use std::path::Path;

use anyhow::Result;
use gantry_localnet::run;

use super::{CHAIN_ID, Programs, System};

/// Keys, a genesis and configuration files in an empty folder.
pub(super) fn init(system: System, programs: &Programs, home: &Path, i: usize) -> Result<()> {
    let home = home.to_string_lossy();
    let moniker = format!("node{i}");
    let made = ["init", &moniker, "--chain-id", CHAIN_ID, "--home", &home];
    match system {
        System::Kvstore | System::KvstoreSocket => run(&programs.cometbft, &["init", "--home", &home])?,
        System::Simd | System::SimdSocket => run(programs.simd()?, &made)?,
        System::Gantryd => run(&programs.gantryd()?, &made)?,
    };
    Ok(())
}
