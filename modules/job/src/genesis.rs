//! Genesis: default, checks, import, export. Import ends with the module's own invariants.

use std::collections::BTreeSet;

use gantry_core::{Ctx, Error, Result, sdk};
use gantry_proto::gantry::job::v1::{Due, Edge, GenesisState, ResolvedOutput, Waiting};
use gantry_store::{KvRead, Order, Proto};

use crate::{
    invariants, keeper, params,
    state::{
        ASSIGNMENTS, CLOCK, DUE_HEIGHT, DUE_TIME, EDGES, FRESH, GRAPH_IDS, GRAPHS, JOB_IDS, JOBS, PARAMS, RECEIPTS,
        RESOLVED, WAITING, WORK_HEIGHT, WORK_TIME,
    },
    types::{Assignment, Job, Task},
};

pub(crate) fn default() -> GenesisState {
    GenesisState { params: Some(params::default_params()), ..GenesisState::default() }
}

pub(crate) fn validate(genesis: &GenesisState) -> Result<()> {
    let refuse = |why: String| Err(sdk::invalid_request(format!("app_state.job: {why}")));
    let Some(params) = &genesis.params else { return refuse("params are missing".into()) };
    params::validate(params)?;
    for job in &genesis.jobs {
        Job::try_from(job.clone())?;
        if job.id == 0 || job.id >= genesis.next_job_id {
            return refuse(format!("job {} is not below next_job_id", job.id));
        }
    }
    let jobs: BTreeSet<u64> = genesis.jobs.iter().map(|job| job.id).collect();
    for a in &genesis.assignments {
        Assignment::try_from(a.clone())?;
        if !jobs.contains(&a.job_id) {
            return refuse(format!("an assignment of job {}, which is not there", a.job_id));
        }
    }
    for due in &genesis.due {
        let task = task_of(due)?;
        if task.by_time() != due.market_time {
            return refuse(format!("task {} is in the wrong queue", due.task));
        }
    }
    if let Some(graph) = genesis.graphs.iter().find(|graph| graph.id == 0 || graph.id >= genesis.next_graph_id) {
        return refuse(format!("graph {} is not below next_graph_id", graph.id));
    }
    Ok(())
}

fn task_of(due: &Due) -> Result<Task> {
    let number =
        u8::try_from(due.task).map_err(|_| sdk::invalid_request(format!("no task has the number {}", due.task)))?;
    Task::of((number, due.job_id, due.attempt, due.replica))
        .map_err(|_| sdk::invalid_request(format!("no task has the number {number}")))
}

pub(crate) fn init(ctx: &mut dyn Ctx, genesis: GenesisState) -> Result<()> {
    validate(&genesis)?;
    PARAMS.set(ctx, &Proto(genesis.params.unwrap_or_else(params::default_params)))?;
    CLOCK.set(ctx, &genesis.market_time_ms)?;
    if genesis.next_job_id > 0 {
        JOB_IDS.set(ctx, genesis.next_job_id)?;
    }
    if genesis.next_graph_id > 0 {
        GRAPH_IDS.set(ctx, genesis.next_graph_id)?;
    }
    for job in genesis.jobs {
        let job = Job::try_from(job)?;
        JOBS.set(ctx, job.id, &job)?;
    }
    for a in genesis.assignments {
        let a = Assignment::try_from(a)?;
        ASSIGNMENTS.set(ctx, a.key(), &a)?;
    }
    for graph in genesis.graphs {
        GRAPHS.set(ctx, graph.id, &graph.into())?;
    }
    for receipt in genesis.receipts {
        RECEIPTS.set(ctx, receipt.job_id, &receipt.into())?;
    }
    for row in genesis.resolved_outputs {
        RESOLVED.set(ctx, (row.job_id, row.input), &row.resolved.unwrap_or_default().into())?;
    }
    for edge in genesis.edges {
        EDGES.set(ctx, (edge.dependency, edge.dependent), &())?;
    }
    for row in genesis.waiting {
        WAITING.set(ctx, row.job_id, &row.since_height)?;
    }
    for due in genesis.due {
        keeper::schedule(ctx, due.at, task_of(&due)?)?;
    }
    invariants::own(&*ctx).map_err(|e| match e {
        Error::Fatal(e) => sdk::invalid_request(format!("app_state.job: {}", e.0)),
        user => user,
    })
}

pub(crate) fn export(state: &dyn KvRead) -> Result<GenesisState> {
    let order = Order::Ascending;
    let mut due = Vec::new();
    for (queue, market_time) in
        [(FRESH, false), (WORK_HEIGHT, false), (WORK_TIME, true), (DUE_HEIGHT, false), (DUE_TIME, true)]
    {
        for row in queue.iter(state)? {
            let (at, (task, job_id, attempt, replica)) = row?;
            due.push(Due { at, market_time, task: task.into(), job_id, attempt, replica });
        }
    }
    Ok(GenesisState {
        params: Some(params::get(state)?),
        jobs: JOBS.iter(state, order)?.map(|row| Ok((&row?.1).into())).collect::<Result<_>>()?,
        assignments: ASSIGNMENTS.iter(state, order)?.map(|row| Ok((&row?.1).into())).collect::<Result<_>>()?,
        graphs: GRAPHS.iter(state, order)?.map(|row| Ok(row?.1.0)).collect::<Result<_>>()?,
        market_time_ms: keeper::now_ms(state)?,
        receipts: RECEIPTS.iter(state, order)?.map(|row| Ok(row?.1.0)).collect::<Result<_>>()?,
        resolved_outputs: RESOLVED
            .iter(state, order)?
            .map(|row| {
                let ((job_id, input), resolved) = row?;
                Ok(ResolvedOutput { job_id, input, resolved: Some(resolved.0) })
            })
            .collect::<Result<_>>()?,
        edges: EDGES
            .iter(state, order)?
            .map(|row| {
                let ((dependency, dependent), ()) = row?;
                Ok(Edge { dependency, dependent })
            })
            .collect::<Result<_>>()?,
        waiting: WAITING
            .iter(state, order)?
            .map(|row| {
                let (job_id, since_height) = row?;
                Ok(Waiting { job_id, since_height })
            })
            .collect::<Result<_>>()?,
        due,
        next_job_id: JOB_IDS.peek(state)?,
        next_graph_id: GRAPH_IDS.peek(state)?,
    })
}
