use std::path::Path;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::seal::KeyFile;
use crate::store::{Store, check_name};
use crate::{ACCOUNT_PREFIX, HdPath, KeyInfo, KeyringError, Mnemonic, PrivateKey, Signature, armor};

/// Fewest characters of a new passphrase, as in the SDK.
pub const MIN_PASSPHRASE_LEN: usize = 8;

/// Where keys are kept: the values of `--keyring-backend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// `<home>/keyring-file/`, sealed with a passphrase (Argon2id, ChaCha20-Poly1305).
    File,
    /// `<home>/keyring-test/`, unencrypted: for tests and local networks only.
    Test,
    /// Nowhere: gone with the process.
    Memory,
}

impl FromStr for Backend {
    type Err = KeyringError;

    fn from_str(name: &str) -> Result<Self, KeyringError> {
        match name {
            "file" => Ok(Self::File),
            "test" => Ok(Self::Test),
            "memory" => Ok(Self::Memory),
            other => Err(KeyringError::UnknownBackend(other.to_owned())),
        }
    }
}

/// What a passphrase is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To open keys that are there.
    Existing,
    /// To seal the first key: ask twice.
    New,
}

/// Asks whoever has it for the passphrase: a terminal, a file, a variable. Called at most once per [`Keyring`], unless
/// the answer was wrong.
pub type AskPassphrase = Box<dyn Fn(Ask) -> std::io::Result<Zeroizing<String>> + Send + Sync>;

/// Named keys under one folder (or in memory). All methods take `&self`; a keyring may be shared between threads.
pub struct Keyring {
    store: Store,
    /// Only the `file` backend has one.
    ask: Option<AskPassphrase>,
    passphrase: Mutex<Option<Zeroizing<String>>>,
    prefix: String,
}

/// An unlocked key with its name and address: what signs many transactions without asking again.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The public half.
    pub info: KeyInfo,
    key: PrivateKey,
}

impl Signer {
    /// A signer from a key that is in no keyring.
    ///
    /// # Errors
    /// When the prefix is no bech32 prefix.
    pub fn new(name: &str, key: PrivateKey, prefix: &str) -> Result<Self, KeyringError> {
        Ok(Self { info: KeyInfo::of(name, &key, prefix)?, key })
    }

    /// Signs SHA-256 of `bytes`: 64 bytes `r || s`, low-S.
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        self.key.sign(bytes)
    }

    /// The compressed public key.
    pub fn public_key(&self) -> &[u8; 33] {
        self.key.public_key()
    }
}

impl Keyring {
    /// Opens the keyring of `backend` under a home folder. Nothing is created before the first key.
    /// `ask` is used by [`Backend::File`] alone.
    pub fn open(backend: Backend, home: &Path, ask: AskPassphrase) -> Self {
        match backend {
            Backend::File => Self::with(Store::Folder(home.join("keyring-file")), Some(ask)),
            Backend::Test => Self::test(home),
            Backend::Memory => Self::memory(),
        }
    }

    /// The unencrypted keyring of a home folder.
    pub fn test(home: &Path) -> Self {
        Self::with(Store::Folder(home.join("keyring-test")), None)
    }

    /// A keyring that is gone with the process.
    pub fn memory() -> Self {
        Self::with(Store::Memory(Mutex::default()), None)
    }

    fn with(store: Store, ask: Option<AskPassphrase>) -> Self {
        Self { store, ask, passphrase: Mutex::default(), prefix: ACCOUNT_PREFIX.to_owned() }
    }

    /// Shows addresses under another bech32 prefix.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// Makes a key from 24 fresh words; they are in the answer's `mnemonic`, and nowhere else afterwards.
    ///
    /// # Errors
    /// As [`Keyring::add`]; when no randomness can be had.
    pub fn create(&self, name: &str, path: HdPath) -> Result<KeyInfo, KeyringError> {
        let mnemonic = Mnemonic::generate()?;
        let mut info = self.recover(name, &mnemonic, path, "")?;
        info.mnemonic = Some(mnemonic.phrase().to_string());
        Ok(info)
    }

    /// Makes a key from known words.
    ///
    /// # Errors
    /// As [`Keyring::add`]; when a number of the path is 2^31 or more.
    pub fn recover(
        &self,
        name: &str,
        words: &Mnemonic,
        path: HdPath,
        bip39_passphrase: &str,
    ) -> Result<KeyInfo, KeyringError> {
        self.add(name, &words.derive(path, bip39_passphrase)?)
    }

    /// Takes in the text of an SDK key export.
    ///
    /// # Errors
    /// As [`Keyring::add`] and [`armor::decrypt`].
    pub fn import_armored(&self, name: &str, text: &str, passphrase: &str) -> Result<KeyInfo, KeyringError> {
        self.add(name, &armor::decrypt(text, passphrase)?)
    }

    /// Takes in a private key of 64 hexadecimal digits (the SDK's `keys import-hex`).
    ///
    /// # Errors
    /// As [`Keyring::add`]; when the text is no private key.
    pub fn import_hex(&self, name: &str, text: &str) -> Result<KeyInfo, KeyringError> {
        let bytes = Zeroizing::new(hex::decode(text.trim()).map_err(|_| KeyringError::InvalidKey("not hexadecimal"))?);
        self.add(name, &PrivateKey::from_bytes(&bytes)?)
    }

