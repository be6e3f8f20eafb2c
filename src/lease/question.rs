//! flow: one question to the arbiter, one answer: who holds the lease, or to take it away.

use std::path::Path;
use std::time::Duration;

use crate::base::cause::chain;
use crate::base::clock::Deadline;
use crate::base::command::ssh;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::process;
use crate::config::Settings;
use crate::lease::connection::{self, ArbiterWay, Connection};
use crate::lease::lines;
use crate::lease::wire::{ArbiterAnswer, Ask, Hello};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The way to it.
    #[error(transparent)]
    Connection(#[from] connection::Error),
    /// Our own program.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// The line to it.
    #[error("the arbiter of the lease cannot be reached: {said}")]
    Unreachable {
        /// What ssh said, else what we saw.
        said: String,
    },
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Connection(error) => error.exit(),
            Self::Process(error) => error.exit(),
            Self::Unreachable { .. } => Exit::Busy,
        }
    }
}

/// Asks the arbiter of `settings`; `config` is the configuration file, for an arbiter on this host.
pub fn question(
    settings: &Settings,
    config: Option<&Path>,
    ask: &Ask,
) -> Result<(Hello, ArbiterAnswer), Error> {
    question_within(settings, config, ask, PATIENCE)
}

/// The same, with so much time for a connection and an answer.
pub fn question_within(
    settings: &Settings,
    config: Option<&Path>,
    ask: &Ask,
    patience: Duration,
) -> Result<(Hello, ArbiterAnswer), Error> {
    // The coordinator asks too, and is no arbiter.
    let program = process::executable(process::own()?.pid)?.with_file_name("certbaton");
    let way = ArbiterWay::of(settings, &program, config)?;
    let deadline = Deadline::after(patience);
    let mut connection = Connection::open(&way)?;
    let spoken = (|| {
        let hello = connection.hello(&deadline)?;
        connection.say(ask)?;
        Ok((hello, connection.word(&deadline)?))
    })();
    match spoken {
        Ok(answered) => Ok(answered),
        Err(error @ connection::Error::Lines(lines::Error::Wire(_))) => Err(error.into()),
        Err(error) => {
            let said = connection.end();
            let said = if said.is_empty() { chain(&error) } else { ssh::explained(&said) };
            Err(Error::Unreachable { said })
        }
    }
}

/// For a connection and an answer.
const PATIENCE: Duration = Duration::from_secs(20);
