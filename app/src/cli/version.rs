//! `gantryd version`.

use anyhow::Result;
use serde_json::json;

use super::{
    client::Client,
    output::{self, Format},
};
use crate::modules::VERSION;

/// Flags of `version`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name, commit and the versions that it is compatible with
    #[arg(long)]
    long: bool,
}

pub(super) fn run(client: &Client, args: &Args) -> Result<()> {
    match (args.long, client.output) {
        (false, Format::Json) => output::line(&json!(VERSION).to_string()),
        (false, Format::Text) => output::line(VERSION),
        (true, _) => client.print(
            &json!({
                "name": "gantry",
                "server_name": "gantryd",
                "version": VERSION,
                "commit": option_env!("GANTRY_COMMIT").unwrap_or_default(),
                "cosmos_sdk_version": COSMOS_SDK,
                "cometbft_version": COMETBFT,
            })
            .to_string(),
        ),
    }
}

/// The SDK whose client surface this is.
const COSMOS_SDK: &str = "v0.50.13";
/// The consensus engine that it runs on.
pub(super) const COMETBFT: &str = "v0.38.26";
