use std::collections::BTreeMap;

use anyhow::Result;
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use gantry_client::{Chain, ClientError, Providers, offers, to_json};
use gantry_content::{Cid, Codec};
use gantry_proto::gantry::{
    job::v1::{Image, JobKind, JobSpec, Limits, Runtime, Timeouts},
    matching::v1::{OfferVerdict, QuerySimulateMatchRequest},
    provider::v1::Offer,
    reputation::v1::QueryScoreRequest,
    verifier::v1::{Attested, VerificationPolicy, verification_policy::Kind},
};
use serde_json::{Value, json};

use crate::{context::Context, explain, out};

/// What is offered on the market, and whether it can be had now.
///
/// The last column is the matcher's answer for a small job that pays whatever is asked: `yes`, or the first thing that
/// is in the way. `gantry submit --dry-run` and `gantry explain` answer for a job of yours.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: gantry offers")]
pub(crate) struct Args {}

pub(crate) async fn run(context: &Context, _: Args) -> Result<()> {
    let chain = context.chain().await?;
    let (offers, providers) = (offers(&chain).await?, Providers::read(&chain).await?);
    let mut scores = BTreeMap::new();
    for id in offers.iter().map(|o| o.provider_id) {
        if let std::collections::btree_map::Entry::Vacant(free) = scores.entry(id) {
            let request = QueryScoreRequest { provider_id: id };
            free.insert(chain.reputation().score(request).await.map_err(ClientError::from)?.into_inner().score);
        }
    }
    let fits = fits(&chain, &offers).await?;
    let fit = |offer: &Offer| fits.get(&(offer.provider_id, offer.offer_id));
    let score = |offer: &Offer| scores.get(&offer.provider_id).copied().unwrap_or(0);
    context.print(
        || {
            let rows = offers.iter().map(|offer| {
                Ok(json!({
                    "offer": to_json(offer)?, "moniker": providers.name(offer.provider_id), "reputation": score(offer),
                    "feasible": fit(offer).is_some_and(|v| v.feasible),
                    "reason": fit(offer).map(|v| v.reason.as_str()), "reason_code": fit(offer).map(|v| v.reason_code.as_str()),
                }))
            });
            Ok(Value::Array(rows.collect::<Result<_>>()?))
        },
        || {
            let rows = offers.iter().map(|offer| row(offer, &providers, score(offer), fit(offer)));
            table(&rows.collect::<Vec<_>>())
        },
    )
}

type Row = [String; 8];

fn row(offer: &Offer, providers: &Providers, score: u32, fit: Option<&OfferVerdict>) -> Row {
    [
        offer.provider_id.to_string(),
        out::plain(&providers.name(offer.provider_id)),
        offer.class_id.clone(),
        out::coin(offer.ask_per_second.as_ref()),
        format!("{}/{}", offer.capacity.saturating_sub(offer.in_use), offer.capacity),
        if offer.region.is_empty() { "-".to_owned() } else { out::plain(&offer.region) },
        score.to_string(),
        fit.map_or_else(|| "no: not on the market yet".to_owned(), explain::fit),
    ]
}

fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "There are no offers on the market.\n".to_owned();
    }
    let headings = [">PROVIDER", "MONIKER", "CLASS", ">ASK/S", ">FREE", "REGION", ">REPUTATION", "AVAILABLE"];
    out::table(headings, rows)
}

/// The matcher's answer for each offer, asked in each denom with a job that pays the highest ask.
async fn fits(chain: &Chain, offers: &[Offer]) -> Result<BTreeMap<(u64, u32), OfferVerdict>, ClientError> {
    let mut highest: BTreeMap<&str, u128> = BTreeMap::new();
    for ask in offers.iter().filter_map(|o| o.ask_per_second.as_ref()) {
        let amount = ask.amount.parse().unwrap_or(0);
        let most = highest.entry(&ask.denom).or_default();
        *most = amount.max(*most);
    }
    let mut fits = BTreeMap::new();
    for (denom, most) in highest {
        let request = QuerySimulateMatchRequest { spec: Some(small_job(denom, most.max(1))) };
        let answer = chain.matching().simulate_match(request).await?.into_inner();
        let own = offers.iter().filter(|o| o.ask_per_second.as_ref().is_some_and(|ask| ask.denom == denom));
        for offer in own {
            let key = (offer.provider_id, offer.offer_id);
            if let Some(verdict) = answer.offers.iter().find(|v| (v.provider_id, v.offer_id) == key) {
                fits.insert(key, verdict.clone());
            }
        }
    }
    Ok(fits)
}

/// One second of next to nothing.
fn small_job(denom: &str, price: u128) -> JobSpec {
    let coin = Coin { denom: denom.to_owned(), amount: price.to_string() };
    JobSpec {
        name: "any".to_owned(),
        kind: JobKind::Batch.into(),
        runtime: Runtime::Wasm.into(),
        image: Some(Image { root_cid: Cid::of(Codec::Raw, b"\0asm").to_string(), size_bytes: 4 }),
        limits: Some(Limits { memory_bytes: 1 << 16, fuel: 1, output_bytes: 1, output_files: 1, log_bytes: 0 }),
        timeouts: Some(Timeouts { queue_seconds: 1, staging_seconds: 1, execution_seconds: 1 }),
        max_price_per_second: Some(coin.clone()),
        max_price_total: Some(coin),
        policy: Some(VerificationPolicy { kind: Some(Kind::Attested(Attested {})) }),
        ..JobSpec::default()
    }
}
