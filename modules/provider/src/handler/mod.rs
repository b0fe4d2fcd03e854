//! One message a file.

mod bond;
mod heartbeat;
mod register_provider;
mod remove_offer;
mod set_offer;
mod unbond;
mod update_provider;

pub use bond::Bond;
pub use heartbeat::Heartbeat;
pub use register_provider::RegisterProvider;
pub use remove_offer::RemoveOffer;
pub use set_offer::SetOffer;
pub use unbond::Unbond;
pub use update_provider::UpdateProvider;

use gantry_core::{Address, MsgRoute};

use crate::{ProviderError, module::NAME};

/// All messages.
pub(crate) fn routes() -> Vec<MsgRoute> {
    vec![
        MsgRoute::of::<Bond>(NAME),
        MsgRoute::of::<Heartbeat>(NAME),
        MsgRoute::of::<RegisterProvider>(NAME),
        MsgRoute::of::<RemoveOffer>(NAME),
        MsgRoute::of::<SetOffer>(NAME),
        MsgRoute::of::<Unbond>(NAME),
        MsgRoute::of::<UpdateProvider>(NAME),
    ]
}

const MAX_MONIKER: usize = 64;
const MAX_ENDPOINT: usize = 256;

/// What an owner says of a provider, checked.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) moniker: String,
    pub(crate) endpoints: Vec<String>,
    pub(crate) operators: Vec<Address>,
}

impl Profile {
    /// Checks what needs no state.
    pub(crate) fn parse(
        owner: &str,
        moniker: &str,
        endpoints: &[String],
        operators: &[String],
    ) -> Result<Self, gantry_core::Error> {
        let invalid = |field, why: &str| ProviderError::Invalid { field, why: why.to_owned() };
        if moniker.is_empty() || moniker.len() > MAX_MONIKER {
            return Err(invalid("moniker", "it must have 1 to 64 bytes").into());
        }
        if moniker.trim() != moniker || moniker.chars().any(char::is_control) {
            return Err(invalid("moniker", "control characters and spaces around it are not allowed").into());
        }
        for (i, endpoint) in endpoints.iter().enumerate() {
            check_endpoint(endpoint).map_err(|why| invalid("endpoint", why))?;
            if endpoints[..i].contains(endpoint) {
                return Err(invalid("endpoint", "it is given twice").into());
            }
        }
        let owner = Address::parse(owner)?;
        let mut parsed: Vec<Address> = Vec::with_capacity(operators.len());
        for operator in operators {
            let operator = Address::parse(operator)?;
            if operator == owner || parsed.contains(&operator) {
                return Err(invalid("operator", "it is given twice, or is the owner, who may operate anyway").into());
            }
            parsed.push(operator);
        }
        Ok(Self { moniker: moniker.to_owned(), endpoints: endpoints.to_vec(), operators: parsed })
    }

    /// Checks what parameters bound.
    pub(crate) fn check_limits(&self, params: &gantry_proto::gantry::provider::v1::Params) -> gantry_core::Result<()> {
        let lists = [
            ("endpoints", self.endpoints.len(), params.max_endpoints),
            ("operators", self.operators.len(), params.max_operators),
        ];
        for (field, len, most) in lists {
            if u32::try_from(len).map_or(true, |len| len > most) {
                return Err(ProviderError::Invalid { field, why: format!("at most {most} are allowed") }.into());
            }
        }
        Ok(())
    }
}

