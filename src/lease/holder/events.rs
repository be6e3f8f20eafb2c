//! pure: what goes into the holder's machine and what comes out.

use std::time::Duration;

use crate::base::exit::{CarriesExit, Exit};
use crate::lease::token::day;
use crate::lease::wire::{ArbiterAnswer, Token, VERSION, Waiting};

/// What the arbiter says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Greeting {
    /// `wire::VERSION`.
    pub version: u32,
    /// `wire::Hello::grace_millis`.
    pub grace: Duration,
}

/// What the machine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HolderEvent {
    /// The arbiter's first line came, with its version.
    Hello(Greeting),
    /// A word of the arbiter.
    Said(ArbiterAnswer),
    /// The connection ended, broke, or could not be made.
    Ended,
    /// The same, and the next is known to end so, too: this host is not let in.
    Barred,
    /// Time has passed.
    Tick,
    /// The lease is not wanted any more.
    Release,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make a connection; `Hello` or `Ended` follows.
    Connect,
    /// End the connection; no event follows.
    Close,
    /// Say something.
    Say(HolderWord),
    /// Remember this token as the highest ever seen.
    Seen(Token),
    /// The lease is held.
    Granted(Token),
    /// It is not yet.
    Waiting(Waiting),
    /// It is held no more; the last action ever.
    Lost(Loss),
    /// It was given back; the last action ever.
    Released,
    /// It will not be had; the last action ever.
    GiveUp(GiveUp),
    /// A person should know.
    Warn(Warning),
}

/// What is said to the arbiter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HolderWord {
    /// `Ask::Acquire`.
    Acquire {
        /// The highest token ever seen.
        floor: Token,
        /// The token that is held.
        held: Option<Token>,
    },
    /// `Ask::Beat`.
    Beat(u64),
    /// `Ask::Release`.
    Release,
}

/// Why the lease is lost.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Loss {
    /// The arbiter did not answer for so long.
    #[error("the arbiter confirmed nothing for {} s", .0.as_secs())]
    Silence(Duration),
    /// The arbiter said so.
    #[error("{0}")]
    Taken(String),
}

/// Why the lease will not be had.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum GiveUp {
    /// Others had it all the time.
    #[error("waited for {} s", .0.as_secs())]
    Busy(Duration),
    /// Nobody there.
    #[error("the arbiter cannot be reached")]
    Unreachable,
    /// The arbiter speaks otherwise.
    #[error(
        "the arbiter speaks version {0} of the lease, this host version {VERSION}; install the same certbaton on both"
    )]
    Version(u32),
    /// The arbiter would grant anew before this host gives up.
    #[error(
        "lease.grace is {} s here and only {} s at the arbiter; it must not be longer here", ours.as_secs(), theirs.as_secs()
    )]
    Grace {
        /// Ours.
        ours: Duration,
        /// The arbiter's.
        theirs: Duration,
    },
    /// It was refused.
    #[error("the arbiter refuses: {0}")]
    Refused(String),
    /// A token that is not above all others.
    #[error("the arbiter granted token {}, but {} was seen before; its memory is not to be trusted", got.0, seen.0)]
    Stale {
        /// The token.
        got: Token,
        /// The highest seen before.
        seen: Token,
    },
    /// A token that no clock like ours can have led to.
    #[error(
        "the arbiter granted token {}, which is of {}, and the clock of this host says {}: one of the two clocks is wrong (timedatectl)",
        got.0, got.moment(), day(*unix)
    )]
    Ahead {
        /// The token.
        got: Token,
        /// The time of day here, in seconds.
        unix: i64,
    },
}

#[deny(clippy::wildcard_enum_match_arm)]
impl CarriesExit for GiveUp {
    fn exit(&self) -> Exit {
        match self {
            Self::Busy(_) | Self::Unreachable => Exit::Busy,
            Self::Grace { .. } => Exit::Config,
            Self::Version(_) | Self::Refused(_) | Self::Stale { .. } | Self::Ahead { .. } => {
                Exit::Failed
            }
        }
    }
}

/// What a person should know while the lease is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Warning {
    /// Half of the time until it is lost has passed without a word.
    Late,
    /// Held for `times::LONG_HOLD`.
    LongHold,
}
