//! system: kernel locks on files that are never renamed or deleted.
//!
//! `flock(2)`: the kernel frees it with the last descriptor, whatever kills us.
//! Files are opened close-on-exec, so no child keeps a lock alive.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::{Deadline, pause};
use crate::files;

/// A held lock; dropping it releases it.
#[must_use = "the lock is released when this is dropped"]
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why a lock is not held.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else held it all the time.
    #[error("lock {} is held by another certbaton; waited for {} s", path.display(), waited.as_secs())]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// How long we waited.
        waited: Duration,
    },
    /// The lock file is unusable.
    #[error("cannot lock {}", path.display())]
    File {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Takes the lock at `path` now, or tells that somebody holds it with `None`.
pub fn attempt(path: &Path) -> Result<Option<Lock>, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let file = files::open_lock(path).map_err(failed)?;
    match fs2::FileExt::try_lock_exclusive(&file) {
        Ok(()) => Ok(Some(Lock { _file: file })),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(source) => Err(failed(source)),
    }
}

/// Takes the lock at `path`, waiting up to `patience`.
///
/// A bounded wait needs to look again: `flock(2)` knows no timeout.
pub fn acquire(path: &Path, patience: Duration) -> Result<Lock, Error> {
    let deadline = Deadline::after(patience);
    loop {
        if let Some(lock) = attempt(path)? {
            return Ok(lock);
        }
        if pause(INTERVAL, &deadline).is_err() {
            return Err(Error::Busy { path: path.to_owned(), waited: patience });
        }
    }
}

/// Between two looks at a held lock.
const INTERVAL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_busy_and_a_dropped_one_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = attempt(&path).unwrap().unwrap();
        assert!(attempt(&path).unwrap().is_none());
        assert!(matches!(acquire(&path, Duration::from_millis(1)), Err(Error::Busy { .. })));
        drop(held);
        assert!(attempt(&path).unwrap().is_some());
    }
}
