//! system: the running Apache: finds it, asks it about a configuration, reloads it.
//!
//! Never starts, stops or restarts it. Every question is asked with the
//! server's own program, arguments, environment and working directory, since
//! each of them changes what is active.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use nix::libc;

use crate::apache::by_hand::ByHand;
use crate::apache::complaint::Complaint;
use crate::base::clock::Deadline;
use crate::base::command::Program;
use crate::base::files;
use crate::base::process::{self, PidFd, Process, Signal};
use crate::base::sockets;
use crate::base::threads;

mod candidate;
mod failure;
mod find;
mod generation;
mod modules;
mod release;

pub use candidate::Candidate;
pub use failure::Error;
pub use find::{find, identity};
pub use generation::OldGeneration;

/// A running Apache, verified by its pid file, its program and its children.
#[derive(Debug)]
pub struct Server {
    parent: PidFd,
    inquirer: Inquirer,
}

/// Asks the server's program about its configuration; needs no server to be alive.
#[derive(Debug, Clone)]
pub struct Inquirer {
    program: Program,
    /// `None`: built in.
    info_module: Option<PathBuf>,
    by_hand: ByHand,
}

impl Server {
    fn open(parent: Process) -> Result<Self, Error> {
        let handle = PidFd::open(parent)?;
        let argv = process::argv(parent.pid)?;
        let environment = process::environment(parent.pid)?.into_iter().filter_map(|item| {
            let bytes = item.into_vec();
            let at = bytes.iter().position(|&b| b == b'=')?;
            let (name, value) = (bytes[..at].to_vec(), bytes[at + 1..].to_vec());
            Some((OsString::from_vec(name), OsString::from_vec(value)))
        });
        let program = Program {
            path: own_program(parent)?,
            arguments: question_arguments(argv.get(1..).unwrap_or_default()),
            environment: environment.collect(),
            directory: process::working_directory(parent.pid)?,
        };
        let maps = files::read_kernel(&format!("{}/maps", parent.pid))?;
        let info_module = modules::info_module(&maps, &program)?;
        let by_hand = find::by_hand(parent, &program.path, &program.arguments);
        Ok(Self { parent: handle, inquirer: Inquirer { program, info_module, by_hand } })
    }

    /// Who asks it.
    pub fn inquirer(&self) -> &Inquirer {
        &self.inquirer
    }

    /// How a person handles it.
    pub fn by_hand(&self) -> &ByHand {
        &self.inquirer.by_hand
    }

    /// That it ended.
    pub fn died(&self) -> Error {
        Error::Died { pid: self.process().pid, start: self.by_hand().start() }
    }

    /// The parent process.
    pub fn process(&self) -> Process {
        self.parent.process()
    }

    /// The addresses it listens on.
    pub fn listeners(&self) -> Result<Vec<SocketAddr>, Error> {
        let pid = self.process().pid;
        let failed = |error| Error::Sockets(pid, error);
        let held = sockets::held(pid).map_err(failed)?;
        let found = sockets::listening(&self.parent, &held).map_err(failed)?;
        Ok(found.into_values().collect())
    }

    /// When it last loaded its configuration: it writes its pid file anew each
    /// time (`ap_log_pid` in every MPM's run).
    pub fn loaded_at(&self, pid_file: &Path) -> Result<Timestamp, Error> {
        Ok(files::modified(pid_file)?)
    }

    /// Tells the parent to reload gracefully (SIGUSR1).
    pub fn graceful(&self) -> Result<(), Error> {
        Ok(self.parent.signal(Signal::USR1)?)
    }

    /// Whether the parent still runs.
    pub fn is_alive(&self) -> Result<bool, Error> {
        Ok(!self.parent.wait_exit(Duration::ZERO)?)
    }
}

impl Inquirer {
    /// Asks Apache what its configuration means: `hear` gets the text that `dump` reads,
    /// while Apache prints it.
    ///
    /// With `candidates`, as it would be with those files in place; they are
    /// bind-mounted over the real ones where only this question sees them.
    pub fn dump(
        &self,
        candidates: &[Candidate<'_>],
        hear: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<(), Error> {
        let mut program = self.program.clone();
        if let Some(module) = &self.info_module {
            let load = [b"LoadModule info_module \"", module.as_os_str().as_bytes(), b"\""];
            program.arguments.extend(["-C".into(), OsString::from_vec(load.concat())]);
        }
        program.arguments.push("-t".into());
        for part in ["INCLUDES", "MODULES", "VHOSTS", "RUN_CFG", "CONFIG"] {
            program.arguments.extend(["-D".into(), format!("DUMP_{part}").into()]);
        }
        let deadline = Deadline::after(QUESTION_TIME);
        let (status, stderr) = if candidates.is_empty() {
            program.hear(&deadline, hear)?
        } else {
            // A mount namespace belongs to a thread; the child inherits this one's.
            let ask = || {
                candidate::substitute(candidates).map_err(Error::Namespace)?;
                program.hear(&deadline, hear).map_err(Error::from)
            };
            let answer =
                thread::scope(|scope| Ok(threads::scoped(scope, "candidates", ask)?.wait()));
            answer.map_err(Error::Namespace)??
        };
        if let Some(signal) = status.signal().filter(|signal| SENT.contains(signal)) {
            // No answer: a crash is one, and the configuration's.
            return Err(process::Error::Ended { path: self.program.path.clone(), signal }.into());
        }
        match (status.success(), candidates.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => {
                let by_hand = Box::new(self.by_hand.clone());
                Err(Error::Configtest { complaint: Complaint::read(&stderr), by_hand })
            }
            (false, false) => Err(Error::Candidate(Complaint::read(&stderr))),
        }
    }
}

/// The program that a process runs: whoever can put another in its place would be root by our questions.
fn own_program(process: Process) -> Result<PathBuf, Error> {
    let program = find::without_deleted(&process::executable(process.pid)?);
    Ok(files::trusted_program(&program)?)
}

/// The server's arguments without those that say what to do with it.
fn question_arguments(arguments: &[OsString]) -> Vec<OsString> {
    let mut out = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_bytes() {
            b"-k" => {
                rest.next();
            }
            bytes if bytes.starts_with(b"-k") => {}
            b"-X" | b"-t" | b"-T" => {}
            _ => out.push(argument.clone()),
        }
    }
    out
}

/// For one question; 5,000 vhosts need less than a second.
const QUESTION_TIME: Duration = Duration::from_mins(1);

/// What somebody ends a program with, or the whole service that it belongs to.
const SENT: [i32; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGKILL];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_keep_the_servers_own_arguments() {
        let arguments =
            |words: &[&str]| -> Vec<OsString> { words.iter().map(Into::into).collect() };
        let given = arguments(&["-d", "/s", "-k", "start", "-DX", "-kgraceful"]);
        assert_eq!(question_arguments(&given), arguments(&["-d", "/s", "-DX"]));
    }
}
