//! system: goes to a file step by step, and knows who could have led it elsewhere.
//!
//! Whoever owns a directory on the way can put a link there, or another file, at any moment. So a
//! path is walked by descriptors that open nothing (`O_PATH`, open(2): no FIFO waits, no device
//! wakes up), and what was looked at is what is read.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::unistd::geteuid;
use rustix::fs::{Mode, OFlags, open, openat, readlinkat};
use rustix::io::Errno;

use super::{Error, trusted};

/// What a path leads to, not opened yet.
pub(super) struct Walked {
    /// A descriptor of it, which cannot be read from.
    pub handle: File,
    /// What it is.
    pub metadata: Metadata,
    /// The first on the way there by which somebody else than root could lead elsewhere.
    pub doubt: Option<Error>,
    /// Who made a link on the way, or could have put it there, if it is not root.
    pub led_by: Option<u32>,
}

impl Walked {
    /// The user who made a link by which root alone may write where he may not.
    pub(super) fn misled_by(&self) -> Option<u32> {
        let is_roots_alone = self.metadata.uid() == 0 && self.metadata.mode() & 0o022 == 0;
        self.led_by.filter(|user| is_roots_alone && *user != NOBODY)
    }
}

/// Goes to `path`, through links, as far as who made them could see what they lead to.
pub(super) fn walk(path: &Path) -> Result<Walked, Error> {
    go(path, seen_by)
}

/// Goes to `path`, through links.
pub(super) fn follow(path: &Path) -> Result<Walked, Error> {
    go(path, |_, _, _, _| Ok(()))
}

fn go(
    path: &Path,
    seen_by: impl Fn(u32, &Metadata, u32, &Path) -> Result<(), Error>,
) -> Result<Walked, Error> {
    let failed = |errno: Errno| Error::system("open", path)(errno.into());
    let whole = std::path::absolute(path).map_err(Error::system("find", path))?;
    let root = || open("/", HANDLE, Mode::empty()).map_err(failed);
    let (mut directory, mut here) = (root()?, PathBuf::from("/"));
    let (mut doubt, mut led_by, mut links) = (None, None, 0);
    // What is still to go, the next part last.
    let mut parts = reversed(&whole);
    let mut last = look(path, &directory)?;
    while let Some(name) = parts.pop() {
        let next = openat(&directory, &name, HANDLE, Mode::empty()).map_err(failed)?;
        let metadata = look(path, &next)?;
        if name == ".." {
            here.pop();
        } else {
            here.push(&name);
        }
        if metadata.is_symlink() {
            links += 1;
            if links > MAX_LINKS {
                return Err(failed(Errno::LOOP));
            }
            // readlinkat(2): the descriptor itself is the link.
            let target = readlinkat(&next, "", Vec::new()).map_err(failed)?;
            let is_roots = [0, geteuid().as_raw()].contains(&metadata.uid());
            // In what is another's, even root's links are where he put them.
            if !is_roots || doubt.is_some() {
                led_by = Some(if is_roots { NOBODY } else { metadata.uid() });
                let problem = "is a link that others may change".to_owned();
                doubt.get_or_insert(Error::Unsafe { path: here.clone(), problem });
            }
            let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
            if target.is_absolute() {
                directory = root()?;
                here = PathBuf::from("/");
            } else {
                here.pop();
            }
            parts.extend(reversed(&target));
            continue;
        }
        if metadata.is_dir() {
            // In a sticky directory of root's, such as /tmp, what is root's stays where root put it.
            let is_sticky = metadata.uid() == 0 && metadata.mode() & 0o1000 != 0;
            let is_last = parts.is_empty();
            if !is_sticky
                && !is_last
                && let Err(error) = trusted(&here, &metadata)
            {
                doubt.get_or_insert(error);
            }
            if let Some(user) = led_by.filter(|_| !is_last) {
                seen_by(user, &metadata, 0o001, &here)?;
            }
        }
        last = metadata;
        directory = next;
    }
    Ok(Walked { handle: directory.into(), metadata: last, doubt, led_by })
}

/// Refuses what `user`, by whose link we come, could not see without us.
pub(super) fn seen_by(user: u32, of: &Metadata, right: u32, path: &Path) -> Result<(), Error> {
    if user == of.uid() || of.mode() & right != 0 {
        return Ok(());
    }
    let problem = format!("is reached by a link of uid {user}, who has no right to it");
    Err(Error::Unsafe { path: path.to_owned(), problem })
}

fn look(path: &Path, handle: &OwnedFd) -> Result<Metadata, Error> {
    let failed = Error::system("look at", path);
    handle.try_clone().map(File::from).and_then(|file| file.metadata()).map_err(failed)
}

fn reversed(path: &Path) -> Vec<OsString> {
    let is_step =
        |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    path.components().rev().filter(is_step).map(|part| part.as_os_str().to_owned()).collect()
}

const HANDLE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Has no right but everybody's.
const NOBODY: u32 = u32::MAX;

/// As many as the kernel follows (path_resolution(7)).
const MAX_LINKS: u32 = 40;
