//! system: the arbiter's directories: the queue, the record of the grant, the last token.
//!
//! It decides nothing. Whoever reads the record to change it holds the lock
//! `decide`, so that the record is the truth. A ticket is locked before it has
//! its name and as long as its process lives; who finds one free buries it.
//! That tickets are deleted is safe: a name is given out under `seq.lock`, is
//! above all names that are there, and a locked file is compared with its name.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::libc;
use serde::{Deserialize, Serialize};

use crate::base::clock::{Deadline, Unfinished, within};
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::lock::{self, Lock};
use crate::base::own_directories::{RuntimeDirectory, StateDirectory};
use crate::base::process;
use crate::lease::memory::{GrantRecord, Memory, Millis, Recorded};
use crate::lease::wire::{Purpose, Token};

/// Where an arbiter has its queue and the record of the grant.
pub fn arbiter_directory(runtime: &RuntimeDirectory) -> PathBuf {
    runtime.join("arbiter")
}

/// Where it has the last token, which outlives a reboot.
pub fn token_directory(state: &StateDirectory) -> PathBuf {
    state.join("arbiter")
}

/// The directories of one arbiter.
#[derive(Debug, Clone)]
pub struct Store {
    directory: PathBuf,
    queue: PathBuf,
    tokens: PathBuf,
    boot: String,
}

/// Why the arbiter cannot remember.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The queue.
    #[error("cannot {0} the queue of the lease")]
    Queue(&'static str, #[source] std::io::Error),
    /// Cannot be written down.
    #[error("cannot write the lease down")]
    Json(#[from] serde_json::Error),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::File(error) => error.exit(),
            Self::Queue(..) | Self::Json(_) => Exit::Failed,
        }
    }
}

/// What a ticket says about its waiter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Slip {
    /// By its key.
    pub name: String,
    /// For people.
    pub purpose: Purpose,
    /// Since when it waits.
    pub since: Millis,
    /// The arbiter's process.
    pub pid: i32,
}

/// A place in the queue, given up when this is dropped.
#[derive(Debug)]
pub struct Ticket {
    path: PathBuf,
    number: u64,
    _lock: Lock,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Who comes next buries what is left.
        fs::remove_file(&self.path).ok();
    }
}

/// The right to read the record and to change it.
#[derive(Debug)]
pub struct RecordAccess<'a> {
    store: &'a Store,
    _lock: Lock,
}

impl Store {
    /// Makes and checks the directories.
    pub fn open(directory: PathBuf, tokens: PathBuf) -> Result<Self, Error> {
        let queue = directory.join("queue");
        for own in [&directory, &queue, &tokens] {
            files::own_directory(own, 0o700)?;
            files::trusted_directories(own)?;
        }
        Ok(Self { directory, queue, tokens, boot: process::boot()? })
    }

    /// Waits for the right to decide; whoever has it needs it for one write.
    pub fn decide(&self) -> Result<RecordAccess<'_>, Error> {
        Ok(RecordAccess { store: self, _lock: brief(&self.directory.join("decide"))? })
    }

    /// What is recorded; without `decide`, only to be told to people.
    pub fn memory(&self) -> Result<Memory, Error> {
        let grant = recorded(&self.grant(), |bytes| serde_json::from_slice(bytes).ok())?;
        let token = recorded(&self.token(), number)?;
        let revoked = match recorded(&self.revoked(), number)? {
            Recorded::Known(token) => Some(token),
            _ => None,
        };
        Ok(Memory { boot: self.boot.clone(), grant, token, revoked })
    }

    /// Takes the last place in the queue.
    pub fn enqueue(&self, slip: &Slip) -> Result<Ticket, Error> {
        let _names = brief(&self.directory.join("seq.lock"))?;
        // Under this lock, a ticket without a name is one whose process died.
        for name in files::list(&self.queue)? {
            if name.as_encoded_bytes().starts_with(UNNAMED.as_bytes()) {
                fs::remove_file(self.queue.join(name)).map_err(|e| Error::Queue("sweep", e))?;
            }
        }
        let number = self.numbers()?.last().map_or(1, |last| last + 1);
        let path = self.path(number);
        let mut new = tempfile::Builder::new()
            .prefix(UNNAMED)
            .tempfile_in(&self.queue)
            .map_err(|e| Error::Queue("join", e))?;
        new.write_all(&serde_json::to_vec(slip)?).map_err(|e| Error::Queue("join", e))?;
        let (file, unnamed) = new.into_parts();
        let busy = || files::Error::Busy { path: path.clone(), waited: Duration::ZERO };
        let lock = lock::of_file(file, &path)?.ok_or_else(busy)?;
        unnamed.persist(&path).map_err(|e| Error::Queue("join", e.error))?;
        Ok(Ticket { path, number, _lock: lock })
    }

    /// Who is before `ticket`, nearest last; some may be dead.
    pub fn before(&self, ticket: &Ticket) -> Result<Vec<PathBuf>, Error> {
        let before = self.numbers()?.into_iter().filter(|number| *number < ticket.number);
        Ok(before.map(|number| self.path(number)).collect())
    }

    /// Everybody who waits, first come first.
    pub fn waiters(&self) -> Result<Vec<Slip>, Error> {
        let mut waiters = Vec::new();
        for number in self.numbers()? {
            let path = self.path(number);
            let Some(file) = ticket(&path)? else { continue };
            let alive = lock::of_file(file, &path)?.is_none();
            let slip = files::read_trusted(&path).ok();
            let slip = slip.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            waiters.extend(slip.filter(|_| alive));
        }
        Ok(waiters)
    }

    /// The lock that the holder's process has: who waits for it learns at once that it is gone.
    pub fn hold(&self) -> PathBuf {
        self.directory.join("hold")
    }

    fn numbers(&self) -> Result<Vec<u64>, Error> {
        let names = files::list(&self.queue)?;
        let mut numbers: Vec<u64> =
            names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.queue.join(format!("{number:020}"))
    }

    fn grant(&self) -> PathBuf {
        self.directory.join("grant")
    }

    fn token(&self) -> PathBuf {
        self.tokens.join("token")
    }

    fn revoked(&self) -> PathBuf {
        self.directory.join("revoked")
    }
}

