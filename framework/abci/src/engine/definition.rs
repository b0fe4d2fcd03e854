//! The application as data: its modules, and in which order each phase calls them.

use std::collections::BTreeSet;

use gantry_core::{BlockCtx, Coins, Module, MsgRoute, Result};
use gantry_store::StoreName;
use gantry_tx::AnteState;

use super::{chain, lanes::Lanes};

/// What the engine runs. Built once, in one readable place of the application.
pub struct Definition {
    /// Name of the software, in `Info`.
    pub name: &'static str,
    /// Version of the software, in `Info` and `/app/version`.
    pub version: &'static str,
    /// The modules, in any order.
    pub modules: Vec<Box<dyn Module>>,
    /// The order of each phase.
    pub order: Order,
    /// Messages that belong to no module.
    pub messages: Vec<fn() -> MsgRoute>,
    /// Accounts and fees, for the ante.
    pub ante: Box<dyn AnteState>,
    /// What a block serves first.
    pub lanes: Lanes,
    /// First step of the end of a block: the fees that its transactions paid go to their account.
    pub credit_fees: fn(&mut BlockCtx<'_>, &Coins) -> Result<()>,
}

/// Names of modules in the order in which a phase calls them. Each list names each module once.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Genesis.
    pub init_genesis: &'static [&'static str],
    /// Before the transactions of a block.
    pub begin_block: &'static [&'static str],
    /// After them.
    pub end_block: &'static [&'static str],
}

impl Definition {
    /// All stores: the modules' and the engine's own, ascending.
    #[must_use]
    pub fn stores(&self) -> Vec<StoreName> {
        let mut stores: BTreeSet<StoreName> = self.modules.iter().filter_map(|m| m.store()).collect();
        stores.insert(chain::STORE);
        stores.into_iter().collect()
    }

    /// Positions in `modules`, in the order of a phase.
    ///
    /// # Panics
    /// At start-up, when the list does not name each module exactly once.
    pub(crate) fn positions(&self, phase: &str, names: &[&str]) -> Vec<usize> {
        let positions: Vec<usize> = names
            .iter()
            .map(|name| {
                self.modules
                    .iter()
                    .position(|module| module.name() == *name)
                    .unwrap_or_else(|| panic!("{phase} names {name}, which is no module"))
            })
            .collect();
        let distinct: BTreeSet<usize> = positions.iter().copied().collect();
        assert!(
            distinct.len() == positions.len() && positions.len() == self.modules.len(),
            "{phase} must name each module exactly once"
        );
        positions
    }
}

impl std::fmt::Debug for Definition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Definition")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("order", &self.order)
            .finish_non_exhaustive()
    }
}
