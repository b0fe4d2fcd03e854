use std::path::PathBuf;

/// Why a keyring refused. Texts follow the Cosmos SDK's where tools may read them, and never hold key material.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// A name that cannot be a file name of ours: 1 to 64 of `A-Z a-z 0-9 . _ -`, the first a letter or digit.
    #[error("invalid key name {0:?}: use 1 to 64 letters, digits, '.', '_' or '-', starting with a letter or digit")]
    InvalidName(String),
    /// No key has this name or address.
    #[error("{0}.info: key not found")]
    NotFound(String),
    /// The name is taken; nothing was overwritten.
    #[error("key {0:?} already exists")]
    AlreadyExists(String),
    /// The same key is in the keyring under another name.
    #[error("the key is already in the keyring under the name {0:?}")]
    DuplicateKey(String),
    /// The passphrase does not open the key (or the file was altered: the two cannot be told apart).
    #[error("invalid account password: wrong passphrase, or a damaged key")]
    WrongPassphrase,
    /// A new passphrase is too short.
    #[error("password must be at least {min} characters")]
    PassphraseTooShort {
        /// Fewest characters taken.
        min: usize,
    },
    /// The passphrase could not be asked for.
    #[error("cannot read the passphrase: {0}")]
    Passphrase(std::io::Error),
    /// The words are no BIP-39 mnemonic.
    #[error("invalid mnemonic: {0}")]
    InvalidMnemonic(String),
    /// A part of the derivation path is 2^31 or more.
    #[error("invalid derivation path: {0}")]
    InvalidPath(String),
    /// Bytes that are no secp256k1 private key.
    #[error("invalid private key: {0}")]
    InvalidKey(&'static str),
    /// Text that is no armored private key, or one this crate does not read.
    #[error("invalid armored key: {0}")]
    InvalidArmor(String),
    /// A name that is no backend of ours.
    #[error("unknown keyring backend {0:?}: use file, test or memory")]
    UnknownBackend(String),
    /// A bech32 prefix that cannot be encoded.
    #[error("invalid address prefix {0:?}")]
    InvalidPrefix(String),
    /// A key file that cannot be read as one.
    #[error("{}: not a key file: {reason}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