impl RecordAccess<'_> {
    /// What is recorded.
    pub fn memory(&self) -> Result<Memory, Error> {
        self.store.memory()
    }

    /// Replaces the record; it is complete or the old one, whenever we die.
    pub fn record(&self, grant: &GrantRecord) -> Result<(), Error> {
        Ok(files::write_own(&self.store.grant(), &serde_json::to_vec(grant)?)?)
    }

    /// Records a grant that is new: first the token, on disk, so that no reboot forgets it.
    pub fn record_new(&self, grant: &GrantRecord) -> Result<(), Error> {
        // Under this lock, what is half written is of a process that died.
        files::sweep(&self.store.directory, &[])?;
        files::sweep(&self.store.tokens, &[])?;
        files::write_own(&self.store.token(), format!("{}\n", grant.token.0).as_bytes())?;
        self.record(grant)?;
        // It names a token that nobody has any more: harmless, should it stay.
        if files::exists(&self.store.revoked()) {
            fs::remove_file(self.store.revoked()).ok();
        }
        Ok(())
    }

    /// Records that `token` was taken away.
    pub fn record_revoked(&self, token: Token) -> Result<(), Error> {
        Ok(files::write_own(&self.store.revoked(), format!("{}\n", token.0).as_bytes())?)
    }
}

/// Opens a ticket, if it is still there.
pub fn ticket(path: &Path) -> Result<Option<File>, Error> {
    let mut options = fs::OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    match options.open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::Queue("read", error)),
    }
}

/// Deletes the ticket at `path`, whose lock we have, unless that is another by now.
pub fn bury(path: &Path, lock: &Lock) -> Result<(), Error> {
    let failed = |error| Error::Queue("sweep", error);
    let ours = lock.file().metadata().map_err(failed)?;
    match fs::symlink_metadata(path) {
        Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => {}
        _ => return Ok(()),
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// A lock that nobody has for long; who has it all the same is stopped.
fn brief(path: &Path) -> Result<Lock, Error> {
    if let Some(lock) = lock::attempt(path)? {
        return Ok(lock);
    }
    let wanted = path.to_owned();
    let failed = |unfinished| match unfinished {
        Unfinished::Passed(_) => files::Error::Busy { path: path.to_owned(), waited: BRIEF },
        Unfinished::Thread(_) => {
            files::Error::System { verb: "lock", path: path.to_owned(), source: unfinished.into() }
        }
    };
    let lock = within(&Deadline::after(BRIEF), move || lock::wait(&wanted)).map_err(failed)?;
    Ok(lock?)
}

fn recorded<T>(path: &Path, parse: impl FnOnce(&[u8]) -> Option<T>) -> Result<Recorded<T>, Error> {
    match files::read_trusted(path) {
        Ok(bytes) => Ok(parse(&bytes).map_or(Recorded::Unreadable, Recorded::Known)),
        Err(error) if error.is_missing() => Ok(Recorded::Missing),
        Err(error) if error.is_unsafe() => Err(error.into()),
        Err(_) => Ok(Recorded::Unreadable),
    }
}

fn number(bytes: &[u8]) -> Option<Token> {
    // Without its end it may be a part of one.
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    text.parse().ok().map(Token)
}

/// Prefix of a ticket that has no number yet.
const UNNAMED: &str = "new.";

/// Far above what a write to a slow disk takes; below the time a caller would wait for a word.
const BRIEF: Duration = Duration::from_secs(10);
