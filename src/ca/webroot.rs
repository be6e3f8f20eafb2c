//! system: plants a file below a webroot's challenge directory, and removes it.
//!
//! Somebody else may own everything below the webroot, so nothing there is
//! ever reached by a path or through a link: every step is relative to the
//! open directory before it. Links above the webroot are the administrator's; one that is not
//! leads to no directory of root's.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, DirEntry, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::base::cause::chain;
use crate::base::clock;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::lock::{self, Lock};
use crate::base::names::{CHALLENGE_DIRECTORY, ChallengeToken, Webroot};
use crate::ca::validation::Nonce;

/// Why nothing could be planted or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The webroot is not there.
    #[error("webroot {} does not exist; create it, or correct certbot's webroot path", .0.display())]
    Missing(PathBuf),
    /// The webroot, or a directory below it, is something else.
    #[error("{} is not a directory; move it away", .0.display())]
    NotADirectory(PathBuf),
    /// A directory below the webroot is a symbolic link.
    #[error("{} is a symbolic link, which is not followed as root; replace it by a directory", .0.display())]
    Link(PathBuf),
    /// The webroot is root's own directory, behind a link of a user's.
    #[error(
        "webroot {} leads by a link of uid {user} to a directory that only root may write to, so nothing is made there; write its real path, or give it to that user", path.display()
    )]
    Misled {
        /// The webroot.
        path: PathBuf,
        /// Whose link.
        user: u32,
    },
    /// No space, inodes or quota.
    #[error("no room for {}; free some space", path.display())]
    Full {
        /// The file or directory.
        path: PathBuf,
        /// ENOSPC or EDQUOT.
        source: io::Error,
    },
    /// Not allowed to write.
    #[error("not allowed to write {}; run as root on a writable file system", path.display())]
    Denied {
        /// The file or directory.
        path: PathBuf,
        /// EACCES, EPERM or EROFS.
        source: io::Error,
    },
    /// Anything else.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Misled { .. } => Exit::Unsafe,
            Self::Missing(_)
            | Self::NotADirectory(_)
            | Self::Link(_)
            | Self::Full { .. }
            | Self::Denied { .. }
            | Self::Io { .. } => Exit::Failed,
        }
    }
}

/// A planted file, removed by [`PlantedFile::remove`] or, as a last resort, on drop.
#[derive(Debug)]
#[must_use = "the file is removed when this is dropped"]
pub struct PlantedFile {
    nonce: Nonce,
    file: Option<Entry>,
    /// Locked, so that nobody takes the file for one that a killed probe left.
    held: Option<Lock>,
    /// The directories made for it, the outermost first.
    made: Vec<Entry>,
}

/// A name in an open directory; the path is only for messages.
#[derive(Debug)]
struct Entry {
    parent: OwnedFd,
    name: String,
    path: PathBuf,
}

/// Plants a file with a random name and content below `webroot`, readable by
/// everybody whatever the umask. Directories that are missing are made with
/// mode 755 as certbot makes them (`plugins/webroot.py`), but stay root's. One
/// file is enough for all names of a webroot; of two at a time, the later may
/// leave the directories that the earlier has made.
pub fn plant(webroot: &Webroot) -> Result<PlantedFile, Error> {
    let mut path = webroot.as_path().to_owned();
    let (mut directory, misled) = files::directory_behind(&path).map_err(|failed| {
        let source = failed.into_io();
        match Errno::from_io_error(&source) {
            Some(Errno::NOENT) => Error::Missing(path.clone()),
            Some(Errno::NOTDIR) => Error::NotADirectory(path.clone()),
            Some(errno) => error("open", &path, errno),
            None => Error::Io { action: "open", path: path.clone(), source },
        }
    })?;
    if let Some(user) = misled {
        return Err(Error::Misled { path, user });
    }

    // From here on a failure drops `planted`, which removes what was made.
    let mut planted =
        PlantedFile { nonce: nonce(&path)?, file: None, held: None, made: Vec::new() };
    for name in CHALLENGE_DIRECTORY.split('/') {
        path.push(name);
        directory = planted.descend(directory, name, &path)?;
    }
    sweep(&directory).unwrap_or_else(|e| {
        tracing::warn!("{}: cannot remove what a killed probe left there: {e}", path.display());
    });
    path.push(planted.nonce.token.as_str());
    planted.write(directory, &path)?;
    Ok(planted)
}

