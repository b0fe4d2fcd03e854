use anyhow::{Context as _, Result};
use gantry_client::{ClientError, to_json, word};
use gantry_proto::gantry::{
    provider::v1::{QueryOffersRequest, QueryProviderByAddressRequest, QueryProviderRequest},
    reputation::v1::QueryScoreRequest,
    verifier::v1::QuerySlashesRequest,
};
use serde_json::json;

use crate::{context::Context, job, out};

/// A provider: its bond, its offers, its reputation.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  gantry provider 3\n  gantry provider gantry1…")]
pub(crate) struct Args {
    /// Id, or the address (or name of a key) of its owner or an operator.
    provider: String,
}

pub(crate) async fn run(context: &Context, args: Args) -> Result<()> {
    let who = args.provider.parse::<u64>().map_err(|_| context.address(Some(&args.provider)));
    let chain = context.chain().await?;
    let answer = match who {
        Ok(id) => chain.providers().provider(QueryProviderRequest { id }).await,
        Err(address) => {
            chain.providers().provider_by_address(QueryProviderByAddressRequest { address: address? }).await
        }
    };
    let answer = answer.map_err(ClientError::from)?.into_inner();
    let provider = answer.provider.context("the node knows no such provider")?;
    let id = provider.id;
    let failed = ClientError::from;
    let request = QueryOffersRequest { provider_id: id, pagination: None };
    let offers = chain.providers().offers(request).await.map_err(failed)?.into_inner().offers;
    let score = chain.reputation().score(QueryScoreRequest { provider_id: id }).await.map_err(failed)?.into_inner();
    let request = QuerySlashesRequest { provider_id: id, pagination: None };
    let slashes = chain.verifier().slashes(request).await.map_err(failed)?.into_inner().slashes;
    context.print(
        || {
            Ok(json!({
                "provider": to_json(&provider)?,
                "unbondings": answer.unbondings.iter().map(to_json).collect::<Result<Vec<_>, _>>()?,
                "offers": offers.iter().map(to_json).collect::<Result<Vec<_>, _>>()?,
                "reputation": to_json(&score)?,
                "slashes": slashes.iter().map(to_json).collect::<Result<Vec<_>, _>>()?,
            }))
        },
        || {
            let rows = [
                ("status", word(provider.status().as_str_name(), "PROVIDER_STATUS_")),
                ("owner", provider.owner.clone()),
                ("operators", provider.operators.join(", ")),
                ("endpoints", out::plain(&provider.endpoints.join(", "))),
                ("bond", format!("{}, {} of it reserved", out::coin(provider.bond.as_ref()), provider.reserved)),
                ("slashed", format!("{} in {} cases", provider.slashed, slashes.len())),
                (
                    "reputation",
                    format!(
                        "{} of 1000: uptime {}, response {}, completion {}, disputes {}, penalty {}",
                        score.score, score.uptime, score.response, score.completion, score.disputes, score.penalty
                    ),
                ),
                ("registered", format!("height {}", provider.registered_height)),
                ("heartbeat", format!("height {}", provider.last_heartbeat_height)),
            ];
            let mut text = format!("provider {id} {}\n{}", out::plain(&provider.moniker), job::lines(&rows));
            for unbonding in &answer.unbondings {
                let amount = out::coin(unbonding.amount.as_ref());
                text.push_str(&format!("  {amount} unbonds at height {}\n", unbonding.release_height));
            }
            let rows: Vec<_> = offers
                .iter()
                .map(|offer| {
                    let attributes = offer.attributes.iter().map(|a| format!("{}={}", a.name, a.value));
                    [
                        offer.offer_id.to_string(),
                        offer.class_id.clone(),
                        out::coin(offer.ask_per_second.as_ref()),
                        format!("{}/{}", offer.capacity.saturating_sub(offer.in_use), offer.capacity),
                        out::plain(&offer.region),
                        attributes.collect::<Vec<_>>().join(" "),
                    ]
                })
                .collect();
            let table = out::table([">OFFER", "CLASS", ">ASK/S", ">FREE", "REGION", "ATTRIBUTES"], &rows);
            text + "\nOFFERS\n" + &job::indent(&table)
        },
    )
}
