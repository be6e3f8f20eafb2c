//! system: facts about processes from `/proc`, and the one safe handle on a process, a pidfd.
//!
//! It decides nothing about what a process is. A pid alone is never trusted:
//! a process is its pid with its start time, and only a pidfd is signalled.

mod cgroup;
pub(crate) mod descriptors;
mod pidfd;
mod record_lock;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::libc;
pub use rustix::process::Signal;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

pub use cgroup::{service, session_user};
pub use pidfd::PidFd;
pub use record_lock::{LockOwner, holds_lock_on, lock_holder};

use crate::base::clock;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;

/// One process, not confused with a later one that has the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Process {
    /// Its pid in this pid namespace.
    pub pid: i32,
    /// When it started, in clock ticks since boot (proc(5), `stat` field 22).
    pub start_time: u64,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)
    }
}

/// Why a fact about a process is not to be had, or a program could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It has ended, or its pid belongs to another process by now.
    #[error("process {0} has ended")]
    Gone(i32),
    /// The kernel refused.
    #[error("cannot {action} process {pid}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// On which process.
        pid: i32,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// `/proc/PID/stat` or `status` is not as proc(5) says.
    #[error("what /proc tells of process {0} cannot be understood")]
    Stat(i32),
    /// A lock file that cannot be asked about.
    #[error("cannot ask who holds the lock on {path}", path = .path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The path is relative: whoever sets the working directory would choose the program.
    #[error("{} is not an absolute path", .0.display())]
    Relative(PathBuf),
    /// Root must not run it, or what it would follow.
    #[error(transparent)]
    Unsafe(#[from] files::Error),
    /// It could not be started.
    #[error("cannot run {}", path.display())]
    Start {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It did not end in time and was killed.
    #[error("{} did not finish in time and was killed", .0.display())]
    Slow(PathBuf),
    /// Somebody ended it by a signal before it had said what it was asked.
    #[error("{} was ended by signal {signal}", path.display())]
    Ended {
        /// The program.
        path: PathBuf,
        /// Which.
        signal: i32,
    },
    /// systemd said no.
    #[error("systemd starts no scope for it: {0}")]
    NoScope(String),
    /// systemd said yes, and nothing happened.
    #[error("systemd has not started a scope for it in {} s", .0.as_secs())]
    SlowScope(Duration),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Unsafe(error) => error.exit(),
            Self::Gone(_)
            | Self::Refused { .. }
            | Self::Stat(_)
            | Self::Lock { .. }
            | Self::Relative(_)
            | Self::Start { .. }
            | Self::Slow(_)
            | Self::Ended { .. }
            | Self::NoScope(_)
            | Self::SlowScope(_) => Exit::Failed,
        }
    }
}

/// The process that has `pid` now.
pub fn identify(pid: i32) -> Result<Process, Error> {
    Ok(Process { pid, start_time: stat(pid)?.start_time })
}

/// This process.
pub fn own() -> Result<Process, Error> {
    identify(i32::try_from(std::process::id()).map_err(|_| Error::Stat(0))?)
}

/// Since which boot start times count (random(4), `boot_id`).
pub fn boot() -> Result<String, files::Error> {
    let id = files::read_kernel("sys/kernel/random/boot_id")?;
    Ok(String::from_utf8_lossy(&id).trim().to_owned())
}

/// Whether this process runs for root.
pub fn is_own_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Makes this process, which is root's, `user`'s for good, with no group but `group`, and without
/// root's terminal, which it could type into (ioctl_tty(2), `TIOCSTI`).
pub fn step_down(user: u32, group: u32) -> io::Result<()> {
    // Whoever leads a process group was started by a shell, by its name.
    nix::unistd::setsid().ok();
    nix::unistd::setgroups(&[])?;
    nix::unistd::setgid(group.into())?;
    nix::unistd::setuid(user.into())?;
    Ok(())
}

/// Raises the limit of open files to what is usual, where it is less (`ulimit -n 4`): who cannot
/// open a file cannot look at a process.
pub fn make_room_for_files() {
    let limit = getrlimit(Resource::Nofile);
    let soft = limit.current.filter(|soft| *soft < USUAL_FILES);
    if soft.is_none() {
        return;
    }
    let hard = limit.maximum.map(|hard| hard.max(USUAL_FILES));
    let wanted = Rlimit { current: Some(USUAL_FILES), maximum: hard };
    if setrlimit(Resource::Nofile, wanted).is_err() {
        // The hard limit is for who may do anything to change.
        let most = limit.maximum.unwrap_or(USUAL_FILES).min(USUAL_FILES);
        let wanted = Rlimit { current: Some(most), maximum: limit.maximum };
        setrlimit(Resource::Nofile, wanted).ok();
    }
}

