//! Keys of people, providers and workers: made, kept, shown, moved, and used to sign transactions.
//!
//! - [`Keyring`]: named keys in one of three places ([`Backend`]): an encrypted folder, a plain folder for tests, memory.
//! - [`Mnemonic`], [`HdPath`]: BIP-39 words and the BIP-32 path `m/44'/118'/0'/0/0` to a secp256k1 key.
//! - [`armor`]: the Cosmos SDK's armored private key, so that keys move between `simd keys export` and here.
//! - [`TxBuilder`]: messages, fee and limits into `TxRaw` bytes under `SIGN_MODE_DIRECT`.
//!
//! Private keys are wiped when dropped, and no `Debug` or error text prints one. The crate reads no terminal: whoever
//! opens an encrypted keyring passes a function that asks for the passphrase, called once and only when it is needed.

pub mod armor;

mod address;
mod error;
mod info;
mod key;
mod keyring;
mod mnemonic;
mod seal;
mod store;
mod tx;

pub use address::{ACCOUNT_PREFIX, ADDRESS_LEN, address_of, encode_address};
pub use error::KeyringError;
pub use info::KeyInfo;
pub use key::{PrivateKey, Signature};
pub use keyring::{Ask, AskPassphrase, Backend, Keyring, MIN_PASSPHRASE_LEN, Signer};
pub use mnemonic::{COIN_TYPE, HdPath, Mnemonic};
pub use tx::{SignerData, TxBuilder, sign_direct};
