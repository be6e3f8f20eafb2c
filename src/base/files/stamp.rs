//! system: tells one version of a file from another without reading it.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::Timestamp;

use super::Error;

/// One version of a file, told from others without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// When content or attributes last changed: the later of mtime and ctime.
    pub changed: Timestamp,
    pub(super) identity: FileIdentity,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { changed: changed_at(metadata), identity: FileIdentity::of(metadata) }
    }
}

/// What tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileIdentity {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) modified: (i64, i64),
    changed: (i64, i64),
    pub(super) links: u64,
}

impl FileIdentity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            links: metadata.nlink(),
        }
    }
}

/// When `path` was last written to.
pub fn modified(path: &Path) -> Result<Timestamp, Error> {
    let metadata = fs::metadata(path).map_err(Error::system("look at", path))?;
    Ok(timestamp(metadata.mtime(), metadata.mtime_nsec()))
}

/// When what stands at `path` itself last changed: a link and not what it leads to.
pub fn changed_itself(path: &Path) -> Result<Timestamp, Error> {
    let metadata = fs::symlink_metadata(path).map_err(Error::system("look at", path))?;
    Ok(changed_at(&metadata))
}

/// The version of the file or directory at `path`, links followed.
pub fn stamp(path: &Path) -> Result<Stamp, Error> {
    fs::metadata(path).map(|metadata| Stamp::of(&metadata)).map_err(Error::system("look at", path))
}

pub(super) fn changed_at(metadata: &Metadata) -> Timestamp {
    timestamp(metadata.mtime(), metadata.mtime_nsec())
        .max(timestamp(metadata.ctime(), metadata.ctime_nsec()))
}

fn timestamp(seconds: i64, nanoseconds: i64) -> Timestamp {
    let nanoseconds = i32::try_from(nanoseconds).unwrap_or(0);
    Timestamp::new(seconds, nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}
