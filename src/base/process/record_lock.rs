//! system: who holds a lock as certbot takes it, by fcntl(2).

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;

use super::{Error, descriptors, is_called, refused};

/// Who holds a record lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockOwner {
    /// The process with this pid.
    Pid(i32),
    /// A process outside this pid namespace, or an open file description.
    Unknown,
}

/// Who holds a write lock on any byte of `path` (fcntl(2) `F_GETLK`, the kind
/// certbot takes, which flock(1) does not see). A missing file is held by nobody.
///
/// The file is opened for reading only, never made. This process must not
/// itself hold a lock on it: closing the file would drop that.
pub fn lock_holder(path: &Path) -> Result<Option<LockOwner>, Error> {
    let failed = |source| Error::Lock { path: path.to_owned(), source };
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    let mut lock = libc::flock {
        l_type: kind(libc::F_WRLCK),
        l_whence: kind(libc::SEEK_SET),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_GETLK(&mut lock)).map_err(|errno| failed(errno.into()))?;
    Ok(match lock.l_pid {
        _ if lock.l_type == kind(libc::F_UNLCK) => None,
        pid if pid > 0 => Some(LockOwner::Pid(pid)),
        _ => Some(LockOwner::Unknown),
    })
}

/// Whether process `pid` holds a write lock on a file that it has open and that is, or was when it was deleted, called `name`.
///
/// The kernel lists the locks that a process took with an open file beside that
/// (`/proc/PID/fdinfo`, proc_pid_fdinfo(5)), so neither paths nor inodes have to be
/// compared, which file systems in layers number in more than one way. A process
/// whose files are not shown to us is none that we could do anything to.
pub fn holds_lock_on(pid: i32, name: &str) -> Result<bool, Error> {
    let is_held = |number: i32, link: io::Result<&[u8]>| {
        if !if_open(link, pid)?.is_some_and(|target| is_called(target, name)) {
            return Ok(false);
        }
        let told = fs::read(format!("/proc/{pid}/fdinfo/{number}"));
        Ok(if_open(told, pid)?.is_some_and(|told| has_write_lock(&told)))
    };
    let found = descriptors::find(pid, |number, link| match is_held(number, link) {
        Ok(false) => None,
        found => Some(found),
    });
    match found {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(false),
        Err(source) => Err(refused("list the open files of", pid, source)),
        Ok(found) => found.unwrap_or(Ok(false)),
    }
}

/// What was learned of an open file; none if it was closed since, or is not shown to us. Anything
/// else says nothing about the file, and must not pass for one without a lock.
fn if_open<T>(learned: io::Result<T>, pid: i32) -> Result<Option<T>, Error> {
    match learned {
        Ok(learned) => Ok(Some(learned)),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(None),
        Err(source) => match refused("look at an open file of", pid, source) {
            Error::Gone(_) => Ok(None),
            error => Err(error),
        },
    }
}

/// `lock:\t1: POSIX  ADVISORY  WRITE 421 08:01:1310 0 EOF`
fn has_write_lock(fdinfo: &[u8]) -> bool {
    let text = String::from_utf8_lossy(fdinfo);
    let mut locks = text.lines().filter_map(|line| line.strip_prefix("lock:"));
    locks.any(|lock| lock.split_ascii_whitespace().any(|word| word == "WRITE"))
}

/// The constants are `int`, the fields `short` (fcntl(2)).
fn kind(constant: i32) -> i16 {
    i16::try_from(constant).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_lock_is_held_by_nobody_and_a_missing_one_is_not_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".certbot.lock");
        assert_eq!(lock_holder(&path).unwrap(), None);
        assert!(!path.exists());
        fs::write(&path, "").unwrap();
        assert_eq!(lock_holder(&path).unwrap(), None);
        std::os::unix::fs::symlink(&path, directory.path().join("link")).unwrap();
        assert!(matches!(lock_holder(&directory.path().join("link")), Err(Error::Lock { .. })));
    }
}
