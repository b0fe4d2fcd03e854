//! The wiring: which modules there are, which accounts they own, and in which order each phase calls them.

use anyhow::{Context, Result, ensure};
use gantry_abci::{Definition, Order};
use gantry_auth::{Auth, ModuleAccountSpec};
use gantry_bank::Bank;
use gantry_core::Module;
use gantry_escrow::EscrowModule;
use gantry_job::{JobModule, MatchingModule};
use gantry_provider::ProviderModule;
use gantry_reputation::ReputationModule;
use gantry_verifier::VerifierModule;
use serde_json::{Map, Value};

use crate::{ante_state::Accounts, lanes::LANES};

/// Name of the software.
pub const NAME: &str = "gantryd";
/// Its version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The SDK whose client surface this is.
pub const COSMOS_SDK_VERSION: &str = "v0.50.13";
/// What clients may take this chain for, in the paths and versions that relayers look for.
pub const COMPATIBLE_WITH: &[(&str, &str)] = &[
    ("github.com/cometbft/cometbft", "v0.38.26"),
    ("github.com/cosmos/cosmos-sdk", COSMOS_SDK_VERSION),
    ("github.com/cosmos/ibc-go/v8", "v8.7.0"),
];

/// Accounts that modules own. Nobody can send coins to them.
const MODULE_ACCOUNTS: &[ModuleAccountSpec] = &[
    ModuleAccountSpec { name: gantry_bank::FEE_COLLECTOR, permissions: &[] },
    ModuleAccountSpec { name: gantry_escrow::ACCOUNT, permissions: &[] },
    ModuleAccountSpec { name: gantry_escrow::FEE_ACCOUNT, permissions: &[] },
    ModuleAccountSpec { name: gantry_provider::keeper::ACCOUNT, permissions: &[] },
    ModuleAccountSpec { name: gantry_provider::keeper::SLASH_ACCOUNT, permissions: &[] },
];

const ORDER: Order = Order {
    // Accounts before coins, coins before those who hold them, providers and escrows before jobs, jobs before verdicts.
    init_genesis: &["auth", "bank", "reputation", "provider", "escrow", "job", "verifier", "matching"],
    // The clock, then draws, before any transaction that could know their seed.
    begin_block: &["job", "verifier", "matching", "provider", "escrow", "reputation", "bank", "auth"],
    // Due work, then the verdicts that it leaves, then what providers take out.
    end_block: &["job", "verifier", "matching", "provider", "escrow", "reputation", "bank", "auth"],
};

/// The modules of Gantry.
#[derive(Clone, Copy, Debug)]
pub struct Modules {
    auth: Auth,
    bank: Bank,
    reputation: ReputationModule,
    provider: ProviderModule,
    escrow: EscrowModule,
    job: JobModule,
    verifier: VerifierModule,
    matching: MatchingModule,
}

impl Modules {
    /// All modules.
    #[must_use]
    pub fn new() -> Self {
        Self {
            auth: Auth { module_accounts: MODULE_ACCOUNTS },
            bank: Bank,
            reputation: ReputationModule,
            provider: ProviderModule,
            escrow: EscrowModule,
            job: JobModule,
            verifier: VerifierModule,
            matching: MatchingModule,
        }
    }

    fn list(self) -> Vec<Box<dyn Module>> {
        let Self { auth, bank, reputation, provider, escrow, job, verifier, matching } = self;
        vec![
            Box::new(auth),
            Box::new(bank),
            Box::new(reputation),
            Box::new(provider),
            Box::new(escrow),
            Box::new(job),
            Box::new(verifier),
            Box::new(matching),
        ]
    }
}

impl Default for Modules {
    fn default() -> Self {
        Self::new()
    }
}

/// The application: modules, their order, accounts and fees.
#[must_use]
pub fn definition() -> Definition {
    Definition {
        name: NAME,
        version: VERSION,
        modules: Modules::new().list(),
        order: ORDER,
        #[cfg(not(feature = "test-panic"))]
        messages: Vec::new(),
        #[cfg(feature = "test-panic")]
        messages: vec![crate::test_panic::route],
        ante: Box::new(Accounts),
        lanes: LANES,
        credit_fees: |ctx, fees| gantry_bank::keeper::credit_fees(ctx, fees),
    }
}

/// `app_state` of a fresh chain. Modules without state have no section.
///
/// # Errors
/// Never for the modules that are wired here.
pub fn default_genesis() -> Result<Value> {
    let modules = Modules::new().list();
    let sections = modules.iter().filter(|module| module.store().is_some());
    Ok(Value::Object(sections.map(|module| (module.name().to_owned(), module.default_genesis())).collect()))
}

/// Checks `app_state` without a chain: each section by its module, none missing, none unknown.
///
/// # Errors
/// What is wrong, with the section's name.
pub fn validate_genesis(app_state: &Value) -> Result<()> {
    let empty = Map::new();
    let sections = app_state.as_object().unwrap_or(&empty);
    ensure!(app_state.is_object(), "app_state is not an object");
    let modules = Modules::new().list();
    for name in sections.keys() {
        ensure!(modules.iter().any(|module| module.name() == name), "app_state.{name} belongs to no module");
    }
    for module in modules.iter().filter(|module| module.store().is_some()) {
        let name = module.name();
        let section = sections.get(name).with_context(|| format!("app_state.{name} is missing"))?;
        module.validate_genesis(section).with_context(|| format!("app_state.{name}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_abci::{Engine, Options};
    use gantry_store::Store;

    #[test]
    fn each_phase_names_each_module_once_and_no_two_handlers_share_a_route() {
        let definition = definition();
        let store = Store::temporary(&definition.stores()).unwrap();
        // Panics where the wiring is wrong.
        let engine = Engine::new(definition, store, Options::default()).unwrap();
        drop(gantry_abci::Queries::new(engine, []));
    }

    #[test]
    fn the_default_genesis_is_valid_and_a_damaged_one_is_not() {
        let genesis = default_genesis().unwrap();
        validate_genesis(&genesis).unwrap();
        let mut missing = genesis.clone();
        missing.as_object_mut().unwrap().remove("bank");
        assert!(validate_genesis(&missing).unwrap_err().to_string().contains("app_state.bank"));
        let mut unknown = genesis;
        unknown["typo"] = Value::Null;
        assert!(validate_genesis(&unknown).unwrap_err().to_string().contains("typo"));
        assert!(validate_genesis(&Value::Null).is_err());
    }
}
