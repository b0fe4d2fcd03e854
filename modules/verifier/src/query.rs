//! Queries of `gantry.verifier.v1`: pure reads.

use gantry_core::{QueryCtx, QueryRoute, Status, page_request, page_response};
use gantry_job::{
    keeper as jobs,
    state::{RECEIPTS, SLASHES},
};
use gantry_proto::gantry::verifier::v1::{
    QueryParamsRequest, QueryParamsResponse, QuerySlashesRequest, QuerySlashesResponse, QuerySubmissionsRequest,
    QuerySubmissionsResponse, QueryVerdictRequest, QueryVerdictResponse,
};
use gantry_store::All;

use crate::{keeper, params};

pub(crate) fn routes() -> Vec<QueryRoute> {
    vec![
        QueryRoute::new("/gantry.verifier.v1.Query/Params", |ctx, _: QueryParamsRequest| {
            Ok(QueryParamsResponse { params: Some(params::get(ctx)?) })
        }),
        QueryRoute::new("/gantry.verifier.v1.Query/Verdict", |ctx, request: QueryVerdictRequest| {
            let id = request.job_id;
            let verdict = keeper::verdict(ctx, id)?;
            let verdict = verdict.ok_or_else(|| Status::not_found(format!("there is no verdict on job {id}")))?;
            Ok(QueryVerdictResponse { verdict: Some(verdict) })
        }),
        QueryRoute::new("/gantry.verifier.v1.Query/Submissions", submissions),
        QueryRoute::new("/gantry.verifier.v1.Query/Slashes", slashes),
    ]
}

fn submissions(ctx: &QueryCtx<'_>, request: QuerySubmissionsRequest) -> Result<QuerySubmissionsResponse, Status> {
    let id = request.job_id;
    let attempt = match jobs::get(ctx, id) {
        Ok(job) => job.attempt,
        Err(_) => RECEIPTS.get(ctx, id)?.ok_or_else(|| Status::not_found(format!("job {id} not found")))?.attempts,
    };
    Ok(QuerySubmissionsResponse { submissions: keeper::submissions(ctx, id, attempt)? })
}

fn slashes(ctx: &QueryCtx<'_>, request: QuerySlashesRequest) -> Result<QuerySlashesResponse, Status> {
    let page = page_request(request.pagination);
    if request.provider_id == 0 {
        let page = SLASHES.paginate(ctx, All, &page)?;
        let pagination = page_response(&page);
        return Ok(QuerySlashesResponse {
            slashes: page.items.into_iter().map(|(_, row)| row.0).collect(),
            pagination,
        });
    }
    let page = SLASHES.indexes.by_provider.paginate(ctx, request.provider_id, &page)?;
    let pagination = page_response(&page);
    let rows = page.items.into_iter().map(|id| Ok(SLASHES.get(ctx, id)?.map(|row| row.0)));
    let slashes = rows.filter_map(Result::transpose).collect::<Result<_, Status>>()?;
    Ok(QuerySlashesResponse { slashes, pagination })
}
