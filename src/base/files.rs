//! system: reads files that root may trust, and replaces them in one step.
//!
//! A replacement is a rename over the real file, never a write into it: a web
//! server that reloads in the middle sees the old bytes or the new ones. Links
//! are followed to the end first; mode, owner and extended attributes (ACLs and
//! SELinux labels among them) go along. Hard links would part and are refused.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use nix::unistd::geteuid;
use rustix::fs::OFlags;

pub mod displace;
mod guarded;
mod own_files;
mod publish;
mod read;
mod replace;
mod rights;
mod staging;
mod stamp;
mod sweep;
mod transaction;
mod tree;
mod walk;
pub use guarded::{own_program, trusted_program};
pub use own_files::{
    append_own, empty_own, own_directory, remove_own, temporary_directory, write_own, write_scratch,
};
pub(crate) use own_files::{is_ours, open_lock, open_lock_to_read};
pub use publish::publish;
pub use read::{read_foreign, read_kernel, read_secret, read_trusted, snapshot};
pub use replace::{Replaced, forget_spares};
pub use staging::{Staging, left_staging, staging, staging_beside};
pub use stamp::{Stamp, changed_itself, modified, stamp};
pub use sweep::{Swept, sweep};
pub use transaction::Transaction;
pub use tree::{NewFile, write_tree};

use crate::base::exit::{CarriesExit, Exit};
use own_files::sync_directory;
use stamp::{FileIdentity, changed_at};

/// A file as it was when we read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The file itself, links resolved.
    pub path: PathBuf,
    /// Its content.
    pub bytes: Vec<u8>,
    /// When content or attributes last changed: the later of mtime and ctime.
    pub changed: Timestamp,
    identity: FileIdentity,
}

impl Snapshot {
    /// The version that was read.
    pub fn stamp(&self) -> Stamp {
        Stamp { changed: self.changed, identity: self.identity }
    }
}

/// Why a file was not read or replaced.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system said no.
    #[error("cannot {verb} {}", path.display())]
    System {
        /// What was tried.
        verb: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may change it, so root must not rely on it.
    #[error("{} {problem}; root must not rely on it (chown root, chmod go-w)", path.display())]
    Unsafe {
        /// The file or directory.
        path: PathBuf,
        /// Who may.
        problem: String,
    },
    /// Others may read what is root's to know.
    #[error("{} {problem}; whoever read it knows it (chown root, chmod go-rwx)", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Who may.
        problem: String,
    },
    /// Not a plain file.
    #[error("{} is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// More than anything of its kind has.
    #[error("{} has more than {most} bytes, which is nothing that root reads", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// As many are read.
        most: u64,
    },
    /// Something else than a directory, links included.
    #[error("{} is not a directory, or reached by a link; move it away", .0.display())]
    NotADirectory(PathBuf),
    /// Somebody else wrote it.
    #[error("{} is not of certbaton's making and was left as it is; move it away, or choose another directory", .0.display())]
    Foreign(PathBuf),
    /// It has other names, which a rename would leave behind.
    #[error("{} has {links} hard links, which a replacement would part; copy it instead of linking", path.display())]
    HardLinks {
        /// The file.
        path: PathBuf,
        /// How many names.
        links: u64,
    },
    /// Another mount begins at the file itself.
    #[error("{} is a mount point of its own, which no other file can take the place of; mount the directory that it is in instead", .0.display())]
    Mounted(PathBuf),
    /// Everything beside it is read.
    #[error("no place for a new file beside {}: all that is on its mount is included by Apache, and the state directory is on another one; include its files by a pattern such as *.conf", .0.display())]
    NoStaging(PathBuf),
    /// Somebody else held the lock all the time.
    #[error("lock {} is held by another certbaton; waited for {} s", path.display(), waited.as_secs())]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// How long we waited.
        waited: Duration,
    },
    /// Somebody was quicker.
    #[error("{} was changed by somebody else just now; nothing of it was replaced", .0.display())]
    Raced(PathBuf),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Unsafe { .. }
            | Self::Exposed { .. }
            | Self::NotRegular(_)
            | Self::TooLarge { .. } => Exit::Unsafe,
            Self::System { .. }
            | Self::NotADirectory(_)
            | Self::Foreign(_)
            | Self::HardLinks { .. }
            | Self::Mounted(_)
            | Self::NoStaging(_)
            | Self::Raced(_) => Exit::Failed,
            Self::Busy { .. } => Exit::Busy,
        }
    }
}

impl Error {
    pub(super) fn system(
        verb: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::System { verb, path, source }
    }

    /// The file is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::System { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// This process, or the host, has no more of what it takes to open anything.
    pub fn is_exhaustion(&self) -> bool {
        let lacks = [nix::libc::EMFILE, nix::libc::ENFILE, nix::libc::ENOMEM];
        let lacks = |source: &io::Error| source.raw_os_error().is_some_and(|e| lacks.contains(&e));
        matches!(self, Self::System { source, .. } if lacks(source))
    }

