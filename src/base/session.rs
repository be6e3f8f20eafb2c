//! system: the login session that this process is in, all of which its user may have signalled.
//!
//! Whoever logged in may have logind send any signal to all that runs in his
//! session, also to what sudo started there as root (org.freedesktop.login1(5):
//! KillSession, KillUser); and where it kills the rest of a session at its end
//! (logind.conf(5): KillUserProcesses), that is among the rest. A scope of the
//! system's is out of reach. What is started from there stays there.

use std::path::Path;
use std::time::Duration;

use crate::base::clock::{self, Deadline};
use crate::base::command::Program;
use crate::base::files;
use crate::base::harmless;
use crate::base::process::{self, Error, Process};

/// Puts this process into a scope of the system's, if it is in a session of another user than
/// root. Its parent, its descriptors and its terminal stay what they are.
pub fn leave() -> Result<(), Error> {
    let own = process::own()?;
    // Where systemd does not run there is no logind either (sd_booted(3)).
    if !is_in_anothers(own)? || !files::exists(Path::new("/run/systemd/system")) {
        return Ok(());
    }
    let deadline = Deadline::after(PATIENCE);
    let output = request(own).run(&deadline)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::NoScope(harmless::line(said.trim(), MOST)));
    }
    while is_in_anothers(own)? {
        clock::pause(LOOK_AGAIN, &deadline).map_err(|_| Error::SlowScope(PATIENCE))?;
    }
    Ok(())
}

fn is_in_anothers(own: Process) -> Result<bool, Error> {
    Ok(process::session_user(own.pid)?.is_some_and(|user| user != 0))
}

/// What asks systemd for the scope (org.freedesktop.systemd1(5): StartTransientUnit).
fn request(own: Process) -> Program {
    let Process { pid, start_time } = own;
    // A keeper may be left in the scope of an agent whose pid is another's by now.
    let name = format!("certbaton-agent-{pid}-{start_time}.scope");
    let pid = pid.to_string();
    let call = [
        "--system",
        "call",
        "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Manager",
        "StartTransientUnit",
        "ssa(sv)a(sa(sv))",
        &name,
        "fail",
        "4",
    ];
    let description = ["Description", "s", "What another host has certbaton do"];
    let slice = ["Slice", "s", "system.slice"];
    let collect = ["CollectMode", "s", "inactive-or-failed"];
    let process = ["PIDs", "au", "1", &pid];
    let words = [&call[..], &description, &slice, &collect, &process, &["0"]].concat();
    Program::plain("/usr/bin/busctl".into(), words.into_iter().map(Into::into).collect())
}

/// Longest answer that is passed on, in characters.
const MOST: usize = 500;

/// For systemd to do it, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at where this process is.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
