//! system: files that one question to Apache sees in the place of the real ones, in a mount namespace of its own.

use std::io;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// A file to be checked in the place of a real one.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The real file, links resolved.
    pub real: &'a Path,
    /// What is to be read instead.
    pub substitute: &'a Path,
}

/// Makes this thread see each candidate in the place of the real file.
pub(super) fn substitute(candidates: &[Candidate<'_>]) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    for candidate in candidates {
        mount(Some(candidate.substitute), candidate.real, none, MsFlags::MS_BIND, none)?;
    }
    Ok(())
}
