use tendermint_proto::v0_38::abci::{RequestFlush, ResponseFlush};

/// The server sends what it has buffered; the application has nothing to add.
pub(crate) fn flush(request: RequestFlush) -> ResponseFlush {
    let RequestFlush {} = request;
    ResponseFlush {}
}
