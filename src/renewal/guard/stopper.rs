//! system: the process that stops certbot, in a session of its own.
//!
//! On an interrupt Python kills the hook that sent it, and whatever certbot's
//! terminal does to its session must not reach who goes on from there.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::base::clock::{self, Deadline};
use crate::base::command::Program;
use crate::base::process::{Error, PidFd, Process};
use crate::renewal::guard::{ladder, words};

/// What the guard calls itself with.
const FLAG: &str = "--stop-this-certbot";

/// Whom this process was started to stop, if it was.
pub fn order(arguments: &[OsString]) -> Option<Process> {
    let [flag, pid, start_time] = arguments else { return None };
    if flag == FLAG { words::process(pid.to_str()?, start_time.to_str()?) } else { None }
}

/// Stops `certbot`.
pub fn perform(certbot: Process) -> Result<bool, Error> {
    // Refused only to the leader of a process group, who is in no other session either.
    rustix::process::setsid().ok();
    ladder::stop(certbot)
}

/// Has `certbot` stopped, and says whether it has ended.
///
/// What is done for this process, certbot's end may end it first.
pub fn stop(certbot: Process) -> Result<bool, Error> {
    let certbot = match PidFd::open(certbot) {
        Err(Error::Gone(_)) => return Ok(true),
        certbot => certbot?,
    };
    let Process { pid, start_time } = certbot.process();
    let arguments = vec![FLAG.into(), pid.to_string().into(), start_time.to_string().into()];
    // Also where the file was replaced, or is gone.
    if let Ok(stopper) = Program::plain("/proc/self/exe".into(), arguments).unattended() {
        let deadline = Deadline::after(ladder::LONGEST + Duration::from_secs(2));
        let sources = [certbot.as_fd(), stopper.pidfd().as_fd()];
        clock::ready(&sources, deadline.remaining()).ok();
        if certbot.wait_exit(Duration::ZERO)? {
            return Ok(true);
        }
    }
    // Nobody else did it.
    ladder::descend(&certbot)
}
