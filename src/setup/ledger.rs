//! flow: makes changes so that each can be taken back, whenever it is cut off: the manifest first, then the files.

use std::path::{Path, PathBuf};

use crate::base::cause::chain;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files::Staging;
use crate::base::files::displace::State;
use crate::base::files::{self, displace};
use crate::base::own_directories::StateDirectory;
use crate::setup::change::{Change, What};
use crate::setup::manifest::{Manifest, Restoration};

/// The manifest and where it is.
#[derive(Debug)]
pub struct Ledger {
    /// What was done so far.
    pub manifest: Manifest,
    directory: StateDirectory,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The manifest.
    #[error("{} is not as certbaton writes it; what it installed is not known", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A change that cannot be made.
    #[error("{} was {found} a moment ago and is not any more; run this again", path.display())]
    Moved {
        /// The file.
        path: PathBuf,
        /// What it was.
        found: &'static str,
    },
    /// It failed on the way and everything is as before.
    #[error("{}; everything is as before", chain(.0.as_ref()))]
    Undone(Box<Error>),
    /// It failed on the way, and so did the undoing.
    #[error("{}; undoing it failed too: {}; certbaton uninstall takes back what was written", chain(cause.as_ref()), chain(obstacle.as_ref()))]
    NotUndone {
        /// The first failure.
        cause: Box<Error>,
        /// Why it could not be undone.
        obstacle: Box<Error>,
    },
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::File(error) => error.exit(),
            Self::Undone(cause) => cause.exit(),
            Self::NotUndone { .. } => Exit::NotUndone,
            Self::Manifest { .. } | Self::Moved { .. } => Exit::Failed,
        }
    }
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
    pub fn apply(&mut self, changes: &[Change]) -> Result<(), Error> {
        let changes: Vec<Change> = changes.iter().map(real).collect::<Result<_, files::Error>>()?;
        let before = self.manifest.clone();
        let mut states = Vec::new();
        for change in &changes {
            states.push(displace::state(&change.path)?);
        }
        for (change, state) in changes.iter().zip(&states) {
            self.prepare(change, state)?;
        }
        self.save()?;
        for (index, (change, state)) in changes.iter().zip(&states).enumerate() {
            if let Err(cause) = self.make(change, state) {
                // Where the failing one got halfway, its state tells.
                let done = changes.iter().zip(&states).take(index + 1).rev();
                let undone = done.map(|(change, state)| self.unmake(change, state));
                let undone = undone.collect::<Result<Vec<()>, Error>>();
                return Err(match undone.and_then(|_| self.forget(before)) {
                    Ok(()) => Error::Undone(Box::new(cause)),
                    Err(obstacle) => {
                        Error::NotUndone { cause: Box::new(cause), obstacle: Box::new(obstacle) }
                    }
                });
            }
        }
        Ok(())
    }

    /// Takes down a change, with a copy of what it replaces and the directories that it needs.
    fn prepare(&mut self, change: &Change, state: &State) -> Result<(), Error> {
        for directory in missing(&change.path) {
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

    fn make(&self, change: &Change, planned: &State) -> Result<(), Error> {
        let Change { path, what, .. } = change;
        for directory in missing(path) {
            displace::make_directory(&directory, 0o755)?;
        }
        let moved = |found| Error::Moved { path: path.clone(), found };
        match (what, planned) {
            (
                What::Write { bytes, .. } | What::Comment { bytes },
                State::File { bytes: now, .. },
            ) => {
                let snapshot = files::snapshot(path)?;
                if snapshot.bytes != *now {
                    return Err(moved("another file"));
                }
                Ok(snapshot.replace(bytes, self.staging(path)?)?)
            }
            (What::Write { bytes, mode }, State::Absent) => {
                Ok(displace::create(path, bytes, *mode, self.staging(path)?.path())?)
            }
            (What::Mode(mode), State::File { .. }) => Ok(displace::set_mode(path, *mode)?),
            _ => Err(files::Error::NotRegular(path.clone()).into()),
        }
    }

    /// Back to how it was before this run, which may be another version of ours.
    fn unmake(&self, change: &Change, before: &State) -> Result<(), Error> {
        let path = &change.path;
        let now = displace::state(path)?;
        if now == *before {
            return Ok(());
        }
        if let (What::Comment { .. }, State::File { bytes, .. }) = (&change.what, before) {
            return Ok(files::snapshot(path)?.replace(bytes, self.staging(path)?)?);
        }
        let entry = self.manifest.entry(path).filter(|entry| entry.is_intact(&now));
        let Some(entry) = entry else { return Err(files::Error::Raced(path.clone()).into()) };
        match (before, entry.fate(&now)) {
            (State::Absent, _) => Ok(files::remove_own(path)?),
            (State::File { bytes, .. }, _) if matches!(change.what, What::Write { .. }) => {
                Ok(files::snapshot(path)?.replace(bytes, self.staging(path)?)?)
            }
            (_, fate) => self.follow(path, &fate),
        }
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
        for directory in self.manifest.directories.iter().rev() {
            if !before.directories.contains(directory) {
                displace::remove_empty(directory)?;
            }
        }
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

/// A file is written through a link to it.
fn real(change: &Change) -> Result<Change, files::Error> {
    let is_link = matches!(displace::state(&change.path)?, State::Link { .. });
    let path = match change.what {
        _ if is_link => files::real_path(&change.path)?,
        _ => change.path.clone(),
    };
    Ok(Change { path, ..change.clone() })
}

/// The directories above `path` that are not there, the highest first.
fn missing(path: &Path) -> Vec<PathBuf> {
    let above = path.ancestors().skip(1);
    let mut missing: Vec<PathBuf> =
        above.take_while(|path| !files::exists(path)).map(Path::to_owned).collect();
    missing.reverse();
    missing
}

const FILE: &str = "installed.json";

/// Below the state directory: copies of what was replaced.
pub const ORIGINALS: &str = "originals";

#[cfg(test)]
mod tests;
