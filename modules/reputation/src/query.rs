//! Queries: pure reads.

use gantry_core::{QueryRoute, Status};
use gantry_proto::gantry::reputation::v1::{
    QueryParamsRequest, QueryParamsResponse, QueryScoreRequest, QueryScoreResponse,
};

use crate::{Score, keeper};

/// All queries. The score of a provider that never did anything is a newcomer's.
pub(crate) fn routes() -> Vec<QueryRoute> {
    vec![
        QueryRoute::new("/gantry.reputation.v1.Query/Params", |ctx, _: QueryParamsRequest| {
            Ok(QueryParamsResponse { params: Some(keeper::params(ctx)?) })
        }),
        QueryRoute::new("/gantry.reputation.v1.Query/Score", |ctx, request: QueryScoreRequest| {
            if request.provider_id == 0 {
                return Err(Status::invalid("provider id is missing"));
            }
            let record = keeper::record_of(ctx, request.provider_id)?;
            let score = Score::of(&record);
            Ok(QueryScoreResponse {
                score: score.total,
                uptime: score.uptime,
                response: score.response,
                completion: score.completion,
                disputes: score.disputes,
                penalty: score.penalty,
                record: Some(record),
            })
        }),
    ]
}
