//! system: the line to the arbiter: ssh, or the arbiter itself on its own host.
//!
//! A child on a socket pair. It sees the end of its input when this process
//! dies, however that happens; what it complains about is kept for people.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::time::Duration;

use crate::base::clock;
use crate::base::command::child::Child;
use crate::base::command::{Program, ssh};
use crate::base::harmless;
use crate::config::Settings;
use crate::config::context::Context;
use crate::lease::lines::Lines;
use crate::lease::wire::{self, Ask, Error, Hello};

/// How the arbiter is reached.
#[derive(Debug, Clone)]
pub struct ArbiterWay {
    program: Program,
}

impl ArbiterWay {
    /// By the settings: an arbiter on this host is a process of its own.
    pub fn of(context: &Context) -> Result<Self, Error> {
        let arbiter = context.settings.arbiter.as_ref().ok_or(Error::NoArbiter)?;
        if context.settings.name.as_ref() != Some(arbiter) {
            return Self::abroad(&context.settings);
        }
        Ok(Self { program: context.certbaton(&["serve", "--as", arbiter.as_str()]) })
    }

    /// To an arbiter on another host.
    pub fn abroad(settings: &Settings) -> Result<Self, Error> {
        let arbiter = settings.arbiter.as_ref().ok_or(Error::NoArbiter)?;
        let host = settings.hosts.iter().find(|host| host.name == *arbiter);
        let destination = host.and_then(|host| host.ssh.as_ref()).ok_or(Error::NoArbiter)?;
        Ok(Self { program: ssh::client(&settings.ssh_config, destination) })
    }

    /// Any program that speaks as an arbiter does.
    pub fn program(program: Program) -> Self {
        Self { program }
    }
}

/// A conversation with the arbiter; its child ends with it.
#[derive(Debug)]
pub struct Connection {
    lines: Lines,
    child: Child,
    errors: Option<File>,
    complaint: Vec<u8>,
}

impl Connection {
    /// Begins one; whether anybody answers, the first line tells.
    pub fn open(way: &ArbiterWay) -> Result<Self, Error> {
        let (ours, theirs) = UnixStream::pair().map_err(Error::Socket)?;
        // A child that takes nothing must not hold us up.
        ours.set_nonblocking(true).map_err(Error::Socket)?;
        let to = ours.try_clone().map_err(Error::Socket)?;
        let (child, errors) = way.program.converse(&OwnedFd::from(theirs))?;
        let lines = Lines::new(ours.into(), to.into());
        Ok(Self { lines, child, errors: Some(errors), complaint: Vec::new() })
    }

    /// Says one word.
    pub fn say(&mut self, ask: &Ask) -> Result<(), Error> {
        self.lines.say(ask)
    }

    /// Takes in what is there, once it can be read.
    pub fn fill(&mut self) -> Result<(), Error> {
        self.lines.fill()
    }

    /// The next whole line of what was taken in.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, Error> {
        self.lines.next_line()
    }

    /// Waits for the first line, at most until `deadline`.
    pub fn hello(&mut self, deadline: &clock::Deadline) -> Result<Hello, Error> {
        wire::hello(&self.awaited(deadline)?)
    }

    /// Waits for the next word, at most until `deadline`.
    pub fn word<T: serde::de::DeserializeOwned>(
        &mut self,
        deadline: &clock::Deadline,
    ) -> Result<T, Error> {
        wire::word(&self.awaited(deadline)?)
    }

    fn awaited(&mut self, deadline: &clock::Deadline) -> Result<Vec<u8>, Error> {
        loop {
            if let Some(line) = self.next_line()? {
                return Ok(line);
            }
            let timeout = || Error::Socket(io::ErrorKind::TimedOut.into());
            let left = deadline.remaining().ok_or_else(timeout)?;
            if clock::ready(&[self.as_fd()], Some(left)).map_err(Error::Socket)?.contains(&true) {
                self.fill()?;
            }
        }
    }

    /// Ends it; what the child complained about, and how it ended, for people.
    pub fn end(mut self) -> String {
        let status = self.reap();
        self.hear_complaint();
        let text = String::from_utf8_lossy(&self.complaint);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        match (lines.is_empty(), status) {
            (false, _) => harmless::line(&lines.join("; "), MOST_SHOWN),
            (true, Some(status)) if !status.success() => format!("it ended with {status}"),
            _ => String::new(),
        }
    }

    /// Gives the child a moment to end by itself: its last words are the reason, and so is its
    /// end, unless it is our doing.
    fn reap(&mut self) -> Option<ExitStatus> {
        if let Some(errors) = &self.errors {
            // Closed by the child's end.
            clock::closed(&[errors.as_fd()], LAST_WORDS).ok();
        }
        let status = self.child.try_wait().ok().flatten();
        self.child.kill();
        self.child.wait().ok();
        status
    }

    fn hear_complaint(&mut self) {
        let Some(errors) = self.errors.take() else { return };
        let mut part = [0; 4096];
        while self.complaint.len() < MOST_COMPLAINT
            && clock::ready(&[errors.as_fd()], Some(Duration::ZERO)).is_ok_and(|r| r[0])
        {
            match (&errors).read(&mut part) {
                Ok(count) if count > 0 => self.complaint.extend_from_slice(&part[..count]),
                _ => break,
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lines.as_fd()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Gone already, perhaps.
        self.child.kill();
        self.child.wait().ok();
    }
}

/// For a child whose line is closed to end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Characters of what a person is told of it.
const MOST_SHOWN: usize = 1000;

/// More than any error message.
const MOST_COMPLAINT: usize = 16 * 1024;
