use tendermint_proto::v0_38::abci::{
    RequestVerifyVoteExtension, ResponseVerifyVoteExtension, response_verify_vote_extension::VerifyStatus,
};

/// Only what [`extend_vote`](super::extend_vote) gives is right: nothing.
pub(crate) fn verify_vote_extension(request: RequestVerifyVoteExtension) -> ResponseVerifyVoteExtension {
    let RequestVerifyVoteExtension { hash: _, validator_address: _, height: _, vote_extension } = request;
    let status = if vote_extension.is_empty() { VerifyStatus::Accept } else { VerifyStatus::Reject };
    ResponseVerifyVoteExtension { status: status.into() }
}
