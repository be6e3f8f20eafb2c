//! system: the place where new files are made, on the mount of what they replace.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, FlockOperation, StatxFlags, flock, statx};
use rustix::io::Errno;

use super::{Error, list, own_directory, real_path, trusted, trusted_directories};
use crate::base::clock::{Deadline, pause};

/// Where new files are made: on the mount of what they replace, where no `Include` looks.
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
    /// Of one that goes when nobody has a file in it: with a lock that all have who are in it, for
    /// others than those of one configuration may make theirs in the same directory.
    own: Option<File>,
}

/// A place for the new file of `target`, outside of all directories from which `opened` were read.
///
/// `preferred` if it is on the same mount; else a hidden directory of its own in the highest
/// directory above `target` on its mount that no `Include` looks into. If they are all looked
/// into, in the highest that is not read as a whole: a pattern does not match a hidden name
/// (`apr_fnmatch` with `APR_FNM_PERIOD`, config.c).
pub fn staging(target: &Path, preferred: &Path, opened: &[PathBuf]) -> Result<Staging, Error> {
    let parent = target.parent().unwrap_or(Path::new("/"));
    let wanted = mount_of(parent)?;
    if target.is_file() && mount_of(target)? != wanted {
        return Err(Error::Mounted(target.to_owned()));
    }
    if mount_of(preferred)? == wanted {
        return Ok(Staging::at(preferred.to_owned()));
    }
    staging_beside(target, opened)
}

/// The same where there is no place to prefer.
pub fn staging_beside(target: &Path, opened: &[PathBuf]) -> Result<Staging, Error> {
    let wanted = mount_of(target.parent().unwrap_or(Path::new("/")))?;
    let visible =
        |path: &Path| opened.iter().filter_map(|file| file.parent()).any(|d| path.starts_with(d));
    let (mut hidden, mut beside) = (None, None);
    for directory in target.ancestors().skip(1) {
        if mount_of(directory)? != wanted {
            break;
        }
        if !visible(directory) {
            if directory.parent().is_some() || hidden.is_none() {
                hidden = Some(directory);
            }
        } else if is_read_in_part(directory, opened)? {
            beside = Some(directory);
        }
    }
    let Some(directory) = hidden.or(beside) else {
        return Err(Error::NoStaging(target.to_owned()));
    };
    let path = directory.join(STAGING);
    for _ in 0..REMOVALS {
        own_directory(&path, 0o700)?;
        if let Some(staging) = Staging::shared(path.clone()) {
            return Ok(staging);
        }
        pause(REMOVAL, &Deadline::after(REMOVAL * 2)).ok();
    }
    Err(Error::system("use", &path)(io::ErrorKind::WouldBlock.into()))
}

/// Whether there is something in `directory` that was not read: an `Include` of all of it would have.
fn is_read_in_part(directory: &Path, opened: &[PathBuf]) -> Result<bool, Error> {
    let names = list(directory)?;
    let mut entries =
        names.iter().filter(|name| name.as_encoded_bytes()[0] != b'.').map(|n| directory.join(n));
    Ok(entries.any(|entry| !opened.iter().any(|file| file.starts_with(&entry))))
}

/// The mount that `path` is on: within it files can be renamed.
pub(super) fn mount_of(path: &Path) -> Result<(u64, u64), Error> {
    let failed = |errno: Errno| Error::system("look at", path)(errno.into());
    let real = real_path(path)?;
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let found = statx(CWD, &real, AtFlags::empty(), wanted).map_err(failed)?;
    let knows = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID);
    // Before Linux 5.8 the file system has to do.
    let device = u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor);
    Ok(if knows { (1, found.stx_mnt_id) } else { (0, device) })
}

/// The directories for new files that a killed process may have left above `target`.
pub fn left_staging(target: &Path) -> Vec<PathBuf> {
    let above = target.ancestors().skip(1).map(|directory| directory.join(STAGING));
    above.filter(|path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())).collect()
}

impl Staging {
    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One that stays.
    pub fn at(path: PathBuf) -> Self {
        Self { path, own: None }
    }

    /// One that is there already; none while somebody removes it.
    pub fn shared(path: PathBuf) -> Option<Self> {
        Self::locked(path, FlockOperation::NonBlockingLockShared)
    }

    /// One that nobody is in who lives, nor could be but root: what is in it was left behind. It
    /// goes, once it is empty.
    pub fn abandoned(path: PathBuf) -> Option<Self> {
        trusted_directories(&path).ok()?;
        Self::locked(path, ALONE)
    }

    fn locked(path: PathBuf, how: FlockOperation) -> Option<Self> {
        let flags = nix::libc::O_NOFOLLOW | nix::libc::O_DIRECTORY;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&path).ok()?;
        // What somebody else puts there would become a file of root's.
        trusted(&path, &file.metadata().ok()?).ok()?;
        flock(&file, how).ok()?;
        // Removed since, and made again by another: that one nobody has locked.
        is_at(&file, &path).then_some(Self { path, own: Some(file) })
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let is_it = || {
        let (open, found) = (file.metadata()?, fs::symlink_metadata(path)?);
        io::Result::Ok((open.dev(), open.ino()) == (found.dev(), found.ino()))
    };
    is_it().unwrap_or(false)
}

impl Drop for Staging {
    fn drop(&mut self) {
        let Some(directory) = &self.own else { return };
        // Whoever comes into it now asks for the lock first. flock(2) gives ours up before it takes
        // the other one: somebody else may have removed the directory in between.
        if flock(directory, ALONE).is_ok() && is_at(directory, &self.path) {
            // Not empty: a file was kept in it for the way back.
            fs::remove_dir(&self.path).ok();
        }
    }
}

/// A directory for new files where the state directory is on another mount.
const STAGING: &str = ".certbaton";

const ALONE: FlockOperation = FlockOperation::NonBlockingLockExclusive;

/// How long whoever removes [`STAGING`] needs, and how often that is waited for.
const REMOVAL: Duration = Duration::from_millis(10);
const REMOVALS: u32 = 200;
