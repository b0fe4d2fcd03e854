use std::collections::BTreeMap;

use cosmos_sdk_proto::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use gantry_proto::gantry::{
    job::v1::JobState,
    provider::v1::{Offer, Provider, QueryOffersRequest, QueryProvidersRequest},
};

use crate::{Chain, ClientError};

/// Rows in one page of a listing.
const PAGE: u64 = 500;

/// The page after the last one, if there is one.
fn next(page: Option<PageResponse>) -> Option<PageRequest> {
    let key = page?.next_key;
    (!key.is_empty()).then(|| PageRequest { key, limit: PAGE, ..PageRequest::default() })
}

fn first() -> Option<PageRequest> {
    Some(PageRequest { limit: PAGE, ..PageRequest::default() })
}

/// Who offers compute, by id.
#[derive(Clone, Debug, Default)]
pub struct Providers(BTreeMap<u64, Provider>);

impl Providers {
    /// Reads all of them.
    ///
    /// # Errors
    /// Those of the query.
    pub async fn read(chain: &Chain) -> Result<Self, ClientError> {
        let (mut all, mut page) = (BTreeMap::new(), first());
        while page.is_some() {
            let request = QueryProvidersRequest { pagination: page };
            let answer = chain.providers().providers(request).await?.into_inner();
            all.extend(answer.providers.into_iter().map(|p| (p.id, p)));
            page = next(answer.pagination);
        }
        Ok(Self(all))
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<&Provider> {
        self.0.get(&id)
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self, id: u64) -> String {
        self.get(id).filter(|p| !p.moniker.is_empty()).map_or_else(|| format!("provider {id}"), |p| p.moniker.clone())
    }

    /// The provider that says on chain that it serves at an endpoint.
    #[must_use]
    pub fn at(&self, endpoint: &str) -> Option<u64> {
        let known =
            |p: &&Provider| p.endpoints.iter().any(|e| e.trim_end_matches('/') == endpoint.trim_end_matches('/'));
        self.0.values().find(known).map(|p| p.id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.0.values()
    }
}

/// All offers on the market.
///
/// # Errors
/// Those of the query.
pub async fn offers(chain: &Chain) -> Result<Vec<Offer>, ClientError> {
    let (mut all, mut page) = (Vec::new(), first());
    while page.is_some() {
        let request = QueryOffersRequest { provider_id: 0, pagination: page };
        let answer = chain.providers().offers(request).await?.into_inner();
        all.extend(answer.offers);
        page = next(answer.pagination);
    }
    Ok(all)
}

/// Whether a job in this state stays in it.
#[must_use]
pub fn is_terminal(state: JobState) -> bool {
    matches!(state, JobState::Completed | JobState::Failed | JobState::Cancelled | JobState::Expired)
}

/// The words of an enum's name after its prefix: `JOB_STATE_QUEUED` is `queued`.
#[must_use]
pub fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).replace('_', " ").to_lowercase()
}
