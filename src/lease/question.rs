//! flow: one question to the arbiter, one answer: who holds the lease, or to take it away.

use std::time::Duration;

use crate::base::cause::chain;
use crate::base::clock::Deadline;
use crate::base::command::ssh;
use crate::config::Settings;
use crate::config::context::Context;
use crate::lease::connection::{ArbiterWay, Connection};
use crate::lease::wire::{ArbiterAnswer, Ask, Error, Hello};

/// Asks the arbiter, wherever it is.
pub fn question(context: &Context, ask: &Ask) -> Result<(Hello, ArbiterAnswer), Error> {
    exchange(&ArbiterWay::of(context)?, ask, PATIENCE)
}

/// Asks an arbiter on another host, with so much time for a connection and an answer.
pub fn question_abroad(
    settings: &Settings,
    ask: &Ask,
    patience: Duration,
) -> Result<(Hello, ArbiterAnswer), Error> {
    exchange(&ArbiterWay::abroad(settings)?, ask, patience)
}

fn exchange(
    way: &ArbiterWay,
    ask: &Ask,
    patience: Duration,
) -> Result<(Hello, ArbiterAnswer), Error> {
    let deadline = Deadline::after(patience);
    let mut connection = Connection::open(way)?;
    let spoken = (|| {
        let hello = connection.hello(&deadline)?;
        connection.say(ask)?;
        Ok((hello, connection.word(&deadline)?))
    })();
    match spoken {
        Ok(answered) => Ok(answered),
        Err(error @ (Error::TooLong | Error::Unknown(_) | Error::Version(_))) => Err(error),
        Err(error) => {
            let said = connection.end();
            let said = if said.is_empty() { chain(&error) } else { ssh::explained(&said) };
            Err(Error::Unreachable { said })
        }
    }
}

/// For a connection and an answer.
pub const PATIENCE: Duration = Duration::from_secs(20);
