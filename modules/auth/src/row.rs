//! The stored form of the accounts that people have, written and read without what protobuf's general way costs: such a
//! row is read half a dozen times and written once for each transaction.
//!
//! Everything else, and every row that is not exactly in this form, takes the general way ([`crate::types`]).

use cosmos_sdk_proto::Any;
use gantry_core::{Address, PubKey};
use gantry_store::{Proto, StoreError, ValueCodec};
use prost::encoding::{WireType, decode_varint, encode_key, encode_varint, encoded_len_varint};

use crate::types::Account;

/// `Any` of a `BaseAccount`: its type, then the tag of its value.
const HEAD: &[u8] = b"\x0a\x20/cosmos.auth.v1beta1.BaseAccount\x12";
/// Field 2 of a `BaseAccount`: an `Any` of a key of 33 bytes, up to these.
const KEY: &[u8] = b"\x12\x46\x0a\x1f/cosmos.crypto.secp256k1.PubKey\x12\x23\x0a\x21";

impl ValueCodec for Account {
    fn encode(&self) -> Vec<u8> {
        if self.module.is_some() {
            return Proto(Any::from(self)).encode();
        }
        let address = self.address.to_string();
        let number = |tag: u32, value: u64, out: &mut Vec<u8>| {
            if value != 0 {
                encode_key(tag, WireType::Varint, out);
                encode_varint(value, out);
            }
        };
        let number_len = |value: u64| if value == 0 { 0 } else { 1 + encoded_len_varint(value) };
        let key_len = self.pub_key.map_or(0, |_| KEY.len() + 33);
        let address_len = 1 + encoded_len_varint(address.len() as u64) + address.len();
        let length = address_len + key_len + number_len(self.number) + number_len(self.sequence);

        let mut row = Vec::with_capacity(HEAD.len() + 5 + length);
        row.extend_from_slice(HEAD);
        encode_varint(length as u64, &mut row);
        prost::encoding::string::encode(1, &address, &mut row);
        if let Some(key) = &self.pub_key {
            row.extend_from_slice(KEY);
            row.extend_from_slice(key.as_bytes());
        }
        number(3, self.number, &mut row);
        number(4, self.sequence, &mut row);
        row
    }

    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        match read(bytes) {
            Some(account) => Ok(account),
            None => Self::try_from(<Proto<Any> as ValueCodec>::decode(bytes)?.0)
                .map_err(|error| StoreError::Corrupt(format!("stored account: {error}"))),
        }
    }
}

/// Reads a row that [`Account::encode`] wrote for an account that no module owns.
fn read(bytes: &[u8]) -> Option<Account> {
    let mut rest = bytes.strip_prefix(HEAD)?;
    let length = varint(&mut rest)?;
    if length != rest.len() as u64 {
        return None;
    }
    rest = rest.strip_prefix(b"\x0a")?;
    let length = usize::try_from(varint(&mut rest)?).ok()?;
    let (address, mut rest) = rest.split_at_checked(length)?;
    let address = Address::parse(std::str::from_utf8(address).ok()?).ok()?;
    let mut account = Account::new(address, 0);
    if let Some(after) = rest.strip_prefix(KEY) {
        let (key, after) = after.split_first_chunk::<33>()?;
        account.pub_key = Some(PubKey::from(*key));
        rest = after;
    }
    for (tag, field) in [(0x18, &mut account.number), (0x20, &mut account.sequence)] {
        if let [first, after @ ..] = rest
            && *first == tag
        {
            rest = after;
            *field = varint(&mut rest)?;
        }
    }
    rest.is_empty().then_some(account)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    decode_varint(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::{Message, Name};

    use super::*;

    fn account() -> impl Strategy<Value = Account> {
        let address = prop::collection::vec(any::<u8>(), 1..=64).prop_map(|bytes| Address::new(bytes).unwrap());
        let number = prop_oneof![Just(0), 1..300u64, any::<u64>()];
        let key = prop::option::of(prop::array::uniform32(any::<u8>()));
        let module = prop::option::of(("[a-z]{1,9}", prop::collection::vec("[a-z]{1,9}", 0..3)));
        (address, key, number.clone(), number, module).prop_map(|(address, key, number, sequence, module)| {
            let pub_key = key.map(|x| PubKey::from(<[u8; 33]>::try_from([&[2][..], &x].concat()).unwrap()));
            Account { address, pub_key, number, sequence, module }
        })
    }

    proptest! {
        /// Both ways write the same bytes and read the same account.
        #[test]
        fn rows_are_those_of_the_general_way(account in account()) {
            let row = account.encode();
            prop_assert_eq!(&row, &Proto(Any::from(&account)).encode());
            prop_assert_eq!(read(&row), account.module.is_none().then(|| account.clone()));
            prop_assert_eq!(Account::decode(&row).unwrap(), account);
        }

        /// What only this way would read, or read otherwise, there is not.
        #[test]
        fn damaged_rows_are_read_as_the_general_way_does(
            account in account(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let row = account.encode();
            let mut damaged = row.clone();
            damaged[at.index(row.len())] = byte;
            for bytes in [&damaged[..], &row[..cut.index(row.len())]] {
                let general = Any::decode(bytes).ok().and_then(|any| Account::try_from(any).ok());
                if let Some(account) = read(bytes) {
                    prop_assert_eq!(Some(account), general);
                }
            }
        }
    }

    #[test]
    fn the_constants_are_what_protobuf_writes() {
        use cosmos_sdk_proto::cosmos::{auth::v1beta1::BaseAccount, crypto::secp256k1};
        assert!(HEAD.windows(32).any(|w| w == BaseAccount::type_url().as_bytes()));
        assert!(KEY.windows(31).any(|w| w == secp256k1::PubKey::type_url().as_bytes()));
    }
}
