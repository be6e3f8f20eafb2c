//! system: which process is the certbot that runs this hook.
//!
//! An ancestor (certbot waits for its hooks) that the kernel says holds certbot's
//! own lock. Nothing that it was told is read for that: what cannot be understood
//! can be stopped all the same.

use crate::process::{self, Process};

/// certbot's lock file (`lock.py`), in each of its three directories.
pub const LOCK_FILE: &str = ".certbot.lock";

/// The certbot among the ancestors of process `pid`, nearest first; none when
/// the hook was started by hand or by another client.
///
/// Its directories may be anywhere, and people delete `.certbot.lock`: the open file tells.
pub fn find(pid: i32) -> Result<Option<Process>, process::Error> {
    for ancestor in process::ancestors(pid)? {
        if process::holds_lock_on(ancestor.pid, LOCK_FILE)? {
            return Ok(Some(ancestor));
        }
    }
    Ok(None)
}
