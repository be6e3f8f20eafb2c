//! system: the only reading of files: regular ones, without waiting, and no more than a bound.
//!
//! Four kinds, by who could have written what is read: root alone ([`read_trusted`], and
//! [`read_secret`] where nobody else may know it), anybody ([`read_foreign`]: facts, never
//! instructions), the kernel ([`read_kernel`]), and what Apache reads as root already
//! ([`snapshot`]). A FIFO keeps nobody waiting and a device is not woken up, since nothing is
//! opened before it is known to be a regular file.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::walk::{Walked, seen_by, walk};
use super::{Error, FileIdentity, Snapshot, changed_at, trusted};

/// The content of a file that only root (or who we are) can change or lead elsewhere.
pub fn read_trusted(path: &Path) -> Result<Vec<u8>, Error> {
    Ok(trusted_file(path)?.0)
}

/// As [`read_trusted`], of a file that nobody else can read either.
pub fn read_secret(path: &Path) -> Result<Vec<u8>, Error> {
    let (bytes, metadata) = trusted_file(path)?;
    private(path, &metadata)?;
    Ok(bytes)
}

fn trusted_file(path: &Path) -> Result<(Vec<u8>, Metadata), Error> {
    let Walked { handle, metadata, doubt, .. } = walk(path)?;
    if let Some(doubt) = doubt {
        return Err(doubt);
    }
    let file = opened(path, &handle, &metadata)?;
    trusted(path, &metadata)?;
    Ok((bounded(path, file, MOST_TRUSTED)?, metadata))
}

fn private(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    let mode = metadata.mode() & 0o7777;
    // Nothing for group and others.
    if mode.trailing_zeros() >= 6 {
        return Ok(());
    }
    let problem = format!("holds a secret that others may read (mode {mode:o})");
    Err(Error::Exposed { path: path.to_owned(), problem })
}

/// The content of a file, whoever wrote it; for facts, never for instructions.
///
/// Where somebody's link leads to what he has no right to, nothing is read.
pub fn read_foreign(path: &Path) -> Result<Vec<u8>, Error> {
    let Walked { handle, metadata, led_by, .. } = walk(path)?;
    if let Some(user) = led_by {
        seen_by(user, &metadata, 0o004, path)?;
    }
    let file = opened(path, &handle, &metadata)?;
    bounded(path, file, MOST_FOREIGN)
}

/// The content of `name` below /proc.
pub fn read_kernel(name: &str) -> Result<Vec<u8>, Error> {
    let path = Path::new("/proc").join(name);
    let file = reading().open(&path).map_err(Error::system("open", &path))?;
    bounded(&path, file, MOST)
}

/// Reads a file with all that a replacement has to keep.
pub fn snapshot(path: &Path) -> Result<Snapshot, Error> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nix::libc::O_PATH);
    let handle = options.open(path).map_err(Error::system("open", path))?;
    let metadata = handle.metadata().map_err(Error::system("look at", path))?;
    let real = opened_path(&handle).map_err(Error::system("find", path))?;
    if metadata.nlink() == 0 {
        return Err(Error::Raced(path.to_owned()));
    }
    let file = opened(path, &handle, &metadata)?;
    let bytes = bounded(&real, file, MOST)?;
    let identity = FileIdentity::of(&metadata);
    let changed = changed_at(&metadata);
    Ok(Snapshot { path: real, bytes, changed, identity })
}

/// All of a file of ours that is open, for [`super::place`] and the like.
pub(super) fn rest(path: &Path, file: File) -> Result<Vec<u8>, Error> {
    let metadata = file.metadata().map_err(Error::system("look at", path))?;
    if !metadata.is_file() {
        return Err(Error::NotRegular(path.to_owned()));
    }
    bounded(path, file, MOST)
}

/// How a regular file begins.
pub(super) fn beginning(path: &Path, handle: &File, metadata: &Metadata) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let file = opened(path, handle, metadata)?;
    file.take(BEGINNING).read_to_end(&mut bytes).map_err(Error::system("read", path))?;
    Ok(bytes)
}

/// Opens what `handle` stands for and nothing else, if it is a regular file.
fn opened(path: &Path, handle: &File, metadata: &Metadata) -> Result<File, Error> {
    if !metadata.is_file() {
        return Err(Error::NotRegular(path.to_owned()));
    }
    let same = format!("/proc/self/fd/{}", handle.as_raw_fd());
    reading().open(same).map_err(Error::system("open", path))
}

/// No lease of somebody's (fcntl(2) `F_SETLEASE`) holds the opening up.
fn reading() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY);
    options
}

fn bounded(path: &Path, file: File, most: u64) -> Result<Vec<u8>, Error> {
    // What /proc tells of a process is read at once, not in ever longer pieces.
    let mut bytes = Vec::with_capacity(A_PAGE);
    file.take(most + 1).read_to_end(&mut bytes).map_err(Error::system("read", path))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= most) {
        Ok(bytes)
    } else {
        Err(Error::TooLarge { path: path.to_owned(), most })
    }
}

/// Where an open file is, as the kernel walked: one call, where resolving each
/// link of the path anew takes one for every part of it.
fn opened_path(file: &File) -> std::io::Result<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

const A_PAGE: usize = 4096;

/// As much as the kernel reads of a script (`BINPRM_BUF_SIZE`).
const BEGINNING: u64 = 256;

/// A configuration, a key, a record: the largest of ours is cut at a megabyte.
const MOST_TRUSTED: u64 = 16 << 20;

/// A certificate, a `.htaccess`, a script. Apache's own limit for a line of it is 16 MiB
/// (`VARBUF_MAX_LEN`); more than this in all is nobody's way to configure.
const MOST_FOREIGN: u64 = 1 << 20;

/// Ten thousand vhosts are 20 MiB; so are a hundred thousand sockets.
const MOST: u64 = 64 << 20;
