//! system: follows a run's processes from one step to the next by ptrace(2), and strikes before a given one.
//!
//! A step is a system call that changes something, or tells somebody. The process that is about to make it stands still
//! while the blow falls; then all are let go. Which step it is, is said by who makes it, what it is, and its number.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::host::Host;

/// Who of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Certbot,
    /// The guard: the small program that certbot starts first.
    Guard,
    /// What the guard has work.
    Worker,
    Keeper,
    DeployHook,
    PostHook,
    Coordinator,
    Agent,
    Other,
}

/// What a run is about to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Step {
    pub(crate) who: Who,
    pub(crate) what: &'static str,
    /// Counted from one, of this kind.
    pub(crate) nth: usize,
    /// With the file or program.
    pub(crate) label: String,
}

/// The processes of a run, as far as they have been seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    by: BTreeMap<Who, Pid>,
}

impl Seen {
    /// Those of a run on this host that is not followed.
    pub(crate) fn on(host: &Host) -> Self {
        let mut by = BTreeMap::new();
        for pid in host.processes("certb") {
            by.entry(who(pid)).or_insert(pid);
        }
        Self { by }
    }

    pub(crate) fn process(&self, who: Who) -> Option<Pid> {
        self.by.get(&who).copied()
    }
}

/// What falls when the step is reached; whether it hit anybody.
pub(crate) type Blow = Box<dyn FnOnce(&Seen) -> bool + Send>;

/// What became of following a run.
#[derive(Debug)]
pub(crate) enum Followed {
    /// The run ended by itself; its steps.
    ToItsEnd(Vec<Step>),
    /// The step was reached; whether the blow hit.
    Struck(bool),
}

/// Follows `first` and all that it starts, in a thread of its own (each tracee belongs to one): to the run's end, or to
/// the step at which the blow falls.
pub(crate) fn follow(first: Pid, at: Option<(Step, Blow)>) -> Receiver<Followed> {
    let (tell, told) = channel();
    let (attached, is_attached) = channel();
    thread::spawn(move || {
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACEEXEC;
        ptrace::seize(first, options).unwrap();
        attached.send(()).unwrap();
        // The tracees are let go by the end of this thread.
        tell.send(Follower::new(at).followed()).ok();
    });
    is_attached.recv().unwrap();
    told
}

struct Follower {
    at: Option<(Step, Blow)>,
    who: BTreeMap<Pid, Who>,
    in_call: BTreeSet<Pid>,
    seen: Seen,
    counts: BTreeMap<(Who, &'static str), usize>,
    steps: Vec<Step>,
}

impl Follower {
    fn new(at: Option<(Step, Blow)>) -> Self {
        let (who, in_call, counts) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { at, who, in_call, seen: Seen::default(), counts, steps: Vec::new() }
    }

    fn followed(mut self) -> Followed {
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            let status = match waitpid(None, Some(flags)) {
                Ok(status) => status,
                Err(Errno::EINTR) => continue,
                Err(_) => return Followed::ToItsEnd(self.steps),
            };
            match status {
                WaitStatus::PtraceSyscall(pid) => {
                    if self.in_call.remove(&pid) {
                        self.resume(pid, None);
                        continue;
                    }
                    self.in_call.insert(pid);
                    if self.is_here(pid) {
                        let (_, blow) = self.at.take().unwrap();
                        return Followed::Struck(blow(&self.seen));
                    }
                    self.resume(pid, None);
                }
                WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_EXEC) => {
                    self.meet(pid);
                    // What comes next, if calls are asked for, is the end of execve(2).
                    self.in_call.insert(pid);
                    if !self.is_watched(pid) {
                        self.in_call.remove(&pid);
                    }
                    self.resume(pid, None);
                }
                WaitStatus::PtraceEvent(pid, _, event) => {
                    if !self.who.contains_key(&pid) {
                        self.meet(pid);
                    }
                    // A new one stops before its first own step.
                    if event == libc::PTRACE_EVENT_STOP {
                        self.in_call.remove(&pid);
                    }
                    self.resume(pid, None);
                }
                WaitStatus::Stopped(pid, signal) => self.resume(pid, Some(signal)),
                WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) => {
                    self.who.remove(&pid);
                    self.in_call.remove(&pid);
                }
                WaitStatus::Continued(_) | WaitStatus::StillAlive => {}
            }
        }
    }

    /// Learns who `pid` is.
    fn meet(&mut self, pid: Pid) {
        let who = who(pid);
        self.who.insert(pid, who);
        // Who comes while the first is alive is its child; one that was asked for its version is gone.
        let known = self.seen.by.entry(who).or_insert(pid);
        if !is_alive(*known) {
            *known = pid;
        }
    }

    fn is_watched(&self, pid: Pid) -> bool {
        let who = self.who.get(&pid).copied().unwrap_or(Who::Other);
        self.at.as_ref().map_or(who != Who::Other, |(step, _)| step.who == who)
    }

    fn resume(&self, pid: Pid, signal: Option<Signal>) {
        let go_on = if self.is_watched(pid) { ptrace::syscall } else { ptrace::cont };
        // It may have been killed.
        go_on(pid, signal).ok();
    }

    /// Counts the step that `pid` is about to make; whether it is the one.
    fn is_here(&mut self, pid: Pid) -> bool {
        let who = self.who.get(&pid).copied().unwrap_or(Who::Other);
        if who == Who::Other {
            return false;
        }
        let Some((what, of)) = call(pid) else { return false };
        let nth = self.counts.entry((who, what)).or_default();
        *nth += 1;
        let nth = *nth;
        if let Some((step, _)) = &self.at {
            return (step.who, step.what, step.nth) == (who, what, nth);
        }
        self.steps.push(Step { who, what, nth, label: of });
        false
    }
}

