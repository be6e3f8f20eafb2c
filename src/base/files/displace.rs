//! system: puts a file or link where there may be another, keeps what was there, and takes it away again.
//!
//! Each is one rename, so that who looks sees the old or the new. Nothing is
//! followed in the last part of a path. Only below directories that are root's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::read::{read_foreign, rest};
use super::rights::copy_attributes;
use super::{Error, STAGED, exists, real_path, sync_directory, trusted, trusted_directories};

/// What is at a path; a link is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Absent,
    /// A regular file.
    File {
        /// All of it.
        bytes: Vec<u8>,
        /// Its permission bits.
        mode: u32,
    },
    /// A link.
    Link {
        /// Where it points, as it is written.
        target: PathBuf,
        /// What is read through it, if it leads to a file.
        bytes: Option<Vec<u8>>,
    },
    /// A directory, a device, or the like.
    Other,
}

/// What is at `path`; a directory that is missing on the way there is nothing as well.
pub fn state(path: &Path) -> Result<State, Error> {
    let failed = |verb| Error::system(verb, path);
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Absent),
        metadata => metadata.map_err(failed("look at"))?,
    };
    if metadata.is_symlink() {
        let target = fs::read_link(path).map_err(failed("read link"))?;
        let bytes = read_foreign(path).ok();
        return Ok(State::Link { target, bytes });
    }
    if !metadata.is_file() {
        return Ok(State::Other);
    }
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK);
    let file = options.open(path).map_err(failed("open"))?;
    let metadata = file.metadata().map_err(failed("look at"))?;
    let bytes = rest(path, file)?;
    Ok(State::File { bytes, mode: metadata.mode() & 0o7777 })
}

/// Puts a new file of root's at `path`, where nothing is.
///
/// `staging` is a directory on the same file system that nobody includes.
pub fn create(path: &Path, bytes: &[u8], mode: u32, staging: &Path) -> Result<(), Error> {
    let directory = only_ours(path)?;
    let mut new = staged(staging)?;
    new.write_all(bytes).map_err(Error::system("write a new", path))?;
    let rights = fs::Permissions::from_mode(mode);
    new.as_file().set_permissions(rights).map_err(Error::system("set the mode of", path))?;
    new.as_file().sync_all().map_err(Error::system("sync a new", path))?;
    new.persist_noclobber(path).map_err(|error| Error::system("create", path)(error.error))?;
    sync_directory(directory)
}

/// Puts a link to `target` at `path`; the file or link that was there is gone.
pub fn link(path: &Path, target: &Path, staging: &Path) -> Result<(), Error> {
    let directory = only_ours(path)?;
    let new = tempfile::Builder::new()
        .prefix(STAGED)
        .make_in(staging, |at| symlink(target, at))
        .map_err(Error::system("create a link in", staging))?;
    new.persist(path).map_err(|error| Error::system("replace", path)(error.error))?;
    sync_directory(directory)
}

/// Copies the regular file `path` to `copy`, with mode, owner, attributes and times.
pub fn keep(path: &Path, copy: &Path) -> Result<(), Error> {
    let directory = copy.parent().unwrap_or(Path::new("/"));
    copied(path, copy, directory)
}

/// Puts `copy`, which [`keep`] made, where it came from; what is there now is gone.
pub fn put_back(copy: &Path, path: &Path, staging: &Path) -> Result<(), Error> {
    only_ours(path)?;
    copied(copy, path, staging)
}

fn copied(from: &Path, to: &Path, staging: &Path) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK);
    let mut original = options.open(from).map_err(Error::system("open", from))?;
    let metadata = original.metadata().map_err(Error::system("look at", from))?;
    if !metadata.is_file() {
        return Err(Error::NotRegular(from.to_owned()));
    }
    if metadata.nlink() > 1 {
        return Err(Error::HardLinks { path: from.to_owned(), links: metadata.nlink() });
    }
    let failed = |verb| Error::system(verb, to);
    let mut new = staged(staging)?;
    io::copy(&mut original, new.as_file_mut()).map_err(failed("write a copy at"))?;
    like(&original, &metadata, new.as_file()).map_err(failed("keep owner, mode and times at"))?;
    new.as_file().sync_all().map_err(failed("sync"))?;
    new.persist(to).map_err(|error| failed("replace")(error.error))?;
    sync_directory(to.parent().unwrap_or(Path::new("/")))
}

fn like(original: &File, metadata: &fs::Metadata, new: &File) -> io::Result<()> {
    std::os::unix::fs::fchown(new, Some(metadata.uid()), Some(metadata.gid()))?;
    new.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
    copy_attributes(original, new)?;
    let modified: SystemTime = metadata.modified()?;
    new.set_times(fs::FileTimes::new().set_modified(modified))
}

