//! Logs of runs: a file per assignment, readable by offset while it grows.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use gantry_proto::digest::{CHUNK_BYTES, Hash, merkle_root_rfc6962};
use tokio::sync::watch;

use crate::{
    Key,
    executor::{LogSink, Stream},
};

/// How long a log is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Bytes written.
    pub(crate) len: u64,
    /// Nothing more will come.
    pub(crate) ended: bool,
}

/// The logs of a worker.
#[derive(Clone, Debug)]
pub(crate) struct Logs {
    dir: PathBuf,
    open: Arc<Mutex<BTreeMap<Key, watch::Sender<Extent>>>>,
}

impl Logs {
    /// Logs in a folder, created if need be.
    pub(crate) fn new(dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        Ok(Self { dir, open: Arc::default() })
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<Key, watch::Sender<Extent>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, key: Key) -> PathBuf {
        self.dir.join(format!("{}.log", key.slug()))
    }

    /// A log is expected: who follows it waits.
    pub(crate) fn expect(&self, key: Key) {
        self.open().entry(key).or_insert_with(|| watch::Sender::new(Extent::default()));
    }

    /// Starts a log from nothing: a run that was cut off is run again, and gives the same bytes.
    pub(crate) fn start(&self, key: Key) -> io::Result<Arc<LogFile>> {
        let file = File::create(self.path(key))?;
        let extent = self.open().entry(key).or_insert_with(|| watch::Sender::new(Extent::default())).clone();
        extent.send_replace(Extent::default());
        Ok(Arc::new(LogFile { file: Mutex::new(file), extent }))
    }

    /// Nothing more will come.
    pub(crate) fn end(&self, key: Key) {
        if let Some(extent) = self.open().remove(&key) {
            extent.send_modify(|e| e.ended = true);
        }
    }

    /// Forgets a log.
    pub(crate) fn remove(&self, key: Key) {
        self.end(key);
        // It may never have been written.
        let _ = fs::remove_file(self.path(key));
    }

    /// How long a log is, now and from now on.
    #[must_use]
    pub(crate) fn extent(&self, key: Key) -> watch::Receiver<Extent> {
        if let Some(extent) = self.open().get(&key) {
            return extent.subscribe();
        }
        let len = fs::metadata(self.path(key)).map_or(0, |m| m.len());
        watch::Sender::new(Extent { len, ended: true }).subscribe()
    }

    /// Up to `most` bytes of a log from an offset.
    pub(crate) fn read(&self, key: Key, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let mut file = match File::open(self.path(key)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        file.seek(SeekFrom::Start(offset))?;
        let mut out = Vec::new();
        file.take(most as u64).read_to_end(&mut out)?;
        Ok(out)
    }

    /// Root over a log that has ended: see [`gantry_proto::digest::log_root`].
    pub(crate) fn root(&self, key: Key) -> io::Result<Hash> {
        root(&self.path(key))
    }
}

fn root(path: &Path) -> io::Result<Hash> {
    let mut file = File::open(path)?;
    let mut failed = None;
    let chunks = std::iter::from_fn(|| {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        match Read::by_ref(&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut chunk) {
            Ok(0) => None,
            Ok(_) => Some(chunk),
            Err(e) => {
                failed = Some(e);
                None
            }
        }
    });
    let root = merkle_root_rfc6962(chunks);
    failed.map_or(Ok(root), Err)
}

/// The log of one run, both streams in the order in which they were written.
#[derive(Debug)]
pub(crate) struct LogFile {
    file: Mutex<File>,
    extent: watch::Sender<Extent>,
}

impl LogFile {
    /// A line from the worker itself, after the program's.
    pub(crate) fn note(&self, text: &str) {
        self.write(Stream::Err, format!("gantry: {text}\n").as_bytes());
    }
}

impl LogSink for LogFile {
    fn write(&self, _: Stream, bytes: &[u8]) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match file.write_all(bytes) {
            Ok(()) => self.extent.send_modify(|e| e.len += bytes.len() as u64),
            // A full disk must not change what the program does; the log's root says what was kept.
            Err(error) => tracing::warn!(%error, "log not written"),
        }
    }
}

#[cfg(test)]
mod tests {
    use gantry_proto::digest::log_root;

    use super::*;

    const KEY: Key = Key { job: 1, attempt: 1, replica: 0 };

    #[tokio::test]
    async fn a_log_is_followed_from_before_its_start_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::new(dir.path().join("logs")).unwrap();
        logs.expect(KEY);
        let mut extent = logs.extent(KEY);
        assert_eq!(*extent.borrow(), Extent::default());
        let log = logs.start(KEY).unwrap();
        log.write(Stream::Out, b"hello ");
        log.write(Stream::Err, b"world");
        let seen = *extent.wait_for(|e| e.len == 11).await.unwrap();
        assert!(!seen.ended);
        assert_eq!(logs.read(KEY, 6, 3).unwrap(), b"wor");
        logs.end(KEY);
        assert!(extent.wait_for(|e| e.ended).await.is_ok());
        assert_eq!(*logs.extent(KEY).borrow(), Extent { len: 11, ended: true });
        // A run that was cut off starts from nothing.
        logs.start(KEY).unwrap().write(Stream::Out, b"x");
        assert_eq!(logs.read(KEY, 0, 99).unwrap(), b"x");
        logs.remove(KEY);
        assert_eq!(logs.read(KEY, 0, 99).unwrap(), b"");
    }

    #[test]
    fn the_root_is_that_of_the_whole_log() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::new(dir.path().to_owned()).unwrap();
        for len in [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let bytes = vec![7; len];
            logs.start(KEY).unwrap().write(Stream::Out, &bytes);
            assert_eq!(logs.root(KEY).unwrap(), log_root(&bytes), "{len} bytes");
        }
    }
}
