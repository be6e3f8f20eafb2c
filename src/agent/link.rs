//! flow: from the coordinator to the agent of one host: started here, or reached by ssh.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use crate::agent::facts;
use crate::agent::wire::{self, Answer, Envelope, MAX_ANSWER, Order};
use crate::clock::Deadline;
use crate::command::piped::{Next, Piped};
use crate::command::{self, Program, ssh};
use crate::config::{Host, Settings};
use crate::exit::{CarriesExit, Exit};
use crate::lease::wire as lease;
use crate::names::{Destination, HostLabel};
use crate::run::keeper::Signals;

/// How the agent of a host is reached.
#[derive(Debug, Clone)]
pub struct Way {
    /// The host.
    pub name: HostLabel,
    program: Option<Program>,
    /// The far side says Hello first.
    greets: bool,
    /// How long it may be silent.
    silence: Duration,
}

/// An agent that goes on with what it was ordered until this is dropped.
#[derive(Debug)]
#[must_use = "what was ordered ends when this is dropped"]
pub struct Held {
    agent: Piped,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.agent.hang_up();
        let deadline = Deadline::after(UNDONE);
        // Its pipes are drained, so that it is not held up by them.
        while let Some(left) = deadline.remaining()
            && let Ok(Next::Out(_) | Next::Err(_)) = self.agent.next(&[], left)
        {}
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No way.
    #[error("it is another host, and its [[host]] has no ssh")]
    NoWay,
    /// ssh or certbaton did not start.
    #[error(transparent)]
    Command(#[from] command::Error),
    /// A pipe.
    #[error("the connection broke")]
    Pipe(#[source] io::Error),
    /// A word.
    #[error("its answer cannot be used")]
    Wire(#[from] wire::Error),
    /// The other side's first line.
    #[error(
        "it does not answer as certbaton does; see that the key's line there has command=\"/usr/bin/certbaton serve --as NAME --renew\""
    )]
    NotServe,
    /// Another version.
    #[error("certbaton there speaks version {0}; install the same certbaton on all hosts")]
    Version(u32),
    /// It ended.
    #[error("no answer: {0}")]
    Closed(String),
    /// It hangs.
    #[error("no sign of life for {} s", .0.as_secs())]
    Silent(Duration),
    /// The agent says no.
    #[error("{why}")]
    Refused {
        /// The exit code.
        exit: u8,
        /// Why.
        why: String,
    },
    /// A person or the system ended the coordinator.
    #[error("called off")]
    CalledOff,
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Command(error) => error.exit(),
            Self::Wire(error) => error.exit(),
            Self::Refused { exit, .. } => Exit::from_code(*exit),
            Self::NoWay
            | Self::Pipe(_)
            | Self::NotServe
            | Self::Version(_)
            | Self::Closed(_)
            | Self::Silent(_)
            | Self::CalledOff => Exit::Failed,
        }
    }
}

/// The hosts of the configuration; without any, this host alone.
pub fn hosts(settings: &Settings) -> Vec<Host> {
    if !settings.hosts.is_empty() {
        return settings.hosts.clone();
    }
    let machine = HostLabel::parse(&facts::machine()).or_else(|| HostLabel::parse("localhost"));
    machine.map(|name| Host { name, ssh: None }).into_iter().collect()
}

impl Way {
    /// How to reach `name`, which `ssh` says, unless it is `own`.
    pub fn to(settings: &Settings, config: Option<&Path>, certbaton: &Path, host: &Host) -> Self {
        let name = host.name.clone();
        if settings.hosts.is_empty() || settings.name.as_ref() == Some(&name) {
            let mut arguments: Vec<_> = Vec::new();
            if let Some(config) = config {
                arguments.extend(["--config".into(), config.into()]);
            }
            arguments.push("agent".into());
            let program = Program {
                path: certbaton.to_owned(),
                arguments,
                environment: Vec::new(),
                directory: "/".into(),
            };
            return Self { name, program: Some(program), greets: false, silence: SILENCE };
        }
        let ssh = |destination: &Destination| ssh::client(&settings.ssh_config, destination);
        let program = host.ssh.as_ref().map(ssh);
        Self { name, program, greets: true, silence: SILENCE }
    }

