//! system: kernel locks on files that are never renamed or deleted.
//!
//! `flock(2)`: the kernel frees it with the last descriptor, whatever kills us.
//! Files are opened close-on-exec, so no child keeps a lock alive. (The tickets
//! of the lease's queue do get deleted: `lease::store` says why that is safe.)

use std::fs::File;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Duration;

use nix::errno::Errno;

use crate::base::clock::{Deadline, pause};
use crate::base::files::{self, Error};
use crate::base::threads;

/// A held lock; dropping it releases it.
#[must_use = "the lock is released when this is dropped"]
#[derive(Debug)]
pub struct Lock {
    file: File,
    /// Held and released along with it.
    #[expect(dead_code, reason = "it is held, and nobody asks it anything")]
    along: Option<Box<Lock>>,
}

/// What comes of a lock for who only takes away, and must not be kept from it.
#[derive(Debug)]
pub enum Insisted {
    /// It is held.
    Held(Lock),
    /// Somebody else holds it.
    Busy,
    /// Nobody can hold it, for this reason.
    Nobodys(io::Error),
}

/// A lock that a thread waits for.
#[derive(Debug)]
pub struct Pending {
    woken: PipeReader,
    result: Receiver<Result<Lock, Error>>,
}

/// Takes the lock at `path` now, or tells that somebody holds it with `None`.
pub fn attempt(path: &Path) -> Result<Option<Lock>, Error> {
    of_file(open(path)?, path)
}

/// Takes the lock of the open `file`, which is (or was) at `path`, now; `None` while somebody holds it.
pub fn of_file(file: File, path: &Path) -> Result<Option<Lock>, Error> {
    loop {
        match fs2::FileExt::try_lock_exclusive(&file) {
            Ok(()) => return Ok(Some(Lock { file, along: None })),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::system("lock", path)(source)),
        }
    }
}

/// Takes the lock at `path`, however long that takes.
pub fn wait(path: &Path) -> Result<Lock, Error> {
    wait_for_file(open(path)?, path)
}

fn wait_for_file(file: File, path: &Path) -> Result<Lock, Error> {
    loop {
        match fs2::FileExt::lock_exclusive(&file) {
            Ok(()) => return Ok(Lock { file, along: None }),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::system("lock", path)(source)),
        }
    }
}

/// Takes the lock at `path` for who must go on wherever nobody else can have it, waiting up to
/// `patience`.
///
/// `flock(2)` needs no right to write: a file that cannot be opened for that, or made, is opened
/// to be read. What cannot be opened in either way, or is another user's, no certbaton holds.
pub fn insist(path: &Path, patience: Duration) -> Result<Insisted, Error> {
    let deadline = Deadline::after(patience);
    loop {
        // Anew each time: it may have been made meanwhile, by who could.
        let file = match files::open_lock(path).or_else(|_| files::open_lock_to_read(path)) {
            Ok(file) => file,
            Err(why) if is_nobodys(&why) => return Ok(Insisted::Nobodys(why)),
            Err(source) => return Err(Error::system("lock", path)(source)),
        };
        if !files::is_ours(&file) {
            return Ok(Insisted::Nobodys(io::Error::other("it belongs to another user")));
        }
        if let Some(lock) = of_file(file, path)? {
            return Ok(Insisted::Held(lock));
        }
        if pause(INTERVAL, &deadline).is_err() {
            return Ok(Insisted::Busy);
        }
    }
}

/// Whether a lock file that is not opened for this reason is opened by nobody: there is none, and
/// it cannot be made; a link, or what no process opens, is in its place.
fn is_nobodys(why: &io::Error) -> bool {
    let reasons = [Errno::ENOENT, Errno::ENOTDIR, Errno::ELOOP, Errno::ENXIO];
    reasons.iter().any(|reason| why.raw_os_error() == Some(*reason as i32))
}

/// Opens, or creates, the lock file at `path`.
pub fn open(path: &Path) -> Result<File, Error> {
    files::open_lock(path).map_err(Error::system("lock", path))
}

/// The process that took the lock at `path`, as far as the kernel tells: not across pid namespaces.
pub fn holder(path: &Path) -> Option<i32> {
    let inode = rustix::fs::stat(path).ok()?.st_ino;
    let locks = files::read_kernel("locks").ok()?;
    taken(&String::from_utf8_lossy(&locks), inode)
}

/// `ID: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE START END` (proc_locks(5)); who waits has a `->`.
fn taken(locks: &str, inode: u64) -> Option<i32> {
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, "FLOCK", _, _, pid, place, ..] = words[..] else { return None };
        let is_it = place.rsplit(':').next()?.parse() == Ok(inode);
        pid.parse().ok().filter(|pid| is_it && *pid > 0)
    })
}

