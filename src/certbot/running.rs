//! system: which process is the certbot that runs this hook.
//!
//! An ancestor (certbot waits for its hooks) that the kernel says holds certbot's
//! own lock. Nothing that it was told is read for that: what cannot be understood
//! can be stopped all the same.

use nix::unistd::geteuid;

use crate::base::exit::{CarriesExit, Exit};
use crate::base::process::{self, Process};

/// certbot's lock file (`lock.py`), in each of its three directories.
pub const LOCK_FILE: &str = ".certbot.lock";

/// A certbot that runs a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certbot {
    /// Which process.
    pub process: Process,
    /// For whom it runs.
    user: u32,
}

/// The certbot that runs a hook of root's is a user's: the lock is all that it needs to pass for
/// one, and what it says it was told could be any name and any webroot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the certbot that runs this hook, {}, is not root's but uid {}'s, so nothing that it was told is done for root; run certbot as root, or call the hook by another client with --name and --webroot",
    .0.process, .0.user
)]
pub struct Stranger(Certbot);

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Stranger {
    fn exit(&self) -> Exit {
        Exit::Unsafe
    }
}

impl Certbot {
    /// Itself, if what it was told counts: it runs for root, or for whom this process does.
    pub fn believed(self) -> Result<Process, Stranger> {
        let is_ours = self.user == 0 || self.user == geteuid().as_raw();
        if is_ours { Ok(self.process) } else { Err(Stranger(self)) }
    }
}

/// The certbot among the ancestors of process `pid`; none when the hook was started by hand or by
/// another client. An error is neither: one of them could not be looked at, and may be certbot.
///
/// The nearest that can be believed, else the nearest: nobody hides root's by a process in between.
/// Its directories may be anywhere, and people delete `.certbot.lock`: the open file tells.
pub fn find(pid: i32) -> Result<Option<Certbot>, process::Error> {
    let (mut stranger, mut unseen) = (None, None);
    // Init has hundreds of files open: it is looked at only if nobody before it is certbot.
    for process in process::above(pid) {
        match process.and_then(look) {
            Ok(Some(certbot)) if certbot.believed().is_ok() => return Ok(Some(certbot)),
            Ok(Some(certbot)) => stranger = stranger.or(Some(certbot)),
            Ok(None) => {}
            Err(error) => unseen = unseen.or(Some(error)),
        }
    }
    unseen.map_or(Ok(stranger), Err)
}

fn look(process: Process) -> Result<Option<Certbot>, process::Error> {
    if !process::holds_lock_on(process.pid, LOCK_FILE)? {
        return Ok(None);
    }
    Ok(Some(Certbot { process, user: process::user(process.pid)? }))
}
