//! The demo shows what it says, for an honest market, one cheat, and colluders.

use std::{path::Path, process::Command};

use anyhow::{Result, ensure};
use gantry_localnet::binary;

/// Runs the demo; what it printed.
fn demo(out: &Path, misbehave: &str) -> Result<String> {
    let output = Command::new(binary("gantry-demo")?).args(["--misbehave", misbehave, "--out"]).arg(out).output()?;
    let (text, errors) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    ensure!(output.status.success(), "the demo failed\n{text}\n{errors}");
    Ok(text)
}

/// One test, because two demos at once would time each other out.
#[test]
fn cheats_are_caught_honest_workers_are_not_and_collusion_is_admitted() -> Result<()> {
    let dir = tempfile::tempdir()?;

    let honest = demo(&dir.path().join("0"), "0")?;
    ensure!(honest.contains("nobody was slashed"), "{honest}");

    // The demo itself fails unless exactly the drawn cheat was slashed and the picture is right.
    let cheat = demo(&dir.path().join("1"), "1")?;
    ensure!(cheat.contains("wrong result"), "{cheat}");

    let pictures = ["0", "1"].map(|run| std::fs::read(dir.path().join(run).join("picture.png")));
    let [a, b] = pictures;
    ensure!(a? == b?, "the same scene gave two pictures");

    // All collude: every wrong tile has its quorum, so the wrong picture is accepted, and the demo says so.
    let collusion = demo(&dir.path().join("5"), "5")?;
    ensure!(collusion.contains("a 2-of-3 quorum is as honest as its draw"), "{collusion}");
    Ok(())
}
