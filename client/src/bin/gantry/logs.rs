use std::io::IsTerminal;

use anyhow::Result;
use gantry_client::{LogOptions, follow_logs};

use crate::{context::Context, out};

/// What a job prints, read from a worker that runs it.
///
/// The bytes go to stdout as they are, but on a terminal without control characters. When a worker goes away, the log goes on from another that runs the same job.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  gantry logs 7\n  gantry logs 7 --follow\n  gantry logs 7 --replica 2 --offset 4096"
)]
pub(crate) struct Args {
    /// Id of the job.
    job: u64,
    /// Wait until it runs, and read until it ends.
    #[arg(long, short)]
    follow: bool,
    /// The log of this replica alone.
    #[arg(long)]
    replica: Option<u32>,
    /// Begin at this byte.
    #[arg(long, default_value_t = 0)]
    offset: u64,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<()> {
    let signer = context.signer()?;
    let chain = context.chain().await?;
    let options = LogOptions { replica: args.replica, offset: args.offset, follow: args.follow };
    let (terminal, mut last) = (std::io::stdout().is_terminal(), 0);
    let write = |piece: &[u8]| if terminal { out::bytes(&out::tame(piece, &mut last)) } else { out::bytes(piece) };
    follow_logs(&chain, &signer, args.job, options, write, out::note).await?;
    Ok(())
}
