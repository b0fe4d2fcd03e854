//! Domain types. The proto messages are how they are stored and sent; conversion is where they are checked.

use cosmos_sdk_proto::cosmos::base::v1beta1::Coin as ProtoCoin;
use gantry_core::{Address, Coin, Error, Result};
use gantry_matching::{Attribute, Attributes, ClassId};
use gantry_proto::gantry::provider::v1 as pb;
use gantry_store::value_via_proto;

pub use pb::ProviderStatus;

/// Who offers compute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its id, from 1.
    pub id: u64,
    /// The cold key: the bond is its money. Acts as operator too.
    pub owner: Address,
    /// Hot keys, in the owner's order.
    pub operators: Vec<Address>,
    /// A name for people.
    pub moniker: String,
    /// Where its worker serves gRPC.
    pub endpoints: Vec<String>,
    /// Bond, with the reserved part and without what is unbonding.
    pub bond: Coin,
    /// The part of the bond that assignments in flight hold, in the bond's denom.
    pub reserved: u128,
    /// Whether it takes part in draws.
    pub status: ProviderStatus,
    /// Height of its registration.
    pub registered_height: u64,
    /// Height of its last heartbeat; 0 before the first.
    pub last_heartbeat_height: u64,
    /// Slashed so far, in the bond's denom.
    pub slashed: u128,
    /// The id that its next new offer gets.
    pub next_offer_id: u32,
    /// Height at which draws last began to see it, or to see it with more bond.
    pub admitted_height: u64,
}

/// Slots of one hardware class at one price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Whose.
    pub provider_id: u64,
    /// Its id within the provider, from 1; never used again.
    pub offer_id: u32,
    /// The hardware class, an entry of the registry.
    pub class: ClassId,
    /// How many assignments may run at once; 0 once withdrawn.
    pub capacity: u32,
    /// How many do.
    pub in_use: u32,
    /// The price of one slot for a second.
    pub ask_per_second: Coin,
    /// What the class does not fix. The region is in here too, as predicates see it.
    pub attributes: Attributes,
    /// The region as text; empty where none was given.
    pub region: String,
    /// Assignments that lapsed since the last completed one.
    pub strikes: u32,
    /// Height at which it was last set.
    pub set_height: u64,
}

impl Offer {
    /// Slots that are free.
    #[must_use]
    pub fn free(&self) -> u32 {
        self.capacity.saturating_sub(self.in_use)
    }
}

/// Bond on its way back to its owner; it can still be slashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbonding {
    /// Whose.
    pub provider_id: u64,
    /// How much.
    pub amount: Coin,
    /// Height of the payout.
    pub release_height: u64,
}

fn corrupt(what: impl std::fmt::Display) -> Error {
    Error::fatal(format!("corrupt provider state: {what}"))
}

fn coin(coin: Option<&ProtoCoin>) -> Result<Coin> {
    Coin::from_field(coin, "amount")
}

fn integer(text: &str) -> Result<u128> {
    text.parse().map_err(|e| corrupt(format!("{text:?}: {e}")))
}

/// Attributes on the wire, without the region (which travels as text), ascending.
pub(crate) fn attributes_to_proto(attributes: &Attributes) -> Vec<pb::Attribute> {
    attributes
        .iter()
        .filter(|(attribute, _)| *attribute != Attribute::Region)
        .map(|(attribute, value)| pb::Attribute { name: attribute.name().to_owned(), value })
        .collect()
}

/// Attributes of an offer: known names, none twice, none that the class fixes; the region from its text.
pub(crate) fn attributes_of_offer(attributes: &[pb::Attribute], region: &str) -> Result<Attributes, String> {
    let mut values: Vec<(Attribute, u64)> = Vec::new();
    for pb::Attribute { name, value } in attributes {
        let attribute: Attribute = name.parse().map_err(|e| format!("{e}"))?;
        if attribute == Attribute::Region {
            return Err("the region is given as text, in its own field".to_owned());
        }
        if values.iter().any(|(known, _)| *known == attribute) {
            return Err(format!("{name} is given twice"));
        }
        values.push((attribute, *value));
    }
    if !region.is_empty() {
        let value = Attribute::Region.parse_value(region).map_err(|e| e.to_string())?;
        values.push((Attribute::Region, value));
    }
    Attributes::of_offer(values).map_err(|e| e.to_string())
}

