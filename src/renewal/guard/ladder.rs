//! system: certbot's end: signals one after another, each with its time, seen by pidfd.

use std::time::Duration;

use crate::base::process::{Error, PidFd, Process, Signal};

/// What ends certbot, and for how long each is given.
///
/// While certbot waits for a hook it dies of SIGTERM at once; but from the first new certificate of a
/// run on it keeps that to itself (`ErrorHandler.__exit__` in error_handler.py leaves its handler
/// in place after `update_all_links_to`), and an interrupt ends it: Python then kills the hook
/// (`subprocess.run`), so whoever goes on from there is no child of that hook's session.
/// SIGKILL is for a certbot that has both blocked or ignored.
const STEPS: [(Signal, Duration); 3] = [
    (Signal::TERM, Duration::from_secs(2)),
    (Signal::INT, Duration::from_secs(5)),
    (Signal::KILL, Duration::from_secs(10)),
];

/// All of them together.
pub const LONGEST: Duration = Duration::from_secs(2 + 5 + 10);

/// Ends `certbot` and says whether it has ended, by itself or not.
pub fn stop(certbot: Process) -> Result<bool, Error> {
    match PidFd::open(certbot) {
        Err(Error::Gone(_)) => Ok(true),
        certbot => descend(&certbot?),
    }
}

/// Ends `certbot` and says whether it has ended, by itself or not.
pub fn descend(certbot: &PidFd) -> Result<bool, Error> {
    for (signal, patience) in STEPS {
        match certbot.signal(signal) {
            Err(Error::Gone(_)) => return Ok(true),
            sent => sent?,
        }
        if certbot.wait_exit(patience)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a person has to know then.
pub fn still_running(certbot: Process) -> String {
    format!("certbot, {certbot}, still runs after SIGTERM, SIGINT and SIGKILL; stop it by hand")
}