impl PlantedFile {
    /// The token, and what its file contains.
    pub fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// Removes the file, and the directories made for it unless something else
    /// is in them by now. What is gone already is no error.
    pub fn remove(mut self) -> Result<(), Error> {
        self.clear()
    }

    fn descend(&mut self, parent: OwnedFd, name: &str, path: &Path) -> Result<OwnedFd, Error> {
        let new = match rustix::fs::mkdirat(&parent, name, DIRECTORY_MODE) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(e) => return Err(error("make", path, e)),
        };
        let entry = Entry { parent, name: name.to_owned(), path: path.to_owned() };
        let directory = entry.open();
        if new {
            self.made.push(entry);
            widen(directory.as_ref().ok()).map_err(|e| error("set the mode of", path, e))?;
        }
        directory
    }

    fn write(&mut self, parent: OwnedFd, path: &Path) -> Result<(), Error> {
        let name = self.nonce.token.as_str().to_owned();
        let mode = Mode::from_raw_mode(0o644);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let failed = |e| error("create", path, e);
        let mut tries = 0..TRIES;
        let mut file = loop {
            let file = File::from(rustix::fs::openat(&parent, &name, flags, mode).map_err(failed)?);
            let own = file.try_clone();
            let own = own.map_err(|e| error("create", path, raw(&e)))?;
            // Where files cannot be locked, only one of yesterday is taken for one left behind.
            let held = lock::of_file(own, path);
            let is_taken = matches!(held, Ok(None));
            self.held = held.ok().flatten();
            // Who looks for those may have come first, and removes it.
            let is_gone = rustix::fs::fstat(&file).map_err(failed)?.st_nlink == 0;
            if !(is_taken || is_gone) || tries.next().is_none() {
                break file;
            }
            rustix::fs::unlinkat(&parent, &name, AtFlags::empty()).ok();
        };
        self.file = Some(Entry { parent, name, path: path.to_owned() });
        file.write_all(self.nonce.content.as_bytes()).map_err(|e| error("write", path, raw(&e)))?;
        rustix::fs::fchmod(&file, mode).map_err(|e| error("set the mode of", path, e))
    }

    fn clear(&mut self) -> Result<(), Error> {
        if let Some(file) = self.file.take() {
            match rustix::fs::unlinkat(&file.parent, &file.name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(e) => return Err(error("remove", &file.path, e)),
            }
        }
        while let Some(made) = self.made.pop() {
            match rustix::fs::unlinkat(&made.parent, &made.name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => {}
                // In use by now, or replaced: no longer ours.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => return Ok(()),
                Err(e) => return Err(error("remove", &made.path, e)),
            }
        }
        Ok(())
    }
}

impl Drop for PlantedFile {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            tracing::warn!("{}: a challenge file was left behind", chain(&error));
        }
    }
}

impl Entry {
    fn open(&self) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.parent, &self.name, flags, Mode::empty()).map_err(|e| match e {
            Errno::NOTDIR | Errno::LOOP if self.is_link() => Error::Link(self.path.clone()),
            Errno::NOTDIR => Error::NotADirectory(self.path.clone()),
            e => error("open", &self.path, e),
        })
    }

    fn is_link(&self) -> bool {
        let stat = rustix::fs::statat(&self.parent, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        stat.is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::Symlink)
    }
}

