//! system: what a user may set of a process, and sudo hands on to root's: limits, priorities, mask.
//!
//! Limits and all the rest outlive execve(2) and fork(2), and sudo leaves them
//! alone. A limit of the size of files cuts a certificate off in its middle; a
//! limit of time, or the first place of who is killed when memory runs out, ends
//! a run half-way. What a unit or a person sets for a run of his own stays: only
//! who is called for somebody else takes this back.

use std::fs;
use std::io;
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::stat::{Mode, umask};
use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};

use crate::base::clock::Deadline;
use crate::base::command::Program;
use crate::base::exit::{CarriesExit, Exit};

/// A limit that a caller has set for good.
#[derive(Debug, thiserror::Error)]
#[error(
    "the caller has limited {what} to {hard}, and this process may not take that back; nothing was done"
)]
pub struct Limited {
    what: &'static str,
    hard: u64,
    #[source]
    source: io::Error,
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Limited {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// Gives this process what the system gives a service, for itself and what it starts.
///
/// Before there is a second thread, which would keep its own priority.
pub fn take_back() -> Result<(), Limited> {
    for limit in LIMITS {
        limit.take_back()?;
    }
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    // What only makes it slow, or the first to go, is not worth to do nothing for.
    setpriority_process(None, 0).ok();
    if adjustment() > 0 {
        fs::write(ADJUSTMENT, "0").ok();
    }
    let this = std::process::id().to_string();
    for words in [["/usr/bin/chrt", "-o", "-p", "0"], ["/usr/bin/ionice", "-c", "0", "-p"]] {
        let arguments = words[1..].iter().map(Into::into).chain([this.as_str().into()]).collect();
        Program::plain(words[0].into(), arguments).run(&Deadline::after(PATIENCE)).ok();
    }
    all_processors().ok();
    Ok(())
}

fn adjustment() -> i32 {
    let text = fs::read_to_string(ADJUSTMENT).unwrap_or_default();
    text.trim().parse().unwrap_or_default()
}

/// The kernel leaves out those that are not there, or not ours (cpuset(7)).
fn all_processors() -> nix::Result<()> {
    let mut all = CpuSet::new();
    for number in 0..CpuSet::count() {
        all.set(number)?;
    }
    sched_setaffinity(nix::unistd::Pid::from_raw(0), &all)
}

struct Limit {
    resource: Resource,
    what: &'static str,
    /// The soft limit, and the least hard one; none is no limit.
    wanted: Option<u64>,
    /// With less than this a run may end half-way.
    least: u64,
}

impl Limit {
    fn take_back(&self) -> Result<(), Limited> {
        let found = getrlimit(self.resource);
        let maximum = found.maximum.and_then(|hard| Some(hard.max(self.wanted?)));
        let Err(errno) = setrlimit(self.resource, Rlimit { current: self.wanted, maximum }) else {
            return Ok(());
        };
        // Root in a container may not always raise what it was given.
        let hard = found.maximum.unwrap_or(u64::MAX);
        let most = hard.min(self.wanted.unwrap_or(u64::MAX));
        let given = Rlimit { current: Some(most).filter(|most| *most != u64::MAX), ..found };
        let set = setrlimit(self.resource, given);
        if most >= self.least && set.is_ok() {
            return Ok(());
        }
        Err(Limited { what: self.what, hard, source: errno.into() })
    }
}

const fn none(resource: Resource, what: &'static str, least: u64) -> Limit {
    Limit { resource, what, wanted: None, least }
}

const fn usual(resource: Resource, what: &'static str, wanted: u64, least: u64) -> Limit {
    Limit { resource, what, wanted: Some(wanted), least }
}

const GIB: u64 = 1 << 30;

/// As systemd has them for services (systemd.exec(5), `LimitCPU=` and so on; getrlimit(2)). Those
/// left out end nothing and cut nothing off.
const LIMITS: [Limit; 9] = [
    none(Resource::Fsize, "the size of files", GIB),
    none(Resource::Cpu, "its time on the processor", 3600),
    none(Resource::As, "its memory", GIB),
    none(Resource::Data, "its memory for data", GIB),
    none(Resource::Locks, "its locks", 64),
    none(Resource::Nproc, "the number of processes", 64),
    none(Resource::Rttime, "its time at real-time priority", 0),
    usual(Resource::Stack, "its stack", 8 << 20, 1 << 20),
    usual(Resource::Nofile, "its open files", 1024, 256),
];

/// Who is killed first (proc_pid_oom_score_adj(5)).
const ADJUSTMENT: &str = "/proc/self/oom_score_adj";

/// For a program that makes one system call.
const PATIENCE: Duration = Duration::from_secs(5);