/// Sets the permission bits of the regular file `path`.
pub fn set_mode(path: &Path, mode: u32) -> Result<(), Error> {
    only_ours(path)?;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK);
    let file = options.open(path).map_err(Error::system("open", path))?;
    let metadata = file.metadata().map_err(Error::system("look at", path))?;
    if !metadata.is_file() {
        return Err(Error::NotRegular(path.to_owned()));
    }
    let rights = fs::Permissions::from_mode(mode);
    file.set_permissions(rights).map_err(Error::system("set the mode of", path))?;
    file.sync_all().map_err(Error::system("sync", path))
}

/// The directories above `path` that are not there, the highest first.
pub fn missing_directories(path: &Path) -> Vec<PathBuf> {
    let above = path.ancestors().skip(1);
    let mut missing: Vec<PathBuf> =
        above.take_while(|path| !exists(path)).map(Path::to_owned).collect();
    missing.reverse();
    missing
}

/// Makes the directory `path`, root's, if it is not there.
pub fn make_directory(path: &Path, mode: u32) -> Result<(), Error> {
    let parent = only_ours(path)?;
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.map_err(Error::system("create directory", path))?,
    }
    let rights = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, rights).map_err(Error::system("set the mode of", path))?;
    sync_directory(parent)
}

/// Removes the directory `path` if nothing is in it; whether it is gone.
pub fn remove_empty(path: &Path) -> Result<bool, Error> {
    match fs::remove_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
        Err(error) => Err(Error::system("remove directory", path)(error)),
    }
}

/// Removes `path` with all that is in it; that it is gone already is fine.
pub fn remove_all(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => super::remove_own(path),
        removed => removed.map_err(Error::system("remove", path)),
    }
}

/// A directory of our own that ends with the value, for `owner` if given.
pub fn scratch(inside: &Path, owner: Option<u32>) -> Result<tempfile::TempDir, Error> {
    let made = super::temporary_directory(inside)?;
    if let Some(owner) = owner {
        std::os::unix::fs::chown(made.path(), Some(owner), None)
            .map_err(Error::system("give away", made.path()))?;
    }
    Ok(made)
}

fn staged(staging: &Path) -> Result<tempfile::NamedTempFile, Error> {
    let made = tempfile::Builder::new().prefix(STAGED).tempfile_in(staging);
    made.map_err(Error::system("create a file in", staging))
}

/// The directory of `path`, if nobody but root can change what is in it, and on the way there.
fn only_ours(path: &Path) -> Result<&Path, Error> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let real = real_path(directory)?;
    trusted_directories(&real)?;
    let metadata = fs::metadata(&real).map_err(Error::system("look at", directory))?;
    trusted(&real, &metadata)?;
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8], mode: u32) -> State {
        State::File { bytes: bytes.to_vec(), mode }
    }

    #[test]
    fn what_was_there_comes_back_with_mode_and_times() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        let (path, copy) = (at("site.conf"), at("kept"));
        create(&path, b"old", 0o640, scratch.path()).unwrap();
        let before = fs::metadata(&path).unwrap();
        keep(&path, &copy).unwrap();
        link(&path, Path::new("../site"), scratch.path()).unwrap();
        assert_eq!(state(&path).unwrap(), State::Link { target: "../site".into(), bytes: None });
        put_back(&copy, &path, scratch.path()).unwrap();
        assert_eq!(state(&path).unwrap(), file(b"old", 0o640));
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before.modified().unwrap());
        let left = fs::read_dir(scratch.path()).unwrap().count();
        assert_eq!(left, 2, "nothing but the file and its copy");
    }

    #[test]
    fn a_new_file_never_replaces_one_and_a_foreign_directory_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("x");
        create(&path, b"a", 0o600, scratch.path()).unwrap();
        assert!(create(&path, b"b", 0o600, scratch.path()).is_err());
        assert_eq!(state(&path).unwrap(), file(b"a", 0o600));
        assert_eq!(state(&scratch.path().join("none/x")).unwrap(), State::Absent);
        let open = scratch.path().join("open");
        make_directory(&open, 0o777).unwrap();
        let refused = create(&open.join("x"), b"a", 0o600, scratch.path()).unwrap_err();
        assert!(refused.is_unsafe(), "{refused}");
        assert!(remove_empty(&open).unwrap() && remove_empty(&open).unwrap());
        assert!(!remove_empty(scratch.path()).unwrap());
        remove_all(&path).unwrap();
        assert_eq!(state(&path).unwrap(), State::Absent);
    }
}
