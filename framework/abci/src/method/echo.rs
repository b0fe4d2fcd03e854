use tendermint_proto::v0_38::abci::{RequestEcho, ResponseEcho};

/// The message comes back.
pub(crate) fn echo(request: RequestEcho) -> ResponseEcho {
    let RequestEcho { message } = request;
    ResponseEcho { message }
}
