//! Every key of the store. See the README for the table.

use cosmos_sdk_proto::cosmos::bank::v1beta1::Metadata;
use gantry_core::Address;
use gantry_store::{Item, KeyCodec, Map, Proto, StoreError, StoreName, ValueCodec, prefixes};

/// Store of this module; the SDK's name, because clients prove rows under it.
pub const STORE: StoreName = StoreName::new("bank");

prefixes! {
    SUPPLY_KEY = b"\x00";
    METADATA_KEY = b"\x01";
    BALANCE = b"\x02";
    OWNER = b"\x03";
    SEND_ENABLED_KEY = b"\x04";
    PARAMS_KEY = b"\x05";
}

/// Supply by denom.
pub(crate) const SUPPLY: Map<String, Amount> = Map::new(STORE, SUPPLY_KEY);
/// What wallets show of a denom.
pub(crate) const METADATA: Map<String, Proto<Metadata>> = Map::new(STORE, METADATA_KEY);
/// Denoms for which sending is on or off, whatever the default.
pub(crate) const SEND_ENABLED: Map<String, Flag<0x08>> = Map::new(STORE, SEND_ENABLED_KEY);
/// The message `Params`, whose only live field is `default_send_enabled` (2).
pub(crate) const DEFAULT_SEND_ENABLED: Item<Flag<0x10>> = Item::new(STORE, PARAMS_KEY);

/// Balances by (address, denom). Written by `keeper::set_balance` alone, together with [`owners`].
pub(crate) const fn balances<'a>() -> Map<(&'a Address, &'a str), Amount> {
    Map::new(STORE, BALANCE)
}

/// The index of balances by denom: (denom, address).
pub(crate) const fn owners<'a>() -> Map<(&'a str, LengthPrefixed<'a>), ()> {
    Map::new(STORE, OWNER)
}

/// An amount as the SDK's `math.Int` is stored: decimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount(pub(crate) u128);

impl ValueCodec for Amount {
    fn encode(&self) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let amount = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).map(Self);
        amount
            .filter(|amount| amount.encode() == bytes)
            .ok_or_else(|| StoreError::Corrupt(format!("stored amount {bytes:02x?}")))
    }
}

/// A message whose only live field is a flag with this tag. `true` is what the SDK stores; `false` keeps its two bytes
/// instead of none, because no stored value is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flag<const TAG: u8>(pub(crate) bool);

impl<const TAG: u8> ValueCodec for Flag<TAG> {
    fn encode(&self) -> Vec<u8> {
        vec![TAG, u8::from(self.0)]
    }

    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        match bytes {
            [tag, value @ (0 | 1)] if *tag == TAG => Ok(Self(*value == 1)),
            _ => Err(StoreError::Corrupt(format!("stored flag {bytes:02x?}"))),
        }
    }
}

/// An address that carries its length even as the last part of a key: how the SDK's denom index writes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LengthPrefixed<'a>(pub(crate) &'a Address);

impl KeyCodec for LengthPrefixed<'_> {
    type Owned = Address;

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        self.0.encode_part(out)
    }

    fn encode_part(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        self.0.encode_part(out)
    }

    fn decode(mut bytes: &[u8]) -> Result<Address, StoreError> {
        let address = Address::decode_part(&mut bytes)?;
        if bytes.is_empty() { Ok(address) } else { Err(StoreError::Corrupt("key is too long".into())) }
    }

    fn decode_part(bytes: &mut &[u8]) -> Result<Address, StoreError> {
        Address::decode_part(bytes)
    }
}
