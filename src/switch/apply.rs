//! flow: what a switch or a return does to the disk and to Apache: lock, candidates, journal, reload.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::apache::dump::{Dump, Reading, file_name};
use crate::apache::server::{Candidate, Inquirer, Server};
use crate::base::cause::chain;
use crate::base::files::{self, Snapshot, Staging, Swept};
use crate::base::lock::{self, Insisted, Lock};
use crate::base::own_directories::{RuntimeDirectory, StateDirectory};
use crate::config::Settings;
use crate::switch::journal::{self, Journal, Record};
use crate::switch::report::{Error, Note};
use crate::switch::said;

/// One file to put lines into.
#[derive(Debug, Clone)]
pub struct FileEdit {
    /// The file as it is.
    pub snapshot: Snapshot,
    /// Its new content, which has blocks of ours.
    pub after: Vec<u8>,
}

/// Takes the lock that every switch and return holds, and makes the place that they need.
pub fn hold(settings: &Settings) -> Result<Lock, Error> {
    settings.runtime_directory.make()?;
    settings.state_directory.make()?;
    let lock = lock::acquire(&switch_lock(&settings.runtime_directory), settings.proof_time * 3)?;
    sweep_all(settings);
    Ok(lock)
}

/// The lock of all who switch or give back.
pub fn switch_lock(runtime: &RuntimeDirectory) -> PathBuf {
    runtime.join("switch.lock")
}

/// The same for a return, which nothing that is missing keeps from what it does: a lock that
/// nobody can hold is done without, and so is the place for new files.
pub fn hold_to_give_back(settings: &Settings) -> Result<Option<Lock>, Error> {
    if let Err(error) = settings.state_directory.make() {
        once(settings, format!("{}; routes are given back all the same", chain(&error)));
    }
    let (path, patience) = (switch_lock(&settings.runtime_directory), settings.proof_time * 3);
    let lock = match insist(settings, &path, patience)? {
        Insisted::Held(lock) => Some(lock),
        Insisted::Nobodys(_) => None,
        Insisted::Busy => return Err(files::Error::Busy { path, waited: patience }.into()),
    };
    sweep_all(settings);
    Ok(lock)
}

/// A lock, and the directory that it is in, for who must go on; what is wrong with them is said.
pub fn insist(
    settings: &Settings,
    path: &Path,
    patience: Duration,
) -> Result<Insisted, files::Error> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let made = files::own_directory(directory, 0o755);
    let found = lock::insist(path, patience)?;
    let why = match (&found, made) {
        (Insisted::Nobodys(why), _) => {
            format!("nobody can have the lock {} ({why})", path.display())
        }
        (_, Err(error)) => chain(&error),
        (_, Ok(())) => return Ok(found),
    };
    once(
        settings,
        format!("{why}; routes are given back all the same, but no certificate can be renewed"),
    );
    Ok(found)
}

fn once(settings: &Settings, line: String) {
    for line in said::news(&settings.state_directory, vec![line]) {
        tracing::warn!("{line}");
    }
}

/// There is no way back to go any more, for any of `files` and those that `journal` knows.
pub fn forget_spares<'a>(
    settings: &Settings,
    journal: &Journal,
    files: impl Iterator<Item = &'a PathBuf>,
) {
    let known = journal.files.iter().map(|file| file_name::path(file));
    let targets: Vec<PathBuf> = known.chain(files.cloned()).collect();
    files::forget_spares(&settings.state_directory, &targets);
}

fn sweep_all(settings: &Settings) {
    // Whoever left them there is dead: the lock is ours.
    let (journal, _) = read_journal(&settings.state_directory).unwrap_or_default();
    let targets: Vec<PathBuf> = journal.files.iter().map(|file| file_name::path(file)).collect();
    if journal == Journal::default() {
        files::forget_spares(&settings.state_directory, &targets);
    }
    drop(sweep(&settings.state_directory, &targets));
    // Beside the files others may be at theirs, with a lock of their own.
    let places = targets.iter().flat_map(|target| files::left_staging(target));
    for place in places.filter_map(Staging::abandoned) {
        drop(sweep(place.path(), &targets));
    }
}

/// Removes what a killed run left in `place`; gives those of `targets` that are what somebody
/// saved meanwhile again.
pub fn sweep(place: &Path, targets: &[PathBuf]) -> Vec<PathBuf> {
    let swept = files::sweep(place, targets).unwrap_or_else(|error| {
        tracing::warn!("what a killed run left behind stays: {}", chain(&error));
        Vec::new()
    });
    let said = "somebody saved a file of Apache's in the moment in which certbaton was killed";
    let mut back = Vec::new();
    for swept in swept {
        match swept {
            Swept::PutBack(target) => {
                let path = target.display();
                tracing::warn!("{said}; that version is in its place again: {path}");
                back.push(target);
            }
            Swept::Kept(kept) => {
                tracing::error!("{said}; that version is in {}: compare", kept.display());
            }
        }
    }
    back
}

/// Candidates on disk, removed on drop.
#[derive(Debug)]
pub struct Staged {
    /// Which file stands for which.
    pairs: Vec<(PathBuf, PathBuf)>,
    _directory: tempfile::TempDir,
}

/// Writes the new contents where only root and Apache's question look.
pub fn stage(changes: &[FileEdit], directory: &Path) -> Result<Staged, Error> {
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
pub fn read_journal(state: &StateDirectory) -> Result<(Journal, Vec<Note>), Error> {
    let path = &journal::path(state);
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
            let files = journal::salvage(&bytes);
            let journal = Journal { pending: true, files, ..Journal::default() };
            let note = Note::journal(&path.display().to_string(), &damaged.to_string());
            Ok((journal, vec![note]))
        }
    }
}

/// Appends `record` to the journal and waits until it is on disk.
pub fn record(state: &StateDirectory, record: &Record) -> Result<(), Error> {
    Ok(files::append_own(&journal::path(state), &journal::line(record)?)?)
}

/// Reloads Apache and waits until only the new configuration can answer; `last_look`, right
/// before it is told, may still forbid it.
pub fn reload(
    server: &Server,
    patience: Duration,
    last_look: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    let old = server.ready(patience)?;
    last_look()?;
    server.graceful()?;
    Ok(server.wait_deaf(&old, patience)?)
}
