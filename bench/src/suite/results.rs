//! What steps printed, a file each: a run that was interrupted goes on where it stopped.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use gantry_bench::Measurement;

use super::machine;

pub(super) struct Results {
    folder: PathBuf,
}

impl Results {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(Self { folder: folder.to_owned() })
    }

    fn file(&self, step: &str, round: u32) -> PathBuf {
        self.folder.join(format!("{step}.{round}.json"))
    }

    pub(super) fn has(&self, step: &str, round: u32) -> bool {
        self.file(step, round).exists()
    }

    pub(super) fn put(&self, step: &str, round: u32, figures: &[Measurement]) -> Result<()> {
        // Under another name first: an interrupted write is no result.
        let (file, new) = (self.file(step, round), self.folder.join("new"));
        fs::write(&new, serde_json::to_vec_pretty(figures)?)?;
        Ok(fs::rename(new, file)?)
    }

    /// What was measured on, kept from the first run into this folder.
    pub(super) fn machine(&self) -> Result<String> {
        let file = self.folder.join("machine.txt");
        if !file.exists() {
            fs::write(&file, machine::describe()?)?;
        }
        Ok(fs::read_to_string(file)?)
    }

    /// The figures of all steps and rounds, in the order of their files' names.
    pub(super) fn all(&self) -> Result<Vec<Measurement>> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let mut all = Vec::new();
        for file in files {
            let figures: Vec<Measurement> =
                serde_json::from_slice(&fs::read(&file)?).with_context(|| file.display().to_string())?;
            all.extend(figures);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_kept_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let results = Results::open(folder.path()).unwrap();
        assert!(!results.has("a", 0));
        results.put("a", 0, &[Measurement::new("x", "s", 1.0).with("k", 3)]).unwrap();
        results.put("a", 1, &[Measurement::new("x", "s", 2.0)]).unwrap();
        let again = Results::open(folder.path()).unwrap();
        assert!(again.has("a", 0) && again.has("a", 1) && !again.has("a", 2));
        let values: Vec<f64> = again.all().unwrap().iter().map(|figure| figure.value).collect();
        assert_eq!(values, [1.0, 2.0]);
    }
}
