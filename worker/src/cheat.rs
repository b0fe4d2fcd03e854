//! A wrong result on purpose, for the demo: the same lie from everyone who lies, so that liars agree.

use std::{
    fs, io,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::Misbehave;

/// Distance between bytes that are changed: sparse enough to look plausible, dense enough to hit every file.
const STRIDE: usize = 97;
/// Bytes left alone at the start of larger files, so that a forged file still looks like one of its kind.
const HEADER: usize = 256;

/// Decides which results are falsified.
#[derive(Debug)]
pub(crate) struct Cheat {
    armed: AtomicBool,
    always: bool,
}

impl Cheat {
    /// `done` tells whether it has cheated before.
    pub(crate) fn new(misbehave: Misbehave, done: bool) -> Self {
        let armed = match misbehave {
            Misbehave::Never => false,
            Misbehave::Once => !done,
            Misbehave::Always => true,
        };
        Self { armed: armed.into(), always: misbehave == Misbehave::Always }
    }

    /// Falsifies a good output if it is to be; tells whether it did.
    pub(crate) fn strike(&self, folder: &Path) -> io::Result<bool> {
        let strikes = self.armed.fetch_and(self.always, Ordering::SeqCst);
        if strikes {
            falsify(folder)?;
        }
        Ok(strikes)
    }
}

/// Changes every file below a folder in a way that its content alone decides.
fn falsify(folder: &Path) -> io::Result<()> {
    let mut todo = vec![folder.to_owned()];
    let mut files = 0;
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                todo.push(entry?.path());
            }
            continue;
        }
        let mut bytes = fs::read(&path)?;
        if bytes.is_empty() {
            bytes.push(b'?');
        } else {
            let header = if bytes.len() > 4 * HEADER { HEADER } else { 0 };
            bytes.iter_mut().skip(header).step_by(STRIDE).for_each(|byte| *byte ^= 0x5a);
        }
        fs::write(&path, bytes)?;
        files += 1;
    }
    if files == 0 {
        fs::write(folder.join("forged"), "?")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn liars_agree_and_differ_from_the_truth() {
        let lie = |files: &[(&str, &[u8])]| {
            let dir = tempfile::tempdir().unwrap();
            for (name, bytes) in files {
                fs::write(dir.path().join(name), bytes).unwrap();
            }
            falsify(dir.path()).unwrap();
            gantry_content::cid_of_path(dir.path(), &gantry_content::TreeLimits::default()).unwrap()
        };
        let honest: &[(&str, &[u8])] = &[("a", &[1; 300]), ("b", b"")];
        assert_eq!(lie(honest), lie(honest));
        assert_ne!(lie(honest), lie(&[("a", &[2; 300]), ("b", b"")]));
        assert_eq!(lie(&[]), lie(&[]));
    }
}
