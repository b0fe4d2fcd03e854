//! What this worker has done, on disk: one row per assignment, written before the effect that depends on it.
//!
//! | Phase | Written before | After a crash in it |
//! |---|---|---|
//! | accepted | the acknowledgement is sent | staging begins anew; what has arrived is still there |
//! | staged | the run starts | the inputs are laid out anew from the store, and the run starts |
//! | running | the program starts | the program is run again: nothing of that run is known outside |
//! | executed | the commitment is sent; holds nonce, digests and exit | the same commitment is sent; nothing runs again |
//! | committed | the reveal is sent | the same reveal is sent |
//! | revealed | | waits for the verdict |
//! | failed | the failure is reported | the same report is sent |
//! | over | | the assignment has ended, the job goes on; the output stays withheld |
//! | done | | the job has ended; outputs are served until they are dropped |

use std::{fs, io, path::Path};

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde::{Deserialize, Serialize};

use crate::Key;

type Row = (u64, u32, u32);

const ASSIGNMENTS: TableDefinition<'_, Row, &[u8]> = TableDefinition::new("assignments");

/// How far an assignment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Taken; content is being fetched.
    Accepted,
    /// Everything that the run needs is in the store, pinned.
    Staged,
    /// The program was started.
    Running,
    /// The program has ended and the result is sealed: [`Record::execution`] is set from here on.
    Executed,
    /// The commitment is on chain.
    Committed,
    /// The reveal is on chain.
    Revealed,
    /// Given up: [`Record::failure`] is set.
    Failed,
    /// The assignment has ended, the job has not.
    Over,
    /// The job has ended.
    Done,
}

/// A finished execution, as it is committed and revealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// How it ended, for people.
    pub exit: String,
    /// CID of the output folder.
    pub output_cid: String,
    /// What is committed, 32 bytes in hex.
    pub commitment: String,
    /// The `Reveal` that opens it, nonce included, encoded, in hex; without locations.
    pub reveal: String,
    /// Fuel spent.
    pub fuel: u64,
    /// Time of the run in milliseconds.
    pub wall_ms: u64,
}

/// Why a worker gave up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// `gantry.job.v1.Reason`.
    pub reason: i32,
    /// What happened, for the operator; its hash is the evidence.
    pub text: String,
}

/// The row of an assignment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Which one.
    pub key: Key,
    /// Address of the job's renter: who may see logs and outputs.
    pub renter: String,
    /// How far it is.
    pub phase: Phase,
    /// How often the program was started.
    pub runs: u32,
    /// Set from [`Phase::Executed`] on.
    pub execution: Option<Execution>,
    /// Set in [`Phase::Failed`].
    pub failure: Option<Failure>,
    /// How it ended, once it has, for people.
    pub end: String,
    /// Height at which the end of the job was seen; outputs are kept for a while from there.
    pub done_height: u64,
    /// This run was falsified on purpose; only builds for the demo can.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cheated: bool,
}

impl Record {
    /// A row for an assignment just taken.
    #[must_use]
    pub fn new(key: Key, renter: &str) -> Self {
        Self {
            key,
            renter: renter.to_owned(),
            phase: Phase::Accepted,
            runs: 0,
            execution: None,
            failure: None,
            end: String::new(),
            done_height: 0,
            cheated: false,
        }
    }
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process has it open.
    #[error("{0} is in use by another process: is a worker running with this home?")]
    Locked(String),
    /// The database failed.
    #[error("journal: {0}")]
    Database(#[from] redb::Error),
    /// A row is not what this version writes.
    #[error("journal: assignment {0}: {1}")]
    Row(String, serde_json::Error),
    /// The file system failed.
    #[error("journal: {0}")]
    Io(#[from] io::Error),
}

fn database<E: Into<redb::Error>>(error: E) -> JournalError {
    JournalError::Database(error.into())
}

/// The journal. A write that has returned survives a power cut. Calls block for a disk sync.
#[derive(Debug)]
pub struct Journal {
    db: Database,
}

impl Journal {
    /// Opens the journal at a path, creating it if need be.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let db = Database::create(path).map_err(|e| match e {
            redb::DatabaseError::DatabaseAlreadyOpen => JournalError::Locked(path.display().to_string()),
            other => database(other),
        })?;
        let tx = db.begin_write().map_err(database)?;
        tx.open_table(ASSIGNMENTS).map_err(database)?;
        tx.commit().map_err(database)?;
        Ok(Self { db })
    }

    /// Writes a row.
    pub fn put(&self, record: &Record) -> Result<(), JournalError> {
        let bytes = serde_json::to_vec(record).map_err(|e| JournalError::Row(record.key.to_string(), e))?;
        let tx = self.db.begin_write().map_err(database)?;
        tx.open_table(ASSIGNMENTS).map_err(database)?.insert(row(record.key), bytes.as_slice()).map_err(database)?;
        tx.commit().map_err(database)
    }

    /// Removes a row.
    pub fn remove(&self, key: Key) -> Result<(), JournalError> {
        let tx = self.db.begin_write().map_err(database)?;
        tx.open_table(ASSIGNMENTS).map_err(database)?.remove(row(key)).map_err(database)?;
        tx.commit().map_err(database)
    }

    /// All rows, in the order of their keys.
    pub fn all(&self) -> Result<Vec<Record>, JournalError> {
        let tx = self.db.begin_read().map_err(database)?;
        let table = tx.open_table(ASSIGNMENTS).map_err(database)?;
        let mut out = Vec::new();
        for entry in table.iter().map_err(database)? {
            let (key, value) = entry.map_err(database)?;
            let record = serde_json::from_slice(value.value());
            out.push(record.map_err(|e| JournalError::Row(format!("{:?}", key.value()), e))?);
        }
        Ok(out)
    }
}

fn row(key: Key) -> Row {
    (key.job, key.attempt, key.replica)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_a_restart_and_come_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/journal.redb");
        let key = |job| Key { job, attempt: 1, replica: 0 };
        let mut first = Record::new(key(2), "gantry1renter");
        {
            let journal = Journal::open(&path).unwrap();
            journal.put(&first).unwrap();
            journal.put(&Record::new(key(1), "x")).unwrap();
            journal.put(&Record::new(key(300), "x")).unwrap();
            journal.remove(key(300)).unwrap();
            first.phase = Phase::Executed;
            first.execution = Some(Execution {
                exit: "exit 0".into(),
                output_cid: "bafy".into(),
                commitment: "00".into(),
                reveal: "01".into(),
                fuel: 1,
                wall_ms: 2,
            });
            journal.put(&first).unwrap();
            assert!(matches!(Journal::open(&path), Err(JournalError::Locked(_))));
        }
        let all = Journal::open(&path).unwrap().all().unwrap();
        assert_eq!(all, [Record::new(key(1), "x"), first]);
    }
}