    /// Stores a key under a name.
    ///
    /// # Errors
    /// When the name is invalid or taken, the key is there already, or the passphrase is not that of the other keys.
    pub fn add(&self, name: &str, key: &PrivateKey) -> Result<KeyInfo, KeyringError> {
        check_name(name)?;
        let info = KeyInfo::of(name, key, &self.prefix)?;
        let held = self.list()?;
        if held.iter().any(|other| other.name == name) {
            return Err(KeyringError::AlreadyExists(name.to_owned()));
        }
        if let Some(other) = held.iter().find(|other| other.public_key == info.public_key) {
            return Err(KeyringError::DuplicateKey(other.name.clone()));
        }
        let passphrase = match (&self.ask, held.first()) {
            (None, _) => None,
            (Some(_), Some(other)) => {
                // One passphrase for the whole keyring: it must open a key that is there.
                let file = self.store.get(&other.name)?;
                self.open_file(&file)?;
                Some(self.ask_for(Ask::Existing)?)
            }
            (Some(_), None) => Some(self.ask_for(Ask::New)?),
        };
        let file = KeyFile::new(name, key, passphrase.as_ref().map(|p| p.as_str()))
            .map_err(|reason| KeyringError::BadFile { path: name.into(), reason })?;
        self.store.put(&file)?;
        Ok(info)
    }

    /// All keys in the order of their names. Asks for no passphrase.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn list(&self) -> Result<Vec<KeyInfo>, KeyringError> {
        self.store.names()?.iter().map(|name| self.info(&self.store.get(name)?)).collect()
    }

    /// One key, by name or by address. Asks for no passphrase.
    ///
    /// # Errors
    /// [`KeyringError::NotFound`], or when a file cannot be read.
    pub fn show(&self, name_or_address: &str) -> Result<KeyInfo, KeyringError> {
        match self.store.get(name_or_address) {
            Ok(file) => self.info(&file),
            Err(KeyringError::NotFound(_)) => self
                .list()?
                .into_iter()
                .find(|info| info.address == name_or_address)
                .ok_or_else(|| KeyringError::NotFound(name_or_address.to_owned())),
            Err(error) => Err(error),
        }
    }

    /// Unlocks a key, by name or by address.
    ///
    /// # Errors
    /// As [`Keyring::show`]; [`KeyringError::WrongPassphrase`].
    pub fn signer(&self, name_or_address: &str) -> Result<Signer, KeyringError> {
        let info = self.show(name_or_address)?;
        let key = self.open_file(&self.store.get(&info.name)?)?;
        Ok(Signer { info, key })
    }

    /// Signs SHA-256 of `bytes` with one key: 64 bytes `r || s`, low-S. For more than one signature take a
    /// [`Keyring::signer`], because each call derives the sealing key anew.
    ///
    /// # Errors
    /// As [`Keyring::signer`].
    pub fn sign(&self, name_or_address: &str, bytes: &[u8]) -> Result<Signature, KeyringError> {
        Ok(self.signer(name_or_address)?.sign(bytes))
    }

    /// Writes a key in the SDK's armor under a passphrase of its own.
    ///
    /// # Errors
    /// As [`Keyring::signer`]; when the export passphrase is too short.
    pub fn export_armored(&self, name_or_address: &str, passphrase: &str) -> Result<String, KeyringError> {
        check_new_passphrase(passphrase)?;
        armor::encrypt(&self.signer(name_or_address)?.key, passphrase)
    }

    /// Writes a private key in clear, as the SDK's `keys export --unarmored-hex --unsafe`.
    ///
    /// # Errors
    /// As [`Keyring::signer`].
    pub fn export_hex(&self, name_or_address: &str) -> Result<Zeroizing<String>, KeyringError> {
        Ok(Zeroizing::new(hex::encode(self.signer(name_or_address)?.key.expose())))
    }

    /// Forgets a key for good. Asks for no passphrase, because deleting the file needs none either.
    ///
    /// # Errors
    /// As [`Keyring::show`].
    pub fn delete(&self, name_or_address: &str) -> Result<(), KeyringError> {
        self.store.remove(&self.show(name_or_address)?.name)
    }

    fn info(&self, file: &KeyFile) -> Result<KeyInfo, KeyringError> {
        let public_key = file.public_key().map_err(bad(file))?;
        KeyInfo::new(&file.name, public_key, &self.prefix)
    }

    fn open_file(&self, file: &KeyFile) -> Result<PrivateKey, KeyringError> {
        let passphrase = if file.is_sealed() { self.ask_for(Ask::Existing)? } else { Zeroizing::default() };
        let opened = file.open(&passphrase).map_err(bad(file))?;
        if opened.is_none() {
            // So that the next try asks again.
            *self.passphrase.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        opened.ok_or(KeyringError::WrongPassphrase)
    }

    fn ask_for(&self, what: Ask) -> Result<Zeroizing<String>, KeyringError> {
        let mut known = self.passphrase.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(passphrase) = known.as_ref() {
            return Ok(passphrase.clone());
        }
        let ask = self.ask.as_ref().ok_or_else(|| {
            KeyringError::Passphrase(std::io::Error::other(
                "a sealed key in an unencrypted keyring: use --keyring-backend file",
            ))
        })?;
        let passphrase = ask(what).map_err(KeyringError::Passphrase)?;
        if what == Ask::New {
            check_new_passphrase(&passphrase)?;
        }
        *known = Some(passphrase.clone());
        Ok(passphrase)
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

fn check_new_passphrase(passphrase: &str) -> Result<(), KeyringError> {
    if passphrase.chars().count() < MIN_PASSPHRASE_LEN {
        return Err(KeyringError::PassphraseTooShort { min: MIN_PASSPHRASE_LEN });
    }
    Ok(())
}

fn bad(file: &KeyFile) -> impl FnOnce(String) -> KeyringError {
    let path = file.name.clone().into();
    move |reason| KeyringError::BadFile { path, reason }
}
