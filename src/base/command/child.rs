//! system: the one place where programs are started, and the handle on one that was.
//!
//! What a child gets is what it is given: these three descriptors, this
//! environment and directory, no signal blocked and none ignored. By
//! posix_spawn(3), since std's `Command` hands our own mask and the ignored
//! signals on (`sys/process/unix/unix.rs`: "inherit the signal mask"), and every
//! descriptor that whoever called us forgot to mark. Limits are as they were.

use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::SigSet;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, kill_process_group, waitpid};

use super::Program;
use crate::base::process::{self, PidFd, Signal};
use crate::base::threads;

/// A program that we started. Dropped, it goes on.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: PidFd,
    ended: Option<ExitStatus>,
}

/// Which process group it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// Ours.
    Ours,
    /// Its own: a terminal's Ctrl-C is ours to pass on.
    Own,
}

/// The three descriptors of a child: standard input, output and error.
pub(super) type Streams<'a> = [BorrowedFd<'a>; 3];

/// What is read at once by nobody and written to for nothing.
pub(super) fn nothing() -> io::Result<OwnedFd> {
    Ok(fs::File::options().read(true).write(true).open("/dev/null")?.into())
}

/// Starts `program`.
pub(super) fn start(program: &Program, streams: Streams<'_>, group: Group) -> io::Result<Child> {
    let is_there = std::env::current_dir().is_ok_and(|own| own == program.directory);
    let pid = if is_there {
        spawn(program, streams, group)?
    } else {
        in_directory(&program.directory, || spawn(program, streams, group))?
    };
    let pid = Pid::from_raw(pid.as_raw()).ok_or(io::ErrorKind::InvalidData)?;
    // Ours until it is waited for, so its pid means it.
    let open = || PidFd::open(process::identify(pid.as_raw_nonzero().get())?);
    match open() {
        Ok(pidfd) => Ok(Child { pid, pidfd, ended: None }),
        Err(error) => {
            rustix::process::kill_process(pid, Signal::KILL).ok();
            wait(pid, WaitOptions::empty()).ok();
            Err(io::Error::other(error))
        }
    }
}

/// Does `work` with `directory` as the working directory, which is the whole process's elsewhere.
fn in_directory<T: Send>(
    directory: &Path,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    thread::scope(|scope| {
        let there = move || {
            unshare(CloneFlags::CLONE_FS)?;
            nix::unistd::chdir(directory)?;
            work()
        };
        threads::scoped(scope, "start", there)?.wait()
    })
}

fn spawn(program: &Program, streams: Streams<'_>, group: Group) -> io::Result<nix::unistd::Pid> {
    let mut attributes = PosixSpawnAttr::init()?;
    let mut flags =
        PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF;
    attributes.set_sigmask(&SigSet::empty())?;
    attributes.set_sigdefault(&SigSet::all())?;
    if group == Group::Own {
        flags |= PosixSpawnFlags::POSIX_SPAWN_SETPGROUP;
        attributes.set_pgroup(nix::unistd::Pid::from_raw(0))?;
    }
    attributes.set_flags(flags)?;
    let mut actions = PosixSpawnFileActions::init()?;
    for (stream, number) in streams.iter().zip(0..) {
        actions.add_dup2(stream.as_raw_fd(), number)?;
    }
    for number in beyond_the_standard()? {
        // One that is closed meanwhile is no error (spawni.c: only beyond the limit is one).
        actions.add_close(number)?;
    }
    let arguments = std::iter::once(program.path.as_os_str())
        .chain(program.arguments.iter().map(OsString::as_os_str))
        .map(|argument| Ok(CString::new(argument.as_bytes())?));
    let environment = program.environment.iter().map(|(name, value)| {
        let parts: [&OsStr; 3] = [name, OsStr::new("="), value];
        Ok(CString::new(parts.map(OsStr::as_bytes).concat())?)
    });
    let arguments = arguments.collect::<io::Result<Vec<_>>>()?;
    let environment = environment.collect::<io::Result<Vec<_>>>()?;
    Ok(posix_spawn(&program.path, &actions, &attributes, &arguments, &environment)?)
}

/// All open descriptors but the standard three, whoever opened them.
fn beyond_the_standard() -> io::Result<Vec<i32>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        numbers.extend(number.filter(|number| *number > 2));
    }
    Ok(numbers)
}

