use std::fmt;

use bip32::{ChildNumber, XPrv};
use rand::TryRngCore;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use crate::{KeyringError, PrivateKey};

/// SLIP-44 coin type of the Cosmos Hub, which Gantry shares so that wallets need no set-up.
pub const COIN_TYPE: u32 = 118;

/// Where below the seed a key lies: `m/44'/coin_type'/account'/0/index` (BIP-44).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HdPath {
    /// SLIP-44 coin type.
    pub coin_type: u32,
    /// Account.
    pub account: u32,
    /// Address index.
    pub index: u32,
}

impl Default for HdPath {
    fn default() -> Self {
        Self { coin_type: COIN_TYPE, account: 0, index: 0 }
    }
}

impl fmt::Display for HdPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m/44'/{}'/{}'/0/{}", self.coin_type, self.account, self.index)
    }
}

impl HdPath {
    fn children(&self) -> Result<[ChildNumber; 5], KeyringError> {
        let child = |number, hardened| {
            ChildNumber::new(number, hardened)
                .map_err(|_| KeyringError::InvalidPath(format!("{self}: {number} is 2^31 or more")))
        };
        Ok([
            child(44, true)?,
            child(self.coin_type, true)?,
            child(self.account, true)?,
            child(0, false)?,
            child(self.index, false)?,
        ])
    }
}

/// BIP-39 words in English, wiped on drop. `Debug` does not show them; [`Mnemonic::phrase`] does.
pub struct Mnemonic(bip39::Mnemonic);

impl Mnemonic {
    /// 24 fresh words: 256 bits from the operating system.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn generate() -> Result<Self, KeyringError> {
        let mut entropy = Zeroizing::new([0u8; 32]);
        OsRng
            .try_fill_bytes(entropy.as_mut_slice())
            .map_err(|e| KeyringError::InvalidMnemonic(format!("no randomness: {e}")))?;
        let words = bip39::Mnemonic::from_entropy(entropy.as_slice()).expect("256 bits are a length BIP-39 has");
        Ok(Self(words))
    }

    /// Reads 12 to 24 words, separated by any white space, and checks their checksum.
    ///
    /// # Errors
    /// When they are no English BIP-39 mnemonic. The text names no word, so that it may be logged.
    pub fn parse(words: &str) -> Result<Self, KeyringError> {
        let lowered = Zeroizing::new(words.to_lowercase());
        bip39::Mnemonic::parse_in(bip39::Language::English, lowered.as_str())
            .map(Self)
            .map_err(|error| KeyringError::InvalidMnemonic(error.to_string()))
    }

    /// The words, separated by one space.
    pub fn phrase(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.to_string())
    }

    /// Derives the key at `path`, with a BIP-39 passphrase (the SDK's `--bip39-passphrase`, mostly empty).
    ///
    /// # Errors
    /// When a number of the path is 2^31 or more.
    pub fn derive(&self, path: HdPath, bip39_passphrase: &str) -> Result<PrivateKey, KeyringError> {
        let children = path.children()?;
        let seed = Zeroizing::new(self.0.to_seed(bip39_passphrase));
        let invalid = |_| KeyringError::InvalidPath(path.to_string());
        let mut key = XPrv::new(seed.as_slice()).map_err(invalid)?;
        for child in children {
            key = key.derive_child(child).map_err(invalid)?;
        }
        let bytes = Zeroizing::new(key.to_bytes());
        PrivateKey::from_bytes(bytes.as_slice())
    }
}

impl fmt::Debug for Mnemonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mnemonic").finish_non_exhaustive()
    }
}
