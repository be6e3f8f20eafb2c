//! flow: `certbaton agent`: one order from whoever coordinates, carried out here as root.
//!
//! It ends when its caller closes standard input or dies, but never before
//! certbot has ended and the keeper of that run has given the routes back.

mod renew;

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::agent::survey;
use crate::agent::wire::{self, Answer, MAX_ORDER, Order};
use crate::cause::chain;
use crate::check::inspect::inspect;
use crate::check::look::{CalledOff, look};
use crate::check::plant::plant;
use crate::check::sight::{Question, Sight};
use crate::clock::{self, Deadline};
use crate::config::Settings;
use crate::exit::{CarriesExit, Exit};
use crate::lock;
use crate::names::Hostname;
use crate::run::keeper::Signals;
use crate::status::gather;

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No order came, or nobody hears the answer.
    #[error("no coordinator to talk to")]
    Caller(#[source] io::Error),
    /// The order.
    #[error("the coordinator's order cannot be followed")]
    Order(#[from] wire::Error),
    /// No certbot.
    #[error(
        "certbot is not there; install it, or name it in [certbot] program of the configuration"
    )]
    NoCertbot,
    /// certbot did not start.
    #[error(transparent)]
    Command(#[from] crate::command::Error),
    /// Another renewal.
    #[error("{other} runs here and did not end in {} s; try later", waited.as_secs())]
    Busy {
        /// Whose.
        other: Other,
        /// For how long it was waited for.
        waited: Duration,
    },
    /// The coordinator called it off.
    #[error("called off by the coordinator, or it is gone")]
    CalledOff,
    /// A lineage that is not there.
    #[error("no lineage {0} here")]
    NoLineage(String),
    /// The lock between orders of several coordinators.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// Where it would be.
    #[error(transparent)]
    File(#[from] crate::files::Error),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Order(error) => error.exit(),
            Self::Command(error) => error.exit(),
            Self::Lock(error) => error.exit(),
            Self::File(error) => error.exit(),
            Self::Busy { .. } => Exit::Busy,
            Self::Caller(_) | Self::NoCertbot | Self::CalledOff | Self::NoLineage(_) => {
                Exit::Failed
            }
        }
    }
}

/// Who renews here already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// A certbot, by its pid.
    Certbot(i32),
    /// The agent of another coordinator, between two runs of certbot.
    Agent,
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certbot(pid) => write!(f, "another certbot, process {pid},"),
            Self::Agent => f.write_str("a renewal for another coordinator"),
        }
    }
}

/// The caller: its order and its hanging up come on standard input.
struct Caller {
    signals: Signals,
}

/// Reads one order, carries it out, answers.
pub fn carry(settings: &Settings) -> Result<(), Error> {
    let caller = Caller { signals: Signals::catch().map_err(Error::Caller)? };
    let done = order().and_then(|order| match order {
        Order::Survey => Ok(Answer::Survey(Box::new(survey::survey(settings)))),
        Order::Status => Ok(Answer::Status(Box::new(gather::found(settings)))),
        Order::Renew(renewal) => Ok(Answer::Renewed(caller.renew(settings, &renewal)?)),
        Order::Inspect { names } => Ok(Answer::Inspected(Box::new(inspect(settings, &names)))),
        Order::Plant { names } => caller.plant(settings, &names),
        Order::Probe(question) => Ok(Answer::Seen(caller.look(question)?)),
    });
    match done {
        // It was said while it was still true.
        Ok(Answer::Planted(_)) => Ok(()),
        Ok(answer) => say(&answer),
        Err(error) => {
            // Whoever hung up does not hear it; the log does.
            say(&Answer::Failed { exit: error.exit().code(), why: chain(&error) }).ok();
            Err(error)
        }
    }
}

/// The configuration of this host cannot be used: said to whoever asks.
pub fn refuse(exit: Exit, why: &str) {
    say(&Answer::Failed { exit: exit.code(), why: why.to_owned() }).ok();
}

fn say(answer: &Answer) -> Result<(), Error> {
    let line = wire::line(answer)?;
    let mut out = io::stdout().lock();
    out.write_all(&line).and_then(|()| out.flush()).map_err(Error::Caller)
}

/// One line, bounded in length and time.
fn order() -> Result<Order, Error> {
    let deadline = Deadline::after(ORDER_TIME);
    // Not `Stdin`, whose buffer would hide from poll(2) what it has read ahead.
    let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(Error::Caller)?;
    let mut stdin = File::from(stdin);
    let (mut line, mut part) = (Vec::new(), [0; 4096]);
    while !line.contains(&b'\n') {
        let late = || Error::Caller(io::Error::new(io::ErrorKind::TimedOut, clock::Passed));
        let left = deadline.remaining().ok_or_else(late)?;
        if clock::ready(&[stdin.as_fd()], Some(left)).map_err(Error::Caller)? == [true] {
            match stdin.read(&mut part).map_err(Error::Caller)? {
                0 => return Err(Error::Caller(io::ErrorKind::UnexpectedEof.into())),
                count => line.extend_from_slice(&part[..count]),
            }
        }
        if line.len() > MAX_ORDER {
            return Err(wire::Error::TooLong(MAX_ORDER).into());
        }
    }
    Ok(wire::order(&line)?)
}

impl Caller {
    /// What is planted stays until the caller has seen it.
    fn plant(&self, settings: &Settings, names: &[Hostname]) -> Result<Answer, Error> {
        let bed = plant(settings, names);
        let answer = Answer::Planted(bed.plantings.clone());
        let said = say(&answer);
        let stdin = io::stdin();
        let sources = [stdin.as_fd(), self.signals.as_fd()];
        let waited =
            said.and_then(|()| clock::ready(&sources, Some(PLANTED_TIME)).map_err(Error::Caller));
        bed.clear();
        waited.map(|_| answer)
    }

    fn look(&self, question: Question) -> Result<Vec<Sight>, Error> {
        let stdin = io::stdin();
        let sources = [stdin.as_fd(), self.signals.as_fd()];
        let mut beat = Deadline::after(BEAT);
        let mut going_on = || {
            if clock::ready(&sources, Some(Duration::ZERO)).is_ok_and(|is| !is.contains(&true)) {
                if beat.remaining().is_none() {
                    beat = Deadline::after(BEAT);
                    return say(&Answer::Alive).map_err(|_| CalledOff);
                }
                return Ok(());
            }
            Err(CalledOff)
        };
        look(question, &mut going_on).map_err(|CalledOff| Error::CalledOff)
    }
}

/// For the order to come.
const ORDER_TIME: Duration = Duration::from_secs(30);

/// For whoever asked for nonces to see them.
const PLANTED_TIME: Duration = Duration::from_mins(2);

/// Between two signs of life.
pub const BEAT: Duration = Duration::from_secs(5);
