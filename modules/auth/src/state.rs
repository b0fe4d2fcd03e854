//! Every key of the store. See the README for the table.

use cosmos_sdk_proto::cosmos::auth::v1beta1::Params;
use gantry_core::Address;
use gantry_store::{IndexedMap, Item, Proto, Sequence, StoreName, UniqueIndex, index_list, prefixes};

use crate::types::Account;

/// Store of this module; the SDK's name, because clients prove rows under it.
pub const STORE: StoreName = StoreName::new("acc");

prefixes! {
    PARAMS_KEY = b"\x00";
    ACCOUNT = b"\x01";
    NEXT_NUMBER = b"\x02";
    ADDRESS_BY_NUMBER = b"accountNumber";
}

/// Parameters.
pub(crate) const PARAMS: Item<Proto<Params>> = Item::new(STORE, PARAMS_KEY);

/// The next account number.
pub(crate) const NUMBERS: Sequence = Sequence::new(STORE, NEXT_NUMBER, 0);

index_list! {
    /// Ways to find an account.
    pub(crate) struct AccountIndexes for Address => Account {
        /// By number.
        pub(crate) number: UniqueIndex<u64, Address, Account>,
    }
}

/// Accounts by address.
pub(crate) const ACCOUNTS: IndexedMap<Address, Account, AccountIndexes> = IndexedMap::new(
    STORE,
    ACCOUNT,
    AccountIndexes { number: UniqueIndex::new(STORE, ADDRESS_BY_NUMBER, |_, account| Some(account.number)) },
);
