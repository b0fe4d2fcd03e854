use gantry_store::sync::{FORMAT, Info};
use tendermint_proto::v0_38::abci::{
    RequestOfferSnapshot, ResponseOfferSnapshot, Snapshot, response_offer_snapshot::Result as Verdict,
};

use crate::{
    engine::{Engine, Offer},
    stop::Stop,
};

/// Whether to join with a snapshot that peers offer. Nothing but `app_hash` is trusted.
pub(crate) fn offer_snapshot(engine: &Engine, request: RequestOfferSnapshot) -> Result<ResponseOfferSnapshot, Stop> {
    let RequestOfferSnapshot { snapshot, app_hash } = request;
    let verdict = match snapshot {
        None => Verdict::Reject,
        Some(Snapshot { format, .. }) if format != FORMAT => Verdict::RejectFormat,
        Some(Snapshot { height, format, chunks, hash, metadata }) => match hash[..].try_into() {
            Err(_) => Verdict::RejectSender,
            Ok(hash) => {
                let info = Info { height, format, chunks, hash, metadata: metadata.to_vec() };
                match engine.offer(&info, &app_hash)? {
                    Offer::Accept => Verdict::Accept,
                    Offer::Abort => Verdict::Abort,
                    Offer::Reject => Verdict::Reject,
                    Offer::RejectSender => Verdict::RejectSender,
                }
            }
        },
    };
    Ok(ResponseOfferSnapshot { result: verdict.into() })
}