    /// What the system said, or that it was not asked.
    pub fn into_io(self) -> io::Error {
        if let Self::System { source, .. } = self { source } else { io::Error::other(self) }
    }

    /// Nothing is there, or what would hold it is no directory.
    pub fn is_nowhere(&self) -> bool {
        let nowhere = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
        matches!(self, Self::System { source, .. } if nowhere.contains(&source.kind()))
    }

    /// Nothing that root may rely on: exit code 77.
    pub fn is_unsafe(&self) -> bool {
        self.exit() == Exit::Unsafe
    }
}

/// Follows all links of `path`.
pub fn real_path(path: &Path) -> Result<PathBuf, Error> {
    fs::canonicalize(path).map_err(Error::system("find", path))
}

/// Where the link `path` points, unresolved.
pub fn link_target(path: &Path) -> Result<PathBuf, Error> {
    fs::read_link(path).map_err(Error::system("read link", path))
}

/// Whether something is at `path`, links followed.
pub fn exists(path: &Path) -> bool {
    fs::metadata(path).is_ok()
}

/// Whether both are the same file or directory, links followed.
pub fn is_same(one: &Path, other: &Path) -> Result<bool, Error> {
    let identity = |path: &Path| {
        let metadata = fs::metadata(path).map_err(Error::system("look at", path))?;
        Ok((metadata.dev(), metadata.ino()))
    };
    Ok(identity(one)? == identity(other)?)
}

/// Whether every user of this host can read `path`.
pub fn is_open_to_all(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o004 != 0)
}

/// User and group that own `path`.
pub fn owner(path: &Path) -> Result<(u32, u32), Error> {
    let metadata = fs::metadata(path).map_err(Error::system("look at", path))?;
    Ok((metadata.uid(), metadata.gid()))
}

/// Whether `path` is a file that somebody may run.
pub fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0)
}

/// Whether `path` itself is a regular file, not a link to one.
pub fn is_plain_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|m| m.is_file())
}

/// The names in a directory, sorted by bytes.
pub fn list(path: &Path) -> Result<Vec<std::ffi::OsString>, Error> {
    let entries = fs::read_dir(path).map_err(Error::system("list", path))?;
    let names: io::Result<Vec<_>> = entries.map(|e| e.map(|e| e.file_name())).collect();
    let mut names = names.map_err(Error::system("list", path))?;
    names.sort();
    Ok(names)
}

/// Refuses what somebody else than root, or than who we are, may write.
fn trusted(path: &Path, metadata: &fs::Metadata) -> Result<(), Error> {
    let owner = metadata.uid();
    let refused = |problem: String| Err(Error::Unsafe { path: path.to_owned(), problem });
    if owner != 0 && owner != geteuid().as_raw() {
        return refused(format!("belongs to uid {owner}"));
    }
    let mode = metadata.mode();
    // The umask 002 of some administrators; an access list would hide behind the same bits (acl(5)).
    let is_group_roots = metadata.gid() == 0 && !rights::has_access_list(path);
    if mode & 0o002 != 0 || mode & 0o020 != 0 && !is_group_roots {
        return refused(format!("may be written by others (mode {:o})", mode & 0o7777));
    }
    Ok(())
}

/// Refuses a path with a directory in it that somebody else may write.
///
/// A sticky directory of root's, such as /tmp, is none: others cannot rename or remove what is root's in it.
pub fn trusted_directories(path: &Path) -> Result<(), Error> {
    let real = real_path(path)?;
    for directory in real.ancestors().skip(1) {
        let metadata = fs::metadata(directory).map_err(Error::system("look at", directory))?;
        let sticky_root = metadata.mode() & 0o1000 != 0 && metadata.uid() == 0;
        if !sticky_root {
            trusted(directory, &metadata)?;
        }
    }
    Ok(())
}

/// Prefix of a new file on its way to its place.
const STAGED: &str = "certbaton.";

/// Prefix of an old file on its way out.
const OUT: &str = "out.";

/// Prefix of an old file that the way back may need.
const SPARE: &str = "spare.";

/// Prefix of one that somebody saved, and that is kept.
const KEPT: &str = "saved.";

/// Prefix of a directory with candidates.
const CANDIDATE: &str = "candidate.";

/// Refuses a way by which others could lead to another file: a directory on it that they may
/// write, or a link that is theirs.
pub fn trusted_way(path: &Path) -> Result<(), Error> {
    walk::walk(path)?.doubt.map_or(Ok(()), Err)
}

/// The directory that `path` leads to, with the user whose link leads there although only root may
/// write to it.
pub fn directory_behind(path: &Path) -> Result<(OwnedFd, Option<u32>), Error> {
    let walked = walk::follow(path)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(&walked.handle, ".", flags, rustix::fs::Mode::empty());
    let directory = directory.map_err(|errno| Error::system("open", path)(errno.into()))?;
    Ok((directory, walked.misled_by()))
}

#[cfg(test)]
mod tests;
