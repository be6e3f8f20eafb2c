//! flow: from the coordinator to the agent of one host: started here, or reached by ssh.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::base::clock;
use crate::base::command::dialogue::{Broken, Dialogue, Limits, Said};
use crate::base::command::{Program, ssh};
use crate::base::exit::{CarriesExit, Exit};
use crate::base::names::{Destination, HostLabel};
use crate::base::process;
use crate::config::context::Context;
use crate::config::{Host, Settings};
use crate::fleet::judged::judged;
use crate::fleet::protocol::{
    self, AgentAnswer, AgentOrder, Answered, Envelope, MAX_ANSWER, RenewalOrder, Renewed,
};
use crate::lease::wire as lease;

/// How the agent of a host is reached.
#[derive(Debug, Clone)]
pub struct Way {
    /// The host.
    pub name: HostLabel,
    program: Option<Program>,
    /// The far side says Hello first.
    greets: bool,
    /// How long it may take to look at something.
    patience: Duration,
    /// How long it may wait for its turn to renew (`lease.wait`).
    wait: Duration,
    /// How long it may take for each lineage then (`lease.renewal`): a CA that is slow, and
    /// whatever hooks an administrator has.
    renewal: Duration,
    /// How long any conversation may take, if that is less.
    most: Option<Duration>,
}

/// An agent that goes on with what it was ordered until this is dropped.
#[derive(Debug)]
#[must_use = "what was ordered ends when this is dropped"]
pub struct HeldOrder {
    agent: Option<Dialogue<'static>>,
}

