//! flow: changes of files that a set-up makes: looked at once, shown, and made as they were shown or not at all.

use std::path::PathBuf;

use crate::base::files::displace::{self, State};
use crate::base::files::{self, Transaction};

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

/// A change, and what it is to be made of.
#[derive(Debug, PartialEq, Eq)]
pub struct PreparedChange {
    /// The change, of the file itself where a link leads to it.
    pub change: Change,
    /// What is there.
    pub state: State,
}

impl PreparedChange {
    /// Looks at the file.
    pub fn of(change: &Change) -> Result<Self, files::Error> {
        let mut change = change.clone();
        let mut state = displace::state(&change.path)?;
        if matches!(state, State::Link { .. }) {
            change.path = files::real_path(&change.path)?;
            state = displace::state(&change.path)?;
        }
        Ok(Self { change, state })
    }

    /// Whether the file is not any more what it was.
    pub fn is_outdated(&self) -> Result<bool, files::Error> {
        Ok(displace::state(&self.change.path)? != self.state)
    }

    /// Makes it, as part of `transaction`.
    pub fn make(&self, transaction: &mut Transaction) -> Result<(), files::Error> {
        let Change { path, what, .. } = &self.change;
        match (what, &self.state) {
            (
                What::Write { bytes, .. } | What::Comment { bytes },
                State::File { bytes: now, .. },
            ) => {
                let snapshot = files::snapshot(path)?;
                if snapshot.bytes != *now {
                    return Err(files::Error::Raced(path.clone()));
                }
                transaction.replace(&snapshot, bytes).map(drop)
            }
            (What::Write { bytes, mode }, State::Absent) => transaction.create(path, bytes, *mode),
            (What::Mode(mode), State::File { .. }) => transaction.set_mode(path, *mode),
            _ => Err(files::Error::NotRegular(path.clone())),
        }
    }
}
