//! The module itself: `app_state.bank` in the SDK's shape, and what it serves.

use std::collections::{BTreeMap, BTreeSet};

use cosmos_sdk_proto::cosmos::bank::v1beta1::{Balance, GenesisState, Metadata, Params, SendEnabled};
use gantry_core::{
    Address, Coin, Coins, InitCtx, Invariant, Module, MsgRoute, QueryCtx, QueryRoute, Result, genesis_from_json,
    genesis_to_json, sdk, validate_denom,
};
use gantry_store::{Order, Proto, StoreName};
use serde_json::Value;

use crate::{
    handler::{MultiSend, Send},
    invariants::supply_is_sum_of_balances,
    keeper, metadata, query,
    state::{DEFAULT_SEND_ENABLED, Flag, METADATA, SEND_ENABLED, STORE, SUPPLY, balances},
};

const NAME: &str = "bank";

/// The module. Recipients that it blocks are the accounts that modules own (see `gantry_auth`).
#[derive(Clone, Copy, Debug)]
pub struct Bank;

/// A genesis state that holds.
struct Genesis {
    default_send_enabled: bool,
    send_enabled: BTreeMap<String, bool>,
    balances: BTreeMap<Address, Coins>,
    supply: Coins,
    metadata: Vec<Metadata>,
}

impl Genesis {
    fn parse(state: &Value) -> Result<Self> {
        let genesis: GenesisState = genesis_from_json(NAME, state)?;
        let invalid = |text: String| sdk::invalid_request(format!("app_state.bank: {text}"));
        let params = genesis.params.ok_or_else(|| invalid("params are missing".to_owned()))?;

        let mut send_enabled = BTreeMap::new();
        // An old genesis carries the entries in the parameters; both at once are refused, as in the SDK.
        #[expect(deprecated, reason = "the SDK reads it, too")]
        let old = params.send_enabled;
        if !old.is_empty() && !genesis.send_enabled.is_empty() {
            return Err(invalid(
                "send_enabled defined in both the send_enabled field and in params (deprecated)".to_owned(),
            ));
        }
        for entry in old.into_iter().chain(genesis.send_enabled) {
            validate_denom(&entry.denom)?;
            if send_enabled.insert(entry.denom.clone(), entry.enabled).is_some() {
                return Err(invalid(format!("duplicate send enabled found: '{}'", entry.denom)));
            }
        }

        let mut balances = BTreeMap::new();
        let mut sum = Coins::new();
        for balance in genesis.balances {
            let coins = Coins::from_proto(&balance.coins).map_err(|e| e.context(&balance.address))?;
            coins.iter().try_for_each(|coin| sum.add(&coin))?;
            if balances.insert(Address::parse(&balance.address)?, coins).is_some() {
                return Err(invalid(format!("duplicate balance for address {}", balance.address)));
            }
        }
        let supply = Coins::from_proto(&genesis.supply).map_err(|e| e.context("app_state.bank.supply"))?;
        if !supply.is_empty() && supply != sum {
            return Err(invalid(format!("genesis supply is incorrect, expected {supply}, got {sum}")));
        }

        let mut described = BTreeSet::new();
        for metadata in &genesis.denom_metadata {
            metadata::validate(metadata)?;
            if !described.insert(&metadata.base) {
                return Err(invalid(format!("duplicate client metadata for denom {}", metadata.base)));
            }
        }
        Ok(Self {
            default_send_enabled: params.default_send_enabled,
            send_enabled,
            balances,
            supply: sum,
            metadata: genesis.denom_metadata,
        })
    }
}

fn params(default_send_enabled: bool) -> Params {
    Params { default_send_enabled, ..Params::default() }
}

impl Module for Bank {
    fn name(&self) -> &'static str {
        NAME
    }

    fn store(&self) -> Option<StoreName> {
        Some(STORE)
    }

    fn default_genesis(&self) -> Value {
        let genesis = GenesisState {
            params: Some(params(true)),
            denom_metadata: vec![metadata::base()],
            ..GenesisState::default()
        };
        genesis_to_json(&genesis).expect("the default has no Any that could be unknown")
    }

    fn validate_genesis(&self, state: &Value) -> Result<()> {
        Genesis::parse(state).map(drop)
    }

    fn init_genesis(&self, ctx: &mut InitCtx<'_>, state: &Value) -> Result<()> {
        let genesis = Genesis::parse(state)?;
        DEFAULT_SEND_ENABLED.set(ctx, &Flag(genesis.default_send_enabled))?;
        for (denom, enabled) in genesis.send_enabled {
            SEND_ENABLED.set(ctx, denom, &Flag(enabled))?;
        }
        for (address, coins) in &genesis.balances {
            keeper::add(ctx, address, coins)?;
        }
        for coin in genesis.supply.iter() {
            keeper::set_supply(ctx, &coin)?;
        }
        for metadata in genesis.metadata {
            METADATA.set(ctx, metadata.base.clone(), &Proto(metadata))?;
        }
        Ok(())
    }

    fn export_genesis(&self, ctx: &QueryCtx<'_>) -> Result<Value> {
        let mut by_address: BTreeMap<Address, Coins> = BTreeMap::new();
        for row in balances().iter(ctx, Order::Ascending)? {
            let ((address, denom), amount) = row?;
            by_address.entry(address).or_default().add(&Coin::new(denom, amount.0)?)?;
        }
        let mut supply = Coins::new();
        for row in SUPPLY.iter(ctx, Order::Ascending)? {
            let (denom, amount) = row?;
            supply.add(&Coin::new(denom, amount.0)?)?;
        }
        let mut genesis = GenesisState {
            params: Some(params(keeper::default_send_enabled(ctx)?)),
            supply: supply.to_proto(),
            ..GenesisState::default()
        };
        for (address, coins) in by_address {
            genesis.balances.push(Balance { address: address.to_string(), coins: coins.to_proto() });
        }
        for row in METADATA.iter(ctx, Order::Ascending)? {
            genesis.denom_metadata.push(row?.1.0);
        }
        for row in SEND_ENABLED.iter(ctx, Order::Ascending)? {
            let (denom, enabled) = row?;
            genesis.send_enabled.push(SendEnabled { denom, enabled: enabled.0 });
        }
        genesis_to_json(&genesis)
    }

    fn messages(&self) -> Vec<MsgRoute> {
        vec![MsgRoute::of::<Send>(NAME), MsgRoute::of::<MultiSend>(NAME)]
    }

    fn queries(&self) -> Vec<QueryRoute> {
        query::routes()
    }

    fn invariants(&self) -> Vec<Invariant> {
        vec![Invariant { name: "bank/supply", every_block: false, check: supply_is_sum_of_balances }]
    }
}
