//! Where key files lie: a folder, or memory.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rand::TryRngCore;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use crate::KeyringError;
use crate::seal::KeyFile;

const SUFFIX: &str = ".key.json";
/// A key file is under 1 KiB.
const MAX_FILE: u64 = 64 * 1024;

pub(crate) enum Store {
    Folder(PathBuf),
    Memory(Mutex<BTreeMap<String, Zeroizing<Vec<u8>>>>),
}

impl Store {
    /// The names held, in ascending order.
    pub(crate) fn names(&self) -> Result<Vec<String>, KeyringError> {
        let folder = match self {
            Self::Memory(keys) => {
                return Ok(keys.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect());
            }
            Self::Folder(folder) => folder,
        };
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io(folder)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(io(folder))?.file_name();
            // Temporary and foreign files fail one of the two tests.
            names.extend(
                file.to_str().and_then(|f| f.strip_suffix(SUFFIX)).filter(|name| is_name(name)).map(str::to_owned),
            );
        }
        names.sort();
        Ok(names)
    }

    /// Reads one key file.
    pub(crate) fn get(&self, name: &str) -> Result<KeyFile, KeyringError> {
        check_name(name)?;
        let missing = || KeyringError::NotFound(name.to_owned());
        let (text, path) = match self {
            Self::Memory(keys) => {
                let keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
                (keys.get(name).ok_or_else(missing)?.clone(), PathBuf::from(name))
            }
            Self::Folder(folder) => {
                let path = file_of(folder, name);
                let file = match File::open(&path) {
                    Ok(file) => file,
                    Err(error) if error.kind() == ErrorKind::NotFound => return Err(missing()),
                    Err(error) => return Err(io(&path)(error)),
                };
                let mut text = Zeroizing::new(Vec::new());
                file.take(MAX_FILE).read_to_end(&mut text).map_err(io(&path))?;
                (text, path)
            }
        };
        let bad = |reason| KeyringError::BadFile { path: path.clone(), reason };
        let file = KeyFile::parse(&text).map_err(bad)?;
        if file.name != name {
            return Err(bad(format!("it holds the key {:?}; a file moved by hand?", file.name)));
        }
        Ok(file)
    }

    /// Stores a new key file: whole or not at all, and never over another.
    pub(crate) fn put(&self, file: &KeyFile) -> Result<(), KeyringError> {
        check_name(&file.name)?;
        let taken = || KeyringError::AlreadyExists(file.name.clone());
        match self {
            Self::Memory(keys) => match keys.lock().unwrap_or_else(PoisonError::into_inner).entry(file.name.clone()) {
                std::collections::btree_map::Entry::Occupied(_) => Err(taken()),
                std::collections::btree_map::Entry::Vacant(slot) => {
                    slot.insert(file.to_text());
                    Ok(())
                }
            },
            Self::Folder(folder) => {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io(folder))?;
                let path = file_of(folder, &file.name);
                let temporary = temporary_of(folder)?;
                let written = write_private(&temporary, &file.to_text());
                // A link, unlike a rename, fails when the name is taken.
                let linked = written.and_then(|()| match fs::hard_link(&temporary, &path) {
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(taken()),
                    other => other.map_err(io(&path)),
                });
                let removed = fs::remove_file(&temporary).map_err(io(&temporary));
                linked.and(removed)?;
                sync(folder)
            }
        }
    }

    /// Removes a key file for good.
    pub(crate) fn remove(&self, name: &str) -> Result<(), KeyringError> {
        check_name(name)?;
        let missing = || KeyringError::NotFound(name.to_owned());
        match self {
            Self::Memory(keys) => {
                keys.lock().unwrap_or_else(PoisonError::into_inner).remove(name).map(drop).ok_or_else(missing)
            }
            Self::Folder(folder) => {
                let path = file_of(folder, name);
                match fs::remove_file(&path) {
                    Ok(()) => sync(folder),
                    Err(error) if error.kind() == ErrorKind::NotFound => Err(missing()),
                    Err(error) => Err(io(&path)(error)),
                }
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 64
        && bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// A name becomes a file name: no separators, no leading dot, nothing a shell or YAML would take for something else.
pub(crate) fn check_name(name: &str) -> Result<(), KeyringError> {
    if is_name(name) { Ok(()) } else { Err(KeyringError::InvalidName(name.chars().take(80).collect())) }
}

fn file_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}{SUFFIX}"))
}

fn temporary_of(folder: &Path) -> Result<PathBuf, KeyringError> {
    let mut unique = [0u8; 8];
    OsRng.try_fill_bytes(&mut unique).map_err(|error| io(folder)(std::io::Error::other(error)))?;
    Ok(folder.join(format!(".{}.tmp", hex::encode(unique))))
}

fn write_private(path: &Path, text: &[u8]) -> Result<(), KeyringError> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io(path))?;
    file.write_all(text).and_then(|()| file.sync_all()).map_err(io(path))
}

fn sync(folder: &Path) -> Result<(), KeyringError> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(io(folder))
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> KeyringError {
    let path = path.to_owned();
    move |source| KeyringError::Io { path, source }
}
