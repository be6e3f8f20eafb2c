//! flow: makes changes so that each can be taken back, whenever it is cut off: the manifest first, then the files.

use std::path::{Path, PathBuf};

use crate::base::files::displace::State;
use crate::base::files::{self, displace};
use crate::base::files::{Replaced, Staging, Transaction};
use crate::base::own_directories::StateDirectory;
use crate::setup::change::{Change, PreparedChange};
use crate::setup::error::Error;
use crate::setup::manifest::{Manifest, Restoration};

/// The manifest and where it is.
#[derive(Debug)]
pub struct Ledger {
    /// What was done so far.
    pub manifest: Manifest,
    directory: StateDirectory,
}

impl Ledger {
    /// Reads what was done here, which may be nothing.
    pub fn open(state_directory: &StateDirectory) -> Result<Self, Error> {
        let path = state_directory.join(FILE);
        let manifest = match files::read_trusted(&path) {
            Err(error) if error.is_missing() => Manifest::new(),
            bytes => Manifest::parse(&bytes?)
                .map_err(|source| Error::Manifest { path: path.clone(), source })?,
        };
        Ok(Self { manifest, directory: state_directory.clone() })
    }

    /// Writes it down.
    pub fn save(&self) -> Result<(), Error> {
        self.directory.make()?;
        let path = self.directory.join(FILE);
        let bytes = self.manifest.bytes();
        let bytes = bytes.map_err(|source| Error::Manifest { path: path.clone(), source })?;
        Ok(files::write_own(&path, &bytes)?)
    }

    /// Makes all `changes`, or none.
    pub fn commit(&mut self, changes: &[PreparedChange]) -> Result<(), Error> {
        let before = self.manifest.clone();
        for PreparedChange { change, state } in changes {
            self.take_down(change, state)?;
        }
        self.save()?;
        let mut transaction = Transaction::begin(&self.directory, Vec::new(), Replaced::let_go);
        // Each old file is let go at once: `recover` sweeps what lies about, and does not know of this.
        let made = changes.iter().try_for_each(|change| {
            change.make(&mut transaction)?;
            transaction.release()
        });
        let Err(cause) = made else {
            transaction.settle();
            return Ok(());
        };
        let undone = transaction.undo(|path| Err(files::Error::Raced(path.to_owned()).into()));
        let cause = Box::new(Error::from(cause));
        Err(match undone.and_then(|()| self.forget(before)) {
            Ok(()) => Error::Undone(cause),
            Err(obstacle) => Error::NotUndone { cause, obstacle: Box::new(obstacle) },
        })
    }

    /// Takes down a change, with a copy of what it replaces and the directories that it needs.
    fn take_down(&mut self, change: &Change, state: &State) -> Result<(), Error> {
        for directory in displace::missing_directories(&change.path) {
            self.manifest.directory(directory);
        }
        let mut copy = PathBuf::new();
        if self.manifest.needs_copy(change, state) {
            let originals = self.directory.join(ORIGINALS);
            self.directory.make()?;
            files::own_directory(&originals, 0o700)?;
            let number = files::list(&originals)?.len();
            copy = originals.join(number.to_string());
            displace::keep(&change.path, &copy)?;
        }
        self.manifest.record(change, state, copy);
        Ok(())
    }

    /// Does to `path` what its fate is.
    pub fn follow(&self, path: &Path, fate: &Restoration) -> Result<(), Error> {
        match fate {
            Restoration::Back | Restoration::Edited | Restoration::Repaired => Ok(()),
            Restoration::Remove => Ok(files::remove_own(path)?),
            Restoration::PutBack(copy) => {
                Ok(displace::put_back(copy, path, self.staging(path)?.path())?)
            }
            Restoration::Mode(mode) => Ok(displace::set_mode(path, *mode)?),
        }
    }

    fn forget(&mut self, before: Manifest) -> Result<(), Error> {
        self.manifest = before;
        if self.manifest == Manifest::new() {
            displace::remove_all(&self.directory.join(ORIGINALS))?;
            files::remove_own(&self.directory.join(FILE))?;
            // Not empty where certbaton runs without ever having been installed.
            displace::remove_empty(&self.directory)?;
            return Ok(());
        }
        self.save()
    }

    /// Where the new file of `path` is made: on its file system, and not beside it, where a server may include it.
    fn staging(&self, path: &Path) -> Result<Staging, Error> {
        Ok(files::staging(path, &self.directory, &[path.to_owned()])?)
    }
}

const FILE: &str = "installed.json";

/// Below the state directory: copies of what was replaced.
pub const ORIGINALS: &str = "originals";

#[cfg(test)]
mod tests;
