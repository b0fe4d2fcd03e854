//! Accounts as the state machine sees them, and the only door from and to their stored form.

use cosmos_sdk_proto::{
    Any,
    cosmos::auth::v1beta1::{BaseAccount, ModuleAccount},
};
use gantry_core::{Address, Error, PubKey, Result, sdk};
use prost::{Message, Name};

/// A module account: its name and what it may do (the SDK's `minter`, `burner`, `staking`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleAccountSpec {
    /// For instance `fee_collector`; its address derives from it.
    pub name: &'static str,
    /// Permissions as the SDK names them.
    pub permissions: &'static [&'static str],
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its address.
    pub address: Address,
    /// Its key, known from its first transaction on.
    pub pub_key: Option<PubKey>,
    /// Unique, given at creation; signatures cover it.
    pub number: u64,
    /// How many transactions it has signed.
    pub sequence: u64,
    /// Name and permissions, where a module owns it.
    pub module: Option<(String, Vec<String>)>,
}

impl Account {
    /// A fresh account without a key.
    #[must_use]
    pub fn new(address: Address, number: u64) -> Self {
        Self { address, pub_key: None, number, sequence: 0, module: None }
    }

    /// The wire form without what only module accounts have.
    #[must_use]
    pub fn to_base(&self) -> BaseAccount {
        BaseAccount {
            address: self.address.to_string(),
            pub_key: self.pub_key.as_ref().map(PubKey::to_any),
            account_number: self.number,
            sequence: self.sequence,
        }
    }

    fn from_base(base: BaseAccount, module: Option<(String, Vec<String>)>) -> Result<Self> {
        Ok(Self {
            address: Address::parse(&base.address)?,
            pub_key: base.pub_key.as_ref().map(PubKey::from_any).transpose()?,
            number: base.account_number,
            sequence: base.sequence,
            module,
        })
    }

    /// Checks what genesis may not contain: a key or a module name that does not give the address.
    pub fn validate(&self) -> Result<()> {
        if self.pub_key.is_some_and(|key| key.address() != self.address) {
            return Err(sdk::invalid_pubkey("account address and pubkey address do not match"));
        }
        match &self.module {
            Some((name, _)) if name.trim().is_empty() => {
                Err(sdk::invalid_request("module account name cannot be blank"))
            }
            Some((name, _)) if Address::module(name) != self.address => Err(sdk::invalid_address(format!(
                "address {} cannot be derived from the module name '{name}'",
                self.address
            ))),
            _ => Ok(()),
        }
    }
}

impl From<&Account> for Any {
    fn from(account: &Account) -> Self {
        let base = account.to_base();
        match &account.module {
            None => Self { type_url: BaseAccount::type_url(), value: base.encode_to_vec() },
            Some((name, permissions)) => Self {
                type_url: ModuleAccount::type_url(),
                value: ModuleAccount { base_account: Some(base), name: name.clone(), permissions: permissions.clone() }
                    .encode_to_vec(),
            },
        }
    }
}

impl TryFrom<Any> for Account {
    type Error = Error;

    fn try_from(any: Any) -> Result<Self> {
        let invalid = |e: prost::DecodeError| sdk::unpack_any(e.to_string());
        if any.type_url == BaseAccount::type_url() {
            return Self::from_base(BaseAccount::decode(&*any.value).map_err(invalid)?, None);
        }
        if any.type_url == ModuleAccount::type_url() {
            let module = ModuleAccount::decode(&*any.value).map_err(invalid)?;
            let base = module
                .base_account
                .ok_or_else(|| sdk::invalid_request("uninitialized ModuleAccount: BaseAccount is nil"))?;
            return Self::from_base(base, Some((module.name, module.permissions)));
        }
        Err(sdk::unpack_any(format!(
            "no concrete type registered for type URL {} against interface *types.AccountI",
            any.type_url
        )))
    }
}