fn wait(pid: Pid, options: WaitOptions) -> io::Result<Option<ExitStatus>> {
    loop {
        match waitpid(Some(pid), options) {
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(ended) => return Ok(ended.map(|(_, status)| ExitStatus::from_raw(status.as_raw()))),
        }
    }
}

impl Child {
    /// What means it and no other process.
    pub fn pidfd(&self) -> &PidFd {
        &self.pidfd
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(ended) = self.look(WaitOptions::empty())? {
                return Ok(ended);
            }
        }
    }

    /// How it ended, if it has.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.look(WaitOptions::NOHANG)
    }

    fn look(&mut self, options: WaitOptions) -> io::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = wait(self.pid, options)?;
        }
        Ok(self.ended)
    }

    /// Kills it, unless it has ended.
    pub fn kill(&self) {
        self.pidfd.signal(Signal::KILL).ok();
    }

    /// Kills it, if it leads a process group, with all that it started and did not put into
    /// another.
    pub fn kill_group(&self) {
        // Ours until it is waited for, so its pid means its group. Gone already is fine.
        if self.ended.is_none() {
            kill_process_group(self.pid, Signal::KILL).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Deadline;
    use std::os::fd::AsFd;
    use std::time::Duration;

    fn said(path: &str, arguments: &[&str], directory: &str) -> String {
        let program = Program {
            path: path.into(),
            arguments: arguments.iter().map(Into::into).collect(),
            environment: vec![("A".into(), "b=c".into())],
            directory: directory.into(),
        };
        let output = program.run(&Deadline::after(Duration::from_secs(20))).unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn nothing_is_inherited_but_what_is_given() {
        // Two descriptors that this process keeps through exec, as a careless caller's are.
        let (kept, other) = nix::unistd::pipe().unwrap();
        let blocked = SigSet::all();
        let before = blocked.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_SETMASK).unwrap();
        let status = said("/bin/cat", &["/proc/self/status"], "/");
        let descriptors = said("/bin/ls", &["/proc/self/fd"], "/");
        before.thread_set_mask().unwrap();
        let mask = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap()
        };
        assert_eq!(mask("SigBlk:"), 0, "{status}");
        // Signals 32 and 33 are the C library's: its posix_spawn(3) ignores them for a moment too
        // long, and the C library of the child takes them back when it needs them.
        assert_eq!(mask("SigIgn:") & !(3 << 31), 0, "{status}");
        // The fourth is the directory that ls reads.
        assert_eq!(descriptors, "0\n1\n2\n3\n");
        drop((kept, other));
        assert_eq!(said("/usr/bin/env", &[], "/"), "A=b=c\n");
    }

    #[test]
    fn a_child_is_where_it_is_put_and_this_process_stays_where_it_was() {
        let own = std::env::current_dir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let path = elsewhere.path().canonicalize().unwrap().display().to_string();
        assert_eq!(said("/bin/pwd", &[], &path), format!("{path}\n"));
        assert_eq!(std::env::current_dir().unwrap(), own);
    }

    #[test]
    fn how_it_ended_is_known_however_often_it_is_asked() {
        let nothing = nothing().unwrap();
        let program = Program::plain("/bin/sh".into(), vec!["-c".into(), "exit 7".into()]);
        let streams = [nothing.as_fd(); 3];
        let mut child = start(&program, streams, Group::Own).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(7));
        assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(7));
        child.kill();
        child.kill_group();
    }

    #[test]
    fn what_cannot_be_started_says_why() {
        let nothing = nothing().unwrap();
        let streams = [nothing.as_fd(); 3];
        for (path, directory, kind) in [
            ("/nowhere/at/all", "/", io::ErrorKind::NotFound),
            ("/etc/passwd", "/", io::ErrorKind::PermissionDenied),
            ("/bin/true", "/nowhere/at/all", io::ErrorKind::NotFound),
        ] {
            let program =
                Program { directory: directory.into(), ..Program::plain(path.into(), Vec::new()) };
            let error = start(&program, streams, Group::Ours).unwrap_err();
            assert_eq!(error.kind(), kind, "{path} {error}");
        }
    }
}
