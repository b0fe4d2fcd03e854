//! CosmJS against a running node: the client that web wallets are made of.

use std::process::Command;

use anyhow::{Result, ensure};
use gantry_tests::TestNet;

#[tokio::test(flavor = "multi_thread")]
async fn cosmjs_reads_sends_searches_and_verifies() -> Result<()> {
    // Where `npm ci` put what tests/js/package-lock.json pins.
    let Some(packages) = std::env::var_os("GANTRY_COSMJS") else {
        eprintln!("SKIPPED: GANTRY_COSMJS does not name a folder with CosmJS; ./dev test makes one where npm is");
        return Ok(());
    };
    let mut test = TestNet::start(0).await?;
    // The first heights have no proofs.
    test.net.wait_for_height(3).await?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/js/stargate.cjs");
    let output = Command::new("node")
        .args([script, &test.net.endpoints().rpc])
        .env("NODE_PATH", packages)
        .env("RENTER_KEY", test.net.keyring().export_hex("renter")?.as_str())
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    test.net.stop().await
}
