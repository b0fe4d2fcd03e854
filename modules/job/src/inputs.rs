//! Inputs of a job as its workers fetch them.

use gantry_core::{Ctx, Result};
use gantry_proto::gantry::job::v1::{ResolvedInput, input::Source};
use gantry_store::KvRead;

use crate::{state::RESOLVED, types::Job};

/// The concrete inputs, in the order of the spec; none while the job waits for others.
pub(crate) fn resolved(state: &dyn KvRead, job: &Job) -> Result<Vec<ResolvedInput>> {
    let mut inputs = Vec::new();
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
            // A job that ended while it waited never got them.
            _ => inputs.extend(RESOLVED.get(state, (job.id, at))?.map(|row| row.0)),
        }
    }
    Ok(inputs)
}

/// Fixes the inputs that `job` takes from a job that has completed.
pub(crate) fn resolve(ctx: &mut dyn Ctx, job: &Job, from: &Job) -> Result<()> {
    for (at, input) in (0u32..).zip(&job.spec.inputs) {
        let Some(Source::Output(output)) = &input.source else { continue };
        if output.job != from.spec.name {
            continue;
        }
        let row = ResolvedInput {
            path: input.path.clone(),
            cid: from.output_cid.clone(),
            subpath: output.path.clone(),
            sources: from.output_locations.clone(),
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
