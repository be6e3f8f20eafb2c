//! system: the end of a certbot that cannot be told from others, because `/proc` is not there or cannot be read.
//!
//! certbot starts its hooks in its own process group (`misc.py` makes none), so whatever it is, it
//! ends with the group. A shell gives a command that a person types a group of its own, which
//! the hook leads: then nobody else is in it.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal as Blocked};
use rustix::process::{
    PidfdFlags, Signal, getpgrp, getpid, getppid, kill_current_process_group, pidfd_open,
};

use crate::base::clock;

/// Whether there is a group that can be stopped.
pub fn is_in_a_group() -> bool {
    getpgrp() != getpid()
}

/// Stops the process group that this process is in; with SIGKILL, this process too.
pub fn stop_group() {
    let mut own = SigSet::empty();
    for signal in [Blocked::SIGTERM, Blocked::SIGINT, Blocked::SIGHUP] {
        own.add(signal);
    }
    // Not refused (sigprocmask(2)); else this process ends with the others.
    own.thread_block().ok();
    // certbot, or the shell by which it runs the hook.
    let parent = getppid().and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let has_ended = |patience| {
        let parent = parent.as_ref().map(AsFd::as_fd);
        parent.is_none_or(|fd| clock::ready(&[fd], Some(patience)).is_ok_and(|ready| ready[0]))
    };
    // As in `ladder`: a certbot that keeps SIGTERM to itself ends by an interrupt.
    for (signal, patience) in STEPS {
        kill_current_process_group(signal).ok();
        has_ended(patience);
    }
    if !has_ended(Duration::ZERO) {
        kill_current_process_group(Signal::KILL).ok();
    }
}

/// What is sent, and for how long the parent is given.
const STEPS: [(Signal, Duration); 2] =
    [(Signal::TERM, Duration::from_secs(2)), (Signal::INT, Duration::from_secs(5))];
