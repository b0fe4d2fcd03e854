//! Inputs of a job as its workers fetch them.

use std::collections::BTreeMap;

use gantry_core::{Ctx, Result};
use gantry_proto::gantry::job::v1::{ResolvedInput, input::Source};
use gantry_store::KvRead;

use crate::{state::RESOLVED, types::Job};

/// The concrete inputs, in the order of the spec; none while the job waits for others.
pub(crate) fn resolved(state: &dyn KvRead, job: &Job) -> Result<Vec<ResolvedInput>> {
    let mut inputs = Vec::new();
    let mut holders: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    if job.open_dependencies > 0 {
        return Ok(inputs);
    }
    for (at, input) in (0u32..).zip(&job.spec.inputs) {
        match &input.source {
            Some(Source::Cid(cid)) => inputs.push(ResolvedInput {
                path: input.path.clone(),
                cid: cid.clone(),
                subpath: String::new(),
                sources: job.spec.sources.clone(),
            }),
            Some(Source::Output(output)) => {
                // A job that ended while it waited never got them.
                let Some(mut row) = RESOLVED.get(state, (job.id, at))?.map(|row| row.0) else { continue };
                let sources = holders.entry(&output.job).or_insert_with(|| row.sources.clone());
                row.sources.clone_from(sources);
                inputs.push(row);
            }
            None => {}
        }
    }
    Ok(inputs)
}

/// Fixes the inputs that `job` takes from a job that has completed. Who holds them is said once, with the first: this is
/// written by the end of a block, which nobody pays for, so it must not outgrow what was submitted.
pub(crate) fn resolve(ctx: &mut dyn Ctx, job: &Job, from: &Job) -> Result<()> {
    let mut sources = from.output_locations.clone();
    for (at, input) in (0u32..).zip(&job.spec.inputs) {
        let Some(Source::Output(output)) = &input.source else { continue };
        if output.job != from.spec.name {
            continue;
        }
        let row = ResolvedInput {
            path: input.path.clone(),
            cid: from.output_cid.clone(),
            subpath: output.path.clone(),
            sources: std::mem::take(&mut sources),
        };
        RESOLVED.set(ctx, (job.id, at), &row.into())?;
    }
    Ok(())
}

/// Forgets them.
pub(crate) fn forget(ctx: &mut dyn Ctx, job: &Job) -> Result<()> {
    for (at, _) in (0u32..).zip(&job.spec.inputs) {
        RESOLVED.remove(ctx, (job.id, at))?;
    }
    Ok(())
}
