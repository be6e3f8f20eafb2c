//! system: the running Apache: finds it, asks it about a configuration, reloads it.
//!
//! Never starts, stops or restarts it. Every question is asked with the
//! server's own program, arguments, environment and working directory, since
//! each of them changes what is active.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::apache::by_hand::ByHand;
use crate::apache::complaint::complaint;
use crate::base::clock::{Deadline, Stopwatch, pause};
use crate::base::command::{self, Program};
use crate::base::files;
use crate::base::process::{self, PidFd, Process, Signal};
use crate::base::sockets::{self, Descriptors};
use crate::base::threads;

mod failure;
mod find;
mod modules;
mod release;

pub use failure::Error;
pub use find::{find, identity};

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

/// A file to be checked in the place of a real one.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The real file, links resolved.
    pub real: &'a Path,
    /// What is to be read instead.
    pub substitute: &'a Path,
}

/// The processes that serve the old configuration, noted before a reload.
#[derive(Debug)]
pub struct OldGeneration {
    children: Vec<Process>,
    /// Pipes of the parent; one of them ends this generation.
    pipes: Descriptors,
    /// The parent's listening sockets.
    listening: Descriptors,
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

    /// Waits until the parent is done with an earlier reload; who serves then.
    ///
    /// A signal that comes while it reads its configuration is forgotten: each
    /// generation starts with `restart_pending = 0` (`ap_mpm_run` of every MPM).
    pub fn ready(&self, patience: Duration) -> Result<OldGeneration, Error> {
        let deadline = Deadline::after(patience);
        loop {
            let old = self.generation()?;
            let mut up = false;
            for child in &old.children {
                up = up || hears(*child, &old.listening);
            }
            // One without any child can only be told.
            if up || pause(LOOK_AGAIN, &deadline).is_err() {
                return Ok(old);
            }
        }
    }

    /// Tells the parent to reload gracefully (SIGUSR1).
    pub fn graceful(&self) -> Result<(), Error> {
        Ok(self.parent.signal(Signal::USR1)?)
    }

    fn generation(&self) -> Result<OldGeneration, Error> {
        let pid = self.process().pid;
        let failed = |error| Error::Sockets(pid, error);
        let children = process::children(pid)?;
        let held = sockets::held(pid).map_err(failed)?;
        let listening = sockets::listening(&self.parent, &held).map_err(failed)?;
        let of = |inode: &u64| listening.contains_key(inode);
        Ok(OldGeneration {
            children,
            listening: held.sockets.into_iter().filter(|(_, inode)| of(inode)).collect(),
            pipes: held.pipes,
        })
    }

    /// Waits until no process of `old` can accept a connection any more: from
    /// then on only the new configuration answers new connections.
    pub fn wait_deaf(&self, old: &OldGeneration, patience: Duration) -> Result<(), Error> {
        let watch = Stopwatch::start();
        let deadline = Deadline::after(patience);
        loop {
            let hearing = self.hearing(old)?;
            if self.parent.wait_exit(Duration::ZERO)? {
                return Err(self.died());
            }
            if hearing.as_ref().is_some_and(Vec::is_empty) {
                return Ok(());
            }
            if pause(LOOK_AGAIN, &deadline).is_err() {
                let waited = watch.elapsed();
                return Err(match hearing {
                    Some(pids) => Error::NotDeaf { pids, waited },
                    None => Error::NotReloaded { pid: self.process().pid, waited },
                });
            }
        }
    }

    /// Which processes of `old` can still accept connections; `None` while the parent may yet
    /// fork more of them.
    ///
    /// One that is stopped or traced accepts none, whatever it holds, and any process of the
    /// server's user may stop it: let go on, it hears first that its generation has ended.
    ///
    /// SIGUSR1 wakes the parent, which first tops up its old children
    /// (`perform_idle_server_maintenance`) and then reads the configuration. Reading
    /// it replaces the pipe through which each generation is told to end
    /// (`ap_mpm_podx_open`), so that pipe tells whose child a process is.
    fn hearing(&self, old: &OldGeneration) -> Result<Option<Vec<i32>>, Error> {
        let pid = self.process().pid;
        let kept = sockets::still_open(pid, &old.pipes);
        let kept_inodes: BTreeSet<u64> = kept.values().copied().collect();
        let gone: Descriptors = old
            .pipes
            .clone()
            .into_iter()
            .filter(|(_, inode)| !kept_inodes.contains(inode))
            .collect();
        if gone.is_empty() && !old.pipes.is_empty() {
            return Ok(None);
        }
        let mut hearing = Vec::new();
        for child in process::children(pid)? {
            // A child has its parent's pipes under their numbers.
            let is_old = || !sockets::still_open(child.pid, &gone).is_empty();
            if !old.children.contains(&child) && !is_old() {
                continue;
            }
            if hears(child, &old.listening) && !is_stopped(child)? {
                hearing.push(child.pid);
            }
        }
        Ok(Some(hearing))
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
                substitute(candidates).map_err(Error::Namespace)?;
                program.hear(&deadline, hear).map_err(Error::from)
            };
            let answer =
                thread::scope(|scope| Ok(threads::scoped(scope, "candidates", ask)?.wait()));
            answer.map_err(Error::Namespace)??
        };
        if let Some(signal) = status.signal().filter(|signal| SENT.contains(signal)) {
            // No answer: a crash is one, and the configuration's.
            return Err(command::Error::Ended { path: self.program.path.clone(), signal }.into());
        }
        match (status.success(), candidates.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => {
                let by_hand = Box::new(self.by_hand.clone());
                Err(Error::Configtest { complaint: complaint(&stderr), by_hand })
            }
            (false, false) => Err(Error::Candidate(complaint(&stderr))),
        }
    }
}

/// Whether a child can accept connections on one of the sockets: it has them under its parent's
/// numbers (fork(2)), until it closes them.
fn hears(child: Process, listening: &Descriptors) -> bool {
    sockets::any_open(child.pid, listening)
}

fn is_stopped(process: Process) -> Result<bool, Error> {
    match process::is_stopped(process.pid) {
        Err(process::Error::Gone(_)) => Ok(true),
        found => Ok(found?),
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

/// Makes this thread see each candidate in the place of the real file.
fn substitute(candidates: &[Candidate<'_>]) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    for candidate in candidates {
        mount(Some(candidate.substitute), candidate.real, none, MsFlags::MS_BIND, none)?;
    }
    Ok(())
}

/// For one question; 5,000 vhosts need less than a second.
const QUESTION_TIME: Duration = Duration::from_mins(1);

/// What somebody ends a program with, or the whole service that it belongs to.
const SENT: [i32; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGKILL];

/// Between two looks at the old generation; it is deaf 5 to 8 ms after the signal.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

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
