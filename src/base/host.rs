//! system: what a host says of itself: its name, its room, what it may write.

use std::io;
use std::path::Path;

use rustix::fs::{Access, access, statvfs};

use crate::base::files;

/// The machine's own name.
pub fn machine() -> String {
    let name = files::read_kernel("sys/kernel/hostname").unwrap_or_default();
    String::from_utf8_lossy(&name).trim().to_owned()
}

/// Bytes that root can still write on the file system of `path`, or of the first directory above that is there.
pub fn free(path: &Path) -> io::Result<u64> {
    Ok(room(path)?.bytes)
}

/// What is left of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Which (`st_dev`).
    pub device: u64,
    /// Bytes that root can still write.
    pub bytes: u64,
    /// Files that can still be made; none where they are not counted.
    pub files: Option<u64>,
}

/// What is left on the file system of `path`, or of the first directory above that is there.
pub fn room(path: &Path) -> io::Result<Room> {
    let there = path.ancestors().find(|path| files::exists(path)).unwrap_or(Path::new("/"));
    let (stat, device) = (statvfs(there)?, rustix::fs::stat(there)?.st_dev);
    let files = (stat.f_files > 0).then_some(stat.f_ffree);
    Ok(Room { device, bytes: stat.f_frsize.saturating_mul(stat.f_bfree), files })
}

/// Whether `path` can be written to: for root, whether its file system can.
pub fn is_writable(path: &Path) -> bool {
    access(path, Access::WRITE_OK).is_ok()
}

/// Whether `path` is there and can be run.
pub fn is_executable(path: &Path) -> bool {
    files::exists(path) && access(path, Access::EXEC_OK).is_ok()
}

/// The permission bits of `path`, links followed.
pub fn mode(path: &Path) -> io::Result<u32> {
    Ok(rustix::fs::stat(path)?.st_mode & 0o7777)
}

/// Whether a user in `groups` may pass through the directory `path`; with an access list, that is not told.
pub fn can_enter(path: &Path, user: u32, groups: &[u32]) -> bool {
    let Ok(stat) = rustix::fs::stat(path) else { return true };
    let mut list = [0_u8; 0];
    let has_list = rustix::fs::getxattr(path, "system.posix_acl_access", &mut list[..]).is_ok();
    let bit = if stat.st_uid == user {
        0o100
    } else if groups.contains(&stat.st_gid) {
        0o010
    } else {
        0o001
    };
    user == 0 || has_list || stat.st_mode & bit != 0
}