/// The soft limit that everybody has (systemd.exec(5), `LimitNOFILE=`).
const USUAL_FILES: u64 = 1024;

/// Its command line, one item per argument; empty for a kernel thread or a zombie.
pub fn argv(pid: i32) -> Result<Vec<OsString>, Error> {
    Ok(strings(&read(pid, "cmdline", "read the command line of")?))
}

/// Its initial environment, as `NAME=value` items.
pub fn environment(pid: i32) -> Result<Vec<OsString>, Error> {
    Ok(strings(&read(pid, "environ", "read the environment of")?))
}

/// The file it executes.
pub fn executable(pid: i32) -> Result<PathBuf, Error> {
    link(pid, "exe", "read the executable of")
}

/// Whether it runs a program of this file name, replaced meanwhile or not.
pub fn runs(pid: i32, name: &str) -> bool {
    executable(pid).is_ok_and(|path| is_called(path.as_os_str().as_bytes(), name))
}

/// Its working directory.
pub fn working_directory(pid: i32) -> Result<PathBuf, Error> {
    link(pid, "cwd", "read the working directory of")
}

/// The terminal that it has, opened for writing: its standard error, else its standard output or
/// input; none if none of them is one.
///
/// Opened through the descriptor, so that another mount namespace or a renamed device is no
/// hindrance, and only if it is a terminal: to open another device may have effects of its own.
pub fn terminal(pid: i32) -> Option<fs::File> {
    [2, 1, 0].into_iter().find_map(|number| {
        let descriptor = format!("/proc/{pid}/fd/{number}");
        let target = fs::read_link(&descriptor).ok()?;
        let names = ["/dev/pts/", "/dev/tty", "/dev/console"];
        let is_named =
            names.iter().any(|name| target.as_os_str().as_bytes().starts_with(name.as_bytes()));
        let is_device = fs::metadata(&descriptor).is_ok_and(|m| m.file_type().is_char_device());
        if !is_named || !is_device {
            return None;
        }
        let flags = OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
        let open = OpenOptions::new().write(true).custom_flags(flags.bits()).open(&descriptor);
        open.ok().filter(IsTerminal::is_terminal)
    })
}

/// Its parent; none for the first process of the pid namespace.
pub fn parent(pid: i32) -> Result<Option<Process>, Error> {
    loop {
        match stat(pid)?.parent {
            0 => return Ok(None),
            parent => match identify(parent) {
                // It died in between: the kernel has given the orphan to another by now.
                Err(Error::Gone(_)) => {}
                found => return found.map(Some),
            },
        }
    }
}

/// Its parent, the parent of that, and so on, nearest first, each looked up when it is asked for.
///
/// Where an ancestor dies meanwhile, the chain goes on with who took the orphan.
pub fn above(pid: i32) -> impl Iterator<Item = Result<Process, Error>> {
    let mut below = Some(pid);
    std::iter::from_fn(move || {
        let found = parent(below.take()?).transpose()?;
        below = found.as_ref().ok().map(|process| process.pid);
        Some(found)
    })
}

/// All of them.
pub fn ancestors(pid: i32) -> Result<Vec<Process>, Error> {
    above(pid).collect()
}

