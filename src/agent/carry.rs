//! flow: `certbaton agent`: one order from whoever coordinates, carried out here as root.
//!
//! It ends when its caller closes standard input or dies, but never before
//! certbot has ended and the keeper of that run has given the routes back. What
//! has to be undone is done outside of the login session that the caller has here.

mod renew;

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::base::caller::{Caller, Heard};
use crate::base::cause::chain;
use crate::base::clock::{self, Deadline};
use crate::base::exit::{CarriesExit, Exit};
use crate::base::names::Hostname;
use crate::base::process;
use crate::base::session;
use crate::base::threads;
use crate::ca::sight::{Question, Sight};
use crate::check::inspect::inspect;
use crate::check::look::{CalledOff, look};
use crate::check::own;
use crate::check::own_report::report;
use crate::config::Settings;
use crate::fleet::link;
use crate::fleet::plant::plant;
use crate::fleet::protocol::{self, AgentAnswer, AgentOrder, MAX_ORDER};
use crate::lease::wire;

/// Why a caller was not served, or its order not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No order came, or nobody hears the answer.
    #[error("no coordinator to talk to")]
    Caller(#[source] io::Error),
    /// The lease.
    #[error(transparent)]
    Lease(#[from] wire::Error),
    /// The way to the agent.
    #[error(transparent)]
    Relay(#[from] link::Error),
    /// The order.
    #[error("the coordinator's order cannot be followed")]
    Order(#[from] protocol::Error),
    /// No certbot.
    #[error(
        "certbot is not there; install it, or name it in [certbot] program of the configuration"
    )]
    NoCertbot,
    /// certbot did not start.
    #[error(transparent)]
    Command(#[from] process::Error),
    /// Another renewal.
    #[error("{other} runs here and did not end in {} s; try later", waited.as_secs())]
    Busy {
        /// Whose.
        other: Other,
        /// For how long it was waited for.
        waited: Duration,
    },
    /// No thread to look with.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The look hangs.
    #[error("it takes longer than {} s to look at this host", .0.as_secs())]
    Slow(Duration),
    /// The coordinator called it off.
    #[error("called off by the coordinator, or it is gone")]
    CalledOff,
    /// By force, and more often than the CA allows.
    #[error("{lineage} is not renewed by force: {why}")]
    Limit {
        /// Which.
        lineage: String,
        /// How many there were.
        why: String,
    },
    /// A lineage that is not there.
    #[error("no lineage {0} here")]
    NoLineage(String),
    /// Whoever asked could stop it half-way.
    #[error(
        "nothing was begun, since who is logged in to ask for it could stop it half-way: this does not get out of the login session"
    )]
    Session(#[source] process::Error),
    /// Where it would be.
    #[error(transparent)]
    File(#[from] crate::base::files::Error),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Lease(error) => error.exit(),
            Self::Relay(error) => error.exit(),
            Self::Order(error) => error.exit(),
            Self::Command(error) | Self::Session(error) => error.exit(),
            Self::File(error) => error.exit(),
            Self::Busy { .. } => Exit::Busy,
            Self::Caller(_)
            | Self::NoCertbot
            | Self::Thread(_)
            | Self::Slow(_)
            | Self::CalledOff
            | Self::NoLineage(_)
            | Self::Limit { .. } => Exit::Failed,
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

/// Reads one order, carries it out, answers.
pub fn carry(settings: &Settings) -> Result<(), Error> {
    let mut caller = Caller::standard().map_err(Error::Caller)?;
    let line = caller.line(ORDER_TIME, MAX_ORDER).map_err(Error::Caller);
    let done = line.and_then(|line| Ok(protocol::order(&line)?)).and_then(|order| match order {
        AgentOrder::Look(order) => {
            caller.looking(settings, move |set| AgentAnswer::Report(Box::new(report(set, order))))
        }
        AgentOrder::Inspect(order) => caller.looking(settings, move |set| {
            AgentAnswer::Inspected(Box::new(inspect(set, &order.names)))
        }),
        AgentOrder::Renew(renewal) => {
            session::leave().map_err(Error::Session)?;
            Ok(AgentAnswer::Renewed(caller.renew(settings, &renewal)?))
        }
        AgentOrder::Plant(order) => {
            session::leave().map_err(Error::Session)?;
            caller.plant(settings, &order.names)
        }
        AgentOrder::Probe(question) => Ok(AgentAnswer::Seen(caller.look(settings, question)?)),
    });
    match done {
        // It was said while it was still true.
        Ok(AgentAnswer::Planted(_)) => Ok(()),
        Ok(answer) => caller.answer(&answer),
        Err(error) => {
            // Whoever hung up does not hear it; the log does.
            caller
                .answer(&AgentAnswer::Failed { exit: error.exit().code(), why: chain(&error) })
                .ok();
            Err(error)
        }
    }
}

/// The configuration of this host cannot be used: said to whoever asks.
pub fn refuse(exit: Exit, why: &str) {
    let failed = AgentAnswer::Failed { exit: exit.code(), why: why.to_owned() };
    if let Ok(caller) = Caller::standard() {
        caller.answer(&failed).ok();
    }
}

impl Caller {
    fn answer(&self, answer: &AgentAnswer) -> Result<(), Error> {
        self.say(&protocol::line(answer)?).map_err(Error::Caller)
    }

    /// Does `look`, which changes nothing and undoes nothing, for as long as somebody waits for it.
    fn looking(
        &self,
        settings: &Settings,
        look: impl FnOnce(&Settings) -> AgentAnswer + Send + 'static,
    ) -> Result<AgentAnswer, Error> {
        let (bell, done) = io::pipe().map_err(Error::Caller)?;
        let settings = settings.clone();
        let work = move || {
            let answer = look(&settings);
            drop(done);
            answer
        };
        let thread = threads::start("look", work).map_err(Error::Thread)?;
        let deadline = Deadline::after(LOOK_TIME);
        loop {
            let left = deadline.remaining().ok_or(Error::Slow(LOOK_TIME))?;
            let mut sources = self.ends();
            sources.push(bell.as_fd());
            let ready = clock::ready(&sources, Some(left.min(BEAT))).map_err(Error::Caller)?;
            match ready.iter().position(|is| *is) {
                None => self.answer(&AgentAnswer::Alive)?,
                Some(at) if at + 1 == sources.len() => return Ok(thread.wait()),
                // The thread ends with the process.
                Some(_) => return Err(Error::CalledOff),
            }
        }
    }

    /// What is planted stays until the caller has seen it.
    fn plant(&self, settings: &Settings, names: &[Hostname]) -> Result<AgentAnswer, Error> {
        let bed = plant(settings, names);
        let answer = AgentAnswer::Planted(bed.plantings.clone());
        let said = self.answer(&answer);
        let waited = said.and_then(|()| self.wait(PLANTED_TIME).map_err(Error::Caller));
        bed.clear();
        waited.map(|_| answer)
    }

    fn look(&self, settings: &Settings, question: Question) -> Result<Vec<Sight>, Error> {
        let mut beat = Deadline::after(BEAT);
        let mut going_on = || {
            if !matches!(self.wait(Duration::ZERO), Ok(Heard::Silence)) {
                return Err(CalledOff);
            }
            if beat.remaining().is_none() {
                beat = Deadline::after(BEAT);
                return self.answer(&AgentAnswer::Alive).map_err(|_| CalledOff);
            }
            Ok(())
        };
        let bounds = own::bounds(settings, &question);
        look(question, bounds, &mut going_on).map_err(|CalledOff| Error::CalledOff)
    }
}

/// For the order to come.
const ORDER_TIME: Duration = Duration::from_secs(30);

/// For a look at this host; no caller waits longer.
const LOOK_TIME: Duration = Duration::from_secs(90);

/// For whoever asked for nonces to see them.
const PLANTED_TIME: Duration = Duration::from_mins(2);

/// Between two signs of life.
pub const BEAT: Duration = Duration::from_secs(5);
