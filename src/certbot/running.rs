//! system: the certbot that runs this hook: found among the ancestors, proven, and stopped.
//!
//! Only a process that [`find`] returned is ever signalled. It is an ancestor
//! (certbot waits for its hooks), and either the kernel says that it holds
//! certbot's own lock, or its command line is plainly certbot's and nobody else
//! holds that lock (people delete `.certbot.lock`; the run goes on without it).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{User, geteuid};

use crate::certbot::arguments::{self, Invocation, Verb};
use crate::certbot::ini::{self, Setting};
use crate::exit::{CarriesExit, Exit};
use crate::files;
use crate::process::{self, Holder, PidFd, Process, Signal};

/// certbot's lock file (`lock.py`), in each of its three directories.
pub const LOCK_FILE: &str = ".certbot.lock";

/// Where certbot looks first for defaults (`constants.py`).
const SYSTEM_INI: &str = "/etc/letsencrypt/cli.ini";

/// How it is known that a process is the certbot that runs this hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It holds certbot's lock (`F_GETLK`).
    Locked,
    /// Its command line says so; the lock is not held at all.
    CommandLine,
}

/// The certbot that runs this hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Which process.
    pub process: Process,
    /// What it was asked to do.
    pub invocation: Invocation,
    /// How that is known.
    pub proof: Proof,
}

/// Why certbot could not be found or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A process or lock that cannot be looked at.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// certbot's configuration cannot be read.
    #[error("certbot's defaults cannot be read")]
    Ini(#[from] files::Error),
    /// Its command line cannot be followed.
    #[error("the command line of certbot, process {pid}, cannot be followed")]
    Arguments {
        /// Its pid.
        pid: i32,
        /// What is wrong.
        #[source]
        source: arguments::Error,
    },
    /// It ignored the signal.
    #[error("certbot, process {0}, still runs after SIGTERM and SIGINT; stop it by hand")]
    StillRunning(i32),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Process(error) => error.exit(),
            Self::Ini(error) => error.exit(),
            Self::Arguments { .. } | Self::StillRunning(_) => Exit::Failed,
        }
    }
}

/// The certbot among the ancestors of process `pid`, nearest first; none when
/// the hook was started by hand or by another client.
pub fn find(pid: i32) -> Result<Option<Running>, Error> {
    for ancestor in process::ancestors(pid)? {
        if let Some(running) = examine(ancestor)? {
            return Ok(Some(running));
        }
    }
    Ok(None)
}

/// Ends certbot, and waits for its end, at most `timeout`. That it has ended already is success.
///
/// It dies of SIGTERM at once while it waits for a hook; but from the first new certificate of a
/// run on it keeps that to itself (`ErrorHandler.__exit__` in error_handler.py leaves its handler
/// in place after `update_all_links_to`), and only an interrupt still ends it.
pub fn stop(running: &Running, timeout: Duration) -> Result<(), Error> {
    let ended = match PidFd::open(running.process) {
        Err(process::Error::Gone(_)) => true,
        pidfd => {
            let pidfd = pidfd?;
            end(&pidfd, Signal::TERM, AT_ONCE)? || end(&pidfd, Signal::INT, timeout)?
        }
    };
    if ended { Ok(()) } else { Err(Error::StillRunning(running.process.pid)) }
}

fn end(pidfd: &PidFd, signal: Signal, timeout: Duration) -> Result<bool, process::Error> {
    match pidfd.signal(signal) {
        Err(process::Error::Gone(_)) => Ok(true),
        sent => sent.and_then(|()| pidfd.wait_exit(timeout)),
    }
}

/// For a process to die of a signal that it does not handle, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);

fn examine(process: Process) -> Result<Option<Running>, Error> {
    let argv = process::argv(process.pid)?;
    let argv: Vec<String> = argv.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let plain = arguments::certbot_arguments(&argv);
    let proven = || -> Result<bool, Error> {
        let default = Path::new(SYSTEM_INI).parent().unwrap_or(Path::new("/"));
        Ok(lock_in(default)? == Some(Holder::Pid(process.pid)))
    };
    let words = match plain {
        Some(words) => words,
        // A certbot under another name betrays itself by certbot's usual lock.
        None if proven()? => arguments::arguments_after_program(&argv),
        None => return Ok(None),
    };
    let invocation = invocation(process.pid, words)?;
    let holders = invocation.locked_directories().map(lock_in);
    let mut held_by_another = false;
    for holder in holders {
        match holder? {
            Some(Holder::Pid(pid)) if pid == process.pid => {
                return Ok(Some(Running { process, invocation, proof: Proof::Locked }));
            }
            holder => held_by_another |= holder.is_some(),
        }
    }
    // certbot does not start while another holds the lock, so this is not it;
    // nor do subcommands that ask no CA run hooks.
    let idle = held_by_another || matches!(invocation.verb, Verb::Other(_));
    Ok((!idle).then_some(Running { process, invocation, proof: Proof::CommandLine }))
}

fn lock_in(directory: &Path) -> Result<Option<Holder>, process::Error> {
    process::lock_holder(&directory.join(LOCK_FILE))
}

fn invocation(pid: i32, words: &[String]) -> Result<Invocation, Error> {
    let directory = process::working_directory(pid)?;
    let mut settings = Vec::new();
    let paths = [SYSTEM_INI.into(), user_ini(&directory, &process::environment(pid)?)];
    let named = arguments::configuration_file(words, &directory);
    for path in paths.into_iter().chain(named) {
        settings.extend(read_ini(&path)?);
    }
    arguments::parse(words, &directory, &settings)
        .map_err(|source| Error::Arguments { pid, source })
}

fn read_ini(path: &Path) -> Result<Option<Vec<Setting>>, files::Error> {
    match files::read_trusted(path) {
        Err(error) if error.is_missing() => Ok(None),
        bytes => bytes.map(|text| Some(ini::parse(&String::from_utf8_lossy(&text)))),
    }
}

/// `$XDG_CONFIG_HOME/letsencrypt/cli.ini`, else below `~/.config`, where `~` is
/// as in Python's `expanduser`.
fn user_ini(directory: &Path, environment: &[OsString]) -> PathBuf {
    let value = |name: &[u8]| {
        environment.iter().find_map(|item| {
            let value = item.as_bytes().strip_prefix(name)?.strip_prefix(b"=")?;
            Some(PathBuf::from(OsStr::from_bytes(value)))
        })
    };
    let account = || User::from_uid(geteuid()).ok().flatten().map(|user| user.dir);
    let home = || value(b"HOME").or_else(account).unwrap_or_default();
    let configuration = value(b"XDG_CONFIG_HOME").unwrap_or_else(|| home().join(".config"));
    directory.join(configuration).join("letsencrypt/cli.ini")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_file_follows_the_environment_of_certbot() {
        let ini = |environment: &[&str]| {
            let environment: Vec<_> = environment.iter().map(OsString::from).collect();
            user_ini(Path::new("/cwd"), &environment)
        };
        let home = "/h/.config/letsencrypt/cli.ini";
        assert_eq!(ini(&["HOMES=/x", "HOME=/h"]), Path::new(home));
        assert_eq!(ini(&["HOME=/h", "XDG_CONFIG_HOME=/x"]), Path::new("/x/letsencrypt/cli.ini"));
        assert_eq!(ini(&["XDG_CONFIG_HOME="]), Path::new("/cwd/letsencrypt/cli.ini"));
    }
}
