//! The home folder, laid out as the SDK does.

use std::{
    env,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use fs4::fs_std::FileExt;
use gantry_abci::server::{Address, MAX_SOCKET_PATH_BYTES};

/// The folder of a node. Making one touches nothing; [`Home::create`] makes its folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home(PathBuf);

/// The lock on a home, held while a node runs. Released when dropped, also by kill -9.
#[derive(Debug)]
pub struct HomeLock(#[expect(dead_code, reason = "held for its lock")] File);

impl Home {
    /// The home at a path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// `~/.gantry`.
    ///
    /// # Errors
    /// When `$HOME` is not set.
    pub fn standard() -> Result<Self> {
        let user = env::var_os("HOME").context("HOME is not set; give --home")?;
        Ok(Self(Path::new(&user).join(".gantry")))
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// `config/`
    #[must_use]
    pub fn config_dir(&self) -> PathBuf {
        self.0.join("config")
    }

    /// `data/`
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.0.join("data")
    }

    /// CometBFT's configuration.
    #[must_use]
    pub fn config_toml(&self) -> PathBuf {
        self.config_dir().join("config.toml")
    }

    /// The application's configuration.
    #[must_use]
    pub fn app_toml(&self) -> PathBuf {
        self.config_dir().join("app.toml")
    }

    /// The CLI's configuration.
    #[must_use]
    pub fn client_toml(&self) -> PathBuf {
        self.config_dir().join("client.toml")
    }

    /// Genesis.
    #[must_use]
    pub fn genesis(&self) -> PathBuf {
        self.config_dir().join("genesis.json")
    }

    /// The node's key on the peer-to-peer network.
    #[must_use]
    pub fn node_key(&self) -> PathBuf {
        self.config_dir().join("node_key.json")
    }

    /// The validator's signing key.
    #[must_use]
    pub fn priv_validator_key(&self) -> PathBuf {
        self.config_dir().join("priv_validator_key.json")
    }

    /// What the validator signed last.
    #[must_use]
    pub fn priv_validator_state(&self) -> PathBuf {
        self.data_dir().join("priv_validator_state.json")
    }

    /// The application's database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.data_dir().join("application.db")
    }

    /// State-sync snapshots.
    #[must_use]
    pub fn snapshots(&self) -> PathBuf {
        self.data_dir().join("snapshots")
    }

    /// Makes `config/` and `data/`.
    ///
    /// # Errors
    /// When a folder cannot be made.
    pub fn create(&self) -> Result<()> {
        for folder in [self.config_dir(), self.data_dir()] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(&folder)
                .with_context(|| format!("creating {}", folder.display()))?;
        }
        Ok(())
    }

    /// Where the ABCI socket lies: in the home, or, where that path is too long for a socket, in a private folder of the
    /// system's temporary one, named after the home.
    ///
    /// # Errors
    /// When that folder cannot be made or belongs to somebody else.
    pub fn abci_socket(&self) -> Result<Address> {
        let home = self.0.canonicalize().with_context(|| format!("{} cannot be read", self.0.display()))?;
        let socket = home.join("data/abci.sock");
        if socket.as_os_str().len() <= MAX_SOCKET_PATH_BYTES {
            return Ok(Address::Unix(socket));
        }
        let mut hasher = DefaultHasher::new();
        home.hash(&mut hasher);
        let folder = env::temp_dir().join(format!("gantry-{:016x}", hasher.finish()));
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let meta = fs::symlink_metadata(&folder)?;
                // SAFETY: cannot fail and touches no memory.
                let user = unsafe { libc::geteuid() };
                let ours = meta.is_dir() && meta.uid() == user && meta.mode() & 0o077 == 0;
                if !ours {
                    bail!("{} exists and is not a private folder of this user", folder.display());
                }
            }
            made => made.with_context(|| format!("creating {}", folder.display()))?,
        }
        Ok(Address::Unix(folder.join("abci.sock")))
    }

    /// Takes the lock on the home, waiting for a node that is on its way out.
    ///
    /// # Errors
    /// When it is still held after `patience`.
    #[expect(clippy::disallowed_methods, reason = "a lock that another process frees can only be tried again")]
    pub fn lock(&self, patience: Duration) -> Result<HomeLock> {
        let path = self.data_dir().join("gantryd.lock");
        let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        let deadline = Instant::now() + patience;
        while !FileExt::try_lock_exclusive(&file).with_context(|| format!("locking {}", path.display()))? {
            if Instant::now() >= deadline {
                bail!("another gantryd runs in {}", self.0.display());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(HomeLock(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_too_deep_for_a_socket_gets_one_elsewhere() {
        let root = tempfile::tempdir().unwrap();
        let near = Home::new(root.path());
        near.create().unwrap();
        assert_eq!(
            near.abci_socket().unwrap(),
            Address::Unix(root.path().canonicalize().unwrap().join("data/abci.sock"))
        );
        let deep = Home::new(root.path().join("d".repeat(120)));
        deep.create().unwrap();
        let Address::Unix(socket) = deep.abci_socket().unwrap() else { panic!("a Unix socket") };
        assert!(socket.as_os_str().len() <= MAX_SOCKET_PATH_BYTES);
        assert_eq!(deep.abci_socket().unwrap(), Address::Unix(socket.clone()), "the same at each start");
        fs::remove_dir(socket.parent().unwrap()).unwrap();
    }

    #[test]
    fn one_node_per_home() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::new(root.path());
        home.create().unwrap();
        let held = home.lock(Duration::ZERO).unwrap();
        assert!(home.lock(Duration::ZERO).is_err());
        drop(held);
        home.lock(Duration::ZERO).unwrap();
    }
}
