use std::fmt;

use gantry_proto::gantry::job::v1::Assignment;
use serde::{Deserialize, Serialize};

/// Names an assignment: one worker at one attempt of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The job's id.
    pub job: u64,
    /// The job's attempt, from 1.
    pub attempt: u32,
    /// The replica within the attempt.
    pub replica: u32,
}

impl Key {
    /// As the name of a file or folder.
    #[must_use]
    pub fn slug(&self) -> String {
        format!("{}-{}-{}", self.job, self.attempt, self.replica)
    }

    /// From what [`Key::slug`] gives.
    #[must_use]
    pub fn from_slug(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (job, attempt, replica) = (parts.next()?, parts.next()?, parts.next()?);
        let key = Self { job: job.parse().ok()?, attempt: attempt.parse().ok()?, replica: replica.parse().ok()? };
        (key.slug() == text).then_some(key)
    }
}

impl From<&Assignment> for Key {
    fn from(a: &Assignment) -> Self {
        Self { job: a.job_id, attempt: a.attempt, replica: a.replica }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.job, self.attempt, self.replica)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_read_as_they_are_written() {
        let key = Key { job: 12, attempt: 3, replica: 0 };
        assert_eq!(Key::from_slug(&key.slug()), Some(key));
        for bad in ["", "1-2", "1-2-3-4", "a-b-c", "01-2-3", "+1-2-3"] {
            assert_eq!(Key::from_slug(bad), None, "{bad}");
        }
    }
}
