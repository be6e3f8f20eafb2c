//! system: signals: what a program inherits of its caller's and takes back, and those that it takes itself.
//!
//! A caller may block or ignore any signal (a shell script's `&` ignores SIGINT,
//! a daemon SIGCHLD), and both outlive execve(2). Ignored, SIGCHLD takes away how
//! children ended (wait(2), ECHILD); ignored or blocked, SIGTERM no longer ends.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::AtomicBool;

use nix::libc;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use signal_hook::flag;

/// Gives this process the signals of one that nobody prepared; the first thing each program does.
///
/// Signals that end a process end this one again. SIGHUP alone, if it was ignored, does nothing
/// (nohup(1)), SIGPIPE and SIGXFSZ are errors of write(2); all are the default again in what this
/// process starts.
pub fn reset() {
    // Without /proc nothing else of these programs works either, and says so.
    let ignored = ignored(&std::fs::read("/proc/self/status").unwrap_or_default());
    for signal in (1..=libc::SIGRTMAX()).filter(|signal| ignored & (1 << (signal - 1)) != 0) {
        // Where a handler was, the next program has the default (execve(2)).
        match signal {
            // Three of these are nobody's to handle but who made the fault; SIGXFSZ follows below.
            libc::SIGPIPE | libc::SIGSEGV | libc::SIGILL | libc::SIGFPE | libc::SIGXFSZ => {}
            libc::SIGHUP => handle(signal),
            // What is ignored by default stays so; real-time signals are in no table.
            _ if flag::register_conditional_default(signal, &ALWAYS).is_err() => handle(signal),
            _ => {}
        }
    }
    // A file that may not grow (ulimit -f) is an error of write(2), EFBIG, like a full disk.
    handle(libc::SIGXFSZ);
    // Last: what was kept waiting comes now. Nothing but an unknown "how" is refused (sigprocmask(2)).
    SigSet::empty().thread_set_mask().ok();
}

/// By doing nothing. Refused for the two that the C library keeps for itself (nptl(7)).
fn handle(signal: i32) {
    flag::register(signal, &NOTHING).ok();
}

/// Signals that would end this process, taken one by one; for who has something to undo first.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// From here on the signals are taken, not obeyed; threads that run already obey them.
    pub fn catch() -> io::Result<Self> {
        let mut mask = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            mask.add(signal);
        }
        mask.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self(SignalFd::with_flags(&mask, flags)?))
    }

    /// Takes one, if one is there.
    pub fn take(&self) -> bool {
        matches!(self.0.read_signal(), Ok(Some(_)))
    }

    /// Takes all that are there; whether one was.
    pub fn drain(&self) -> bool {
        let is_there = self.take();
        while self.take() {}
        is_there
    }
}

impl AsFd for Signals {
    /// Readable while one is there that was not taken.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Obeys signals again, but for those that are there: they were meant for what is done by now.
pub fn obey() {
    if let Ok(signals) = Signals::catch() {
        signals.drain();
    }
    SigSet::empty().thread_set_mask().ok();
}

/// The `SigIgn:` of a `/proc/PID/status` (proc_pid_status(5)), signal 1 in the lowest bit.
fn ignored(status: &[u8]) -> u64 {
    let status = String::from_utf8_lossy(status);
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

static NOTHING: AtomicBool = AtomicBool::new(false);

static ALWAYS: AtomicBool = AtomicBool::new(true);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read_by_its_bit() {
        let status = b"Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000011000\n";
        assert_eq!(ignored(status), 1 << (libc::SIGCHLD - 1) | 1 << (libc::SIGPIPE - 1));
        assert_eq!(ignored(b""), 0);
    }
}
