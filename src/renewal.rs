//! One renewal: the hooks, the keeper, the lease.

use std::io;
use std::time::Duration;

use crate::base::cause::chain;
use crate::base::exit::{CarriesExit, Exit};
use crate::base::files;
use crate::base::process;
use crate::certbot::running;
use crate::certbot::scope;
use crate::certbot::unusable;
use crate::lease::holder::GiveUp;
use crate::lease::wire;
use crate::renewal::messages::Reply;
use crate::switch::report;

pub mod certificates;
pub mod client;
pub mod guard;
pub mod hook;
pub mod keep;
pub mod keeper;
pub mod messages;
pub mod recover;
pub mod right;
pub mod still_needed;
mod stopped;
mod unfinished;

/// Why a renewal may not begin, or what of it is not given back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A process, or a program that cannot be started.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// A file, or a lock of this host.
    #[error(transparent)]
    File(#[from] files::Error),
    /// What certbot keeps, or was told.
    #[error(transparent)]
    Certbot(#[from] unusable::Error),
    /// It is not root's.
    #[error(transparent)]
    Stranger(#[from] running::Stranger),
    /// The names.
    #[error(transparent)]
    Scope(#[from] scope::Error),
    /// The switch.
    #[error(transparent)]
    Switch(#[from] report::Error),
    /// The way to the arbiter.
    #[error(transparent)]
    Connection(#[from] wire::Error),
    /// The thread that holds the lease.
    #[error("cannot start to ask for the lease")]
    Start(#[source] io::Error),
    /// Somebody else on this host renewed all the time.
    #[error("another renewal holds the lease; waited for {} s; the next run of the timer tries again", .0.as_secs())]
    Busy(Duration),
    /// Another host did.
    #[error("{by}; waited for {} s; the next run of the timer tries again; certbaton lease show tells more", waited.as_secs())]
    BusyElsewhere {
        /// Who, for how long, and what for.
        by: String,
        /// How long.
        waited: Duration,
    },
    /// Nobody grants it.
    #[error(
        "the arbiter of the lease, {arbiter}, cannot be reached ({said}); without the lease the CA is not asked; the next run of the timer tries again"
    )]
    Unreachable {
        /// Its name.
        arbiter: String,
        /// What ssh said.
        said: String,
    },
    /// The arbiter does not want to.
    #[error(transparent)]
    NotGranted(GiveUp),
    /// A socket between hook and keeper.
    #[error("cannot {0} the keeper's socket")]
    Socket(&'static str, #[source] io::Error),
    /// The other side is there and says nothing.
    #[error(
        "the keeper of the renewal that is under way{} has not answered for {} s; if it is stopped, kill -CONT lets it go on",
        .0.map(|pid| format!(", process {pid},")).unwrap_or_default(), .1.as_secs()
    )]
    Silent(Option<i32>, Duration),
    /// Nobody waits for the answer any more.
    #[error("the guard ended before the keeper answered")]
    Unattended,
    /// The other side closed, or died.
    #[error("the keeper ended before it answered")]
    Closed,
    /// Not one of our messages.
    #[error(
        "a message between hook and keeper is not understood (is one of them an older version?)"
    )]
    Message(#[from] serde_json::Error),
    /// The keeper cannot set itself up.
    #[error("the keeper cannot {0}")]
    Setup(&'static str, #[source] io::Error),
    /// The keeper said no.
    #[error("{}", .0.text)]
    Refused(Reply),
    /// The hook that started the keeper is gone.
    #[error("the pre-hook ended before it had the lease")]
    Abandoned,
    /// The keeper does nothing.
    #[error(
        "the keeper, process {0}, is stopped (state T), and the routes that it holds are still local; kill -CONT {0} lets it go on"
    )]
    Stopped(i32),
    /// The routes were not given back, or not everything that belongs to it was done.
    #[error("{}", still_local(.0))]
    Stuck(report::Error),
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Process(error) => error.exit(),
            Self::File(error) => error.exit(),
            Self::Certbot(error) => error.exit(),
            Self::Stranger(error) => error.exit(),
            Self::Scope(error) => error.exit(),
            Self::Switch(error) => error.exit(),
            Self::Connection(error) => error.exit(),
            Self::NotGranted(error) => error.exit(),
            Self::Refused(reply) => Exit::from_code(reply.exit),
            Self::Stuck(error) if error.is_given_back() => error.exit(),
            Self::Stuck(_) | Self::Stopped(_) => Exit::NotUndone,
            Self::Busy(_)
            | Self::BusyElsewhere { .. }
            | Self::Unreachable { .. }
            | Self::Silent(..) => Exit::Busy,
            Self::Start(_)
            | Self::Socket(..)
            | Self::Unattended
            | Self::Closed
            | Self::Message(_)
            | Self::Setup(..)
            | Self::Abandoned => Exit::Failed,
        }
    }
}

/// What a person has to know when the routes did not go back.
pub fn still_local(error: &report::Error) -> String {
    let why = chain(error);
    if error.says_what_is_left() {
        return why;
    }
    format!("{why}; the challenge path may still be local: certbaton recover tries again")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error that ends with the state that things are in has the last word of it.
    #[test]
    fn what_is_left_is_told_as_it_is() {
        let why = || Box::new(report::Error::CalledOff("Apache does not answer".into()));
        for error in [
            report::Error::Owed(why()),
            report::Error::Kept(why()),
            report::Error::Lingers(why()),
            report::Error::LeftBehind(Vec::new()),
            report::Error::JournalRemains(why()),
        ] {
            let told = chain(&error);
            assert_eq!(Error::Stuck(error).to_string(), told);
        }
        let told = Error::Stuck(*why()).to_string();
        assert!(told.contains("may still be local: certbaton recover tries again"), "{told}");
    }
}