impl From<&Provider> for pb::Provider {
    fn from(p: &Provider) -> Self {
        Self {
            id: p.id,
            owner: p.owner.to_string(),
            operators: p.operators.iter().map(ToString::to_string).collect(),
            moniker: p.moniker.clone(),
            endpoints: p.endpoints.clone(),
            bond: Some(p.bond.to_proto()),
            reserved: p.reserved.to_string(),
            status: p.status.into(),
            registered_height: p.registered_height,
            last_heartbeat_height: p.last_heartbeat_height,
            slashed: p.slashed.to_string(),
            next_offer_id: p.next_offer_id,
            admitted_height: p.admitted_height,
        }
    }
}

impl TryFrom<pb::Provider> for Provider {
    type Error = Error;

    fn try_from(m: pb::Provider) -> Result<Self> {
        let status = m.status();
        if m.id == 0 || m.next_offer_id == 0 || status == ProviderStatus::Unspecified {
            return Err(corrupt(format!("provider {} lacks its id, its status or its next offer id", m.id)));
        }
        Ok(Self {
            id: m.id,
            owner: Address::parse(&m.owner)?,
            operators: m.operators.iter().map(|a| Address::parse(a)).collect::<Result<_>>()?,
            moniker: m.moniker,
            endpoints: m.endpoints,
            bond: coin(m.bond.as_ref())?,
            reserved: integer(&m.reserved)?,
            status,
            registered_height: m.registered_height,
            last_heartbeat_height: m.last_heartbeat_height,
            slashed: integer(&m.slashed)?,
            next_offer_id: m.next_offer_id,
            admitted_height: m.admitted_height,
        })
    }
}

impl From<&Offer> for pb::Offer {
    fn from(o: &Offer) -> Self {
        Self {
            provider_id: o.provider_id,
            offer_id: o.offer_id,
            class_id: o.class.to_string(),
            capacity: o.capacity,
            in_use: o.in_use,
            ask_per_second: Some(o.ask_per_second.to_proto()),
            attributes: attributes_to_proto(&o.attributes),
            region: o.region.clone(),
            strikes: o.strikes,
            set_height: o.set_height,
        }
    }
}

impl TryFrom<pb::Offer> for Offer {
    type Error = Error;

    fn try_from(m: pb::Offer) -> Result<Self> {
        if m.provider_id == 0 || m.offer_id == 0 {
            return Err(corrupt(format!("offer {} of provider {}", m.offer_id, m.provider_id)));
        }
        Ok(Self {
            provider_id: m.provider_id,
            offer_id: m.offer_id,
            class: m.class_id.parse().map_err(corrupt)?,
            capacity: m.capacity,
            in_use: m.in_use,
            ask_per_second: coin(m.ask_per_second.as_ref())?,
            attributes: attributes_of_offer(&m.attributes, &m.region).map_err(corrupt)?,
            region: m.region,
            strikes: m.strikes,
            set_height: m.set_height,
        })
    }
}

impl From<&Unbonding> for pb::Unbonding {
    fn from(u: &Unbonding) -> Self {
        Self { provider_id: u.provider_id, amount: Some(u.amount.to_proto()), release_height: u.release_height }
    }
}

impl TryFrom<pb::Unbonding> for Unbonding {
    type Error = Error;

    fn try_from(m: pb::Unbonding) -> Result<Self> {
        Ok(Self { provider_id: m.provider_id, amount: coin(m.amount.as_ref())?, release_height: m.release_height })
    }
}

value_via_proto!(Provider => pb::Provider);
value_via_proto!(Offer => pb::Offer);
value_via_proto!(Unbonding => pb::Unbonding);
