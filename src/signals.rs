//! system: what a program inherits of its caller's signals, and takes back.
//!
//! A caller may block or ignore any signal (a shell script's `&` ignores SIGINT,
//! a daemon SIGCHLD), and both outlive execve(2). Ignored, SIGCHLD takes away how
//! children ended (wait(2), ECHILD); ignored or blocked, SIGTERM no longer ends.

use std::sync::atomic::AtomicBool;

use nix::libc;
use nix::sys::signal::SigSet;
use signal_hook::flag;

/// Gives this process the signals of one that nobody prepared; the first thing each program does.
///
/// Signals that end a process end this one again. SIGHUP alone, if it was ignored, does nothing
/// (nohup(1)), SIGPIPE is an error of write(2) as in every Rust program; both are the default
/// again in what this process starts.
pub fn reset() {
    // Without /proc nothing else of these programs works either, and says so.
    let ignored = ignored(&std::fs::read("/proc/self/status").unwrap_or_default());
    for signal in (1..=libc::SIGRTMAX()).filter(|signal| ignored & (1 << (signal - 1)) != 0) {
        // Where a handler was, the next program has the default (execve(2)).
        match signal {
            // The last three are nobody's to handle but who made the fault.
            libc::SIGPIPE | libc::SIGSEGV | libc::SIGILL | libc::SIGFPE => {}
            libc::SIGHUP => handle(signal),
            // What is ignored by default stays so; real-time signals are in no table.
            _ if flag::register_conditional_default(signal, &ALWAYS).is_err() => handle(signal),
            _ => {}
        }
    }
    // Last: what was kept waiting comes now. Nothing but an unknown "how" is refused (sigprocmask(2)).
    SigSet::empty().thread_set_mask().ok();
}

/// By doing nothing. Refused for the two that the C library keeps for itself (nptl(7)).
fn handle(signal: i32) {
    flag::register(signal, &NOTHING).ok();
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
