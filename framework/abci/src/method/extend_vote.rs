use tendermint_proto::v0_38::abci::{RequestExtendVote, ResponseExtendVote};

/// Vote extensions are off (InitChain refuses parameters that turn them on); an empty one is legal all the same.
pub(crate) fn extend_vote(request: RequestExtendVote) -> ResponseExtendVote {
    let RequestExtendVote {
        hash: _,
        height: _,
        time: _,
        txs: _,
        proposed_last_commit: _,
        misbehavior: _,
        next_validators_hash: _,
        proposer_address: _,
    } = request;
    ResponseExtendVote { vote_extension: bytes::Bytes::new() }
}
