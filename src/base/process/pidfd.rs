//! system: the one safe handle on a process.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{Error, Process, identify, refused};
use crate::base::clock;

/// A handle that means this process and no other, however long it is kept.
#[derive(Debug)]
pub struct PidFd {
    process: Process,
    fd: OwnedFd,
}

impl PidFd {
    /// Opens `process`; fails with `Gone` if its pid has another owner by now.
    pub fn open(process: Process) -> Result<Self, Error> {
        let gone = || Error::Gone(process.pid);
        let pid = Pid::from_raw(process.pid).ok_or_else(gone)?;
        let fd = pidfd_open(pid, PidfdFlags::empty())
            .map_err(|errno| refused("open", process.pid, errno.into()))?;
        // Only now is the pid pinned: what has it now is what was opened, or has ended.
        if identify(process.pid)? == process { Ok(Self { process, fd }) } else { Err(gone()) }
    }

    /// Which process it is.
    pub fn process(&self) -> Process {
        self.process
    }

    /// Sends `signal`.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        pidfd_send_signal(&self.fd, signal)
            .map_err(|errno| refused("signal", self.process.pid, errno.into()))
    }

    /// Waits until the process has ended, at most `timeout`; says whether it has.
    pub fn wait_exit(&self, timeout: Duration) -> Result<bool, Error> {
        match clock::ready(&[self.fd.as_fd()], Some(timeout)) {
            Ok(ready) => Ok(ready.contains(&true)),
            Err(source) => Err(refused("wait for", self.process.pid, source)),
        }
    }
}

impl AsFd for PidFd {
    /// Readable once the process has ended (`pidfd_open(2)`).
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
