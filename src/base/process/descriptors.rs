//! system: what a process has open, as proc_pid_fd(5) shows it.

use std::io;
use std::mem::MaybeUninit;

use rustix::fs::{Mode, OFlags, RawDir, open, readlinkat_raw};

/// What `look` makes of the first descriptor of process `pid` of which it makes anything. It is
/// given the number of each and what that leads to, or why that cannot be said: one that was closed
/// meanwhile is `NotFound`.
///
/// A server with a thousand logs has as many, and init some hundreds: each costs one call.
pub(crate) fn find<T>(
    pid: i32,
    mut look: impl FnMut(i32, io::Result<&[u8]>) -> Option<T>,
) -> io::Result<Option<T>> {
    let directory = format!("/proc/{pid}/fd");
    let flags = OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let directory = open(directory, flags, Mode::empty())?;
    let mut buffer = Vec::with_capacity(ENTRIES);
    let mut entries = RawDir::new(&directory, buffer.spare_capacity_mut());
    let mut link = [MaybeUninit::uninit(); LONGEST];
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        let Some(number) = name.to_str().ok().and_then(|name| name.parse().ok()) else { continue };
        let target = readlinkat_raw(&directory, name, &mut link);
        let target = target.map(|(link, _)| &*link).map_err(io::Error::from);
        if let Some(found) = look(number, target) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// What getdents64(2) fills at once.
const ENTRIES: usize = 32 * 1024;

/// The kernel shows no longer path (`do_proc_readlink`, fs/proc/base.c).
const LONGEST: usize = 4096;