    /// Gives a silent host up after `patience`: for orders that leave nothing behind.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { silence: patience, ..self }
    }

    /// Sends `order`, follows the answers, returns the last.
    ///
    /// A signal hangs up, which calls the order off; the agent still gets its time to end.
    pub fn ask(
        &self,
        order: Order,
        signals: &Signals,
        hear: impl FnMut(&str),
    ) -> Result<Answer, Error> {
        let answer = self.ask_until(order, signals.as_fd(), hear);
        if matches!(answer, Err(Error::CalledOff)) {
            signals.take();
        }
        answer
    }

    /// As [`Way::ask`], called off by whatever makes `stop` readable.
    pub fn ask_until(
        &self,
        order: Order,
        stop: BorrowedFd<'_>,
        mut hear: impl FnMut(&str),
    ) -> Result<Answer, Error> {
        let program = self.program.as_ref().ok_or(Error::NoWay)?;
        let mut agent = program.talk(MAX_ANSWER)?;
        let answer = self.converse(&mut agent, order, stop, &mut hear);
        match &answer {
            Ok(_) | Err(Error::Refused { .. } | Error::Closed(_)) => {
                agent.hang_up();
                // It has nothing left to do; ssh may.
                agent.end(GOODBYE).map_err(Error::Pipe)?;
            }
            Err(_) => call_off(&mut agent, self.silence),
        }
        answer
    }

    /// As [`Way::ask_until`], but what was ordered lasts until the second value is dropped.
    pub fn hold(&self, order: Order, stop: BorrowedFd<'_>) -> Result<(Answer, Held), Error> {
        let program = self.program.as_ref().ok_or(Error::NoWay)?;
        let mut held = Held { agent: program.talk(MAX_ANSWER)? };
        let answer = self.converse(&mut held.agent, order, stop, &mut |_| {})?;
        Ok((answer, held))
    }

    fn converse(
        &self,
        agent: &mut Piped,
        order: Order,
        stop: BorrowedFd<'_>,
        hear: &mut dyn FnMut(&str),
    ) -> Result<Answer, Error> {
        let mut complaint = String::new();
        let mut greeted = !self.greets;
        let line = wire::line(&Envelope { version: wire::VERSION, order })?;
        if line.len() > wire::MAX_ORDER {
            return Err(wire::Error::TooLong(wire::MAX_ORDER).into());
        }
        if greeted {
            // An agent that does not start says why.
            agent.say(&line).ok();
        }
        loop {
            match agent.next(&[stop], self.silence).map_err(Error::Pipe)? {
                // An arbiter that may not hand orders on takes them for a word of the lease.
                Next::Out(said) if lease::word::<lease::Answer>(&said).is_ok() => {
                    return Err(Error::NotServe);
                }
                Next::Out(said) if greeted => match wire::answer(&said)? {
                    Answer::Alive => {}
                    Answer::Line { text } => hear(&wire::shown(text.as_bytes())),
                    Answer::Failed { exit, why } => return Err(Error::Refused { exit, why }),
                    last => return Ok(last),
                },
                Next::Out(said) => {
                    lease::hello(&said).map_err(|error| match error {
                        lease::Error::Version(version) => Error::Version(version),
                        _ => Error::NotServe,
                    })?;
                    greeted = true;
                    agent.say(&line).map_err(Error::Pipe)?;
                }
                Next::Err(said) => complaint = wire::shown(&said),
                Next::Silence => return Err(Error::Silent(self.silence)),
                Next::Woken(_) => return Err(Error::CalledOff),
                Next::Ended if complaint.is_empty() => {
                    return Err(Error::Closed("the connection was closed".into()));
                }
                Next::Ended => return Err(Error::Closed(complaint)),
            }
        }
    }
}

/// Hangs up and waits until the agent has ended, which it does when the routes are back.
fn call_off(agent: &mut Piped, patience: Duration) {
    agent.hang_up();
    // Its pipes are drained, so that it is not held up by them.
    while let Ok(Next::Out(_) | Next::Err(_)) = agent.next(&[], patience) {}
}

/// Longer than a survey, an agent between two signs of life, or one that ends certbot and waits for its keeper.
const SILENCE: Duration = Duration::from_secs(150);

/// For an agent to undo what it was to hold.
const UNDONE: Duration = Duration::from_secs(15);

/// For an agent, or ssh, to end after the last word.
const GOODBYE: Duration = Duration::from_secs(5);
