use tendermint_proto::v0_38::abci::{
    RequestOfferSnapshot, ResponseOfferSnapshot, response_offer_snapshot::Result as Verdict,
};

/// No format is understood yet, so each is refused by its format; CometBFT then falls back to block sync or says that
/// no snapshot fits.
pub(crate) fn offer_snapshot(request: RequestOfferSnapshot) -> ResponseOfferSnapshot {
    let RequestOfferSnapshot { snapshot: _, app_hash: _ } = request;
    ResponseOfferSnapshot { result: Verdict::RejectFormat.into() }
}
