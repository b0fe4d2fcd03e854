//! One file per message.

mod multi_send;
mod send;

pub use multi_send::MultiSend;
pub use send::Send;
