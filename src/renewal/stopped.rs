//! system: the certbaton that holds this host's lock, and how it ends where it does not by itself.
//!
//! One that is stopped (SIGSTOP) takes no signal but SIGKILL, hears no hook and
//! gives nothing back. What it held and did is then whoever's who ended it.

use std::time::Duration;

use crate::base::clock::{self, Deadline};
use crate::base::lock;
use crate::base::own_directories::RuntimeDirectory;
use crate::base::process::{self, PidFd, Signal};
use crate::renewal::right;

/// A process of root's that holds this host's lock and runs our program.
#[derive(Debug)]
pub(super) struct LockHolder {
    handle: PidFd,
    is_keeper: bool,
}

impl LockHolder {
    /// Who holds the lock now, as far as the kernel tells and it is certbaton.
    pub(super) fn of(runtime: &RuntimeDirectory) -> Option<Self> {
        let path = right::lease_lock(runtime);
        let pid = lock::holder(&path)?;
        let handle = PidFd::open(process::identify(pid).ok()?).ok()?;
        let argv = process::argv(pid).ok()?;
        let is_ours = process::is_roots(pid).ok()? && process::runs(pid, "certbaton");
        // It may have let go of it between the two looks.
        let is_it = is_ours && lock::holder(&path) == Some(pid);
        let is_keeper = argv.last().is_some_and(|word| word == "keep");
        is_it.then_some(Self { handle, is_keeper })
    }

    /// Whether it is the keeper of a run.
    pub(super) fn is_keeper(&self) -> bool {
        self.is_keeper
    }

    /// Whether it is stopped, and not only for a moment, as whatever is traced.
    pub(super) fn is_stuck(&self) -> bool {
        self.stays_stopped(BRIEFLY)
    }

    fn is_stopped(&self) -> bool {
        process::is_stopped(self.handle.process().pid).unwrap_or_default()
    }

    /// Whether it is stopped whenever it is looked at, for all of `time`.
    pub(super) fn stays_stopped(&self, time: Duration) -> bool {
        let deadline = Deadline::after(time);
        while self.is_stopped() {
            if clock::pause(LOOK_AGAIN, &deadline).is_err() {
                return true;
            }
        }
        false
    }

    /// Ends it: by SIGTERM, in time to give back, where it can take that; else at once.
    pub(super) fn end(&self) -> Result<(), process::Error> {
        let process = self.handle.process();
        if !self.is_stuck() {
            self.handle.signal(Signal::TERM)?;
            if self.handle.wait_exit(GIVING_BACK)? {
                return Ok(());
            }
        }
        tracing::warn!("{process} holds the lock of this host and does not end: it is killed");
        self.handle.signal(Signal::KILL)?;
        self.handle.wait_exit(DYING)?;
        Ok(())
    }
}

/// Nothing that is traced stands still for so long.
const BRIEFLY: Duration = Duration::from_secs(1);

/// For a keeper to end by itself.
const GIVING_BACK: Duration = Duration::from_secs(20);

/// For the kernel to end it.
const DYING: Duration = Duration::from_secs(10);

/// Between two looks at a process that does nothing.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
