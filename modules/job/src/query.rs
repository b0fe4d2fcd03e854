//! Queries of `gantry.job.v1` and `gantry.matching.v1`: pure reads, the same for every transport.

use gantry_core::{Address, QueryCtx, QueryRoute, Status, page_request, page_response};
use gantry_matching::{Request, Simulation, simulate};
use gantry_proto::gantry::{
    job::v1::{
        self as pb, LiveAssignment, QueryAssignmentsRequest, QueryAssignmentsResponse, QueryClockRequest,
        QueryClockResponse, QueryGraphRequest, QueryGraphResponse, QueryJobRequest, QueryJobResponse, QueryJobsRequest,
        QueryJobsResponse, QueryParamsRequest, QueryParamsResponse,
    },
    matching::v1::{OfferVerdict, QueryExplainJobRequest, QuerySimulateMatchRequest, QuerySimulateMatchResponse},
};
use gantry_provider::keeper as provider;
use gantry_store::{All, KvRead, Order};

use crate::{
    draws, inputs, keeper, params, spec,
    state::{ASSIGNMENTS, GRAPHS, JOBS, RECEIPTS, WAITING},
    types::{Assignment, Job},
};

/// Queries of `gantry.job.v1`.
pub(crate) fn job_routes() -> Vec<QueryRoute> {
    vec![
        QueryRoute::new("/gantry.job.v1.Query/Params", |ctx, _: QueryParamsRequest| {
            Ok(QueryParamsResponse { params: Some(params::get(ctx)?) })
        }),
        QueryRoute::new("/gantry.job.v1.Query/Job", job),
        QueryRoute::new("/gantry.job.v1.Query/Jobs", jobs),
        QueryRoute::new("/gantry.job.v1.Query/Graph", graph),
        QueryRoute::new("/gantry.job.v1.Query/Assignments", assignments),
        QueryRoute::new("/gantry.job.v1.Query/Clock", |ctx, _: QueryClockRequest| {
            Ok(QueryClockResponse { now_ms: keeper::now_ms(ctx)?, height: ctx.block().height })
        }),
    ]
}

/// Queries of `gantry.matching.v1`.
pub(crate) fn matching_routes() -> Vec<QueryRoute> {
    vec![
        QueryRoute::new("/gantry.matching.v1.Query/SimulateMatch", simulate_match),
        QueryRoute::new("/gantry.matching.v1.Query/ExplainJob", explain_job),
    ]
}

fn no_job(id: u64) -> Status {
    Status::not_found(format!("job {id} not found"))
}

/// Assignments of all attempts.
fn all_assignments(state: &dyn KvRead, job: u64) -> Result<Vec<pb::Assignment>, Status> {
    ASSIGNMENTS.prefix(state, job, Order::Ascending)?.map(|row| Ok((&row?.1).into())).collect()
}

fn job(ctx: &QueryCtx<'_>, request: QueryJobRequest) -> Result<QueryJobResponse, Status> {
    let id = request.job_id;
    let Some(job) = JOBS.get(ctx, id)? else {
        let receipt = RECEIPTS.get(ctx, id)?.ok_or_else(|| no_job(id))?.0;
        return Ok(QueryJobResponse { receipt: Some(receipt), ..QueryJobResponse::default() });
    };
    Ok(QueryJobResponse {
        job: Some((&job).into()),
        assignments: all_assignments(ctx, id)?,
        inputs: inputs::resolved(ctx, &job)?,
        receipt: None,
    })
}

fn jobs(ctx: &QueryCtx<'_>, request: QueryJobsRequest) -> Result<QueryJobsResponse, Status> {
    let page = page_request(request.pagination);
    if request.renter.is_empty() {
        let page = JOBS.paginate(ctx, All, &page)?;
        let pagination = page_response(&page);
        return Ok(QueryJobsResponse { jobs: page.items.iter().map(|(_, job)| job.into()).collect(), pagination });
    }
    let renter = Address::parse(&request.renter)?;
    let page = JOBS.indexes.by_renter.paginate(ctx, renter, &page)?;
    let pagination = page_response(&page);
    let jobs = page.items.into_iter().map(|id| Ok((&keeper::get(ctx, id)?).into())).collect::<Result<_, Status>>()?;
    Ok(QueryJobsResponse { jobs, pagination })
}

