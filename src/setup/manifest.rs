//! pure: what a set-up wrote on this host, so that exactly that can be taken back: `installed.json`.
//!
//! It is on disk before anything that it tells of, so each entry says what may
//! be there, not what is: only a look at the file tells.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::files::displace::State;
use crate::base::fingerprint::fingerprint;
use crate::setup::change::{Change, What};

/// All that was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    /// 1.
    pub version: u32,
    /// Directories that were not there, in the order in which they were made.
    pub directories: Vec<PathBuf>,
    /// Files, in the order in which they were written.
    pub files: Vec<ManifestEntry>,
    /// Units of systemd's that were enabled.
    pub units: Vec<String>,
    /// The user certbaton was made.
    pub account: bool,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ManifestEntry {
    /// Where.
    pub path: PathBuf,
    /// What was put there, the last last; the one before may still be there if a run was cut off.
    pub wrote: Vec<Trace>,
    /// What was there before the first.
    pub before: Trace,
    /// What was there before was not the user's will, and does not come back: an old hook's `#`, which certbaton 0.1.0 took
    /// away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repairs: bool,
}

/// What was at a path, or was put there, as it is known again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Trace {
    /// Nothing.
    Absent,
    /// A regular file.
    File {
        /// Of its bytes, in hexadecimal.
        sha256: String,
        /// Its permission bits, if it was there before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<u32>,
        /// A copy of it, with owner, attributes and times, if it was there before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        copy: Option<PathBuf>,
    },
    /// A link, which certbaton 0.1.0 put where an old hook had made a file of one.
    Link {
        /// Where it points.
        target: PathBuf,
        /// Of the bytes that were read through it then: who edits the site later edits those. The
        /// first manifests had none, and then it stays.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
    },
    /// Permission bits alone.
    Mode {
        /// The bits.
        mode: u32,
    },
}

/// What is to become of a file when everything is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restoration {
    /// It is as it was before already.
    Back,
    /// It is removed.
    Remove,
    /// A copy takes its place.
    PutBack(PathBuf),
    /// It gets these permission bits.
    Mode(u32),
    /// It was changed since, and stays.
    Edited,
    /// It was repaired, and stays so.
    Repaired,
}

impl Trace {
    /// What `what` puts at a path; nothing where the file itself tells.
    fn of(what: &What) -> Option<Self> {
        match what {
            What::Write { bytes, .. } => {
                Some(Self::File { sha256: sha256(bytes), mode: None, copy: None })
            }
            What::Mode(mode) => Some(Self::Mode { mode: *mode }),
            What::Comment { .. } => None,
        }
    }

    fn is_there(&self, state: &State) -> bool {
        match (self, state) {
            (Self::Absent, State::Absent) => true,
            (Self::File { sha256: known, mode, .. }, State::File { bytes, mode: now }) => {
                *known == sha256(bytes) && mode.is_none_or(|mode| mode == *now)
            }
            (
                Self::Link { target, sha256: Some(read) },
                State::Link { target: now, bytes: Some(bytes) },
            ) => target == now && *read == sha256(bytes),
            (Self::Mode { mode }, State::File { mode: now, .. }) => mode == now,
            _ => false,
        }
    }
}

impl ManifestEntry {
    /// Whether what is there now was put there by certbaton.
    pub fn is_intact(&self, state: &State) -> bool {
        self.wrote.iter().any(|wrote| wrote.is_there(state))
    }

    /// What becomes of it when certbaton is taken off the host.
    pub fn fate(&self, state: &State) -> Restoration {
        if self.before.is_there(state) {
            return Restoration::Back;
        }
        if !self.is_intact(state) {
            // Somebody removed it; what was there before certbaton came is still due.
            return match (&self.before, state) {
                (Trace::Absent | Trace::Mode { .. }, State::Absent) => Restoration::Back,
                _ => Restoration::Edited,
            };
        }
        match &self.before {
            Trace::Mode { mode } => Restoration::Mode(*mode),
            _ if self.repairs => Restoration::Repaired,
            Trace::Absent => Restoration::Remove,
            Trace::File { copy: Some(copy), .. } => Restoration::PutBack(copy.clone()),
            // Of neither is anything kept.
            Trace::File { copy: None, .. } | Trace::Link { .. } => Restoration::Edited,
        }
    }
}

impl Manifest {
    /// Nothing was done.
    pub fn new() -> Self {
        Self { version: 1, ..Self::default() }
    }

    /// Reads it.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// As bytes for its file.
    pub fn bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// What is known of `path`.
    pub fn entry(&self, path: &Path) -> Option<&ManifestEntry> {
        self.files.iter().find(|entry| entry.path == path)
    }

    /// Whether `path` is in a state that certbaton, or nobody, has left it in.
    pub fn is_ours(&self, path: &Path, state: &State) -> bool {
        self.entry(path).is_some_and(|entry| entry.is_intact(state))
    }

    /// Whether it has to be copied before `change`: it is somebody else's file.
    pub fn needs_copy(&self, change: &Change, state: &State) -> bool {
        let replaces = matches!(change.what, What::Write { .. });
        let is_known = self.entry(&change.path).is_some_and(|entry| {
            !matches!(entry.before, Trace::Mode { .. })
                && (entry.is_intact(state) || entry.before.is_there(state))
        });
        replaces && matches!(state, State::File { .. }) && !is_known
    }

    /// Takes down `change` of what is in `state`; `copy` is where a copy of it is, if it needs one.
    pub fn record(&mut self, change: &Change, state: &State, copy: PathBuf) {
        let needs_copy = self.needs_copy(change, state);
        let Some(wrote) = Trace::of(&change.what) else { return };
        let entry = self.files.iter_mut().find(|entry| entry.path == change.path);
        if let Some(entry) = entry.filter(|_| !needs_copy) {
            entry.wrote.retain(|known| *known != wrote);
            entry.wrote.push(wrote);
            let surplus = entry.wrote.len().saturating_sub(KEPT);
            entry.wrote.drain(..surplus);
            return;
        }
        // Where its bits were changed by certbaton before, those of before that are the user's.
        let bits = match self.entry(&change.path) {
            Some(ManifestEntry { before: Trace::Mode { mode }, .. })
                if self.is_ours(&change.path, state) =>
            {
                Some(*mode)
            }
            _ => None,
        };
        let before = match (state, &change.what) {
            (State::File { mode, .. }, What::Mode(_)) => Trace::Mode { mode: *mode },
            (State::File { bytes, mode }, _) => {
                Trace::File { sha256: sha256(bytes), mode: bits.or(Some(*mode)), copy: Some(copy) }
            }
            (State::Absent | State::Link { .. } | State::Other, _) => Trace::Absent,
        };
        let path = change.path.clone();
        let new = ManifestEntry { path, wrote: vec![wrote], before, repairs: false };
        match self.files.iter_mut().find(|entry| entry.path == change.path) {
            Some(entry) => *entry = new,
            None => self.files.push(new),
        }
    }

    /// Takes down that `path` is not there yet.
    pub fn directory(&mut self, path: PathBuf) {
        if !self.directories.contains(&path) {
            self.directories.push(path);
        }
    }

    /// Takes down that `unit` is being enabled.
    pub fn unit(&mut self, unit: &str) {
        if !self.units.iter().any(|known| known == unit) {
            self.units.push(unit.to_owned());
        }
    }
}

/// In hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    fingerprint(bytes, 32)
}

/// The last two, and a mode beside them.
const KEPT: usize = 3;

#[cfg(test)]
mod tests;