impl Lock {
    /// This one and `other`, released together.
    pub fn with(self, other: Self) -> Self {
        Self { along: Some(Box::new(other)), ..self }
    }

    /// The locked file.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl Pending {
    /// Waits for the lock of the open `file`, which is at `path`, on a thread.
    ///
    /// If this is dropped first, the thread gets the lock some day and frees it at once.
    pub fn start(file: File, path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::system("lock", path)(source);
        let (woken, wake) = io::pipe().map_err(failed)?;
        let (done, result) = sync_channel(1);
        let wanted = path.to_owned();
        let wait = move || {
            // Nobody may be there any more: then it is free again.
            done.send(wait_for_file(file, &wanted)).ok();
            drop(wake);
        };
        threads::start("lock", wait).map_err(failed)?;
        Ok(Self { woken, result })
    }

    /// The lock, once it is there.
    pub fn take(&self) -> Option<Result<Lock, Error>> {
        match self.result.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                let source = io::Error::other("the thread that waited for it is gone");
                Some(Err(Error::system("lock", Path::new(""))(source)))
            }
        }
    }
}

/// Can be read (is closed) once the lock is there.
impl AsFd for Pending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }
}

/// Takes the lock at `path`, waiting up to `patience`.
///
/// A bounded wait needs to look again: `flock(2)` knows no timeout.
pub fn acquire(path: &Path, patience: Duration) -> Result<Lock, Error> {
    let deadline = Deadline::after(patience);
    loop {
        if let Some(lock) = attempt(path)? {
            return Ok(lock);
        }
        if pause(INTERVAL, &deadline).is_err() {
            return Err(Error::Busy { path: path.to_owned(), waited: patience });
        }
    }
}

/// Between two looks at a held lock.
const INTERVAL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_busy_and_a_dropped_one_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = attempt(&path).unwrap().unwrap();
        assert!(attempt(&path).unwrap().is_none());
        assert!(matches!(acquire(&path, Duration::from_millis(1)), Err(Error::Busy { .. })));
        drop(held);
        assert!(attempt(&path).unwrap().is_some());
    }

    #[test]
    fn who_must_go_on_takes_a_lock_that_cannot_be_written_and_goes_on_where_nobody_can_have_it() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::os::unix::fs::symlink("/nowhere", at("link")).unwrap();
        files::own_directory(&at("directory"), 0o700).unwrap();
        files::write_scratch(&at("file"), b"").unwrap();
        std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let look = |name: &str| insist(&at(name), Duration::ZERO).unwrap();
        for (name, is_held) in [
            ("new", true),
            ("directory", true),
            ("link", false),
            ("file/lock", false),
            ("none/lock", false),
            ("socket", false),
        ] {
            let found = look(name);
            assert_eq!(matches!(found, Insisted::Held(_)), is_held, "{name}: {found:?}");
            assert!(!matches!(found, Insisted::Busy), "{name}");
        }
        let held = attempt(&at("new")).unwrap().unwrap();
        assert!(matches!(look("new"), Insisted::Busy));
        drop(held);
        let held = look("directory");
        assert!(matches!(look("directory"), Insisted::Busy), "it excludes others: {held:?}");
    }

    #[test]
    fn who_holds_a_lock_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        assert_eq!(holder(&path), None);
        let held = attempt(&path).unwrap().unwrap();
        assert_eq!(holder(&path), i32::try_from(std::process::id()).ok());
        drop(held);
        assert_eq!(holder(&path), None);
    }

    #[test]
    fn who_waits_for_a_lock_does_not_hold_it() {
        let locks = "1: POSIX  ADVISORY  WRITE 41 00:1a:7 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 42 00:1a:7 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 43 00:1a:7 0 EOF\n";
        assert_eq!((taken(locks, 7), taken(locks, 8)), (Some(43), None));
    }

    #[test]
    fn who_waits_is_woken_when_the_lock_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = attempt(&path).unwrap().unwrap();
        let pending = Pending::start(open(&path).unwrap(), &path).unwrap();
        assert!(pending.take().is_none());
        drop(held);
        crate::base::clock::ready(&[pending.as_fd()], Some(Duration::from_secs(30))).unwrap();
        let lock = pending.take().unwrap().unwrap();
        assert!(attempt(&path).unwrap().is_none());
        drop(lock);
        drop(wait(&path).unwrap());
    }
}