/// `http://host[:port][/path]` or `https://…`, in printable ASCII: what a gRPC client can dial. No user, no query.
fn check_endpoint(url: &str) -> Result<(), &'static str> {
    if url.len() > MAX_ENDPOINT {
        return Err("it is longer than 256 bytes");
    }
    if !url.bytes().all(|b| b.is_ascii_graphic()) || url.contains(['@', '?', '#', '\\', '"', '<', '>']) {
        return Err("it must be a plain URL in printable ASCII, without user, query or fragment");
    }
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))
        .ok_or("it must start with http:// or https://")?;
    let authority = rest.split('/').next().unwrap_or_default();
    // An IPv6 address is in brackets, so that its colons are none of the port's.
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, after) = v6.split_once(']').ok_or("the bracket of its host is not closed")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| "its host is no IPv6 address")?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err("something follows the host"),
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let named = authority.starts_with('[')
        || (!host.is_empty()
            && host.len() <= 253
            && !host.starts_with(['-', '.'])
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)));
    if !named {
        return Err("its host is no name and no address");
    }
    match port {
        Some(port) if port.starts_with('+') || !port.parse::<u16>().is_ok_and(|p| p > 0) => {
            Err("its port is not from 1 to 65535")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Chain, MIN_BOND, address};
    use cosmos_sdk_proto::cosmos::base::v1beta1::Coin as ProtoCoin;
    use gantry_core::Handler;
    use gantry_proto::gantry::provider::v1::{
        Attribute, HardwareClass, MsgBond, MsgRegisterProvider, MsgSetOffer, MsgUnbond,
    };
    use proptest::prelude::*;

    #[test]
    fn endpoints_are_urls_that_can_be_dialled() {
        for good in [
            "http://127.0.0.1:7070",
            "https://worker.example.org",
            "https://worker.example.org:443/grpc",
            "http://[::1]:7070",
            "http://[2001:db8::1]/",
            "http://localhost:1",
        ] {
            assert_eq!(check_endpoint(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1:7070",
            "ftp://host",
            "http://",
            "http:///path",
            "http://:7070",
            "http://host:0",
            "http://host:65536",
            "http://host:+80",
            "http://host:",
            "http://ho st",
            "http://user@host",
            "http://host/?q=1",
            "http://host/#f",
            "http://[::1",
            "http://[zz]:1",
            "http://[::1]x",
            "http://-host",
            "http://höst",
            "http://host\n",
            &format!("http://{}", "a".repeat(300)),
        ] {
            assert!(check_endpoint(bad).is_err(), "{bad:?}");
        }
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "https?://[a-z0-9.:\\[\\]/@-]{0,20}",
            Just(address(1).to_string()),
            Just(address(2).to_string()),
            Just("cpu_cores".to_owned()),
        ]
    }

    fn any_coin() -> impl Strategy<Value = Option<ProtoCoin>> {
        let amount = prop_oneof![any::<u128>().prop_map(|a| a.to_string()), text(), Just(MIN_BOND.to_string())];
        let denom = prop_oneof![4 => Just("ugantry".to_owned()), 1 => text()];
        proptest::option::of((denom, amount).prop_map(|(denom, amount)| ProtoCoin { denom, amount }))
    }

    /// A user's mistake at most.
    fn harmless<T>(result: gantry_core::Result<T>) {
        if let Err(gantry_core::Error::Fatal(e)) = result {
            panic!("{e}");
        }
    }

    proptest! {
        #[test]
        fn no_message_is_fatal(
            owner in text(), moniker in text(), lists in prop::collection::vec(text(), 0..6), bond in any_coin(),
            numbers: (u32, u32, u64, i32), region in text(),
        ) {
            let mut chain = Chain::new();
            chain.register(2, MIN_BOND).unwrap();
            let (endpoints, operators) = (lists.clone(), lists.clone());
            let register = MsgRegisterProvider { owner: owner.clone(), moniker, endpoints, operators, bond: bond.clone() };
            if RegisterProvider::signers(&register).is_ok() {
                harmless(chain.run::<RegisterProvider>(&register));
            }
            let (offer_id, capacity, value, kind) = numbers;
            let hardware = HardwareClass { kind: kind % 4, arch: region.clone(), runtime_major: offer_id, ..Default::default() };
            let set = MsgSetOffer {
                operator: address(2).to_string(),
                offer_id: offer_id % 3,
                hardware: Some(hardware),
                capacity: capacity % 20_000,
                ask_per_second: bond.clone(),
                attributes: lists.into_iter().map(|name| Attribute { name, value }).collect(),
                region,
            };
            harmless(chain.run::<SetOffer>(&set));
            let owner = address(2).to_string();
            harmless(chain.run::<Bond>(&MsgBond { owner: owner.clone(), amount: bond.clone() }));
            harmless(chain.run::<Unbond>(&MsgUnbond { owner, amount: bond }));
        }
    }
}
