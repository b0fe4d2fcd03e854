//! The worker's place on the market: its provider, its offer, its heartbeats.

use std::collections::BTreeSet;

use cosmos_sdk_proto::Any;
use gantry_proto::gantry::provider::v1::{
    Attribute, HardwareClass, HardwareKind, MsgHeartbeat, MsgRegisterProvider, MsgSetOffer, MsgUpdateProvider, Offer,
    Provider, ProviderStatus,
};
use tracing::{info, warn};

use crate::{
    ChainPort, Options, PortError,
    executor::{WASMTIME_MAJOR, wasm_class},
    outbox::pack,
};

/// The class of this machine for the wasm runtime, as the chain describes it, and its id there.
#[must_use]
pub(crate) fn hardware() -> (HardwareClass, String) {
    let arch = std::env::consts::ARCH.to_owned();
    let runtime_major = WASMTIME_MAJOR;
    (HardwareClass { kind: HardwareKind::Wasm.into(), arch, runtime_major, ..HardwareClass::default() }, wasm_class())
}

/// Memory of this machine in bytes; a job may use its slot's share.
#[must_use]
pub(crate) fn machine_memory() -> u64 {
    // SAFETY: sysconf reads no memory of ours.
    let (pages, size) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    u64::try_from(pages).unwrap_or(0).saturating_mul(u64::try_from(size).unwrap_or(0))
}

/// What one slot has.
fn attributes(options: &Options) -> Vec<Attribute> {
    let slots = u64::from(options.capacity.max(1));
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let values = [
        ("cpu_cores", (cores / slots).max(1)),
        ("memory_mib", (machine_memory() / slots) >> 20),
        ("disk_mib", (options.quota / slots) >> 20),
    ];
    values.map(|(name, value)| Attribute { name: name.to_owned(), value }).to_vec()
}

/// Registers the provider of an address if there is none, and brings its endpoint and its offer up to date. Gives its
/// id. Does nothing where all is as it should be.
pub(crate) async fn ensure(port: &dyn ChainPort, address: &str, options: &Options) -> Result<u64, PortError> {
    let found = port.provider(address).await?;
    let mut messages = Vec::new();
    match &found {
        None => {
            messages.push(pack(&MsgRegisterProvider {
                owner: address.to_owned(),
                moniker: options.moniker.clone(),
                endpoints: vec![options.public_endpoint.clone()],
                operators: Vec::new(),
                bond: Some((&options.bond).into()),
            }));
            messages.push(set_offer(address, options, 0));
            messages.push(heartbeat(address));
        }
        Some(provider) => {
            messages.extend(update(provider, address, options));
            let offers = port.offers(provider.id).await?;
            messages.extend(update_offer(&offers, address, options));
            if provider.status() == ProviderStatus::Underbonded {
                warn!(
                    provider = provider.id,
                    "the bond is below the minimum: no new assignments until it is topped up"
                );
            }
        }
    }
    if !messages.is_empty() {
        info!(messages = messages.len(), "registering");
        port.submit(messages).await?;
    }
    if let Some(provider) = found {
        return Ok(provider.id);
    }
    let provider = port.provider(address).await?.map(|p| p.id);
    provider.ok_or_else(|| PortError::Away("the provider was registered and is not there yet".into()))
}

fn update(provider: &Provider, address: &str, options: &Options) -> Option<Any> {
    if provider.endpoints.contains(&options.public_endpoint) && provider.moniker == options.moniker {
        return None;
    }
    if provider.owner != address {
        warn!(
            provider = provider.id,
            owner = provider.owner,
            "endpoint or moniker differ; only the owner can change them"
        );
        return None;
    }
    Some(pack(&MsgUpdateProvider {
        owner: address.to_owned(),
        moniker: options.moniker.clone(),
        endpoints: vec![options.public_endpoint.clone()],
        operators: provider.operators.clone(),
    }))
}

fn update_offer(offers: &[Offer], address: &str, options: &Options) -> Option<Any> {
    let (_, class) = hardware();
    let Some(offer) = offers.iter().find(|o| o.class_id == class && o.capacity > 0) else {
        return Some(set_offer(address, options, 0));
    };
    let set = |attributes: &[Attribute]| attributes.iter().map(|a| (a.name.clone(), a.value)).collect::<BTreeSet<_>>();
    let as_it_should_be = offer.capacity == options.capacity
        && offer.ask_per_second == Some((&options.ask).into())
        && set(&offer.attributes) == set(&attributes(options))
        // Setting it anew says that it is meant.
        && offer.strikes == 0;
    // Slots in use cannot be taken away; the next start will try again.
    (!as_it_should_be && options.capacity >= offer.in_use).then(|| set_offer(address, options, offer.offer_id))
}

fn set_offer(address: &str, options: &Options, offer_id: u32) -> Any {
    pack(&MsgSetOffer {
        operator: address.to_owned(),
        offer_id,
        hardware: Some(hardware().0),
        capacity: options.capacity,
        ask_per_second: Some((&options.ask).into()),
        attributes: attributes(options),
        region: String::new(),
    })
}

pub(crate) fn heartbeat(address: &str) -> Any {
    pack(&MsgHeartbeat { operator: address.to_owned() })
}

/// When the next heartbeat is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heartbeats {
    epoch: u64,
    next: u64,
}

impl Heartbeats {
    /// From the last one (0 for none) and the length of an epoch in blocks.
    pub(crate) fn after(last: u64, epoch: u64) -> Self {
        let epoch = epoch.max(1);
        Self { epoch, next: if last == 0 { 0 } else { (last / epoch).saturating_add(1).saturating_mul(epoch) } }
    }

    /// Whether one is due at a height; then none is until the next epoch, or until [`Heartbeats::retry`].
    pub(crate) fn take(&mut self, height: u64) -> bool {
        let due = height >= self.next;
        if due {
            *self = Self::after(height.max(1), self.epoch);
        }
        due
    }

    /// The one that was taken did not arrive.
    pub(crate) fn retry(&mut self) {
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_is_the_chains() {
        let (hardware, id) = hardware();
        assert_eq!(hardware.kind(), HardwareKind::Wasm);
        assert!(hardware.runtime_major >= 48 && !hardware.arch.is_empty());
        assert_eq!(id, format!("wasm-{}-{}", hardware.runtime_major, std::env::consts::ARCH));
        assert!(machine_memory() > 1 << 20);
    }

    #[test]
    fn one_heartbeat_an_epoch() {
        let mut beats = Heartbeats::after(45, 20);
        assert!(!beats.take(59));
        assert!(beats.take(60));
        assert!(!beats.take(60) && !beats.take(79));
        assert!(beats.take(99));
        assert!(beats.take(100), "the one at 99 was of the epoch before");
        beats.retry();
        assert!(beats.take(101));
        assert!(Heartbeats::after(0, 20).take(1), "none so far");
    }
}
