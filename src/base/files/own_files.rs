//! system: files and directories of our own, where nobody else writes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::unistd::geteuid;

use super::{CANDIDATE, Error, STAGED, exists, trusted};

/// Writes a file of our own in one step, readable for root only.
pub fn write_own(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut new = tempfile::Builder::new()
        .prefix(STAGED)
        .tempfile_in(directory)
        .map_err(Error::system("create a file in", directory))?;
    new.write_all(bytes).map_err(Error::system("write", path))?;
    new.as_file().sync_all().map_err(Error::system("sync", path))?;
    new.persist(path).map_err(|e| Error::system("replace", path)(e.error))?;
    sync_directory(directory)
}

/// A directory of our own for scratch files, removed on drop.
pub fn temporary_directory(inside: &Path) -> Result<tempfile::TempDir, Error> {
    let made = tempfile::Builder::new().prefix(CANDIDATE).tempdir_in(inside);
    made.map_err(Error::system("create a directory in", inside))
}

/// Writes a file that need not survive a crash.
pub fn write_scratch(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(Error::system("write", path))
}

/// Adds `bytes` to a file of our own and waits until they are on disk.
pub fn append_own(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let new = !exists(path);
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        // A FIFO without a reader is refused (ENXIO) and not waited for.
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(path)
        .map_err(Error::system("open", path))?;
    file.write_all(bytes).map_err(Error::system("write", path))?;
    file.sync_data().map_err(Error::system("sync", path))?;
    if new { sync_directory(path.parent().unwrap_or(Path::new("/"))) } else { Ok(()) }
}

/// Takes all bytes out of a file of our own, which cannot be removed.
pub fn empty_own(path: &Path) -> Result<(), Error> {
    let file = OpenOptions::new()
        .write(true)
        .truncate(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(path)
        .map_err(Error::system("empty", path))?;
    file.sync_all().map_err(Error::system("sync", path))
}

/// Removes a file of our own; that it is gone already is fine.
pub fn remove_own(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::system("remove", path)(error)),
        Ok(()) => sync_directory(path.parent().unwrap_or(Path::new("/"))),
    }
}

/// Makes a directory of our own, with its parents, and checks that it is only ours.
///
/// A new one has `mode` whatever our umask is; one that was there keeps its own.
pub fn own_directory(path: &Path, mode: u32) -> Result<(), Error> {
    let failed = |verb| Error::system(verb, path);
    if let Ok(metadata) = fs::metadata(path)
        && metadata.is_dir()
    {
        return trusted(path, &metadata);
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed("create directory"))?;
    }
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(failed("set the mode of"))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed("create directory")(error)),
    }
    let metadata = fs::metadata(path).map_err(failed("look at"))?;
    trusted(path, &metadata)
}

/// Opens, or creates, a lock file.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(path)
}

/// Opens a lock file that can only be read, or whatever is in its place.
pub(crate) fn open_lock_to_read(path: &Path) -> io::Result<File> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Whether the open `file` is root's, or of who we are.
pub(crate) fn is_ours(file: &File) -> bool {
    let ours = [0, geteuid().as_raw()];
    file.metadata().is_ok_and(|metadata| ours.contains(&metadata.uid()))
}

pub(super) fn sync_directory(path: &Path) -> Result<(), Error> {
    let directory = File::open(path).map_err(Error::system("open", path))?;
    directory.sync_all().map_err(Error::system("sync", path))
}
