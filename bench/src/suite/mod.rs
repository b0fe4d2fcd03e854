//! The driver of `./dev bench`: runs every measurement as a process of its own, interleaved and repeated, keeps what each
//! printed, and makes the table of it.

mod machine;
mod plan;
mod results;
mod table;
mod targets;

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use gantry_bench::Measurement;

use plan::Step;
use results::Results;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// All measurements, repeated; otherwise the quick form
    #[arg(long)]
    full: bool,
    /// Folder of the results; a step whose result is there is not run again
    #[arg(long)]
    results: PathBuf,
    /// Only steps with this in their name
    #[arg(long, default_value = "")]
    only: String,
    /// Make the table of the results that are there
    #[arg(long)]
    table: bool,
    /// Put the table into this file, between its marks
    #[arg(long)]
    write: Option<PathBuf>,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let results = Results::open(&args.results)?;
    let steps = if args.full { plan::full() } else { plan::quick() };
    let steps: Vec<Step> = steps.into_iter().filter(|step| step.name.contains(&args.only)).collect();
    let machine = results.machine()?;
    let mut failed = Vec::new();
    if !args.table {
        for (round, step) in plan::interleaved(&steps) {
            if !results.has(&step.name, round) {
                eprintln!("==> {} ({} of {})", step.name, round + 1, step.repeats);
                let start = Instant::now();
                match measure(step) {
                    Ok(figures) => {
                        results.put(&step.name, round, &figures)?;
                        eprintln!("    {} figures in {} s", figures.len(), start.elapsed().as_secs());
                    }
                    Err(error) => {
                        eprintln!("    failed: {error:#}");
                        failed.push(step.name.clone());
                    }
                }
            }
        }
    }
    let text = format!("{machine}\n{}", table::markdown(&results.all()?));
    match &args.write {
        Some(file) => table::replace(file, &text)?,
        None => println!("{text}"),
    }
    ensure!(failed.is_empty(), "these failed, and are run again next time: {}", failed.join(", "));
    Ok(())
}

/// Runs one step and reads its figures.
fn measure(step: &Step) -> Result<Vec<Measurement>> {
    let (program, args) = step.command()?;
    let output = Command::new(&program)
        .args(&args)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("starting {}", program.display()))?;
    ensure!(output.status.success(), "{} {} ended with {}", program.display(), args.join(" "), output.status);
    let text = String::from_utf8(output.stdout)?;
    let figures = text
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).with_context(|| format!("not a figure: {line}")));
    figures.collect()
}