/// Removes what a probe that was killed has left below `webroot`, if anything is there.
pub fn sweep_left(webroot: &Webroot) {
    let Ok((mut directory, None)) = files::directory_behind(webroot.as_path()) else { return };
    let mut path = webroot.as_path().to_owned();
    for name in CHALLENGE_DIRECTORY.split('/') {
        path.push(name);
        let entry = Entry { parent: directory, name: name.to_owned(), path: path.clone() };
        let Ok(opened) = entry.open() else { return };
        directory = opened;
    }
    if let Err(errno) = sweep(&directory) {
        tracing::warn!("{}: cannot remove what a killed probe left there: {errno}", path.display());
    }
}

/// Removes files that are ours by name and owner, and of no probe that lives: nobody has them
/// locked, or they are older than any probe becomes.
fn sweep(directory: &OwnedFd) -> Result<(), Errno> {
    let user = rustix::process::geteuid().as_raw();
    let now = clock::now().as_second();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.to_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(directory, name, flags, Mode::empty()) {
            // A probe beside this one has just ended; or it is not ours.
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::ACCESS) => continue,
            file => File::from(file?),
        };
        let stat = rustix::fs::fstat(&file)?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if !is_file || stat.st_uid != user {
            continue;
        }
        let is_left = match lock::of_file(file, Path::new(PREFIX)) {
            Ok(Some(held)) => Some(held),
            Ok(None) | Err(_) if now - stat.st_mtime <= A_DAY => continue,
            Ok(None) | Err(_) => None,
        };
        match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
            Err(Errno::NOENT) => {}
            removed => removed?,
        }
        drop(is_left);
    }
    Ok(())
}

fn raw(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Undoes the umask on a directory just made. If the owner of the webroot has
/// put another in its place, it is not for us to open that one to the world; an
/// empty one does no harm.
fn widen(new: Option<&OwnedFd>) -> Result<(), Errno> {
    let Some(directory) = new else { return Ok(()) };
    let narrow =
        !Mode::from_raw_mode(rustix::fs::fstat(directory)?.st_mode).contains(DIRECTORY_MODE);
    let own = |entry: &DirEntry| matches!(entry.file_name().to_bytes(), b"." | b"..");
    let mut entries = Dir::read_from(directory)?;
    if narrow && entries.all(|entry| entry.is_ok_and(|e| own(&e))) {
        rustix::fs::fchmod(directory, DIRECTORY_MODE)?;
    }
    Ok(())
}

fn error(action: &'static str, path: &Path, errno: Errno) -> Error {
    let (path, source) = (path.to_owned(), errno.into());
    match errno {
        Errno::NOSPC | Errno::DQUOT => Error::Full { path, source },
        Errno::ACCESS | Errno::PERM | Errno::ROFS => Error::Denied { path, source },
        _ => Error::Io { action, path, source },
    }
}

/// As long as the CA's own: token 43, content 87 characters, since people match
/// that in rewrite rules. The content cannot be told from the token, so that a
/// responder that knows no files (a stateless one) does not pass for one.
fn nonce(webroot: &Path) -> Result<Nonce, Error> {
    let mut bytes = [0; 64];
    let failed =
        |source| Error::Io { action: "make a random name for", path: webroot.to_owned(), source };
    openssl::rand::rand_bytes(&mut bytes).map_err(|e| failed(e.into()))?;
    let text = openssl::base64::encode_block(&bytes).replace('+', "-").replace('/', "_");
    let token = format!("{PREFIX}{}", &text[..43 - PREFIX.len()]);
    let content = format!("{token}.{}", &text[43 - PREFIX.len()..86 - PREFIX.len()]);
    let token = ChallengeToken::parse(&token).map_err(|e| failed(io::Error::other(e)))?;
    Ok(Nonce { token, content })
}

const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);

/// For a file that nobody else locks.
const TRIES: usize = 10;

/// In seconds.
const A_DAY: i64 = 24 * 60 * 60;

/// By this, whoever finds a file that a crash left knows whose it was.
const PREFIX: &str = "certbaton-";
