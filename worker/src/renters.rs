use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::Key;

/// Whose assignments are which, for the services: who may read a log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Renters(Arc<Mutex<BTreeMap<Key, String>>>);

impl Renters {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Key, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn insert(&self, key: Key, renter: &str) {
        self.all().insert(key, renter.to_owned());
    }

    pub(crate) fn remove(&self, key: Key) {
        self.all().remove(&key);
    }

    /// The latest assignment of a job here, or of one attempt of it, and its renter.
    #[must_use]
    pub(crate) fn find(&self, job: u64, attempt: u32) -> Option<(Key, String)> {
        let all = self.all();
        let mut of_job =
            all.range(Key { job, attempt: 0, replica: 0 }..=Key { job, attempt: u32::MAX, replica: u32::MAX }).rev();
        let found = of_job.find(|(key, _)| attempt == 0 || key.attempt == attempt)?;
        Some((*found.0, found.1.clone()))
    }
}