impl Drop for HeldOrder {
    fn drop(&mut self) {
        if let Some(agent) = self.agent.take() {
            agent.end(UNDONE);
        }
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
    Command(#[from] process::Error),
    /// It went beyond what a conversation may take, or was called off.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// A word.
    #[error("its answer cannot be used")]
    Wire(#[from] protocol::Error),
    /// A pipe.
    #[error("the way to the agent broke")]
    Pipe(#[source] io::Error),
    /// The last word.
    #[error("another answer than to the question")]
    Another,
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
    /// The agent says no.
    #[error("{why}")]
    Refused {
        /// The exit code.
        exit: u8,
        /// Why.
        why: String,
    },
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Command(error) => error.exit(),
            Self::Wire(error) => error.exit(),
            Self::Refused { exit, .. } => Exit::from_code(*exit),
            Self::NoWay
            | Self::Broken(_)
            | Self::Pipe(_)
            | Self::Another
            | Self::NotServe
            | Self::Version(_)
            | Self::Closed(_) => Exit::Failed,
        }
    }
}

impl Way {
    /// How to reach this host, which is `host`: by an agent of its own.
    pub fn here(context: &Context, host: &Host) -> Self {
        let agent = Program { environment: Vec::new(), ..context.certbaton(&["agent"]) };
        Self { program: Some(agent), greets: false, ..Self::abroad(&context.settings, host) }
    }

    /// How to reach another host.
    pub fn abroad(settings: &Settings, host: &Host) -> Self {
        let ssh = |destination: &Destination| ssh::client(&settings.ssh_config, destination);
        Self {
            name: host.name.clone(),
            program: host.ssh.as_ref().map(ssh),
            greets: true,
            patience: LOOK,
            wait: settings.lease_wait,
            renewal: settings.lease_renewal,
            most: None,
        }
    }

    /// Gives a host up that takes longer than `patience` to look at something.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Gives a host up that takes longer than `most`, whatever it was asked.
    #[must_use]
    pub fn within(self, most: Duration) -> Self {
        Self { most: Some(most), ..self }
    }

    /// Orders a look, and returns the answer.
    pub fn ask<O: Answered>(&self, order: O) -> Result<O::Answer, Error> {
        self.ask_until(order, None)
    }

    /// As [`Way::ask`], called off by whatever makes `stop` readable.
    pub fn ask_until<O: Answered>(
        &self,
        order: O,
        stop: Option<BorrowedFd<'_>>,
    ) -> Result<O::Answer, Error> {
        let order = order.into();
        let bounds = self.bounds(&order, 0);
        let mut agent = self.program()?.dialogue(bounds, stop)?;
        let answer = self.converse(&mut agent, order, &mut |_| {});
        // It has nothing left to do; ssh may. What it says now interests nobody.
        agent.end(if answer.is_ok() { GOODBYE } else { AT_ONCE });
        O::answered(answer?).ok_or(Error::Another)
    }

    /// Orders a renewal of `lineages`, follows it, and returns what became of each.
    ///
    /// What makes `stop` readable hangs up, which calls the order off, and waits no longer:
    /// the agent undoes by itself. One that takes too long is called off too, and has its time
    /// to undo, since the next host would wait for the lease.
    pub fn renew(
        &self,
        renewal: RenewalOrder,
        lineages: usize,
        stop: BorrowedFd<'_>,
        mut hear: impl FnMut(&str),
    ) -> Result<Vec<Renewed>, Error> {
        let order = AgentOrder::from(renewal);
        let bounds = self.bounds(&order, lineages);
        let mut agent = self.program()?.dialogue(bounds, Some(stop))?;
        let answer = self.converse(&mut agent, order, &mut hear);
        let patience = match &answer {
            Ok(_) | Err(Error::Refused { .. } | Error::Closed(_)) => GOODBYE,
            Err(Error::Broken(Broken::CalledOff)) => AT_ONCE,
            // No longer than it might have gone on.
            Err(_) => CALLED_OFF.min(bounds.time),
        };
        if self.greets {
            agent.end(patience);
        } else {
            // Killed, it would leave certbot to itself.
            agent.leave(patience);
        }
        RenewalOrder::answered(answer?).ok_or(Error::Another)
    }

    /// As [`Way::ask`], but what was ordered lasts until the second value is dropped.
    pub fn hold<O: Answered>(&self, order: O) -> Result<(O::Answer, HeldOrder), Error> {
        let order = order.into();
        let mut agent = self.program()?.dialogue(self.bounds(&order, 0), None)?;
        let answer = self.converse(&mut agent, order, &mut |_| {});
        let held = HeldOrder { agent: Some(agent) };
        Ok((O::answered(answer?).ok_or(Error::Another)?, held))
    }

    /// Whether there is any.
    pub fn is_there(&self) -> bool {
        self.program.is_some()
    }

    fn program(&self) -> Result<&Program, Error> {
        self.program.as_ref().ok_or(Error::NoWay)
    }

    /// What the conversation about `order` may take, whoever answers.
    fn bounds(&self, order: &AgentOrder, lineages: usize) -> Limits {
        let count = u32::try_from(lineages.max(1)).unwrap_or(u32::MAX);
        let (time, silence, more) = match order {
            AgentOrder::Renew(_) => {
                let time = self.wait.saturating_add(self.renewal.saturating_mul(count));
                (time, SILENCE, LINEAGE_BYTES.saturating_mul(lineages.max(1)))
            }
            AgentOrder::Probe(_) => (PROBE, SILENCE, 0),
            AgentOrder::Look(_) | AgentOrder::Inspect(_) | AgentOrder::Plant(_) => {
                (self.patience, self.patience.min(QUIET), 0)
            }
        };
        let time = self.most.map_or(time, |most| time.min(most));
        let silence = silence.min(time);
        // The answer, and what ssh or sudo may have to say before.
        let bytes = (MAX_ANSWER + COMPLAINTS).saturating_add(more);
        Limits { time, silence, bytes, line: MAX_ANSWER }
    }

    fn converse(
        &self,
        agent: &mut Dialogue<'_>,
        order: AgentOrder,
        hear: &mut dyn FnMut(&str),
    ) -> Result<AgentAnswer, Error> {
        let mut complaint = String::new();
        let mut greeted = !self.greets;
        let line = protocol::line(&Envelope { version: protocol::VERSION, order })?;
        if line.len() > protocol::MAX_ORDER {
            return Err(protocol::Error::TooLong(protocol::MAX_ORDER).into());
        }
        if greeted {
            // An agent that does not start says why.
            agent.say(&line).ok();
        }
        loop {
            match agent.hear()? {
                // An arbiter that may not hand orders on takes them for a word of the lease.
                Said::Out(said) if lease::word::<lease::ArbiterAnswer>(&said).is_ok() => {
                    return Err(Error::NotServe);
                }
                Said::Out(said) if greeted => match protocol::answer(&said)? {
                    AgentAnswer::Alive => {}
                    AgentAnswer::Line { text } => hear(&protocol::shown(text.as_bytes())),
                    AgentAnswer::Failed { exit, why } => return Err(Error::Refused { exit, why }),
                    last => return Ok(judged(last, clock::now())),
                },
                Said::Out(said) => {
                    lease::hello(&said).map_err(|error| match error {
                        lease::Error::Version(version) => Error::Version(version),
                        _ => Error::NotServe,
                    })?;
                    greeted = true;
                    agent.say(&line)?;
                }
                Said::Err(said) => complaint = protocol::shown(&said),
                Said::Ended if complaint.is_empty() => {
                    return Err(Error::Closed("the connection was closed".into()));
                }
                Said::Ended => return Err(Error::Closed(ssh::explained(&complaint))),
            }
        }
    }
}

/// For a host to look at itself: Apache's dumps, certbot's version on a small machine that is busy.
const LOOK: Duration = Duration::from_secs(90);

/// Without a word meanwhile: an agent that looks says every few seconds that it is alive.
const QUIET: Duration = Duration::from_secs(20);

/// For a host to ask for every name of one order, as the CA does; it says that it is alive.
const PROBE: Duration = Duration::from_mins(5);

/// What certbot may print of a lineage.
const LINEAGE_BYTES: usize = 256 * 1024;

/// What ssh, sudo and a login may print before and beside the answer.
const COMPLAINTS: usize = 64 * 1024;

/// Longer than an agent between two signs of life, or one that ends certbot and waits for its keeper.
const SILENCE: Duration = Duration::from_secs(150);

/// For an agent that was called off to end certbot and to wait for its keeper.
const CALLED_OFF: Duration = Duration::from_secs(150);

/// The same where a person or the system wants an end: it does so by itself.
const AT_ONCE: Duration = Duration::from_millis(300);

/// For an agent to undo what it was to hold.
const UNDONE: Duration = Duration::from_secs(15);

/// For an agent, or ssh, to end after the last word.
const GOODBYE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::command::dialogue::Broken;
    use crate::fleet::protocol::LookOrder;
    use std::os::fd::AsFd;

    fn way(script: &str) -> Way {
        let program = Program::plain("/bin/sh".into(), vec!["-c".into(), script.into()]);
        let name = HostLabel::parse("vps").unwrap();
        let (patience, wait) = (LOOK, Duration::from_mins(30));
        let renewal = Duration::from_mins(5);
        Way { name, program: Some(program), greets: false, patience, wait, renewal, most: None }
    }

    fn renewal() -> RenewalOrder {
        RenewalOrder { cert_names: Vec::new(), force: false, dry_run: false }
    }

    #[test]
    fn a_renewal_has_its_wait_and_a_stated_time_for_each_lineage() {
        let bounds = way("").bounds(&AgentOrder::Renew(renewal()), 3);
        assert_eq!(bounds.time, Duration::from_mins(30 + 3 * 5));
        assert!(bounds.silence < bounds.time && bounds.bytes < 8 * 1024 * 1024);
        let look = way("").patient(Duration::from_secs(20)).bounds(&LookOrder::Status.into(), 0);
        assert_eq!((look.time, look.silence), (Duration::from_secs(20), Duration::from_secs(20)));
    }

    #[test]
    fn who_calls_it_off_is_heard_over_one_that_is_alive_for_ever() {
        let (stop, stopper) = io::pipe().unwrap();
        let mut heard = 0;
        let alive = way("while echo '{\"line\":{\"text\":\"x\"}}'; do :; done");
        let mut stopper = Some(stopper);
        let answer = alive.renew(renewal(), 1, stop.as_fd(), |_| {
            heard += 1;
            if heard == 100 {
                stopper = None;
            }
        });
        assert!(matches!(answer, Err(Error::Broken(Broken::CalledOff))), "{answer:?}");
        assert_eq!(heard, 100);
    }
}