fn graph(ctx: &QueryCtx<'_>, request: QueryGraphRequest) -> Result<QueryGraphResponse, Status> {
    let id = request.graph_id;
    let graph = GRAPHS.get(ctx, id)?.ok_or_else(|| Status::not_found(format!("graph {id} not found")))?.0;
    let (mut jobs, mut assignments) = (Vec::new(), Vec::new());
    for id in &graph.job_ids {
        // Those that have shrunk are left out: `Job` gives their receipts.
        if let Some(job) = JOBS.get(ctx, *id)? {
            jobs.push((&job).into());
            assignments.extend(all_assignments(ctx, *id)?);
        }
    }
    Ok(QueryGraphResponse { graph: Some(graph), jobs, assignments })
}

fn assignments(ctx: &QueryCtx<'_>, request: QueryAssignmentsRequest) -> Result<QueryAssignmentsResponse, Status> {
    let rows = ASSIGNMENTS.indexes.live_by_provider.keys(ctx, request.provider_id, Order::Ascending)?;
    let assignments = rows.map(|key| -> Result<LiveAssignment, Status> {
        let key = key?;
        let job = keeper::get(ctx, key.0)?;
        let inputs = inputs::resolved(ctx, &job)?;
        let assignment: Assignment = keeper::assignment(ctx, key)?;
        Ok(LiveAssignment { assignment: Some((&assignment).into()), job: Some((&job).into()), inputs })
    });
    Ok(QueryAssignmentsResponse { assignments: assignments.collect::<Result<_, _>>()? })
}

fn simulate_match(
    ctx: &QueryCtx<'_>,
    request: QuerySimulateMatchRequest,
) -> Result<QuerySimulateMatchResponse, Status> {
    let spec = request.spec.ok_or_else(|| Status::invalid("spec is missing"))?;
    // What a submission would be refused for is answered as such.
    spec::check(&spec)
        .and_then(|()| spec::check_params(&spec, &params::get(ctx)?))
        .map_err(|e| Status::invalid(e.to_string()))?;
    let request = draws::hypothetical(ctx, &spec)?;
    verdicts(ctx, &request, |simulation| simulation.to_string())
}

fn explain_job(ctx: &QueryCtx<'_>, request: QueryExplainJobRequest) -> Result<QuerySimulateMatchResponse, Status> {
    let id = request.job_id;
    let job = JOBS.get(ctx, id)?.ok_or_else(|| no_job(id))?;
    let request = draws::request(ctx, &job, ctx.block().height)?;
    let since = WAITING.get(ctx, id)?;
    verdicts(ctx, &request, |simulation| explanation(&job, since, ctx.block().height, simulation))
}

/// Why a job is where it is.
fn explanation(job: &Job, since: Option<u64>, height: u64, simulation: &Simulation) -> String {
    let state = job.state.as_str_name().trim_start_matches("JOB_STATE_").to_ascii_lowercase();
    match since {
        _ if job.open_dependencies > 0 => format!("waits for {} other jobs", job.open_dependencies),
        None => format!("does not wait for workers: it is {state}"),
        Some(since) if keeper::admitted_at(since) > height => {
            format!("takes part in draws from height {}", keeper::admitted_at(since))
        }
        Some(_) => simulation.to_string(),
    }
}

/// The matcher's answer for each offer.
fn verdicts(
    state: &QueryCtx<'_>,
    request: &Request,
    summary: impl FnOnce(&Simulation) -> String,
) -> Result<QuerySimulateMatchResponse, Status> {
    let offers = provider::market_offers(state, state.block().height.saturating_add(1))?;
    let registry = provider::class_registry(state)?;
    let simulation = simulate(request, &offers, &registry);
    let verdicts = simulation.verdicts.iter().map(|verdict| -> Result<OfferVerdict, Status> {
        let (reason, reason_code) = match &verdict.fit {
            Ok(()) => (String::new(), String::new()),
            Err(unfit) => (unfit.explain(&registry), unfit.code().to_owned()),
        };
        Ok(OfferVerdict {
            provider_id: verdict.provider,
            offer_id: verdict.offer,
            moniker: provider::get(state, verdict.provider)?.moniker,
            class_id: verdict.class.to_string(),
            feasible: verdict.fit.is_ok(),
            reason,
            reason_code,
        })
    });
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Ok(QuerySimulateMatchResponse {
        offers: verdicts.collect::<Result<_, _>>()?,
        feasible_owners: count(simulation.feasible_owners),
        needed: count(simulation.needed),
        summary: summary(&simulation),
    })
}
