//! flow: `certbaton agent`: one order from whoever coordinates, carried out here as root.
//!
//! It ends when its caller closes standard input or dies, but never before
//! certbot has ended and the keeper of that run has given the routes back.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use crate::agent::survey::{self, serials};
use crate::agent::wire::{self, Answer, MAX_ORDER, MAX_TEXT, Order, Renewal, Renewed};
use crate::certbot::running::LOCK_FILE;
use crate::check::inspect::inspect;
use crate::check::look::{CalledOff, look};
use crate::check::plant::plant;
use crate::check::sight::{Question, Sight};
use crate::clock::{self, Deadline};
use crate::command::piped::{Next, Piped};
use crate::config::Settings;
use crate::exit::Exit;
use crate::names::Hostname;
use crate::process::{self, Holder, Signal};
use crate::route::report::chain;
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
    /// Another certbot.
    #[error("another certbot, process {pid}, runs here and did not end in {} s; try later", waited.as_secs())]
    Busy {
        /// Its pid.
        pid: i32,
        /// For how long it was waited for.
        waited: Duration,
    },
    /// The coordinator called it off.
    #[error("called off by the coordinator, or it is gone")]
    CalledOff,
    /// A lineage that is not there.
    #[error("no lineage {0} here")]
    NoLineage(String),
}

impl Error {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Busy { .. } => Exit::Busy,
            _ => Exit::Failed,
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
    /// Runs certbot once, or once per name, and tells by its files what came of it.
    fn renew(&self, settings: &Settings, renewal: &Renewal) -> Result<Vec<Renewed>, Error> {
        let program = survey::program(settings).ok_or(Error::NoCertbot)?;
        let known = serials(settings);
        for name in &renewal.cert_names {
            if known.iter().all(|(known, _)| known != name.as_str()) {
                return Err(Error::NoLineage(name.as_str().to_owned()));
            }
        }
        let runs: Vec<Option<&str>> = match &renewal.cert_names[..] {
            [] => vec![None],
            names => names.iter().map(|name| Some(name.as_str())).collect(),
        };
        let mut results = Vec::new();
        for name in runs {
            self.wait_for_others(settings)?;
            let before = serials(settings);
            let status = self.certbot(settings, &program, renewal, name)?;
            let after = serials(settings);
            let of = |list: &[(String, String)], name: &str| {
                list.iter().find(|(known, _)| known == name).map(|(_, serial)| serial.clone())
            };
            let touched = after.iter().filter(|(known, _)| name.is_none_or(|name| name == known));
            results.extend(touched.map(|(name, serial)| Renewed {
                name: name.clone(),
                before: of(&before, name),
                after: Some(serial.clone()),
                status,
            }));
        }
        Ok(results)
    }

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

    /// certbot does not wait for another certbot (`lock.py`); this does.
    fn wait_for_others(&self, settings: &Settings) -> Result<(), Error> {
        let deadline = Deadline::after(settings.lease_wait);
        let lock = settings.certbot_directory.join(LOCK_FILE);
        let mut told = false;
        loop {
            // What cannot be seen from here, certbot itself will tell.
            let Ok(Some(Holder::Pid(pid))) = process::lock_holder(&lock) else { return Ok(()) };
            if !told {
                let text = format!("waiting for another certbot, process {pid}");
                say(&Answer::Line { text })?;
                told = true;
            }
            if deadline.remaining().is_none() {
                return Err(Error::Busy { pid, waited: settings.lease_wait });
            }
            let stdin = io::stdin();
            let sources = [stdin.as_fd(), self.signals.as_fd()];
            if clock::ready(&sources, Some(LOOK_AGAIN)).map_err(Error::Caller)?.contains(&true) {
                return Err(Error::CalledOff);
            }
        }
    }

    /// One run of certbot; its exit code, or none if a signal ended it.
    fn certbot(
        &self,
        settings: &Settings,
        program: &Path,
        renewal: &Renewal,
        name: Option<&str>,
    ) -> Result<Option<i32>, Error> {
        let mut run = survey::run_of(program);
        let mut words = vec!["renew", "--non-interactive", "--no-random-sleep-on-renew"];
        words.extend(name.iter().flat_map(|name| ["--cert-name", name]));
        words.extend(renewal.force.then_some("--force-renewal"));
        words.extend(renewal.dry_run.then_some("--dry-run"));
        run.arguments.extend(words.into_iter().map(Into::into));
        if settings.certbot_directory != Settings::default().certbot_directory {
            run.arguments.extend(["--config-dir".into(), (&settings.certbot_directory).into()]);
        }
        tracing::info!("certbot renew started for the coordinator");
        let mut certbot = run.talk(MAX_TEXT)?;
        certbot.hang_up();
        let heard = self.follow(&mut certbot);
        if heard.is_err() {
            stop(&mut certbot);
        }
        let back = wait_for_the_end_of_the_run(settings);
        heard?;
        if !back {
            tracing::warn!("the run's keeper still holds the lease");
        }
        let status = certbot.end(Duration::ZERO).map_err(Error::Caller)?;
        Ok(status.and_then(|status| status.code()))
    }

    /// Passes on what certbot prints until it ends; an error if nobody hears it any more.
    fn follow(&self, certbot: &mut Piped) -> Result<(), Error> {
        let stdin = io::stdin();
        let sources = [stdin.as_fd(), self.signals.as_fd()];
        loop {
            match certbot.next(&sources, BEAT).map_err(Error::Caller)? {
                // Blank lines and the rules that certbot draws between its paragraphs.
                Next::Out(line) | Next::Err(line)
                    if line.iter().all(|b| b.is_ascii_whitespace() || *b == b'-') => {}
                Next::Out(line) | Next::Err(line) => {
                    say(&Answer::Line { text: wire::shown(&line) })?;
                }
                Next::Silence => say(&Answer::Alive)?,
                Next::Woken(_) => return Err(Error::CalledOff),
                Next::Ended => return Ok(()),
            }
        }
    }
}

/// Ends certbot: an interrupt first, with which it cleans up best; each bounded.
fn stop(certbot: &mut Piped) {
    for (signal, patience) in [
        (Signal::INT, Duration::from_secs(10)),
        (Signal::TERM, Duration::from_secs(5)),
        (Signal::INT, Duration::from_secs(5)),
        (Signal::KILL, Duration::from_secs(5)),
    ] {
        certbot.signal(signal);
        if matches!(certbot.end(patience), Ok(Some(_)) | Err(_)) {
            return;
        }
    }
}

/// Waits until the keeper of the run has given back routes and lease; says whether it has.
fn wait_for_the_end_of_the_run(settings: &Settings) -> bool {
    let deadline = Deadline::after(KEEPER_TIME);
    while survey::under_way(settings) {
        // It is another process, and may be another run's by now.
        if clock::pause(LOOK_AGAIN, &deadline).is_err() {
            return false;
        }
    }
    true
}

/// For the order to come.
const ORDER_TIME: Duration = Duration::from_secs(30);

/// For whoever asked for nonces to see them.
const PLANTED_TIME: Duration = Duration::from_mins(2);

/// Between two signs of life.
pub const BEAT: Duration = Duration::from_secs(5);

/// Between two looks at what cannot be waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// For a keeper to give everything back; `recover` goes on where it gives up.
const KEEPER_TIME: Duration = Duration::from_mins(2);
