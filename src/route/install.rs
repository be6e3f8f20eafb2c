//! flow: what a switch does to the disk and to Apache: candidates, journal, reload.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::apache::dump::{Dump, Reading};
use crate::apache::server::{Candidate, Inquirer, Server};
use crate::files::{self, Snapshot};
use crate::route::journal::{self, Journal, Record};
use crate::route::report::{Error, Note};

/// One file to replace.
#[derive(Debug, Clone)]
pub struct Change {
    /// The file as it is.
    pub snapshot: Snapshot,
    /// Its new content.
    pub after: Vec<u8>,
    /// Whether the new content has blocks of ours.
    pub adds: bool,
}

/// Candidates on disk, removed on drop.
#[derive(Debug)]
pub struct Staged {
    /// Which file stands for which.
    pairs: Vec<(PathBuf, PathBuf)>,
    _directory: tempfile::TempDir,
}

/// Writes the new contents where only root and Apache's question look.
pub fn stage(changes: &[Change], directory: &Path) -> Result<Staged, Error> {
    let directory = files::temporary_directory(directory)?;
    let mut pairs = Vec::new();
    for (index, change) in changes.iter().enumerate() {
        let substitute = directory.path().join(index.to_string());
        files::write_scratch(&substitute, &change.after)?;
        pairs.push((substitute, change.snapshot.path.clone()));
    }
    Ok(Staged { pairs, _directory: directory })
}

/// Asks Apache about the configuration with `staged` in place.
pub fn question(inquirer: &Inquirer, staged: &Staged) -> Result<Dump, Error> {
    let candidates: Vec<Candidate<'_>> =
        staged.pairs.iter().map(|(substitute, real)| Candidate { real, substitute }).collect();
    let mut reading = Reading::default();
    inquirer.dump(&candidates, &mut |part| reading.push(part))?;
    Ok(reading.finish()?)
}

/// The journal; one that cannot be read is said and put aside.
pub fn read_journal(path: &Path) -> Result<(Journal, Vec<Note>), Error> {
    let bytes = match files::read_trusted(path) {
        Err(error) if error.is_missing() => return Ok((Journal::default(), Vec::new())),
        bytes => bytes?,
    };
    match journal::read(&bytes) {
        Ok(journal) => {
            // Cut in the middle: what was to be noted is unknown, so Apache has to load again.
            let torn = bytes.last() != Some(&b'\n');
            Ok((Journal { pending: journal.pending || torn, ..journal }, Vec::new()))
        }
        Err(damaged) => {
            // Whether Apache has loaded what the files say is unknown: load it again.
            let journal = Journal { pending: true, ..Journal::default() };
            let note = Note::journal(&path.display().to_string(), &damaged.to_string());
            Ok((journal, vec![note]))
        }
    }
}

/// Appends `record` to the journal and waits until it is on disk.
pub fn record(path: &Path, record: &Record) -> Result<(), Error> {
    Ok(files::append_own(path, &journal::line(record)?)?)
}

/// Reloads Apache and waits until only the new configuration can answer.
pub fn reload(server: &Server, patience: Duration) -> Result<(), Error> {
    let old = server.reload(patience)?;
    Ok(server.wait_deaf(&old, patience)?)
}
