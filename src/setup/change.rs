//! pure: one file that a set-up writes, changes or puts out of use, as it is shown before it is done.

use std::path::PathBuf;

/// One change of the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file, absolute.
    pub path: PathBuf,
    /// What becomes of it.
    pub what: What,
    /// Why, in a few words for whoever is asked.
    pub why: String,
}

/// What becomes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It is there with these bytes and rights; what was there is kept to be put back.
    Write {
        /// All of its bytes.
        bytes: Vec<u8>,
        /// Its permission bits, if it is new; a file that is there keeps its own.
        mode: u32,
    },
    /// It gets these bytes, and carries the marks by which that is undone.
    Comment {
        /// All of its bytes.
        bytes: Vec<u8>,
    },
    /// It stays, with these permission bits.
    Mode(u32),
}