/// The pids of all processes that `/proc` shows.
pub fn all() -> Result<Vec<i32>, Error> {
    let refused = |source| Error::Refused { action: "list all from", pid: 1, source };
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").map_err(refused)? {
        let name = entry.map_err(refused)?.file_name();
        found.extend(name.to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    Ok(found)
}

/// Its effective user (`Uid:` of proc_pid_status(5)).
pub fn user(pid: i32) -> Result<u32, Error> {
    let status = read(pid, "status", "look at")?;
    let status = String::from_utf8_lossy(&status);
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    let user = users.split_ascii_whitespace().nth(1).and_then(|user| user.parse().ok());
    user.ok_or(Error::Stat(pid))
}

/// Whether it runs for root.
pub fn is_roots(pid: i32) -> Result<bool, Error> {
    Ok(user(pid)? == 0)
}

/// The processes whose parent is `pid`.
pub fn children(pid: i32) -> Result<Vec<Process>, Error> {
    let mut found = Vec::new();
    for child in all()? {
        match stat(child) {
            Ok(stat) if stat.parent == pid => {
                found.push(Process { pid: child, start_time: stat.start_time });
            }
            Ok(_) | Err(Error::Gone(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The file called `name` that process `pid` has open, opened for reading once more.
pub fn open_file(pid: i32, name: &str) -> Option<fs::File> {
    let is_it = |target: &[u8]| is_called(target, name);
    let found = descriptors::find(pid, |number, link| link.is_ok_and(is_it).then_some(number));
    let path = format!("/proc/{pid}/fd/{}", found.ok()??);
    let flags = OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).ok()?;
    file.metadata().is_ok_and(|metadata| metadata.is_file()).then_some(file)
}

/// proc_pid_fd(5): a link to a deleted file says so behind its name.
fn is_called(target: &[u8], name: &str) -> bool {
    let called = Path::new(OsStr::from_bytes(target)).file_name().map(OsStrExt::as_bytes);
    let called = called.unwrap_or_default();
    called.strip_suffix(b" (deleted)").unwrap_or(called) == name.as_bytes()
}

/// Whether it is stopped (SIGSTOP, Ctrl-Z) or traced: it is there, and does nothing.
pub fn is_stopped(pid: i32) -> Result<bool, Error> {
    Ok(matches!(stat(pid)?.state, 'T' | 't'))
}

/// How long it has been there.
pub fn age(process: Process) -> Duration {
    // In ticks of `USER_HZ`, 100 a second wherever Linux runs today (time(7)).
    clock::since_boot().saturating_sub(Duration::from_millis(process.start_time * 10))
}

/// The fields of `/proc/PID/stat` that matter here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    parent: i32,
    start_time: u64,
}

fn stat(pid: i32) -> Result<Stat, Error> {
    parse_stat(&read(pid, "stat", "look at")?).ok_or(Error::Stat(pid))
}

/// The command name may hold spaces and parentheses; the last one closes it.
fn parse_stat(line: &[u8]) -> Option<Stat> {
    let close = line.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(line.get(close + 1..)?).ok()?;
    // `rest` starts at field 3, the state.
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let start_time = fields.nth(22 - 5)?.parse().ok()?;
    Some(Stat { state, parent, start_time })
}

fn strings(bytes: &[u8]) -> Vec<OsString> {
    let Some(bytes) = bytes.strip_suffix(b"\0").or((!bytes.is_empty()).then_some(bytes)) else {
        return Vec::new();
    };
    bytes.split(|byte| *byte == 0).map(|item| OsString::from_vec(item.to_vec())).collect()
}

fn read(pid: i32, file: &str, action: &'static str) -> Result<Vec<u8>, Error> {
    let bytes = files::read_kernel(&format!("{pid}/{file}"));
    bytes.map_err(|error| refused(action, pid, error.into_io()))
}

fn link(pid: i32, file: &str, action: &'static str) -> Result<PathBuf, Error> {
    fs::read_link(format!("/proc/{pid}/{file}")).map_err(|source| refused(action, pid, source))
}

fn refused(action: &'static str, pid: i32, source: io::Error) -> Error {
    let gone = source.kind() == ErrorKind::NotFound || source.raw_os_error() == Some(libc::ESRCH);
    if gone { Error::Gone(pid) } else { Error::Refused { action, pid, source } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_command_name_with_parentheses_hides_no_field() {
        let fields = "S 41 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2";
        for name in ["cat", "a b", ") R 1 (", "(sd-pam)", "\u{fc})\n"] {
            let line = format!("42 ({name}) {fields}\n");
            let expected = Stat { state: 'S', parent: 41, start_time: 987_654 };
            assert_eq!(parse_stat(line.as_bytes()), Some(expected), "{name}");
        }
        assert_eq!(parse_stat(b"42 (cut) S 41 7"), None);
        assert_eq!(parse_stat(b""), None);
    }

    #[test]
    fn empty_arguments_are_arguments() {
        assert_eq!(strings(b"a\0\0b\0"), ["a", "", "b"]);
        assert_eq!(strings(b""), [""; 0]);
    }

    #[test]
    fn a_child_is_found_by_its_facts_and_ends_by_its_pidfd() {
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let own = own().unwrap();
        let process = identify(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(children(own.pid).unwrap().contains(&process));
        assert_eq!(parent(process.pid).unwrap(), Some(own));
        assert_eq!(ancestors(process.pid).unwrap()[0], own);
        assert_eq!(working_directory(process.pid).unwrap(), std::env::current_dir().unwrap());

        let pidfd = PidFd::open(process).unwrap();
        assert!(!pidfd.wait_exit(Duration::ZERO).unwrap());
        let earlier = Process { start_time: process.start_time - 1, ..process };
        assert!(matches!(PidFd::open(earlier), Err(Error::Gone(_))), "a reused pid is noticed");
        pidfd.signal(Signal::TERM).unwrap();
        assert!(pidfd.wait_exit(Duration::from_secs(10)).unwrap());
        child.wait().unwrap();
        assert!(matches!(pidfd.signal(Signal::TERM), Err(Error::Gone(_))));
        assert!(matches!(identify(process.pid), Err(Error::Gone(_))));
    }
}
