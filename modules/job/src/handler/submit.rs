use gantry_core::{Address, Ctx, Handler, Result, TxCtx};
use gantry_escrow::keeper as escrow;
use gantry_proto::gantry::job::v1::{Graph, JobSpec, JobState, MsgSubmitJobs, MsgSubmitJobsResponse};

use super::signer;
use crate::{
    errors::JobError,
    keeper::{enqueue, now_ms, save, schedule},
    params, spec,
    state::{EDGES, GRAPH_IDS, GRAPHS, JOB_IDS},
    types::{Job, Task, Terms},
};

/// Takes a job or a graph, and locks the money for all of it.
pub struct SubmitJobs;

impl Handler for SubmitJobs {
    type Msg = MsgSubmitJobs;
    type Response = MsgSubmitJobsResponse;

    fn signers(msg: &MsgSubmitJobs) -> Result<Vec<Address>> {
        signer(&msg.renter)
    }

    fn check(msg: &MsgSubmitJobs) -> Result<()> {
        spec::check_label(&msg.label)?;
        if msg.jobs.is_empty() {
            return Err(JobError::NoJobs.into());
        }
        for (at, job) in msg.jobs.iter().enumerate() {
            spec::check(job)
                .map_err(|e| e.context(format!("job {at} ({:?})", job.name.chars().take(64).collect::<String>())))?;
        }
        // The bound on edges is a parameter; here only what no bound could allow.
        spec::dependencies(&msg.jobs, u32::MAX).map(|_| ())
    }

    fn execute(ctx: &mut TxCtx<'_>, msg: &MsgSubmitJobs) -> Result<MsgSubmitJobsResponse> {
        let params = params::get(ctx)?;
        let most = u64::from(params.max_graph_jobs);
        if msg.jobs.len() as u64 > most {
            return Err(JobError::TooMany { what: "jobs", have: msg.jobs.len() as u64, most }.into());
        }
        for job in &msg.jobs {
            spec::check_params(job, &params).map_err(|e| e.context(format!("job {:?}", job.name)))?;
        }
        let needs = spec::dependencies(&msg.jobs, params.max_graph_edges)?;
        let renter = Address::parse(&msg.renter)?;
        let graph_id = GRAPH_IDS.next(ctx)?;
        let ids = msg.jobs.iter().map(|_| Ok(JOB_IDS.next(ctx)?)).collect::<Result<Vec<u64>>>()?;
        for (spec, (id, needs)) in msg.jobs.iter().zip(ids.iter().zip(needs)) {
            let dependencies = needs.into_iter().map(|at| ids[at]).collect();
            open(ctx, &renter, graph_id, *id, spec, dependencies)?;
        }
        let graph = Graph {
            id: graph_id,
            renter: msg.renter.clone(),
            label: msg.label.clone(),
            job_ids: ids.clone(),
            submitted_height: ctx.block().height,
        };
        GRAPHS.set(ctx, graph_id, &graph.into())?;
        Ok(MsgSubmitJobsResponse { graph_id, job_ids: ids })
    }
}

/// Locks the money of one job and lets it wait: for others, or for workers.
fn open(
    ctx: &mut dyn Ctx,
    renter: &Address,
    graph_id: u64,
    id: u64,
    spec: &JobSpec,
    dependencies: Vec<u64>,
) -> Result<()> {
    let terms = Terms::try_from(spec)?;
    escrow::open(ctx, id, renter, terms.max_total.clone())?;
    for dependency in &dependencies {
        EDGES.set(ctx, (*dependency, id), &())?;
    }
    let mut job = Job {
        id,
        graph_id,
        renter: renter.clone(),
        spec: spec.clone(),
        terms,
        state: JobState::Unspecified,
        end: None,
        attempt: 1,
        next_replica: 0,
        class_id: String::new(),
        price_per_second: 0,
        submitted_height: ctx.block().height,
        submitted_time_ms: now_ms(&*ctx)?,
        queued_time_ms: 0,
        queued_height: 0,
        ended_height: 0,
        ended_time_ms: 0,
        open_dependencies: u32::try_from(dependencies.len()).unwrap_or(u32::MAX),
        dependencies,
        commit_close_height: 0,
        reveal_close_height: 0,
        output_cid: String::new(),
        output_digest: Vec::new(),
        output_locations: Vec::new(),
    };
    if let Some(deadline) = job.deadline_ms() {
        schedule(ctx, deadline, Task::Deadline(id))?;
    }
    if job.open_dependencies == 0 {
        enqueue(ctx, &mut job)?;
    }
    save(ctx, &mut job)
}
