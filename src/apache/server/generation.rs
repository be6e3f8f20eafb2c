//! system: the processes that serve a configuration, until none of the old ones can accept a connection any more.

use std::time::Duration;

use super::{Error, Server};
use crate::base::clock::{Deadline, Stopwatch, pause};
use crate::base::process::{self, Process};
use crate::base::sockets::{self, Descriptors};

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
    /// Waits until the parent is done with an earlier reload; who serves then.
    ///
    /// A signal that comes while it reads its configuration is forgotten: each
    /// generation starts with `restart_pending = 0` (`ap_mpm_run` of every MPM).
    pub fn ready(&self, patience: Duration) -> Result<OldGeneration, Error> {
        let deadline = Deadline::after(patience);
        loop {
            let old = self.generation()?;
            let is_up = old.children.iter().any(|child| hears(*child, &old.listening));
            // One without any child can only be told.
            if is_up || pause(LOOK_AGAIN, &deadline).is_err() {
                return Ok(old);
            }
        }
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
        let mut gone = old.pipes.clone();
        gone.retain(|_, inode| !kept.contains(inode));
        if gone.is_empty() && !old.pipes.is_empty() {
            return Ok(None);
        }
        let mut hearing = Vec::new();
        for child in process::children(pid)? {
            // A child has its parent's pipes under their numbers.
            if !old.children.contains(&child) && sockets::still_open(child.pid, &gone).is_empty() {
                continue;
            }
            if hears(child, &old.listening) && !is_stopped(child)? {
                hearing.push(child.pid);
            }
        }
        Ok(Some(hearing))
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

/// Between two looks at the old generation; it is deaf 5 to 8 ms after the signal.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
