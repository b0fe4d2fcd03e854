//! What became of a transaction.

use cosmos_sdk_proto::tendermint::v0_38::abci::ExecTxResult;
use gantry_core::{Coins, Event, Result, UserError};

/// The result of a transaction. `code`, `data`, `gas_wanted` and `gas_used` enter the next header, so they are the same
/// on all nodes; `log` does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxResult {
    /// 0 for success.
    pub code: u32,
    /// Where the code is defined; empty on success.
    pub codespace: &'static str,
    /// Why it failed; empty on success, because clients parse anything else.
    pub log: String,
    /// `TxMsgData` with a response for each message.
    pub data: Vec<u8>,
    /// The gas limit; `u64::MAX` in a simulation, as in the SDK.
    pub gas_wanted: u64,
    /// Gas used; over the limit by the step that ran out of it.
    pub gas_used: u64,
    /// Those of the ante, which stay when the messages fail, then those of the messages.
    pub events: Vec<Event>,
    /// The fee that was taken and must be credited at the end of the block.
    pub fee_collected: Coins,
}

impl TxResult {
    /// Whether the messages took effect.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.code == 0
    }

    /// Adds the fee that was taken to a block's sum.
    pub fn add_fee_to(&self, sum: &mut Coins) -> Result<()> {
        self.fee_collected.iter().try_for_each(|coin| sum.add(&coin))
    }

    /// The ABCI form.
    #[must_use]
    pub fn into_abci(self) -> ExecTxResult {
        let gas = |gas| i64::try_from(gas).unwrap_or(i64::MAX);
        ExecTxResult {
            code: self.code,
            codespace: self.codespace.to_owned(),
            log: self.log,
            data: self.data.into(),
            gas_wanted: gas(self.gas_wanted),
            gas_used: gas(self.gas_used),
            events: self.events.into_iter().map(Event::into_abci).collect(),
            info: String::new(),
        }
    }

    pub(crate) fn fail(&mut self, error: UserError) {
        self.code = error.code;
        self.codespace = error.codespace;
        self.log = error.log;
    }
}