fn is_alive(pid: Pid) -> bool {
    // A zombie has no program any more.
    fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

/// Who a process is, by its words.
fn who(pid: Pid) -> Who {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<String> = words
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let names: Vec<&str> =
        words.iter().map(|word| word.rsplit('/').next().unwrap_or_default()).collect();
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let first = names.first().copied().unwrap_or_default();
    match (first, program.file_name().and_then(|name| name.to_str()).unwrap_or_default()) {
        ("certbaton-pre-hook", "certbaton-pre-hook") => Who::Guard,
        ("certbaton-pre-hook", _) => Who::Worker,
        ("certbaton-deploy-hook", _) => Who::DeployHook,
        ("certbaton-post-hook", _) => Who::PostHook,
        ("renew-coordinate", _) => Who::Coordinator,
        (_, "certbaton") if names.contains(&"keep") => Who::Keeper,
        (_, "certbaton") if names.contains(&"agent") => Who::Agent,
        (_, "certbaton") => Who::Worker,
        (_, name) if name.starts_with("python") && names.get(1) == Some(&"certbot") => Who::Certbot,
        _ => Who::Other,
    }
}

/// What it is about to do, and with which file, if that changes something or tells somebody.
#[cfg(target_arch = "x86_64")]
fn call(pid: Pid) -> Option<(&'static str, String)> {
    let registers = ptrace::getregs(pid).ok()?;
    let arguments = [registers.rdi, registers.rsi, registers.rdx, registers.r10];
    let text = |which: usize| text(pid, arguments[which]);
    let [first, _, third, _] = arguments;
    let writes = |flags: u64| flags & (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT) as u64 != 0;
    Some(match i64::try_from(registers.orig_rax).ok()? {
        libc::SYS_write | libc::SYS_writev | libc::SYS_sendto | libc::SYS_sendmsg => {
            let to = fs::read_link(format!("/proc/{pid}/fd/{first}")).ok()?;
            let to = to.to_str()?.split(':').next()?.to_owned();
            matches!(to.as_str(), "socket" | "pipe").then_some(("tells", to))?
        }
        libc::SYS_openat if writes(third) => {
            let name = text(1);
            (!name.starts_with("/dev/")).then_some(("opens", name))?
        }
        libc::SYS_rename | libc::SYS_symlink | libc::SYS_link => ("renames", text(1)),
        libc::SYS_renameat | libc::SYS_renameat2 | libc::SYS_linkat => ("renames", text(3)),
        libc::SYS_symlinkat => ("renames", text(2)),
        libc::SYS_unlink | libc::SYS_rmdir => ("removes", text(0)),
        libc::SYS_unlinkat => ("removes", text(1)),
        libc::SYS_mkdir => ("makes", text(0)),
        libc::SYS_mkdirat => ("makes", text(1)),
        libc::SYS_fsync | libc::SYS_fdatasync => ("syncs", String::new()),
        libc::SYS_flock => ("locks", String::new()),
        libc::SYS_kill | libc::SYS_pidfd_send_signal => ("signals", String::new()),
        libc::SYS_connect => ("connects", String::new()),
        libc::SYS_bind | libc::SYS_accept4 => ("listens", String::new()),
        libc::SYS_execve => ("starts", text(0)),
        libc::SYS_mount | libc::SYS_umount2 | libc::SYS_unshare => ("mounts", String::new()),
        libc::SYS_exit_group => ("ends", String::new()),
        _ => return None,
    })
}

/// On other machines than x86-64 nothing is followed: the target says that it skips.
#[cfg(not(target_arch = "x86_64"))]
fn call(_: Pid) -> Option<(&'static str, String)> {
    None
}

/// A text of its, bounded.
#[cfg(target_arch = "x86_64")]
fn text(pid: Pid, at: u64) -> String {
    let mut bytes = [0; 200];
    let memory = File::open(format!("/proc/{pid}/mem"));
    let read = memory.and_then(|memory| memory.read_at(&mut bytes, at));
    let bytes = &bytes[..read.unwrap_or(0)];
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
