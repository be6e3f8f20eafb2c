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
    /// It repairs what somebody else's program did to the user's file: taking certbaton off the host leaves it so.
    pub repairs: bool,
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
    /// A regular file makes way for a link to this.
    Link {
        /// Where the link points, as it is written into it.
        target: PathBuf,
        /// What is read through it.
        bytes: Vec<u8>,
    },
    /// It stays, with these permission bits.
    Mode(u32),
}
