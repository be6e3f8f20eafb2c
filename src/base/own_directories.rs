//! system: the two directories of certbaton's own. What lies in one of them its owner knows.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use crate::base::files;

/// A directory that whoever comes first makes, with the mode that all need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnDirectory<const MODE: u32>(PathBuf);

/// What this host remembers; it survives a reboot. Ours to list, and the arbiter, another user,
/// passes through to its own part.
pub type StateDirectory = OwnDirectory<0o711>;

/// Locks and sockets; empty after a reboot.
pub type RuntimeDirectory = OwnDirectory<0o755>;

impl<const MODE: u32> OwnDirectory<MODE> {
    /// Makes it, with its parents, and checks that it is only ours.
    pub fn make(&self) -> Result<(), files::Error> {
        files::own_directory(self, MODE)
    }
}

impl<const MODE: u32, P: Into<PathBuf>> From<P> for OwnDirectory<MODE> {
    fn from(path: P) -> Self {
        Self(path.into())
    }
}

impl<const MODE: u32> Deref for OwnDirectory<MODE> {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}
