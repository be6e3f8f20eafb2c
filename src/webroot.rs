//! system: plants a file below a webroot's challenge directory, and removes it.
//!
//! Somebody else may own everything below the webroot, so nothing below it is
//! ever reached by a path or through a link: every step is relative to the
//! open directory before it.

use std::io;
use std::path::PathBuf;

use crate::names::Webroot;
use crate::validation::Nonce;

/// A planted file, removed by [`Planted::remove`] or, as a last resort, on drop.
#[derive(Debug)]
#[must_use = "the file is removed when this is dropped"]
pub struct Planted {
    nonce: Nonce,
}

/// Why nothing could be planted or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The webroot is not there.
    #[error("webroot {0} does not exist; create it or correct certbot's webroot path")]
    Missing(PathBuf),
    /// Anything else.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

impl Planted {
    /// The token and what its file contains.
    pub fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// Removes the file, and the directories made for it unless something else
    /// is in them by now.
    pub fn remove(self) -> Result<(), Error> {
        todo!()
    }
}

/// Plants a file with a random name and content below `webroot`. One is enough
/// for all the names of a webroot.
pub fn plant(_webroot: &Webroot) -> Result<Planted, Error> {
    todo!()
}
