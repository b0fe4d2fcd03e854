//! Errors with the SDK's codes and texts.

use gantry_core::ModuleError;

/// What only this module can refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BankError {
    /// A multi-send without a payer.
    #[error("no inputs to send transaction")]
    NoInputs,
    /// A multi-send without a recipient.
    #[error("no outputs to send transaction")]
    NoOutputs,
    /// A multi-send that would make or lose coins.
    #[error("sum inputs != sum outputs")]
    InputOutputMismatch,
    /// A denom that may not be sent.
    #[error("{0} transfers are currently disabled: send transactions are disabled")]
    SendDisabled(String),
    /// A multi-send with several payers.
    #[error("multiple senders not allowed")]
    MultipleSenders,
}

impl ModuleError for BankError {
    const CODESPACE: &'static str = "bank";

    fn code(&self) -> u32 {
        match self {
            Self::NoInputs => 2,
            Self::NoOutputs => 3,
            Self::InputOutputMismatch => 4,
            Self::SendDisabled(_) => 5,
            Self::MultipleSenders => 9,
        }
    }
}
